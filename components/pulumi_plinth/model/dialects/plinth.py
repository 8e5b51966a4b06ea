"""Our own stack file as a dialect: each entry under `models` is a document. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from pulumi_plinth.model.dialects.source import Document
from pulumi_plinth.model.dialects.table import Dialect, Reading
from pulumi_plinth.quantities import parse_label

CONFIG_KEY = "plinth:stack"
_NAME, _SPEC = "plinth:name", "plinth:model"


def expand(document: Document) -> Iterator[Document]:
    """Take a stack file apart into its models; any other document stays as it is."""
    found = _models(document.value)
    if found is None:
        yield document
        return
    prefix, models = found
    for name, value in models.items():
        line = document.lines.get(id(models), {}).get(str(name), document.line)
        wrapped = {_NAME: name, _SPEC: value}
        place = (*document.prefix, *prefix, str(name))
        yield replace(document, value=wrapped, prefix=place, line=line)


def _models(value: Any) -> tuple[tuple[str, ...], dict[str, Any]] | None:
    prefix: tuple[str, ...] = ()
    for key in ("config", CONFIG_KEY):
        if isinstance(value, dict) and key in value:
            value, prefix = value[key], (*prefix, key)
    if not isinstance(value, dict) or "kind" in value or not isinstance(value.get("models"), dict):
        return None
    known = {"stores", "models", "deployments"}
    if not prefix and (set(value) - known or not all(isinstance(item, dict) for item in value["models"].values())):
        return None
    return (*prefix, "models"), value["models"]


def detect(document: Any) -> bool:
    """Recognise what `expand` made."""
    return isinstance(document, dict) and set(document) == {_NAME, _SPEC}


def read(reading: Reading) -> None:
    """Read one entry, strictly: this is our own language."""
    name, value = reading.value[_NAME], reading.value[_SPEC]
    reading.use(_NAME)
    reading.use(_SPEC)
    if not isinstance(value, dict):
        reading.error((), value, "is not a mapping", "write `key: value` lines under it")
        return
    try:
        reading.name = parse_label(name)
    except ValueError as error:
        problem, _, remedy = str(error).partition("; ")
        reading.error((), name, problem, remedy)
    reading.data = value


def write(_: str, data: dict[str, Any]) -> Any:
    """Write one entry; `convert` puts all of them into one stack file."""
    return data


PLINTH = Dialect("plinth", detect, read, write)
