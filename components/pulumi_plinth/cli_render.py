"""`plinth render`: a stack's Kubernetes objects as files. Reads options and calls one function; decides nothing."""

from __future__ import annotations

from pathlib import Path

import click

from pulumi_plinth.errors import PlinthError

STANDARD_OUTPUT = Path("-")


@click.command()
@click.option("-s", "--stack", default="local", envvar="PLINTH_STACK", show_default=True, help="The stack to work on.")
@click.option(
    "-C", "--cwd", type=click.Path(exists=True, file_okay=False, path_type=Path), default=Path(), help="Project folder."
)
@click.option(
    "--to",
    "target",
    type=click.Path(path_type=Path, file_okay=False, allow_dash=True),
    required=True,
    help="The folder to write; - is standard output.",
)
@click.option("--force", is_flag=True, help="Write beside files that somebody else made; they stay as they are.")
def render(stack: str, cwd: Path, target: Path, force: bool) -> None:
    """Write the Kubernetes objects of the stack as files, the same bytes for the same stack.

    Files in the folder that an earlier run made and that are no longer needed are removed. Secrets are never written:
    those that must be there are named on standard error, each with the command that makes it.

    \b
    Examples:
      plinth render --stack kubernetes-example --to deploy/prod
      kubectl apply --server-side -R -f deploy/prod
      kubectl apply --server-side -k deploy/prod
      plinth render --stack kubernetes-example --to - | plinth check -
    """
    from pulumi_plinth.project import Workspace
    from pulumi_plinth.rendering_files import LIST, files_of, secret_lines, write_files

    plan = Workspace.find(cwd.resolve(), stack).plan()
    if not plan.servers and not plan.declared.objects:
        raise PlinthError(f"stack '{stack}' has nothing for Kubernetes; add `kubernetes:` and deployments for it")
    files = files_of(plan)
    if target == STANDARD_OUTPUT:
        click.echo("---\n".join(text for path, text in files.items() if path != LIST), nl=False)
    else:
        written, removed = write_files(target, files, force=force)
        click.echo(f"{len(files)} files in {target}: {written} written, {removed} removed", err=True)
    for line in (*secret_lines(plan), *(f"not declared: {text}" for text in plan.declared.left_out)):
        click.echo(line, err=True)
