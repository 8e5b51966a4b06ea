"""What a source offers, judged before a byte is fetched: listing and manifest together, names and promises checked."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

from plinth_runtime.contract.manifest import MANIFEST_NAME, ManifestFile, WeightManifest
from plinth_runtime.errors import CorruptWeightsError, SourceRefusedError, SourceUnavailableError
from plinth_runtime.weights.names import is_hidden, is_pickle, name_faults
from plinth_runtime.weights.sources import (
    ChangedError,
    Checksums,
    Listing,
    NotFoundError,
    RefusedError,
    RemoteObject,
    Source,
    SourceError,
    TransientError,
)
from plinth_runtime.weights.verify import FAULTS_SHOWN, parse_manifest

READ_BYTES = 1 << 20
MANIFEST_LIMIT_BYTES = 256 << 20
ASK_TRIES = 5
ASK_PAUSE_SECONDS = 0.5

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the caller wants: digests that must turn up (of the manifest or of files), and what becomes of pickles.

    They are refused, come if `allow_pickle`, or are left out where no manifest names them if `skip_pickles`.
    """

    expected: frozenset[str] = frozenset()
    allow_pickle: bool = False
    skip_pickles: bool = False


@dataclass(frozen=True, slots=True)
class Offer:
    """The files to fetch, and the manifest that vouches for them if there is one."""

    objects: tuple[RemoteObject, ...]
    revision: str | None = None
    manifest: WeightManifest | None = None
    manifest_text: bytes | None = None
    pinned: bool = False

    @property
    def total_bytes(self) -> int:
        """Sum of the files' sizes."""
        return sum(target.size for target in self.objects)


def read_offer(source: Source, wishes: Wishes) -> Offer:
    """List a source and judge what it offers. Raises SourceRefusedError or CorruptWeightsError."""
    listing = source.list_objects()
    text = listing.manifest
    if text is None and (row := _find(listing, MANIFEST_NAME)) is not None:
        text = read_object(source, row)
    return judge_offer(listing, text, wishes, source.describe())


def judge_offer(listing: Listing, text: bytes | None, wishes: Wishes, address: str) -> Offer:
    """Put listing and manifest together. Pure."""
    objects = tuple(row for row in listing.objects if row.name != MANIFEST_NAME and not is_hidden(row.name))
    if wishes.skip_pickles and text is None:
        objects = tuple(row for row in objects if not is_pickle(row.name))
    if not objects:
        raise SourceRefusedError(f"{address} holds no files")
    faults = name_faults((row.name for row in objects), allow_pickle=wishes.allow_pickle)
    if faults:
        pickle = any("pickle" in fault for fault in faults)
        hint = "Give --allow-pickle if you trust whoever made them." if pickle else None
        raise SourceRefusedError(f"{address}: {_some(faults)}", hint=hint)
    if text is None:
        return Offer(objects, listing.revision)
    manifest = parse_manifest(text, None)
    digest = hashlib.sha256(text).hexdigest()
    known = {digest, *(file.sha256 for file in manifest.files)}
    if strangers := sorted(wishes.expected - known):
        raise CorruptWeightsError(
            f"{address}: sha256 {strangers[0]} was expected; its {MANIFEST_NAME} has {digest} and names no such file"
        )
    merged = _merge(objects, {file.path: file for file in manifest.files}, address)
    return Offer(merged, listing.revision, manifest, text, pinned=digest in wishes.expected)


def patiently(ask: Callable[[], Answer], longest_wait: float = 60.0) -> Answer:
    """Ask a store something small; one that stumbles is asked again a few times. Raises a fault of ours."""
    for attempt in range(1, ASK_TRIES + 1):
        try:
            return ask()
        except TransientError as error:
            if attempt == ASK_TRIES:
                raise source_fault(error) from error
            time.sleep(min(error.retry_after or 0.0, longest_wait))
            time.sleep(ASK_PAUSE_SECONDS * attempt)
        except ChangedError:
            raise
        except SourceError as error:
            raise source_fault(error) from error
    raise AssertionError  # the last attempt returns or raises


def read_object(source: Source, target: RemoteObject, span: tuple[int, int] | None = None) -> bytes:
    """Read one small object whole, or a small `span` of it: offset and length."""
    start, length = span or (0, target.size)
    if length > MANIFEST_LIMIT_BYTES:
        raise SourceRefusedError(f"{target.name} has {length} bytes, more than the {MANIFEST_LIMIT_BYTES} read of it")
    length = min(length, target.size - start)
    if length <= 0:
        return b""
    session = source.session()
    buffer = memoryview(bytearray(READ_BYTES))
    pieces = []
    try:
        body = session.open_range(target, start, length)
        while count := body.readinto(buffer):
            pieces.append(bytes(buffer[:count]))
        body.close()
    finally:
        session.close()
    return b"".join(pieces)


def source_fault(error: SourceError) -> SourceRefusedError:
    """Say as a fault of the fetch what a source said while it was listed."""
    if isinstance(error, (RefusedError, NotFoundError)):
        return SourceRefusedError(str(error))
    return SourceUnavailableError(str(error))


def _merge(objects: Iterable[RemoteObject], rows: Mapping[str, ManifestFile], address: str) -> tuple[RemoteObject, ...]:
    """Give each object the manifest's word. What the manifest does not name is not part of the model."""
    listed = {target.name: target for target in objects if target.name in rows}
    faults = [f"{name} is named by {MANIFEST_NAME} and is not there" for name in rows if name not in listed]
    faults += [
        f"{name} has {target.size} bytes, {MANIFEST_NAME} says {rows[name].size}"
        for name, target in listed.items()
        if target.size != rows[name].size
    ]
    if faults:
        raise CorruptWeightsError(f"{address}: {_some(faults)}", hint="Publish the model again at the source.")
    return tuple(_with_manifest(target, rows[name]) for name, target in listed.items())


def _with_manifest(target: RemoteObject, row: ManifestFile) -> RemoteObject:
    sums = Checksums(
        sha256=row.sha256,
        crc32c=target.checksums.crc32c,
        part_size=row.part_size or 0,
        part_crc32c=row.part_crcs,
    )
    return replace(target, checksums=sums)


def _find(listing: Listing, name: str) -> RemoteObject | None:
    return next((row for row in listing.objects if row.name == name), None)


def _some(faults: Iterable[str]) -> str:
    rows = list(faults)
    more = f" (and {len(rows) - FAULTS_SHOWN} more)" if len(rows) > FAULTS_SHOWN else ""
    return "; ".join(rows[:FAULTS_SHOWN]) + more
