"""`plinth import`: the file by which Pulumi takes over what is there. Reads options and calls one function."""

from __future__ import annotations

import json
from pathlib import Path

import click

from pulumi_plinth.errors import PlinthError


@click.command("import")
@click.option("-s", "--stack", default="local", envvar="PLINTH_STACK", show_default=True, help="The stack to work on.")
@click.option(
    "-C", "--cwd", type=click.Path(exists=True, file_okay=False, path_type=Path), default=Path(), help="Project folder."
)
@click.argument("found", nargs=-1, required=True, metavar="PATH=ID…")
def import_(stack: str, cwd: Path, found: tuple[str, ...]) -> None:
    """Print a Pulumi import file for pools and buckets that are there already. Changes nothing itself.

    PATH is where the stack file describes what is there: pools.NAME or stores.NAME; ID is what Oracle calls it.

    \b
    Examples:
      plinth import --stack oci-a10 pools.a10=ocid1.nodepool.oc1.phx.aaaa > import.json
      plinth import --stack oci-a10 stores.weights=n/axnamespace/b/team-weights > import.json
      pulumi import --file import.json
    """
    from pulumi_plinth.import_file import import_file
    from pulumi_plinth.project import Workspace

    ids = dict(_pair(text) for text in found)
    plan = Workspace.find(cwd.resolve(), stack).plan()
    click.echo(json.dumps(import_file(plan, ids), indent=2))


def _pair(text: str) -> tuple[str, str]:
    path, sign, key = text.partition("=")
    if not (path and sign and key):
        raise PlinthError(f"'{text}' is not PATH=ID; write for example pools.a10=ocid1.nodepool.oc1.phx.aaaa")
    return path, key
