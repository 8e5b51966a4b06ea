"""Sends files to a store, several at a time, each read once: its parts are hashed and stored on the way.

Where the bytes come from is an `Origin`: a folder (`publish.py`) or another store (`copying.py`).
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from plinth_runtime.contract.manifest import MANIFEST_NAME, ManifestFile
from plinth_runtime.weights.crc import combine
from plinth_runtime.weights.offer import source_fault
from plinth_runtime.weights.reader import extend_crc
from plinth_runtime.weights.sources import SourceError, Store, TransientError, Upload
from plinth_runtime.weights.work import Counters, Watch

FILE_STREAMS = 4
WATCH_SECONDS = 0.2
PART_TRIES = 5
FIRST_PAUSE_SECONDS = 0.2
"""Before a part is stored again; it doubles."""


@dataclass(frozen=True, slots=True)
class Sent:
    """One file that was read and stored, and is not visible yet: its row, and the CRC32C of the whole."""

    row: ManifestFile
    crc32c: int


class Reading(Protocol):
    """One file while it is read."""

    part_size: int
    """Bytes of each part but the last."""

    def read(self, start: int, into: memoryview) -> int:
        """Fill the buffer with what lies at `start`; give its CRC32C."""

    def judge(self, sent: Sent) -> None:
        """Raise CorruptWeightsError if the whole file is not what it should be."""

    def close(self) -> None:
        """Let go."""


class Origin(Protocol):
    """Where files come from. Shared by threads."""

    def open(self, name: str) -> Reading:
        """Start to read a file."""

    def stop(self) -> None:
        """Make whatever waits for bytes fail at once."""


@dataclass(frozen=True, slots=True)
class Sender:
    """Sends one file after another; shared by threads."""

    origin: Origin
    store: Store
    counters: Counters
    stopped: threading.Event = field(default_factory=threading.Event)

    def send(self, name: str, size: int) -> ManifestFile:
        """Store one file and describe it."""
        reading = self.origin.open(name)
        try:
            upload = self.store.begin(name, size, reading.part_size)
            try:
                sent = self._pour(name, size, (reading, upload))
                reading.judge(sent)
                upload.complete(sent.crc32c)
            except BaseException:
                upload.abort()
                raise
        finally:
            reading.close()
        self.counters.files_done += 1
        return sent.row

    def stop(self) -> None:
        """Send no more."""
        self.stopped.set()
        self.origin.stop()

    def _pour(self, name: str, size: int, between: tuple[Reading, Upload]) -> Sent:
        reading, upload = between
        hasher, crcs, whole = hashlib.sha256(), [], 0
        buffer = memoryview(bytearray(min(reading.part_size, size)))
        for number, start in enumerate(range(0, size, reading.part_size)):
            if self.stopped.is_set():
                raise InterruptedError("told to stop")
            part = buffer[: min(reading.part_size, size - start)]
            crc = reading.read(start, part)
            hasher.update(part)
            self._put(upload, number, part, crc)
            crcs.append(crc)
            whole = combine(whole, crc, len(part))
            self.counters.bytes_done += len(part)
            self.counters.bytes_fetched += len(part)
        text = "".join(f"{crc:08x}" for crc in crcs)
        digest = hasher.hexdigest()
        row = ManifestFile(path=name, size=size, sha256=digest, part_size=reading.part_size, part_crc32c=text)
        return Sent(row, whole)

    def _put(self, upload: Upload, number: int, part: memoryview, crc: int) -> None:
        """Store one part; a store that stumbles is asked again."""
        for attempt in range(1, PART_TRIES + 1):
            try:
                upload.put_part(number, part, crc)
            except TransientError:
                self.counters.parts_again += 1
                if attempt == PART_TRIES or self.stopped.wait(FIRST_PAUSE_SECONDS * 2 ** (attempt - 1)):
                    raise
            else:
                return


def send_all(sender: Sender, files: Mapping[str, int], watch: Watch) -> tuple[ManifestFile, ...]:
    """Send files (path to bytes), several at a time, largest first; give their rows in order of path."""
    order = sorted(files, key=lambda name: -files[name])
    pool = ThreadPoolExecutor(FILE_STREAMS)
    pending = {pool.submit(sender.send, name, files[name]) for name in order}
    rows: list[ManifestFile] = []
    try:
        while pending:
            watch(sender.counters)
            done, pending = wait(pending, WATCH_SECONDS, FIRST_EXCEPTION)
            rows.extend(future.result() for future in done)
        watch(sender.counters)
    except BaseException:
        sender.stop()
        raise
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
    return tuple(sorted(rows, key=lambda row: row.path))


def send_manifest(store: Store, text: bytes) -> None:
    """Make what was sent a model."""
    upload = store.begin(MANIFEST_NAME, len(text), max(1, len(text)))
    crc = extend_crc(0, memoryview(text))
    upload.put_part(0, memoryview(text), crc)
    upload.complete(crc)


@contextmanager
def refusing() -> Iterator[None]:
    """Say as a fault of ours what a store said."""
    try:
        yield
    except SourceError as error:
        raise source_fault(error) from error
