"""From a folder to a store: every file with checksums, the manifest last. A model that is being published is not there.

Files go in parallel, each read once: its parts are hashed and stored on the way.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from plinth_runtime.contract.manifest import MANIFEST_NAME, ManifestFile, WeightManifest
from plinth_runtime.errors import CorruptWeightsError, SourceRefusedError
from plinth_runtime.weights.crc import combine
from plinth_runtime.weights.inspect import list_files, reader_of
from plinth_runtime.weights.names import name_faults
from plinth_runtime.weights.parts import PART_BYTES
from plinth_runtime.weights.reader import extend_crc
from plinth_runtime.weights.sources import Store, Upload
from plinth_runtime.weights.sources.local import LocalFolder
from plinth_runtime.weights.structure import structure_faults
from plinth_runtime.weights.verify import corrupt, digest_faults, parse_manifest, presence_faults
from plinth_runtime.weights.work import Counters, Watch

FILE_STREAMS = 4
WATCH_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class PublishOptions:
    """How to publish. `source` and `commit`: where the weights came from, for the manifest."""

    source: str = ""
    commit: str | None = None
    part_size: int = PART_BYTES
    allow_pickle: bool = False


@dataclass(frozen=True, slots=True)
class Published:
    """What was published."""

    address: str
    manifest: str
    files: int
    bytes: int
    seconds: float
    counters: Counters = field(default_factory=Counters)


def publish(folder: Path, store: Store, options: PublishOptions, watch: Watch) -> Published:
    """Publish a folder. Raises CorruptWeightsError if it is not intact, SourceRefusedError if the store says no."""
    began = time.monotonic()
    files = list_files(folder)
    _judge(folder, files, options)
    counters = Counters(bytes_total=sum(files.values()), files_total=len(files))
    lies_there = store.describe() == LocalFolder(folder.absolute()).describe()
    taker: Store = InPlace(store) if lies_there else store
    rows = _send_all(_Sender(folder, taker, options.part_size, counters), files, watch)
    own = _own_manifest(folder)
    faults = digest_faults(own, {row.path: row.sha256 for row in rows}) if own else ()
    if faults:
        raise corrupt(str(folder), faults)
    manifest = WeightManifest(
        source=options.source or (own.source if own else ""),
        commit=options.commit or (own.commit if own else None),
        learned=own.learned if own else None,
        files=rows,
    )
    text = manifest.canonical_json().encode()
    _put(store.begin(MANIFEST_NAME, len(text), max(1, len(text))), text)
    digest = hashlib.sha256(text).hexdigest()
    return Published(store.describe(), digest, len(rows), counters.bytes_total, time.monotonic() - began, counters)


class InPlace:
    """A store that has the files already: a folder that is published to itself is only read."""

    def __init__(self, store: Store) -> None:
        self.describe = store.describe

    def begin(self, name: str, size: int, part_size: int) -> InPlace:  # noqa: ARG002 nothing is stored
        """Take a file that is there."""
        return self

    def put_part(self, number: int, data: memoryview, crc32c: int) -> None:
        """Leave it."""

    def complete(self, crc32c: int) -> None:
        """Leave it."""

    def abort(self) -> None:
        """Leave it."""


@dataclass(frozen=True, slots=True)
class _Sender:
    folder: Path
    store: Store
    part_size: int
    counters: Counters
    stopped: threading.Event = field(default_factory=threading.Event)

    def send(self, name: str, size: int) -> ManifestFile:
        """Store one file and describe it."""
        upload = self.store.begin(name, size, self.part_size)
        try:
            row, whole = self._pour(name, size, upload)
            upload.complete(whole)
        except BaseException:
            upload.abort()
            raise
        self.counters.files_done += 1
        return row

    def _pour(self, name: str, size: int, upload: Upload) -> tuple[ManifestFile, int]:
        hasher, crcs, whole = hashlib.sha256(), [], 0
        buffer = memoryview(bytearray(min(self.part_size, size)))
        descriptor = os.open(self.folder / name, os.O_RDONLY | os.O_CLOEXEC)
        try:
            for number, start in enumerate(range(0, size, self.part_size)):
                if self.stopped.is_set():
                    raise InterruptedError("told to stop")
                part = buffer[: min(self.part_size, size - start)]
                if os.preadv(descriptor, [part], start) != len(part):
                    raise CorruptWeightsError(f"{self.folder / name} became shorter while it was read")
                crc = extend_crc(0, part)
                hasher.update(part)
                upload.put_part(number, part, crc)
                crcs.append(crc)
                whole = combine(whole, crc, len(part))
                self.counters.bytes_done += len(part)
        finally:
            os.close(descriptor)
        text = "".join(f"{crc:08x}" for crc in crcs)
        row = ManifestFile(path=name, size=size, sha256=hasher.hexdigest(), part_size=self.part_size, part_crc32c=text)
        return row, whole


def _send_all(sender: _Sender, files: dict[str, int], watch: Watch) -> tuple[ManifestFile, ...]:
    """Send files, several at a time, largest first; give their rows in order of path."""
    order = sorted(files, key=lambda name: -files[name])
    with ThreadPoolExecutor(FILE_STREAMS) as pool:
        futures = [pool.submit(sender.send, name, files[name]) for name in order]
        try:
            for future in futures:
                while not _settled(future.done):
                    watch(sender.counters)
        except BaseException:
            sender.stopped.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
        watch(sender.counters)
        rows = [future.result() for future in futures]
    return tuple(sorted(rows, key=lambda row: row.path))


def _settled(done: Callable[[], bool]) -> bool:
    if not done():
        time.sleep(WATCH_SECONDS)
    return done()


def _put(upload: Upload, text: bytes) -> None:
    crc = extend_crc(0, memoryview(text))
    upload.put_part(0, memoryview(text), crc)
    upload.complete(crc)


def _judge(folder: Path, files: dict[str, int], options: PublishOptions) -> None:
    """Refuse what nobody should be given."""
    if not files:
        raise CorruptWeightsError(f"{folder} holds no files")
    if refused := name_faults(files, allow_pickle=options.allow_pickle):
        raise SourceRefusedError(f"{folder}: {'; '.join(refused[:5])}")
    faults: Sequence[str] = structure_faults(files, reader_of(folder))
    own = _own_manifest(folder)
    if not faults and own is not None:
        faults = presence_faults(own, files)
    if faults:
        raise corrupt(str(folder), tuple(faults))


def _own_manifest(folder: Path) -> WeightManifest | None:
    path = folder / MANIFEST_NAME
    return parse_manifest(path.read_bytes(), None) if path.is_file() else None
