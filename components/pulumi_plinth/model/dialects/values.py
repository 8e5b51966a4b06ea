"""Converters between what foreign documents hold and what specs hold. Pure.

A reader takes a value and returns ours, or raises ValueError as `problem; remedy`. Foreign documents are read
generously (numbers and booleans as text, one item instead of a list); specs are strict.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, NoReturn

Reader = Callable[[Any], Any]

_PLACEHOLDER = re.compile(r"<[^<>|]*>|\$\{?[A-Za-z_][A-Za-z0-9_]*\}?")
_REFERENCE = re.compile(r"\$\{secret:([A-Za-z0-9._-]+)\}")
_TRUTH = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
_LONGEST_NUMBER = 40
_NO_NUMBER = "is not a number; write a number such as 0.5"


class InsideError(ValueError):
    """A part of a value does not fit: its keys from the value on, and what stands there. Never retried."""

    def __init__(self, message: str, keys: tuple[str | int, ...], value: Any) -> None:
        super().__init__(message)
        self.keys = keys
        self.value = value


def inside(key: str | int, read: Reader, value: Any) -> Any:
    """Read a part of a value. Raises InsideError with its place."""
    try:
        return read(value)
    except InsideError as error:
        raise InsideError(str(error), (key, *error.keys), error.value) from None
    except ValueError as error:
        raise InsideError(str(error), (key,), value) from None


def same(value: Any) -> Any:
    """Pass a value on."""
    return value


def text(value: Any) -> str:
    """Read text; numbers and booleans as they are written."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    if not isinstance(value, str):
        refuse("is not text; write one line of text")
    if _PLACEHOLDER.fullmatch(value.strip()):
        refuse("is a placeholder; write the real value (text)")
    return value


def token(value: Any) -> str:
    """Read text that may look like anything, such as a special token `<pad>`."""
    return value if isinstance(value, str) else text(value)


def integer(value: Any) -> int:
    """Read a whole number, also as text."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and re.fullmatch(r"\s*[-+]?\d+\s*", value) and len(value) <= _LONGEST_NUMBER:
        return int(value)
    return refuse("is not a whole number; write a number such as 1")


def number(value: Any) -> float:
    """Read a number, also as text."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value) if abs(value) < 1e300 else refuse(_NO_NUMBER)  # noqa: PLR2004 beyond it float() overflows
    if isinstance(value, str) and len(value) <= _LONGEST_NUMBER:
        try:
            found = float(value)
        except ValueError:
            refuse(_NO_NUMBER)
        if found == found and abs(found) != float("inf"):  # noqa: PLR0124 NaN differs from itself
            return found
    return refuse(_NO_NUMBER)


def refuse(sentence: str) -> NoReturn:
    """Refuse a value: `problem; remedy`."""
    raise ValueError(sentence)


def boolean(value: Any) -> bool:
    """Read true or false, also as text."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip().lower() in _TRUTH:
        return _TRUTH[value.strip().lower()]
    refuse("is not true or false; write true or false")


def texts(value: Any) -> list[str]:
    """Read a list of text; a single one, or a list written as JSON, counts too."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        value = anything(value)
    if isinstance(value, dict):
        refuse("is not a list; write one `- item` a line")
    if not isinstance(value, list):
        return [] if value is None else [text(value)]
    return [inside(index, text, item) for index, item in enumerate(value) if item is not None]


def mapping(value: Any) -> dict[str, str]:
    """Read text by key; nested values become JSON text."""
    if not isinstance(value, dict):
        refuse("is not a mapping; write `key: value` lines under it")
    return {
        key: json.dumps(item) if isinstance(item, (dict, list)) else inside(key, text, item)
        for key, item in value.items()
        if item is not None
    }


def tree(value: Any) -> dict[str, Any]:
    """Read a mapping of anything."""
    if not isinstance(value, dict):
        refuse("is not a mapping; write `key: value` lines under it")
    return value


def anything(value: Any) -> Any:
    """Read any value; JSON written as text is read."""
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        try:
            return json.loads(value, parse_constant=str)
        except (ValueError, RecursionError):
            refuse("is not JSON; correct it or write it as YAML")
    return value


def secret(value: Any) -> str:
    """Read the name of a secret. Plain secrets were already replaced by references."""
    found = text(value)
    match = _REFERENCE.fullmatch(found)
    return match[1] if match else found


def secrets(value: Any) -> list[str]:
    """Read names of secrets, also as Kubernetes' `- name: …`."""
    items = value if isinstance(value, list) else [value]
    return [secret(item["name"] if isinstance(item, dict) and "name" in item else item) for item in items]


def reference(name: str) -> str:
    """Write a secret's name where a foreign document expects the secret."""
    return f"${{secret:{name}}}"


def one_of(**words: str) -> Reader:
    """Read a word in any case; further spellings are given as `spelling="word"`."""

    def read(value: Any) -> str:
        found = text(value)
        return words.get(re.sub(r"[^a-z0-9]", "", found.lower()), found)

    return read


def upper(value: Any) -> str:
    """Read text in upper case."""
    return text(value).upper()
