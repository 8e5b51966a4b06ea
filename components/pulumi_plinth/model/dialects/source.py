"""Text -> documents: YAML and JSON, several to a file, with line numbers and within bounds. Pure.

YAML is read event by event: no tags that build objects, bounded depth, bounded size after aliases, duplicate keys
refused with their line. One broken document does not hide the others.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from pulumi_plinth.model.dialects.yaml_events import BuildError, Built, build
from pulumi_plinth.model.findings import Finding

MAX_TEXT = 32 << 20
"""Longest text read, in characters; the largest real catalogue is 2 MB."""

MAX_DOCUMENTS = 10_000
"""Most documents of one text."""

_SEPARATOR = re.compile(r"^---(?=[ \t\r\n]|\Z)|^\.\.\.(?=[ \t]*\r?$)", re.MULTILINE)
_TEMPLATE = re.compile(r"^[^#\n\"']{0,200}?(\{\{[^\n]{0,200}?\}\})", re.MULTILINE)
_DIRECTIVE = re.compile(r"\A(?:\s*(?:%[^\n]*|#[^\n]*)?\n)*\s*(?:%[^\n]*|#[^\n]*)?\Z")


@dataclass(frozen=True, slots=True)
class Document:
    """One document: its value, and where its keys stand. `prefix` is its place in a list of documents."""

    file: str
    line: int
    value: Any
    lines: Mapping[int, Mapping[str, int]] = field(default_factory=dict, repr=False)
    prefix: tuple[str | int, ...] = ()

    def line_of(self, keys: tuple[str | int, ...]) -> int | None:
        """Return the line of the deepest of these keys that is known."""
        node, found = self.value, self.line or None
        for key in keys:
            if isinstance(node, dict) and key in node:
                found = self.lines.get(id(node), {}).get(str(key), found)
                node = node[key]
            elif isinstance(node, list) and isinstance(key, int) and key < len(node):
                node = node[key]
            else:
                break
        return found


def load(file: str, text: str, begin: int = 1) -> tuple[list[Document], list[Finding]]:
    """Read all documents of a text whose first line is `begin`, and what is wrong with those that cannot be read."""
    if len(text) > MAX_TEXT:
        hint = f"split it; at most {MAX_TEXT >> 20} MiB are read at once"
        return [], [Finding(file, "", None, f"has {len(text)} characters", hint)]
    documents: list[Document] = []
    findings: list[Finding] = []
    for line, chunk in _chunks(text.removeprefix("\ufeff"), begin):
        if len(documents) > MAX_DOCUMENTS:
            findings.append(Finding(file, "", None, f"holds more than {MAX_DOCUMENTS} documents", "split the file"))
            break
        try:
            for built in _read(chunk):
                first = line + chunk[: len(chunk) - len(chunk.lstrip())].count("\n")
                documents.extend(_expand(Document(file, first, built.value, _shifted(built.lines, line - 1))))
        except BuildError as error:
            findings.extend(
                Finding(file, fault.path, None, fault.problem, fault.remedy, (fault.line or 1) + line - 1)
                for fault in error.faults
            )
    return documents, _explained(file, text, begin, findings)


def _explained(file: str, text: str, begin: int, findings: list[Finding]) -> list[Finding]:
    """Say it once where a text cannot be read because it is still a template."""
    match = _TEMPLATE.search(text) if findings else None
    if match is None:
        return findings
    hint = "render it first, such as with `helm template`, and give what comes out"
    line = begin + text.count("\n", 0, match.start(1))
    return [Finding(file, "", None, f"is a template with {match[1][:60]}, no document yet", hint, line)]


def _chunks(text: str, line: int) -> Iterator[tuple[int, str]]:
    """Cut at `---`, which YAML allows at the start of a line only as a separator."""
    start = 0
    for match in _SEPARATOR.finditer(text):
        chunk = text[start : match.start()]
        if not _DIRECTIVE.match(chunk):
            yield line, chunk
        line += chunk.count("\n")
        start = match.end()
    if not _DIRECTIVE.match(text[start:]):
        yield line, text[start:]


def _read(chunk: str) -> Iterator[Built]:
    if chunk.lstrip()[:1] in ("{", "["):
        try:
            yield from _read_json(chunk)
        except json.JSONDecodeError as error:
            try:
                yield build(chunk)
            except (BuildError, yaml.YAMLError):
                raise BuildError.of(f"is not JSON: {error.msg}", "correct it there", error.lineno) from error
        return
    yield build(chunk)


def _read_json(chunk: str) -> Iterator[Built]:
    """Read JSON documents one behind the other."""
    twice: list[str] = []

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in items:
            if key in found:
                twice.append(key)
            found.setdefault(key, value)
        return found

    decoder = json.JSONDecoder(object_pairs_hook=pairs, parse_constant=str)
    position = 0
    built = []
    try:
        while (match := re.compile(r"[\s,]*").match(chunk, position)) and match.end() < len(chunk):
            value, position = decoder.raw_decode(chunk, match.end())
            built.append(Built(value, {}))
    except RecursionError as error:
        raise BuildError.of("is nested too deeply", "flatten it") from error
    except ValueError as error:
        if isinstance(error, json.JSONDecodeError):
            raise
        raise BuildError.of("holds a number that is too long", "write it as text") from error
    if twice:
        build(chunk)  # knows the lines
        raise BuildError.of(f"has the key '{twice[0][:80]}' twice", "keep one of them")
    for item in built:
        _bound(item.value)
    yield from built


def _bound(value: Any, limit: int = 100) -> None:
    level, depth = [value], 0
    while level:
        if depth > limit:
            raise BuildError.of(f"is nested deeper than {limit} levels", "flatten it")
        level = [
            child
            for item in level
            if isinstance(item, (dict, list))
            for child in (item.values() if isinstance(item, dict) else item)
        ]
        depth += 1


def _shifted(lines: dict[int, dict[str, int]], offset: int) -> dict[int, dict[str, int]]:
    if offset == 0:
        return lines
    return {key: {name: line + offset for name, line in found.items()} for key, found in lines.items()}


def _expand(document: Document) -> Iterator[Document]:
    """Take lists of documents apart: a list at the top, or Kubernetes' `kind: List`."""
    value = document.value
    place: tuple[str | int, ...] = ()
    if isinstance(value, dict) and str(value.get("kind", "")).endswith("List") and isinstance(value.get("items"), list):
        value, place = value["items"], ("items",)
    if not isinstance(value, list):
        if value is not None:
            yield document
        return
    for index, item in enumerate(value):
        if isinstance(item, dict):
            line = min(document.lines.get(id(item), {}).values(), default=document.line)
            yield Document(document.file, line, item, document.lines, (*place, index))
        elif item is not None:
            yield Document(document.file, document.line, item, document.lines, (*place, index))
