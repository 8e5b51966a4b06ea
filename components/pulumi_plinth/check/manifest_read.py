"""Reads parsed YAML from anywhere without trusting its shape: what is not as expected counts as not there. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pulumi_plinth.quantities import quantity

Document = Mapping[str, Any]

DEPTH = 8
"""Lists of lists of documents are followed so far."""


def at(document: Any, *path: str) -> Any:
    """Return what stands at a path of keys; None where there is nothing."""
    for key in path:
        document = document.get(key) if isinstance(document, Mapping) else None
    return document


def mapping(document: Any, *path: str) -> Document:
    """Return the mapping at a path; empty where there is none."""
    found = at(document, *path)
    return found if isinstance(found, Mapping) else {}


def entries(document: Any, *path: str) -> list[Document]:
    """Return the mappings of the list at a path."""
    found = at(document, *path)
    return [item for item in found if isinstance(item, Mapping)] if isinstance(found, list) else []


def strings(document: Any, *path: str) -> tuple[str, ...]:
    """Return the list at a path as texts; one value is a list of one."""
    found = at(document, *path)
    if found is None or isinstance(found, Mapping):
        return ()
    return tuple(str(item) for item in found) if isinstance(found, list) else (str(found),)


def text(document: Any, *path: str) -> str | None:
    """Return the plain value at a path as text."""
    found = at(document, *path)
    return None if found is None or isinstance(found, (Mapping, list)) else str(found)


def flag(document: Any, *path: str) -> bool | None:
    """Return the boolean at a path."""
    found = at(document, *path)
    return found if isinstance(found, bool) else None


def amount(document: Any, *path: str) -> float | None:
    """Return the number or quantity at a path: 3, "3", "24Gi", "500m"."""
    found = text(document, *path)
    if found is None or not re.fullmatch(r"\d{1,20}(\.\d{1,9})?(m|[kMGTPE]i?|Ki)?", found):
        return None
    return quantity(found)


def pods_of(document: Any, total: float, *path: str, up: bool) -> float | None:
    """Return a number of pods, or of a percentage what it makes of the total, rounded as Deployments do."""
    found = text(document, *path)
    if found is None or not re.fullmatch(r"\d{1,9}%?", found):
        return None
    if not found.endswith("%"):
        return float(found)
    whole, rest = divmod(int(found[:-1]) * total, 100)
    return float(whole + (1 if up and rest else 0))


def flat(document: Any, depth: int = DEPTH) -> Iterator[Document]:
    """Yield the objects of a file: one, a list of them, or Kubernetes' own kind List."""
    if isinstance(document, list) and depth:
        for item in document:
            yield from flat(item, depth - 1)
    elif isinstance(document, Mapping):
        listed = str(document.get("kind", "")).endswith("List") and isinstance(document.get("items"), list)
        if listed and depth:
            yield from flat(document["items"], depth - 1)
        else:
            yield document
