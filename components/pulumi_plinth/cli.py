"""The command line. Builds what the commands need and passes it down; errors become exit codes here and nowhere else.

Exit codes: 0 done, 1 refused or failed (the reason is on stderr), 2 wrong usage, 3 does not fit, 130 interrupted.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import click

from pulumi_plinth import (
    cli_check,
    cli_convert,
    cli_engine,
    cli_fit,
    cli_import,
    cli_limits,
    cli_models,
    cli_render,
    cli_runtimes,
    cli_status,
)
from pulumi_plinth.errors import PlinthError

INTERRUPTED = 130

stack_option = click.option(
    "-s", "--stack", default="local", envvar="PLINTH_STACK", show_default=True, help="The stack to work on."
)
cwd_option = click.option(
    "-C", "--cwd", type=click.Path(exists=True, file_okay=False, path_type=Path), default=Path(), help="Project folder."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout; progress goes to stderr.")
yes_option = click.option("-y", "--yes", is_flag=True, help="Do not ask.")
deployer_option = click.option(
    "--deployer",
    type=click.Choice(["auto", "pulumi", "embedded"]),
    default="auto",
    envvar="PLINTH_DEPLOYER",
    show_default=True,
    help="Who carries it out; auto is the Pulumi CLI when it is on PATH.",
)


def common(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options every command has."""
    return stack_option(cwd_option(command))


class Commands(click.Group):
    """Turns our errors into one message and exit code 1; a traceback is for bugs only."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except PlinthError as error:
            _fail(str(error))
        except KeyboardInterrupt:
            click.echo("interrupted", err=True)
            sys.exit(INTERRUPTED)
        except BrokenPipeError:
            sys.stderr.close()
            sys.exit(0)


def _fail(message: str) -> NoReturn:
    click.echo(f"{click.style('error:', fg='red', bold=True)} {message}", err=True)
    sys.exit(1)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="pulumi-plinth", prog_name="plinth")
def main() -> None:
    """Serve models that a stack file declares.

    \b
    Examples:
      plinth plan                       what would run, and why
      plinth up --yes                   make it so
      plinth ask "What is 2 + 2?"       try it
      plinth status                     what runs now
      plinth down --yes                 stop it; weights stay
    """


def _workspace(cwd: Path, stack: str) -> Any:
    from pulumi_plinth.project import Workspace

    return Workspace.find(cwd.resolve(), stack)


def _console(*, as_json: bool = False) -> Any:
    from rich.console import Console

    return Console(stderr=as_json, soft_wrap=True)


def _deployer(workspace: Any, name: str, console: Any) -> Any:
    from pulumi_plinth.deployers import choose
    from pulumi_plinth.rendering import show_event

    return choose(name, workspace, lambda event: show_event(console, event))


@main.command()
@common
@json_option
@click.option("--explain", "field", metavar="FIELD", help="One field of the JSON, or NAME.FIELD: what led to it.")
@click.option("--html", type=click.Path(dir_okay=False, path_type=Path), help="Also write one page with charts there.")
def plan(stack: str, cwd: Path, as_json: bool, field: str | None, html: Path | None) -> None:
    """Check the stack file and print every decision with its reason. Starts and changes nothing.

    \b
    Examples:
      plinth plan --stack local
      plinth plan --stack gpu-example --explain chat.price
      plinth plan --stack gpu-example --html plan.html
      plinth plan --json | jq '.deployments[].launch'
    """
    workspace = _workspace(cwd, stack)
    planned = workspace.plan()
    if html is not None:
        from pulumi_plinth.rendering_html import page

        _write(html, page(stack, planned))
    if field is not None:
        _explain(planned, field, as_json=as_json)
    elif as_json:
        limits = cli_limits.limits(workspace, planned).to_json()
        click.echo(json.dumps({"stack": stack, **planned.to_json(), "limits": limits}, indent=2))
    else:
        from pulumi_plinth.rendering_plan import show_plan

        show_plan(_console(), workspace.spec(), planned)
        cli_limits.show_limits(_console(), workspace, planned)


def _explain(planned: Any, field: str, *, as_json: bool) -> None:
    from dataclasses import asdict

    from pulumi_plinth.rendering_explain import explain

    found = explain(planned, field)
    if as_json:
        click.echo(json.dumps({"explanations": [asdict(item) for item in found]}, indent=2))
    else:
        click.echo("\n".join(line for item in found for line in item.lines()))


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise PlinthError(f"{path} cannot be written: {error.strerror}") from error


def _show_change(console: Any, carrier: Any, planned: Any) -> None:
    from pulumi_plinth.naming import TOTALS
    from pulumi_plinth.rendering_plan import show_change

    show_change(console, carrier.outputs(show_secrets=False).get(TOTALS) or {}, planned.totals())


@main.command()
@common
@deployer_option
def preview(stack: str, cwd: Path, deployer: str) -> None:
    """Show what `up` would change."""
    workspace, console = _workspace(cwd, stack), _console()
    planned = workspace.plan().deployable()
    carrier = _deployer(workspace, deployer, console)
    cli_limits.show_limits(console, workspace, planned)
    _show_change(console, carrier, planned)
    if carrier.preview() is False:
        console.print("no changes")


@main.command()
@common
@deployer_option
@yes_option
@json_option
def up(stack: str, cwd: Path, deployer: str, yes: bool, as_json: bool) -> None:
    """Make the stack as declared, and return when every server is ready.

    \b
    Examples:
      plinth up --yes
      plinth up --stack local --yes --json | tail -1 | jq .endpoints
    """
    from pulumi_plinth.rendering import show_outputs
    from pulumi_plinth.rendering_plan import show_plan

    workspace, console = _workspace(cwd, stack), _console(as_json=as_json)
    planned = workspace.plan().deployable()
    show_plan(console, workspace.spec(), planned)
    cli_limits.show_limits(console, workspace, planned)
    carrier = _deployer(workspace, deployer, console)
    _show_change(console, carrier, planned)
    console.print("preview:")
    if carrier.preview() is False:
        console.print("no changes")
    else:
        _confirm(f"Update stack '{stack}'?", yes=yes)
        console.print("update:")
        carrier.up()
    outputs = carrier.outputs(show_secrets=False)
    if as_json:
        click.echo(json.dumps(outputs))
    else:
        show_outputs(console, outputs)


@main.command()
@common
@deployer_option
@yes_option
def down(stack: str, cwd: Path, deployer: str, yes: bool) -> None:
    """Stop the stack's servers and delete what it made. Weights stay."""
    from pulumi_plinth import naming

    workspace, console = _workspace(cwd, stack), _console()
    _confirm(f"Delete everything of stack '{stack}'?", yes=yes)
    _deployer(workspace, deployer, console).destroy()
    # What a start that failed left behind is in no state.
    _stop_leftovers(naming.runs_dir(workspace.root, stack), console)
    console.print(f"stack '{stack}' is down")


def _stop_leftovers(runs: Path, console: Any) -> None:
    from plinth_runtime.contract.rundir import RunDir
    from pulumi_plinth.deployment import local

    for folder in sorted(runs.glob("*")):
        local.stop(RunDir(folder), console.print)
    shutil.rmtree(runs, ignore_errors=True)


@main.command()
@common
@deployer_option
def refresh(stack: str, cwd: Path, deployer: str) -> None:
    """Bring the state in line with what really runs."""
    _deployer(_workspace(cwd, stack), deployer, _console()).refresh()


def _confirm(question: str, *, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise click.UsageError("nobody is there to ask; say --yes")
    click.confirm(question, abort=True)


@main.command()
@common
@deployer_option
@click.option("--show-secrets", is_flag=True, help="Print API keys in plain.")
@json_option
def outputs(stack: str, cwd: Path, deployer: str, show_secrets: bool, as_json: bool) -> None:
    """Print the stack's outputs: endpoints, management ports, keys."""
    from pulumi_plinth.rendering import show_outputs

    found = _deployer(_workspace(cwd, stack), deployer, _console()).outputs(show_secrets=show_secrets)
    if as_json:
        click.echo(json.dumps(found))
    else:
        show_outputs(_console(), found)


@main.command()
@common
@click.argument("deployment", required=False)
@click.option("-f", "--follow", is_flag=True, help="Go on with what is appended, until interrupted.")
@click.option("-n", "--lines", type=click.IntRange(min=0), default=100, show_default=True, help="Start this far back.")
def logs(stack: str, cwd: Path, deployment: str | None, follow: bool, lines: int) -> None:
    """Print what a server and its engine said."""
    from plinth_runtime.contract.rundir import RunDir
    from pulumi_plinth import naming
    from pulumi_plinth.servers import log_lines, pick

    workspace = _workspace(cwd, stack)
    runs = naming.runs_dir(workspace.root, stack)
    name = pick(sorted(path.name for path in runs.glob("*")), deployment)
    for line in log_lines(RunDir(runs / name).log, lines, follow=follow):
        click.echo(line, nl=False)


@main.command()
@common
@deployer_option
@click.argument("question")
@click.option("-d", "--deployment", help="Which server; needed when there are several.")
@click.option(
    "--timeout", type=click.FloatRange(min=0, min_open=True), default=120.0, show_default=True, help="Seconds."
)
@click.option("--max-tokens", type=click.IntRange(min=1), default=512, show_default=True, help="Longest answer.")
def ask(**options: Any) -> None:
    """Ask a served model one question and print its answer as it comes.

    \b
    Examples:
      plinth ask "What is the capital of France?"
      plinth ask --timeout 30 -d smollm2-135m "Name three colours."
    """
    from pulumi_plinth import naming
    from pulumi_plinth.client import Question, answer
    from pulumi_plinth.servers import pick

    workspace = _workspace(options["cwd"], options["stack"])
    found = _deployer(workspace, options["deployer"], _console()).outputs(show_secrets=True)
    endpoints = found.get(naming.ENDPOINTS) or {}
    name = pick(sorted(endpoints), options["deployment"])
    spec = workspace.spec()
    model = spec.deployments[name].model if name in spec.deployments else name
    served = spec.models[model].served_name or model if model in spec.models else model
    key = (found.get(naming.KEYS) or {}).get(name, "")
    question = Question(endpoints[name], key, served, options["question"], options["max_tokens"], options["timeout"])
    for piece in answer(question):
        click.echo(piece, nl=False)
    click.echo()


@main.group()
def state() -> None:
    """Look at the stack's state."""


@state.command()
@common
@deployer_option
def export(stack: str, cwd: Path, deployer: str) -> None:
    """Print the state as `pulumi stack import` takes it; secrets stay encrypted."""
    click.echo(json.dumps(_deployer(_workspace(cwd, stack), deployer, _console()).export(), indent=2))


@main.command()
@click.argument(
    "part", type=click.Choice(["stack", "file", "store", "model", "deployment", "package"]), default="stack"
)
@click.option("--markdown", "as_markdown", is_flag=True, help="The reference for people instead.")
def schema(part: str, as_markdown: bool) -> None:
    """Print the JSON schema of the stack file's value under `plinth:stack`, of one PART of it, or of the whole file.

    `package` is the schema by which Pulumi makes SDKs of the components for other languages.

    \b
    Examples:
      plinth schema file > docs/stack-file.schema.json      for an editor
      plinth schema model | jq '.properties | keys'
    """
    from pulumi_plinth.reference import markdown, schema_of
    from pulumi_plinth.stack import StackSpec

    if as_markdown:
        click.echo(markdown(StackSpec.model_json_schema()))
    else:
        click.echo(json.dumps(schema_of(part), indent=2))


@main.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script of a shell: eval "$(plinth completion bash)"."""
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    if kind is not None:
        click.echo(kind(main, {}, "plinth", "_PLINTH_COMPLETE").source())


for command in (
    cli_convert.convert,
    cli_models.card,
    cli_models.models,
    cli_fit.fit,
    cli_fit.shapes,
    cli_check.check,
    cli_engine.engine,
    cli_render.render,
    cli_import.import_,
    cli_runtimes.runtimes,
    cli_status.status,
):
    main.add_command(command)
