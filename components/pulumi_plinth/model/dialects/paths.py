"""Paths into documents: `spec.storage.path`, with back quotes around keys that hold dots. Pure."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

MISSING: Any = object()
"""What `get` returns for a place that is not there; None is a value that a document may hold."""


@lru_cache(maxsize=4096)
def split(path: str) -> tuple[str, ...]:
    """Split a path into keys."""
    return tuple(quoted or plain for quoted, plain in re.findall(r"`([^`]*)`|([^.`]+)", path))


def get(document: Any, path: str) -> Any:
    """Return what lies at a path, or MISSING."""
    for key in split(path):
        if not isinstance(document, dict) or key not in document:
            return MISSING
        document = document[key]
    return document


def walk(document: Any, keys: tuple[str | int, ...]) -> Any:
    """Return what lies at these keys, through mappings and lists; None where the way ends."""
    for key in keys:
        if isinstance(document, dict):
            document = document.get(key)
        elif isinstance(document, list) and isinstance(key, int) and key < len(document):
            document = document[key]
        else:
            return None
    return document


def put(document: dict[str, Any], path: str, value: Any) -> None:
    """Put a value at a path, making the mappings on the way."""
    *parents, last = split(path)
    for key in parents:
        document = document.setdefault(key, {})
    document[last] = value


def show(keys: tuple[str | int, ...]) -> str:
    """Write keys as people read them: `spec.items[0].name`."""
    text = ""
    for key in keys:
        if isinstance(key, int):
            text += f"[{key}]"
        else:
            text += f".{key}" if re.fullmatch(r"[\w:/ -]+", key) else f'["{key[:80]}"]'
    return text.removeprefix(".")
