"""A folder as the card's readers see it: names, sizes and bounded, fault-collecting reads of small JSON files.

No file is opened here: the caller's reading function does that, on either side of the contract.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Reader = Callable[[str, int, int], bytes]
"""(relative path, offset, length) -> bytes; shorter only at the end of the file."""

JSON_LIMIT_BYTES = 4 << 20
"""config.json of the largest models is below 100 KB; quantization lists reach 1 MB."""

INDEX_LIMIT_BYTES = 64 << 20
README_LIMIT_BYTES = 256 << 10
MAX_NUMBER = 1 << 53
"""Whole numbers above this are not sizes of anything: they overflow somewhere on the way."""


@dataclass(frozen=True, slots=True)
class Folder:
    """Files of a model (path to bytes), how to read them, and where what is wrong with them is written down."""

    files: Mapping[str, int]
    read: Reader
    faults: list[str] = field(default_factory=list)

    def object(self, path: str, *, limit: int = JSON_LIMIT_BYTES) -> dict[str, Any] | None:
        """Read a JSON object; None if the file is not there. What is no object becomes a fault and None."""
        value = self.value(path, limit=limit)
        if value is None or isinstance(value, dict):
            return value
        self.faults.append(f"{path} is not an object")
        return None

    def value(self, path: str, *, limit: int = JSON_LIMIT_BYTES) -> Any:
        """Read any JSON value; NaN and Infinity, which Python writes into JSON, read as null."""
        if path not in self.files:
            return None
        if self.files[path] > limit:
            self.faults.append(f"{path} has {self.files[path]} bytes, more than the {limit} that are read")
            return None
        try:
            return json.loads(self.read(path, 0, self.files[path]), parse_constant=lambda _: None)
        except (ValueError, RecursionError) as error:
            self.faults.append(f"{path} is not JSON: {str(error)[:120]}")
            return None

    def front_matter(self, path: str = "README.md") -> dict[str, tuple[str, ...]]:
        """Read the plain `key: value` and `key:` + `- item` lines of a README's YAML head. Nothing else of YAML."""
        if path not in self.files:
            return {}
        text = self.read(path, 0, min(self.files[path], README_LIMIT_BYTES)).decode("utf-8", "replace")
        head = re.match(r"\ufeff?---\s*\n(.*?)\n---\s*(\n|$)", text, re.DOTALL)
        return _head_lines(head[1]) if head else {}


def _head_lines(head: str) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    key = ""
    for line in head.splitlines():
        if match := re.match(r"([A-Za-z_][\w-]*):\s*(.*?)\s*$", line):
            key = match[1]
            values = match[2].strip("[]").split(",") if match[2].startswith("[") else [match[2]]
            found[key] = tuple(text for value in values if (text := value.strip().strip("\"'")))
        elif key and (item := re.match(r"\s*-\s+([^:]*?)\s*$", line)):
            found[key] = (*found[key], item[1].strip("\"'"))
    return found


def whole(value: Any) -> int | None:
    """Take a whole, non-negative number of sensible size; anything else is None."""
    return value if type(value) is int and 0 <= value <= MAX_NUMBER else None


def number(value: Any) -> float | None:
    """Take a finite number."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or abs(value) > MAX_NUMBER:
        return None
    return float(value)


def text(value: Any) -> str | None:
    """Take a text, cut to what a line can show."""
    return value[:200] if isinstance(value, str) and value else None


def mapping(value: Any) -> dict[str, Any]:
    """Take an object, or an empty one."""
    return value if isinstance(value, dict) else {}
