"""`plinth convert`: documents that people already have, as model specs or in another dialect. Nothing is started.

Reading files and laying out lines happens here; what a document means does not.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pulumi_plinth.errors import PlinthError

if TYPE_CHECKING:
    from pulumi_plinth.model.convert import Conversion

TARGETS = ("plinth", "ome", "nstream", "deepextension", "oumi", "kaito", "modelfile")
MAX_BYTES = 128 << 20
"""Most bytes read of one file; a text of so many is refused with the reason."""


@click.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@click.option("--to", type=click.Choice(TARGETS), default="plinth", show_default=True, help="What to write.")
@click.option("--json", "as_json", is_flag=True, help="Print models, warnings and errors as JSON on stdout.")
def convert(files: tuple[str, ...], to: str, as_json: bool) -> None:
    """Read model declarations of OME, Nstream AI, DeepExtension, Oumi, KAITO and Ollama, and write them as stack file.

    The dialect of each document is recognised. What a dialect cannot say is listed on stderr. Exit code 1 when a
    document is refused; the others are still converted.

    \b
    Examples:
      plinth convert basemodels.yaml workspace.yaml > stacks/Pulumi.team.yaml
      plinth convert --to modelfile recipe.yaml
      kubectl get clusterbasemodels -o yaml | plinth convert --json - | jq '.errors[]'
    """
    from pulumi_plinth.model.convert import convert as convert_texts

    result = convert_texts([(name, read_file(name)) for name in files], to)
    if as_json:
        written = {"documents": [{"name": name, "text": text} for name, text in result.outputs]}
        click.echo(json.dumps(result.to_json() | (written if to != "plinth" else {}), indent=2))
    else:
        _show(result, to)
    if result.errors:
        sys.exit(1)


def read_file(name: str) -> bytes:
    """Read a file, or standard input for -; raises PlinthError."""
    try:
        if name == "-":
            return sys.stdin.buffer.read(MAX_BYTES + 1)
        with Path(name).open("rb") as stream:
            return stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise PlinthError(f"{name} cannot be read: {error.strerror or error}") from error


def _show(result: Conversion, to: str) -> None:
    for finding in result.warnings:
        click.echo(f"{click.style('warning:', fg='yellow')} {finding}", err=True)
    for finding in result.errors:
        click.echo(f"{click.style('error:', fg='red', bold=True)} {finding}", err=True)
    several = to == "modelfile" and len(result.outputs) > 1
    for name, text in result.outputs:
        click.echo(f"# Modelfile of {name}\n{text}" if several else text, nl=False)
