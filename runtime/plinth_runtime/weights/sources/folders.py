"""What an address with a prefix means in a store that knows no folders. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from plinth_runtime.weights.sources import RemoteObject

Pages = Callable[[str], Sequence[RemoteObject]]
"""Lists every object whose key begins with a text; names are what follows it."""


def folder_or_object(prefix: str, pages: Pages) -> list[RemoteObject]:
    """List what lies below a prefix as below a folder, or the one object that has exactly this key."""
    below = pages(f"{prefix}/" if prefix else "")
    return list(below) or [replace(row, name=prefix.rpartition("/")[2]) for row in pages(prefix) if not row.name]
