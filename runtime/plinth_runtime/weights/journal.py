"""The journal of a fetch: what has arrived for certain. Append-only lines, each with a checksum of its own.

A line is written only after the bytes that it speaks of are on the disk. So whatever can be read here is true, and
what a crash left half-written is recognised and cut off.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from zlib import crc32

from plinth_runtime.weights.disk import writing

CHECK_DIGITS = 8
JOURNAL_MODE = 0o644


@dataclass(frozen=True, slots=True)
class PartRecord:
    """One part of an unfinished file is on the disk with this CRC32C. `key` is the file's `partial_key`."""

    key: str
    number: int
    crc32c: int


@dataclass(frozen=True, slots=True)
class FileRecord:
    """A file was verified as far as possible and lies under its name. `stamp` is what the disk said of it then."""

    key: str
    stamp: str
    crc32c: int | None
    sha256: str | None
    vouched: bool


Record = PartRecord | FileRecord


@dataclass(slots=True)
class Known:
    """What a journal says: CRC32C by part number for each unfinished file, and the finished files, both by key."""

    parts: dict[str, dict[int, int]] = field(default_factory=dict)
    files: dict[str, FileRecord] = field(default_factory=dict)

    def add(self, record: Record) -> None:
        """Take one record in; the later one wins."""
        if isinstance(record, FileRecord):
            self.files[record.key] = record
            self.parts.pop(record.key, None)
        else:
            self.parts.setdefault(record.key, {})[record.number] = record.crc32c


class Journal:
    """One journal file, written by one thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def read(self) -> Known:
        """Read every line up to the first that is not whole. A journal that is not there is empty."""
        known = Known()
        for record in _records(self._text()):
            known.add(record)
        return known

    def rewrite(self, known: Known) -> None:
        """Replace the journal by what is still of use, whole or not at all."""
        parts = [PartRecord(key, number, crc) for key, row in known.parts.items() for number, crc in row.items()]
        temporary = self._path.with_suffix(f".{uuid.uuid4().hex}.tmp")
        records: list[Record] = [*known.files.values(), *parts]
        with writing(self._path):
            temporary.write_bytes(b"".join(_line(record) for record in records))
            temporary.replace(self._path)
        self.close()

    def append(self, records: Iterable[Record]) -> None:
        """Write records at the end, in one piece."""
        text = b"".join(_line(record) for record in records)
        if not text:
            return
        with writing(self._path):
            if self._descriptor is None:
                flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
                self._descriptor = os.open(self._path, flags, JOURNAL_MODE)
            os.write(self._descriptor, text)

    def close(self) -> None:
        """Close the file."""
        if self._descriptor is not None:
            os.close(self._descriptor)
        self._descriptor = None

    def _text(self) -> bytes:
        with suppress(FileNotFoundError):
            return self._path.read_bytes()
        return b""


def _line(record: Record) -> bytes:
    if isinstance(record, PartRecord):
        row: list[object] = ["part", record.key, record.number, record.crc32c]
    else:
        row = ["file", record.key, record.stamp, record.crc32c, record.sha256, record.vouched]
    text = json.dumps(row, separators=(",", ":")).encode()
    return b"%08x %s\n" % (crc32(text), text)


def _records(text: bytes) -> Iterator[Record]:
    for line in text.splitlines(keepends=True):
        body = line[CHECK_DIGITS + 1 : -1]
        if line != b"%08x %s\n" % (crc32(body), body):
            return
        kind, *row = json.loads(body)
        yield PartRecord(*row) if kind == "part" else FileRecord(*row)
