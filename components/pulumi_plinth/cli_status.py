"""`plinth status`: what every deployment does now. Reads options, calls, prints; decides nothing."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from pulumi_plinth.errors import PlinthError


@dataclass(frozen=True, slots=True)
class Found:
    """Everything that is told: rows of servers on this host, the report of the cluster."""

    stack: str
    local: list[dict[str, Any]]
    report: Any
    notes: tuple[str, ...]
    complete: bool
    """Whether every deployment was told of."""

    def to_json(self) -> dict[str, Any]:
        """Render: the servers of both kinds in one list, by name."""
        from pulumi_plinth.status.survey import age

        told = self.report.to_json(age)
        rows = sorted([*self.local, *told["deployments"]], key=lambda row: str(row["name"]))
        return {"stack": self.stack, **told, "deployments": rows, "notes": list(self.notes)}

    def show(self, console: Any) -> None:
        """Print tables."""
        from pulumi_plinth.rendering_status import show_report, show_servers
        from pulumi_plinth.status.survey import age

        if self.local:
            show_servers(console, self.local)
        show_report(console, self.report, age)
        if not (self.local or self.report.servers or self.report.models):
            console.print(f"stack '{self.stack}' is not deployed; run `plinth up`", markup=False, highlight=False)


@click.command()
@click.option("-s", "--stack", default="local", envvar="PLINTH_STACK", show_default=True, help="The stack to work on.")
@click.option(
    "-C", "--cwd", type=click.Path(exists=True, file_okay=False, path_type=Path), default=Path(), help="Project folder."
)
@click.option(
    "--deployer",
    type=click.Choice(["auto", "pulumi", "embedded"]),
    default="auto",
    envvar="PLINTH_DEPLOYER",
    show_default=True,
    help="Who keeps the stack's state; auto is the Pulumi CLI when it is on PATH.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout; what could not be read goes to stderr.")
@click.option(
    "--kubeconfig",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Read the cluster of this file instead of the one that the stack file names.",
)
@click.option("--context", help="Context of the kubeconfig, instead of the stack file's.")
@click.option("--svg", type=click.Path(dir_okay=False, path_type=Path), help="Also write a picture of it there.")
def status(**options: Any) -> None:
    """Print what every deployment of the stack is doing now: servers on this host, pods, declared models, GPU nodes.

    Nothing is changed. What could not be read is said on standard error, one line each; the exit code is 1 if that
    leaves a deployment untold.

    \b
    Examples:
      plinth status
      plinth status --stack prod --context oke-prod
      plinth status --json | jq '.deployments[] | {name, phase, replicas}'
    """
    from rich.console import Console

    found = _find(options)
    if options["as_json"]:
        click.echo(json.dumps(found.to_json()))
    else:
        found.show(Console())
    for note in found.notes:
        click.echo(f"{click.style('note:', fg='yellow', bold=True)} {note}", err=True)
    if options["svg"]:
        _draw(found, options["svg"])
    if not found.complete:
        sys.exit(1)


def _find(options: Mapping[str, Any]) -> Found:
    """Ask this host, then the cluster. Where the stack file cannot be read, what was deployed here is told still."""
    from pulumi_plinth import naming
    from pulumi_plinth.deployers import choose
    from pulumi_plinth.project import Workspace
    from pulumi_plinth.servers import statuses
    from pulumi_plinth.stack import StackSpec
    from pulumi_plinth.status.survey import Access, survey

    workspace = Workspace.find(options["cwd"].resolve(), options["stack"])
    outputs = choose(options["deployer"], workspace, lambda _: None).outputs(show_secrets=False)
    notes: tuple[str, ...] = ()
    try:
        spec = workspace.spec()
    except PlinthError as error:
        spec, notes = StackSpec(), (f"the cluster is not asked: {error}",)
    endpoints = outputs.get(naming.ENDPOINTS) or {}
    report = survey(spec, workspace.root, endpoints, Access(options["kubeconfig"], options["context"]))
    told = {server.wanted.name for server in report.servers}
    local = [row for row in statuses(workspace, outputs) if row["name"] not in told]
    return Found(options["stack"], local, report, (*notes, *report.notes), report.told and not notes)


def _draw(found: Found, path: Path) -> None:
    from pulumi_plinth.rendering_status import picture

    try:
        path.write_text(picture(found.show, f"plinth status --stack {found.stack}"), encoding="utf-8")
    except OSError as error:
        raise PlinthError(f"{path} cannot be written: {error.strerror}") from error
