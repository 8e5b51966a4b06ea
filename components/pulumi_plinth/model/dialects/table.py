"""The engine under every dialect: rows (their path ↔ our path), read and written by the same table. Pure.

What a table does not mention is reported, never dropped in silence: on the way in by walking what is left of the
document, on the way out by reading back what was written and comparing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from pulumi_plinth.errors import Fault, faults_of
from pulumi_plinth.model.dialects import paths, values
from pulumi_plinth.model.dialects.scrub import scrub
from pulumi_plinth.model.dialects.source import Document
from pulumi_plinth.model.findings import Finding
from pulumi_plinth.model.spec import ModelSpec
from pulumi_plinth.quantities import to_label

Keys = tuple[str | int, ...]

_UNFILLED = re.compile(r"[A-Z0-9]_HERE\b|\bYOUR[_-][A-Z]", re.ASCII)
_LONGEST_PLACEHOLDER = 200


@dataclass(frozen=True, slots=True)
class Row:
    """One field: where it lies in their document and in our spec (camelCase), and how each side is converted."""

    theirs: str
    ours: str
    read: values.Reader = values.text
    write: values.Reader = values.same
    also: tuple[str, ...] = ()
    """Further places it is read from; it is written to the first."""


@dataclass(frozen=True, slots=True)
class Model:
    """A model by name, as it was read."""

    name: str
    spec: ModelSpec
    file: str = ""
    line: int | None = None
    derived: bool = False
    """The name was made up from an address; another may be chosen where it is taken."""


class Unwritable(ValueError):  # noqa: N818 it is what it says
    """A spec cannot be written in a dialect at all. The message is `problem; remedy`."""


def refuse_external(data: dict[str, Any], whose: str) -> None:
    """Refuse to write a model that a provider serves where there is no field for that. Raises Unwritable."""
    if "external" in data:
        raise Unwritable(f"is served by a provider, and {whose} has no field for that; convert it to nstream or oumi")


@dataclass(frozen=True, slots=True)
class Dialect:
    """A kind of document. `read` fills a Reading, `write` returns documents or text."""

    name: str
    detect: Callable[[Any], bool]
    read: Callable[[Reading], None]
    write: Callable[[str, dict[str, Any]], Any]


@dataclass(slots=True)
class Reading:
    """One document on its way to a spec."""

    document: Document
    value: Any = None
    name: str | None = None
    derived: bool = False
    data: dict[str, Any] = field(default_factory=dict)
    warnings: list[Finding] = field(default_factory=list)
    errors: list[Finding] = field(default_factory=list)
    _origin: dict[str, str] = field(default_factory=dict)
    _used: dict[str, Any] = field(default_factory=dict)

    def clean(self, owner: str) -> None:
        """Take the secrets out. Must come first: everything later may show what it sees."""
        scrubbed = scrub(self.document.value, owner)
        self.value = scrubbed.value
        for keys, name in scrubbed.found:
            hint = f"run `pulumi config set --secret {name}` and remove it from the document"
            self.warnings.append(
                self._at(keys, None, f"was a secret in plain text; it is now the secret '{name}'", hint)
            )

    def rows(self, rows: Iterable[Row]) -> None:
        """Read all rows that the document has."""
        for row in rows:
            for place in (row.theirs, *row.also):
                found = paths.get(self.value, place)
                if found is paths.MISSING:
                    continue
                self.use(place)
                if found is None or found == "":
                    continue
                if row.ours not in self._origin:
                    self.put(row.ours, found, place, row.read)
                elif found != paths.get(self.value, self._origin[row.ours]):
                    first = self._origin[row.ours]
                    self.warn(place, f"is not carried over: {first} says otherwise", "keep one of them")

    def put(self, ours: str, found: Any, place: str, read: values.Reader = values.same) -> None:
        """Convert one value into the spec; a value that does not fit becomes an error at its place."""
        try:
            converted = read(found)
        except (ValueError, TypeError, KeyError, OverflowError) as error:
            problem, _, remedy = str(error).partition("; ")
            keys, value = (error.keys, error.value) if isinstance(error, values.InsideError) else ((), found)
            self.error((*self._keys(place), *keys), value, problem, remedy)
            return
        for found_text in _texts(converted):
            if _UNFILLED.search(found_text):
                self.warn(place, "looks like a placeholder", "write the real value before it is deployed", found_text)
        self._origin[ours] = place
        paths.put(self.data, ours, converted)

    def get(self, place: str) -> Any:
        """Return a value and mark it as read; None where there is none."""
        found = paths.get(self.value, place)
        self.use(place)
        return None if found is paths.MISSING else found

    def use(self, place: str) -> None:
        """Mark a place as read, so that it is not reported as left over."""
        node = self._used
        for key in paths.split(place):
            node = node.setdefault(key, {})
        node[""] = True

    def has(self, ours: str) -> bool:
        """Tell whether a field was filled."""
        return paths.get(self.data, ours) is not paths.MISSING

    def rest(self, place: str) -> dict[str, Any]:
        """Return what no row has read of a mapping, and mark it as read."""
        found, used = paths.get(self.value, place), self._used
        for key in paths.split(place):
            used = used.get(key, {})
        left = {key: item for key, item in found.items() if key not in used} if isinstance(found, dict) else {}
        self.use(place)
        return left

    def error(self, place: str | Keys, value: Any, problem: str, remedy: str = "") -> None:
        """Refuse the document."""
        self.errors.append(self._at(self._keys(place), value, problem, remedy or "correct it"))

    def warn(self, place: str | Keys, problem: str, remedy: str, value: Any = None) -> None:
        """Remark on the document."""
        self.warnings.append(self._at(self._keys(place), value, problem, remedy))

    def error_at(self, line: int, path: str, value: Any, words: tuple[str, str]) -> None:
        """Refuse a document that is text, at one of its lines; `words` are problem and remedy."""
        self.errors.append(Finding(self.document.file, path, value, *words, line + self.document.line - 1))

    def warn_at(self, line: int, path: str, words: tuple[str, str]) -> None:
        """Remark on a line of a document that is text; `words` are problem and remedy."""
        self.warnings.append(Finding(self.document.file, path, None, *words, line + self.document.line - 1))

    def finish(self) -> Model | None:
        """Build the spec. None when there are errors; what was left over is reported either way."""
        for keys in _left_over(self.value, self._used, ()):
            self.warn(keys, "is not carried over", "keep it with whoever reads it, or say it in a field of the spec")
        try:
            spec = ModelSpec.model_validate(self.data)
        except ValidationError as error:
            whole = not self.errors
            for fault in faults_of(error, ModelSpec, ""):
                # What is missing may be missing because it was refused above.
                if whole or fault.value is not None:
                    self._refuse(fault, only_known=not whole)
            return None
        if self.errors or self.name is None:
            return None
        return Model(self.name, spec, self.document.file, self.document.line, self.derived)

    def _refuse(self, fault: Fault, *, only_known: bool) -> None:
        """Report a fault of the spec at the place in their document that it came from."""
        ours = fault.path.removeprefix(".")
        origin = next((key for key in sorted(self._origin, key=len, reverse=True) if _below(ours, key)), None)
        if origin is None and only_known:
            return
        if origin is None:
            inside = [place for key, place in self._origin.items() if _below(key, ours)] if ours else []
            place = max(inside, key=len).rpartition(".")[0] if inside else ours
        else:
            place = self._origin[origin]
            rest = ours[len(origin) :].removeprefix(".")
            place = f"{place}.{rest}" if rest else place
        self.error(place, fault.value, fault.problem, fault.remedy)

    def _at(self, keys: Keys, value: Any, message: str, hint: str) -> Finding:
        path = paths.show((*self.document.prefix, *keys))
        return Finding(self.document.file, path, value, message, hint, self.document.line_of(keys))

    @staticmethod
    def _keys(place: str | Keys) -> Keys:
        if not isinstance(place, str):
            return place
        return tuple(int(key) if key.isdigit() else key for key in paths.split(place))


def _texts(value: Any) -> Iterator[str]:
    """Return the short texts of a value, two levels deep: names and addresses, not templates."""
    if isinstance(value, str) and len(value) <= _LONGEST_PLACEHOLDER:
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from (text for text in (item.values() if isinstance(item, dict) else [item]) if isinstance(text, str))


def _below(path: str, parent: str) -> bool:
    return path == parent or path.startswith(f"{parent}.")


def _left_over(value: Any, used: dict[str, Any], keys: Keys) -> list[Keys]:
    """List the highest places that nothing has read; empty ones need no word."""
    if "" in used or not isinstance(value, dict):
        return [] if "" in used or value in (None, {}, []) else [keys]
    found: list[Keys] = []
    for key, item in value.items():
        if key in used:
            found.extend(_left_over(item, used[key], (*keys, key)))
        elif item not in (None, {}, []):
            found.append((*keys, key))
    return found


def read_document(document: Document, dialect: Dialect) -> tuple[Model | None, Reading]:
    """Read one document."""
    reading = Reading(document)
    reading.clean(_owner(document.value))
    dialect.read(reading)
    return reading.finish(), reading


def _owner(value: Any) -> str:
    """Find what to call the secrets of a document after, before it is read."""
    for place in ("metadata.name", "technic_name", "model.model_name", "name"):
        found = paths.get(value, place)
        if isinstance(found, str) and found:
            return to_label(found.rpartition("/")[2])
    return "model"


def write_rows(rows: Sequence[Row], data: dict[str, Any]) -> dict[str, Any]:
    """Write all rows that the spec has."""
    document: dict[str, Any] = {}
    for row in rows:
        found = paths.get(data, row.ours)
        if found is not paths.MISSING:
            paths.put(document, row.theirs, row.write(found))
    return document


def dump(spec: ModelSpec) -> dict[str, Any]:
    """Return a spec as people would write it: camelCase, without defaults."""
    return spec.model_dump(mode="json", by_alias=True, exclude_defaults=True)


def differences(before: Any, after: Any, keys: Keys = ()) -> list[Keys]:
    """List the highest places of a dump that another lacks or has otherwise. What the other adds is no loss."""
    if before is paths.MISSING or (before == {} and after is paths.MISSING):
        return []
    if isinstance(before, dict) and isinstance(after, dict):
        return [
            place for key in before for place in differences(before[key], after.get(key, paths.MISSING), (*keys, key))
        ]
    return [] if type(before) is type(after) and before == after else [keys]
