"""Findings: what is wrong with or lost from a document, where, and what to write instead. Shows no secret. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from pulumi_plinth.quantities import SECRET_TEXT

SHOWN_LIMIT = 200
"""Longest value or message part repeated, in characters; documents may be huge."""

_SHOWN_ITEMS = 8
_HIDDEN = "(hidden)"
CREDENTIALS = re.compile(r"://[^/@\s]*:[^/@\s]*@")
"""A user and password inside an address."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One remark on a document. `line` counts from 1 and is None where a place has none."""

    file: str
    path: str
    value: Any
    message: str
    hint: str
    line: int | None = None

    def __post_init__(self) -> None:
        """Clean what was found in the document: a finding may be printed, logged and kept."""
        object.__setattr__(self, "value", shown(self.value))
        for name in ("path", "message", "hint"):
            object.__setattr__(self, name, hide(getattr(self, name)))

    def to_json(self) -> dict[str, Any]:
        """Render for `plinth convert --json`."""
        return {
            "file": self.file, "line": self.line, "path": self.path, "value": self.value,
            "message": self.message, "hint": self.hint,
        }  # fmt: skip

    def __str__(self) -> str:
        """Render as `file:line: path: message; hint`."""
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        path = f" {self.path}:" if self.path else ""
        value = "" if self.value is None or isinstance(self.value, dict) else f" {self.value!r}"
        return f"{place}:{path}{value} {self.message}; {self.hint}"


def shown(value: Any) -> Any:
    """Return a value fit to be shown: short, plain, and without what looks like a key or password."""
    if isinstance(value, bool) or value is None or isinstance(value, float):
        return value
    if isinstance(value, int):
        return value if value.bit_length() < 64 else "(a huge number)"  # noqa: PLR2004 a machine word
    if isinstance(value, (list, tuple)) and len(value) <= _SHOWN_ITEMS and all(isinstance(item, str) for item in value):
        return [shown(item) for item in value]
    if not isinstance(value, str):
        kind = "mapping" if isinstance(value, dict) else "list"
        return f"(a {kind} of {len(value)})" if isinstance(value, (dict, list, tuple)) else f"({type(value).__name__})"
    text = hide(value)
    return text if len(text) <= SHOWN_LIMIT else text[: SHOWN_LIMIT - 1] + "…"


def hide(text: str) -> str:
    """Replace what looks like a key or password in a text."""
    return CREDENTIALS.sub(f"://{_HIDDEN}@", SECRET_TEXT.sub(_HIDDEN, text))
