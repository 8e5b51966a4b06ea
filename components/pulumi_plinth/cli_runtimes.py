"""`plinth runtimes`: which serving runtime would be taken for a model, and why no other. Nothing is started."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import yaml

from pulumi_plinth.cli_models import json_option
from pulumi_plinth.errors import PlinthError

if TYPE_CHECKING:
    from pulumi_plinth.engines.choice import Choice
    from pulumi_plinth.engines.runtime import Accelerator, Candidate, Runtime

NO_RUNTIME = 3


@click.command()
@click.argument("model")
@click.argument("files", nargs=-1, type=click.File(encoding="utf-8"), metavar="[FILE]...")
@click.option("--accelerator", help="Class of accelerators it must run on, as runtimes list them.")
@json_option
@click.pass_context
def runtimes(ctx: click.Context, model: str, files: tuple[Any, ...], accelerator: str | None, as_json: bool) -> None:
    """Say which serving runtime would be taken for MODEL, and why no other. Exit code 3: none.

    MODEL is a file with one model declaration (such as an OME BaseModel, which says format and framework), a name of
    `plinth models`, a model folder or a card. FILE holds OME's ServingRuntimes or
    ClusterServingRuntimes, as YAML or JSON, - for standard input; without one, the engines of this release are asked.

    \b
    Examples:
      kubectl get clusterservingruntimes,servingruntimes -A -o yaml | plinth runtimes phi-4 -
      plinth runtimes basemodel.yaml runtimes.yaml --accelerator nvidia-h100-80gb
    """
    from pulumi_plinth.engines.choice import choose
    from pulumi_plinth.engines.runtime import Accelerator, default_runtimes

    known, remarks = _declared(files) if files else (list(default_runtimes()), [])
    place = Accelerator(name=accelerator)
    choice = choose(known, _candidate(model), place)
    document = _document(choice, place) | {"remarks": remarks}
    click.echo(json.dumps(document, indent=2) if as_json else "\n".join(_lines(choice, document)))
    if choice.chosen is None:
        ctx.exit(NO_RUNTIME)


def _candidate(model: str) -> Candidate:
    """Describe the model that a declaration, a name, a folder or a card stands for."""
    from pulumi_plinth.cli_convert import read_file
    from pulumi_plinth.cli_fit import find_model
    from pulumi_plinth.engines.runtime import candidate_of, described
    from pulumi_plinth.model.convert import convert

    if Path(model).is_file():
        declared = convert([(model, read_file(model))]).models
        if len(declared) > 1:
            names = ", ".join(each.name for each in declared)
            raise PlinthError(f"'{model}' declares {len(declared)} models ({names}); give a file with one")
        if declared:
            return candidate_of(declared[0].spec, None)
    return described(find_model(model).card)


def _declared(files: tuple[Any, ...]) -> tuple[list[Runtime], list[str]]:
    """Read every runtime of the files, and what was left out of them."""
    from pulumi_plinth.engines.ome_runtime import is_runtime, read_runtime

    found: list[Runtime] = []
    remarks: list[str] = []
    for file in files:
        for document in filter(is_runtime, _documents(file)):
            runtime, findings = read_runtime(document, file.name)
            found.extend([runtime] if runtime else [])
            remarks.extend(f"{each.file}: {each.path}: {each.message}; {each.hint}" for each in findings)
    if not found:
        names = ", ".join(file.name for file in files)
        raise PlinthError(f"{names}: no ServingRuntime or ClusterServingRuntime of ome.io; give such a file")
    return found, remarks


def _documents(file: Any) -> Iterator[Any]:
    """Yield documents, those inside a List one by one."""
    try:
        for document in yaml.safe_load_all(file):
            listed = document.get("items") if isinstance(document, dict) else None
            yield from listed if isinstance(listed, list) else [document]
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        place = str(getattr(error, "problem_mark", "")).strip()
        raise PlinthError(f"'{file.name}' is no YAML {place}; write it with `kubectl get … -o yaml`") from None


def _document(choice: Choice, place: Accelerator) -> dict[str, Any]:
    from pulumi_plinth.engines.choice import overridden

    taken = choice.chosen
    arguments, environment = overridden(taken, place) if taken else ((), {})
    return {
        "runtime": taken.runtime.name if taken else None,
        "arguments": list(arguments),
        "environment": environment,
        "others": [match.runtime.name for match in choice.others],
        "rejected": {each.name: list(each.reasons) for each in choice.rejected},
        "reasons": list(choice.reasons),
    }


def _lines(choice: Choice, document: dict[str, Any]) -> Iterator[str]:
    yield from choice.reasons
    if document["arguments"]:
        yield f"arguments: {' '.join(document['arguments'])}"
    for name, value in document["environment"].items():
        yield f"variable: {name}={value}"
    yield from (f"left out: {remark}" for remark in document["remarks"])
