"""What is to be fetched and how far it is: one `FileWork` per file, one `Job` per part. State, no decisions."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from plinth_runtime.weights.crc import combine_all
from plinth_runtime.weights.disk import PartialFile
from plinth_runtime.weights.parts import Part
from plinth_runtime.weights.sources import RemoteObject


@dataclass(slots=True)
class FileWork:
    """One file on its way. `key` None: the next process could not continue it, so nothing is written down."""

    target: RemoteObject
    parts: tuple[Part, ...]
    path: Path
    key: str | None
    direct: bool = True
    wants_sha256: bool = False
    crcs: dict[int, int] = field(default_factory=dict)
    rounds: int = 1
    vouched: bool = False
    sha256: str | None = None
    md5_agrees: bool | None = None
    _etag: str | None = None
    _file: PartialFile | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def open(self) -> PartialFile:
        """Open the unfinished file, once for all threads."""
        with self._lock:
            if self._file is None:
                self._file = PartialFile(self.path, self.target.size, direct=self.direct)
            return self._file

    def close(self) -> None:
        """Close it."""
        with self._lock:
            if self._file is not None:
                self._file.close()
            self._file = None

    @property
    def bound_target(self) -> RemoteObject:
        """The object in the version that the first answer came from, so that all parts are of one version."""
        return replace(self.target, etag=self._etag) if self._etag and not self.target.etag else self.target

    def bind(self, etag: str | None) -> None:
        """Remember the version of an answer."""
        self._etag = self._etag or etag

    @property
    def etag(self) -> str | None:
        """The version that was fetched, if its source names versions."""
        return self.target.etag or self._etag

    @property
    def is_complete(self) -> bool:
        """Say whether every part has arrived."""
        return len(self.crcs) == len(self.parts)

    @property
    def whole_crc(self) -> int:
        """CRC32C of the file, from its parts."""
        return combine_all((self.crcs[part.number], part.length) for part in self.parts)

    @property
    def missing_bytes(self) -> int:
        """Bytes of the parts that have not arrived."""
        return sum(part.length for part in self.parts if part.number not in self.crcs)


@dataclass(slots=True)
class Job:
    """One part that is to be fetched, and what happened to it so far."""

    work: FileWork
    part: Part
    failures: int = 0
    mismatches: int = 0
    cuts: int = 0
    not_before: float = 0.0


@dataclass(slots=True)
class Counters:
    """What a transfer did, for people and tests. Bytes fetched count those that were thrown away too."""

    bytes_total: int = 0
    bytes_done: int = 0
    bytes_fetched: int = 0
    files_total: int = 0
    files_done: int = 0
    parts_again: int = 0
    streams: int = 0
    most_streams: int = 0
    throttled: int = 0


Watch = Callable[[Counters], None]
"""Called several times a second with the state so far. Raise in it to stop."""
