"""YAML events -> one value with line numbers, within bounds. Pure.

Scalars are read as YAML 1.1 reads them, but for sexagesimal numbers, dates, octals and infinities, which stay text:
nobody who writes `version: 1:30` or a date means seconds or an object.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import yaml

MAX_DEPTH = 100
"""Deepest nesting; a model's configuration needs about ten."""

MAX_NODES = 500_000
"""Most nodes of one document once its aliases are counted out; stops documents that grow exponentially."""

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_INT = re.compile(r"[-+]?(0|[1-9][0-9_]{0,39})\Z|0x[0-9a-fA-F]{1,16}\Z")
_FLOAT = re.compile(r"[-+]?(\d[\d_]{0,39}\.[\d_]{0,39}|\.\d{1,39}|\d{1,39}(?=[eE]))([eE][-+]?\d{1,3})?\Z")
_WORDS = {"": None, "~": None, "null": None, "Null": None, "NULL": None} | {
    spelling: truth
    for word, truth in (("true", True), ("yes", True), ("on", True), ("false", False), ("no", False), ("off", False))
    for spelling in (word, word.capitalize(), word.upper())
}
_TAGS = ("tag:yaml.org,2002:", "!")


@dataclass(frozen=True, slots=True)
class BuildFault:
    """One reason why a document cannot be read. Lines count from 1."""

    path: str
    problem: str
    remedy: str
    line: int | None


class BuildError(Exception):
    """A document cannot be read."""

    def __init__(self, faults: Sequence[BuildFault]) -> None:
        self.faults = tuple(faults)
        super().__init__("; ".join(fault.problem for fault in faults))

    @classmethod
    def of(cls, problem: str, remedy: str, line: int | None = None) -> BuildError:
        """Make one from a single fault."""
        return cls([BuildFault("", problem, remedy, line)])


@dataclass(frozen=True, slots=True)
class Built:
    """A value, and for each of its mappings (by identity) the line of each key."""

    value: Any
    lines: dict[int, dict[str, int]]


class _Frame:
    """A mapping or list that is being filled."""

    __slots__ = ("anchor", "count", "key", "lines", "merges", "merging", "value")

    def __init__(self, value: Any, anchor: str | None, count: int) -> None:
        self.value = value
        self.anchor = anchor
        self.count = count
        self.key: str | None = None
        self.lines: dict[str, int] = {}
        self.merges: list[Any] = []
        self.merging = False


class _Builder:
    """Fills values from events. One document; use once."""

    def __init__(self) -> None:
        self.root: Any = None
        self.lines: dict[int, dict[str, int]] = {}
        self.faults: list[BuildFault] = []
        self._stack: list[_Frame] = []
        self._anchors: dict[str, tuple[Any, int]] = {}
        self._count = 0

    def feed(self, event: Any) -> None:
        """Take one event."""
        if isinstance(event, yaml.ScalarEvent):
            value = _scalar(event)
            self._grow(1, event)
            if event.anchor:
                self._anchors[event.anchor] = (value, 1)
            self._add(value, event)
        elif isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
            self._open(event)
        elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
            self._close()
        elif isinstance(event, yaml.AliasEvent):
            anchor = str(event.anchor)
            value, size = self._anchors.get(anchor, (None, -1))
            if size < 0:
                problem = f"refers to the anchor '{anchor[:80]}', which is unknown or holds the reference itself"
                raise BuildError.of(problem, "write the value in full", _line(event))
            self._grow(size, event)
            self._add(value, event)

    def _open(self, event: Any) -> None:
        if event.tag and not event.tag.endswith((":map", ":seq")):
            raise BuildError.of(f"has the tag {event.tag[:80]}", "remove it; only plain data is read", _line(event))
        frame = _Frame({} if isinstance(event, yaml.MappingStartEvent) else [], event.anchor, self._count)
        if self._stack and isinstance(self._stack[-1].value, dict) and self._stack[-1].key is None:
            raise BuildError.of("has a mapping or list as a key", "write a name as the key", _line(event))
        self._grow(1, event)
        self._add(frame.value, event)
        self._stack.append(frame)
        if len(self._stack) > MAX_DEPTH:
            raise BuildError.of(f"is nested deeper than {MAX_DEPTH} levels", "flatten it", _line(event))

    def _close(self) -> None:
        frame = self._stack.pop()
        if isinstance(frame.value, dict):
            for merged in frame.merges:
                for key, value in merged.items():
                    if key not in frame.value:
                        frame.value[key] = value
            self.lines[id(frame.value)] = frame.lines
        if frame.anchor:
            self._anchors[frame.anchor] = (frame.value, self._count - frame.count)

    def _grow(self, size: int, event: Any) -> None:
        self._count += size
        if self._count > MAX_NODES:
            problem = f"holds more than {MAX_NODES} values once its aliases are written out"
            raise BuildError.of(problem, "split it, or write out what the aliases stand for", _line(event))

    def _add(self, value: Any, event: Any) -> None:
        if not self._stack:
            self.root = value
            return
        frame = self._stack[-1]
        if isinstance(frame.value, list):
            frame.value.append(value)
        elif frame.key is None:
            self._take_key(frame, value, event)
        else:
            self._put(frame, frame.key, value)
            frame.key = None

    def _take_key(self, frame: _Frame, value: Any, event: Any) -> None:
        if isinstance(value, (dict, list)):
            raise BuildError.of("has a mapping or list as a key", "write a name as the key", _line(event))
        key: str = event.value if isinstance(event, yaml.ScalarEvent) else str(value)
        line = _line(event)
        # Only a plain << merges; in quotes it is a name like any other.
        frame.merging = key == "<<" and isinstance(event, yaml.ScalarEvent) and bool(event.implicit[0])
        if key in frame.lines and not frame.merging:
            first = frame.lines[key]
            problem = f"has the key '{key[:80]}' twice, in lines {first} and {line}"
            self.faults.append(BuildFault(key[:80], problem, "keep one of them", line))
        frame.lines.setdefault(key, line)
        frame.key = key

    def _put(self, frame: _Frame, key: str, value: Any) -> None:
        merges = value if isinstance(value, list) else [value]
        if frame.merging and all(isinstance(item, dict) for item in merges):
            frame.merges.extend(merges)
        else:
            frame.value.setdefault(key, value)


def build(text: str) -> Built:
    """Read one YAML document. Raises BuildError."""
    builder = _Builder()
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            builder.feed(event)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else None
        raise BuildError.of(f"is not YAML: {error.problem or error}", _advice(text, line), line) from None
    except (yaml.YAMLError, UnicodeEncodeError) as error:
        reason = getattr(error, "reason", "unreadable characters")
        raise BuildError.of(f"is not YAML: {reason}", "save it as UTF-8 text without control characters") from None
    if builder.faults:
        raise BuildError(_explained(builder))
    return Built(builder.root, builder.lines)


def _explained(builder: _Builder) -> list[BuildFault]:
    """Say so when keys meet because the indentation is gone, as when YAML was copied from a web page."""
    root = builder.root
    if not isinstance(root, dict) or not any(root.get(key, 0) is None for key in ("metadata", "spec")):
        return builder.faults
    empty = [key for key, value in root.items() if value is None]
    problem = f"has lost its indentation: {', '.join(f'`{key}:`' for key in empty)} are empty, what belongs to them"
    problem += " stands beside them, and so " + ", ".join(fault.problem for fault in builder.faults)
    remedy = "indent what belongs to a key by two spaces under it, such as `metadata:` with `  name: …` below"
    return [BuildFault("", problem, remedy, builder.faults[0].line)]


def _scalar(event: Any) -> Any:
    text: str = event.value
    if event.tag is not None and event.tag != "!":
        return _tagged(event)
    if not event.implicit[0] or event.tag == "!":
        return text
    return resolve(text)


def resolve(text: str) -> Any:
    """Return what an unquoted scalar means."""
    if text in _WORDS:
        return _WORDS[text]
    if text[:1].isdigit() or text[:1] in "+-.":
        return _number(text)
    return text


def _number(text: str) -> Any:
    if _INT.match(text):
        return int(text.replace("_", ""), 16 if text[:2] == "0x" else 10)
    return float(text.replace("_", "")) if _FLOAT.match(text) else text


def _tagged(event: Any) -> Any:
    kind = event.tag.removeprefix(_TAGS[0])
    text: str = event.value
    if kind == "str":
        return text
    if kind in ("int", "float"):
        return _number(text)
    if kind in ("bool", "null"):
        return _WORDS.get(text, text)
    raise BuildError.of(f"has the tag {event.tag[:80]}", "remove it; only plain data is read", _line(event))


def _line(event: Any) -> int:
    return int(event.start_mark.line) + 1


def _advice(text: str, line: int | None) -> str:
    rows = text.split("\n")
    row = rows[line - 1] if line and line <= len(rows) else ""
    if "\t" in row[: len(row) - len(row.lstrip())]:
        return "indent with spaces, YAML does not allow tabs"
    return "correct the indentation, quotes or brackets there"
