"""From a folder to a store: every file with checksums, the manifest last. A model that is being published is not there.

What sends the files is in `sending.py`; copies from another store are in `copying.py`.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from plinth_runtime.contract.manifest import MANIFEST_NAME, ManifestConversion, WeightManifest
from plinth_runtime.errors import CorruptWeightsError, SourceRefusedError
from plinth_runtime.weights.folder import list_files, reader_of
from plinth_runtime.weights.names import name_faults
from plinth_runtime.weights.parts import PART_BYTES
from plinth_runtime.weights.reader import extend_crc
from plinth_runtime.weights.sending import Sender, Sent, refusing, send_all, send_manifest
from plinth_runtime.weights.sources import Store
from plinth_runtime.weights.sources.local import LocalFolder
from plinth_runtime.weights.structure import structure_faults
from plinth_runtime.weights.verify import corrupt, digest_faults, parse_manifest, presence_faults
from plinth_runtime.weights.work import Counters, Watch


@dataclass(frozen=True, slots=True)
class PublishOptions:
    """How to publish. `source`, `commit`, `conversion`: for the manifest. `learned`: nobody vouches for the weights."""

    source: str = ""
    commit: str | None = None
    part_size: int = PART_BYTES
    allow_pickle: bool = False
    learned: bool = False
    conversion: ManifestConversion | None = None


@dataclass(frozen=True, slots=True)
class Published:
    """What was published. `learned`: nobody vouches for it, and its manifest says so."""

    address: str
    manifest: str
    files: int
    bytes: int
    seconds: float
    counters: Counters = field(default_factory=Counters)
    learned: bool = False


def publish(folder: Path, store: Store, options: PublishOptions, watch: Watch) -> Published:
    """Publish a folder. Raises CorruptWeightsError if it is not intact, SourceRefusedError if the store says no."""
    began = time.monotonic()
    files = list_files(folder)
    _judge(folder, files, options)
    counters = Counters(bytes_total=sum(files.values()), files_total=len(files))
    lies_there = store.describe() == LocalFolder(folder.absolute()).describe()
    taker: Store = InPlace(store) if lies_there else store
    sender = Sender(FolderOrigin(folder, options.part_size), taker, counters)
    with refusing():
        rows = send_all(sender, files, watch)
    own = _own_manifest(folder)
    faults = digest_faults(own, {row.path: row.sha256 for row in rows}) if own else ()
    if faults:
        raise corrupt(str(folder), faults)
    manifest = WeightManifest(
        source=options.source or (own.source if own else ""),
        commit=options.commit or (own.commit if own else None),
        learned=True if options.learned else own.learned if own else None,
        conversion=options.conversion or (own.conversion if own else None),
        files=rows,
    )
    text = manifest.canonical_json().encode()
    with refusing():
        send_manifest(store, text)
    digest = hashlib.sha256(text).hexdigest()
    seconds, learned = time.monotonic() - began, bool(manifest.learned)
    return Published(store.describe(), digest, len(rows), counters.bytes_total, seconds, counters, learned)


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
class FolderOrigin:
    """Files of a folder."""

    folder: Path
    part_size: int

    def open(self, name: str) -> FileReading:
        """Open one file."""
        return FileReading(self.folder / name, self.part_size)

    def stop(self) -> None:
        """Do nothing: a file does not keep anybody waiting."""


class FileReading:
    """One file, read part by part."""

    def __init__(self, path: Path, part_size: int) -> None:
        self.part_size = part_size
        self._path = path
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def read(self, start: int, into: memoryview) -> int:
        """Read one part; give its CRC32C."""
        if os.preadv(self._descriptor, [into], start) != len(into):
            raise CorruptWeightsError(f"{self._path} became shorter while it was read")
        return extend_crc(0, into)

    def judge(self, sent: Sent) -> None:
        """Take what was read for right: the folder's own manifest is compared when all is sent."""

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)


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
