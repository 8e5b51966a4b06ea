"""`plinth check`: will what somebody wrote work? Reads files, prints verdicts; what is wrong is decided in `check`."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click
import yaml

from pulumi_plinth.cli_models import json_option
from pulumi_plinth.errors import PlinthError

if TYPE_CHECKING:
    from pulumi_plinth.check.core import Verdict
    from pulumi_plinth.check.facts_serving import Known
    from pulumi_plinth.check.fleet import FleetNode
    from pulumi_plinth.check.subject import Subject

REFUSED = 3
FILE_LIMIT_BYTES = 8 << 20
"""Manifests and notes are written by hand; the largest charts render two megabytes."""

COMMAND = re.compile(r"(^|\s)(vllm\s+serve|\S*api_server(\.py)?)(\s|$)|^\s*--?[a-z]")


@dataclass(frozen=True, slots=True)
class Checked:
    """One server of a file, what was found, and what of its description nobody understood."""

    name: str
    verdicts: tuple[Verdict, ...]
    unread: tuple[str, ...] = ()

    @property
    def verdict(self) -> str:
        """The worst that was said: refuse, warn or accept."""
        return self.verdicts[0].severity.value if self.verdicts else "accept"


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE…")
@click.option("--model", help="The model, where a file does not name it: as in `plinth models`, or a hub id.")
@click.option("--shape", help="The node's shape, where a file does not say: as in `plinth shapes`.")
@click.option("--engine-version", help="The engine's release, such as 0.32.0. Default: what the image's tag says.")
@click.option(
    "--nodes", type=click.File(), help="Is there room for the pods? `kubectl get nodes,pods -A -o json`; - is stdin."
)
@json_option
@click.pass_context
def check(ctx: click.Context, /, files: tuple[str, ...], nodes: TextIO | None, as_json: bool, **given: Any) -> None:
    """Say what in FILE will not work, and why. Exit code 3: something is refused.

    FILE is a Kubernetes manifest, a YAML of facts (a mapping, or a list of entries with `facts`), or a text with a
    command line; `-` is standard input.

    \b
    Examples:
      plinth check deployment.yaml
      plinth check notes.yaml --engine-version 0.9.1 --json
      echo 'vllm serve Qwen/Qwen2.5-7B-Instruct --tensor-parallel-size 3' | plinth check -
      helm template chart | plinth check - --shape BM.GPU.A10.4
      kubectl get nodes,pods -A -o json | plinth check deployment.yaml --nodes -
    """
    from pulumi_plinth.check.facts import load_known

    known = load_known()
    _refuse_unknown(given, known)
    fleet = _fleet(nodes) if nodes else ()
    found = [checked for file in files for checked in check_text(file, _read(file), known, given, fleet)]
    click.echo(json.dumps(_as_json(found), indent=2) if as_json else "\n".join(_lines(found)))
    if any(checked.verdict == "refuse" for checked in found):
        ctx.exit(REFUSED)


def check_text(
    file: str, text: str, known: Known, given: Mapping[str, str | None], fleet: Sequence[FleetNode] = ()
) -> Iterator[Checked]:
    """Judge every server that a text describes. Raises PlinthError for a text that describes none."""
    from pulumi_plinth.check.core import judge
    from pulumi_plinth.check.facts import all_rules

    rules, short = all_rules(known), _shortages(file, text, fleet)
    for name, subject, unread in _subjects(file, text, known, given):
        yield Checked(name, (*short.get(name, ()), *judge(subject, rules)), unread)


def _fleet(source: TextIO) -> tuple[FleetNode, ...]:
    from pulumi_plinth.check.fleet import fleet_of

    try:
        found = fleet_of(json.load(source))
    except ValueError:
        found = ()
    if not found:
        problem = "lists no nodes; make it with `kubectl get nodes,pods -A -o json`"
        raise PlinthError(f"--nodes: '{source.name}' {problem}")
    return found


def _shortages(file: str, text: str, fleet: Sequence[FleetNode]) -> dict[str, tuple[Verdict, ...]]:
    from pulumi_plinth.check.fleet_room import shortages
    from pulumi_plinth.check.manifest_read import flat

    documents = (item for document in _documents(file, text) for item in flat(document)) if fleet else ()
    return {f"{file}: {name}": (verdict,) for name, verdict in shortages(documents, fleet)}


Described = tuple[str, "Subject", tuple[str, ...]]


def _subjects(file: str, text: str, known: Known, given: Mapping[str, str | None]) -> Iterator[Described]:
    documents = [document for document in _documents(file, text) if document is not None]
    if not documents:
        raise PlinthError(f"'{file}' is empty; give a manifest, facts as YAML or a command line")
    objects = [document for document in documents if _is_object(document)]
    others = [document for document in documents if not _is_object(document)]
    servers = list(_of_objects(file, objects, known, given)) if objects else []
    if objects and not servers and not others:
        raise PlinthError(f"'{file}' has no pod that runs an engine or asks for GPUs; give the objects that make one")
    yield from servers
    for number, document in enumerate(others):
        yield from _of_facts(f"{file}[{number}]" if len(others) > 1 else file, document, known, given)


def _is_object(document: Any) -> bool:
    return isinstance(document, Mapping) and {"apiVersion", "kind"} <= set(document)


def _of_facts(name: str, document: Any, known: Known, given: Mapping[str, str | None]) -> Iterator[Described]:
    from pulumi_plinth.check.command import CommandError
    from pulumi_plinth.check.facts import subject_of_facts

    for own, facts in _entries(name, document):
        try:
            read = subject_of_facts({**_facts_of(given), **facts}, known)
        except CommandError as error:
            raise PlinthError(f"{own}: {error}; mend the quotes") from None
        yield own, read.subject, read.unread


def _of_objects(file: str, objects: list[Any], known: Known, given: Mapping[str, str | None]) -> Iterator[Described]:
    from pulumi_plinth.check.facts import completed
    from pulumi_plinth.check.manifest import subjects_of_manifest

    for name, subject in subjects_of_manifest(objects):
        yield f"{file}: {name}", completed(subject, _facts_of(given), known), ()


def _entries(name: str, document: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the facts of a document: the document itself, its `facts`, or those of every entry of a list."""
    if isinstance(document, list):
        for number, entry in enumerate(document):
            yield from _entries(f"{name}[{number}]", entry)
    elif isinstance(document, Mapping):
        own = str(document.get("id") or document.get("name") or name)
        facts = document.get("facts", document)
        if not isinstance(facts, Mapping):
            raise PlinthError(f"{name}.facts: {facts!r:.60} is no mapping; write `key: value` lines under it")
        yield own, facts
    else:
        raise PlinthError(f"{name}: {document!r:.60} is neither facts nor a manifest; write `key: value` lines")


def _documents(file: str, text: str) -> list[Any]:
    """Return a command line as a fact, YAML as its documents."""
    plain = text.strip()
    if COMMAND.search(plain.splitlines()[0] if plain else "") and not plain.startswith("- "):
        return [{"command": plain}]
    try:
        return list(yaml.safe_load_all(text))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" (line {mark.line + 1})" if mark else ""
        raise PlinthError(f"'{file}' is neither YAML{line} nor a command line of vLLM") from None


def _refuse_unknown(given: Mapping[str, str | None], known: Known) -> None:
    from pulumi_plinth.check.facts_serving.words import release_of
    from pulumi_plinth.fit.shapes import suggestion

    shape, release = given["shape"], given["engine_version"]
    if shape is not None and shape not in known.shapes:
        raise PlinthError(f"--shape: '{shape}' is not known; {suggestion(shape, known.shapes)}")
    if release is not None and not release_of(release):
        raise PlinthError(f"--engine-version: '{release}' is no release; write for example 0.32.0")


def _facts_of(given: Mapping[str, str | None]) -> dict[str, str]:
    return {key: value for key, value in given.items() if value is not None}


def _read(file: str) -> str:
    if file == "-":
        return sys.stdin.read(FILE_LIMIT_BYTES)
    path = Path(file)
    if not path.is_file():
        raise PlinthError(f"'{file}' is no file; give a path, or - for standard input")
    if path.stat().st_size > FILE_LIMIT_BYTES:
        raise PlinthError(f"'{file}' is larger than {FILE_LIMIT_BYTES >> 20} MiB; give the part that is to be checked")
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise PlinthError(f"'{file}' is not text; give a manifest, facts as YAML or a command line") from None


def _as_json(found: list[Checked]) -> dict[str, Any]:
    servers = [
        {"name": checked.name, "verdict": checked.verdict, "verdicts": [asdict(item) for item in checked.verdicts],
         "notUnderstood": list(checked.unread)} for checked in found
    ]  # fmt: skip
    return {"refused": any(checked.verdict == "refuse" for checked in found), "servers": servers}


def _lines(found: list[Checked]) -> Iterator[str]:
    for checked in found:
        yield f"{checked.name}: {checked.verdict}"
        for item in checked.verdicts:
            yield f"  {item.severity.value:<6} {item}"
        if checked.unread:
            yield f"  not understood, so not judged: {', '.join(checked.unread)}"
