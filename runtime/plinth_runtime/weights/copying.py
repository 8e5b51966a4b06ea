"""From one store to another without a copy on this machine: every part is checked on its way, the manifest comes last.

A model with a manifest keeps it letter for letter, so that its digest is the same wherever it lies. One without gets a
manifest of what arrived; where nothing vouched for a file, it says so.
"""

from __future__ import annotations

import hashlib
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field

from plinth_runtime.contract.manifest import WeightManifest
from plinth_runtime.errors import CorruptWeightsError, SourceUnavailableError
from plinth_runtime.weights.cache import Cache, model_name
from plinth_runtime.weights.cache_shelf import CacheShelf
from plinth_runtime.weights.crc import combine
from plinth_runtime.weights.digests import Found, PassingDigest, is_vouched, whole_faults
from plinth_runtime.weights.fetch import FetchOptions, fetch
from plinth_runtime.weights.offer import Offer, Wishes, patiently, read_object, read_offer
from plinth_runtime.weights.parts import Part, plan_parts
from plinth_runtime.weights.publish import Published
from plinth_runtime.weights.reader import extend_crc
from plinth_runtime.weights.sending import Sender, Sent, refusing, send_all, send_manifest
from plinth_runtime.weights.sources import RemoteObject, Session, Source, Store, TransientError
from plinth_runtime.weights.sources.local import LocalFolder
from plinth_runtime.weights.structure import structure_faults
from plinth_runtime.weights.verify import corrupt
from plinth_runtime.weights.work import Counters, Watch

MIN_UPLOAD_BYTES = 8 << 20
"""Stores take no smaller parts of large objects (S3: 5 MiB)."""

PART_TRIES = 8
MISMATCHES = 3
FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Copied:
    """What was copied. `unvouched`: files that nothing but themselves said anything about."""

    published: Published
    unvouched: tuple[str, ...]


def copy(source: Source, store: Store, wishes: Wishes, watch: Watch) -> Copied:
    """Copy a model. Raises CorruptWeightsError, SourceRefusedError, SourceUnavailableError, and what `watch` raises."""
    began = time.monotonic()
    with refusing():
        offer = patiently(lambda: read_offer(source, wishes))
        _judge_structure(source, offer)
    files = {target.name: target.size for target in offer.objects}
    counters = Counters(bytes_total=offer.total_bytes, files_total=len(files))
    origin = StoreOrigin(source, {target.name: target for target in offer.objects}, counters)
    with refusing():
        rows = send_all(Sender(origin, store, counters), files, watch)
    unvouched = tuple(sorted(set(files) - origin.vouched))
    if offer.manifest is not None and offer.manifest.learned:
        unvouched = tuple(files)
    made = WeightManifest(
        source=source.describe(), commit=offer.revision, learned=True if unvouched else None, files=rows
    )
    text = offer.manifest_text or made.canonical_json().encode()
    with refusing():
        send_manifest(store, text)
    digest = hashlib.sha256(text).hexdigest()
    seconds = time.monotonic() - began
    size, learned = counters.bytes_total, bool(unvouched)
    return Copied(Published(store.describe(), digest, len(rows), size, seconds, counters, learned), unvouched)


def copy_through(cache: Cache, source: Source, to: tuple[Store, Wishes], watch: Watch) -> Copied:
    """Copy a model by way of a cache: what has arrived there is not fetched again."""
    store, wishes = to
    shelf = CacheShelf(cache, model_name(source.describe()))
    fetched = fetch(source, shelf, FetchOptions(wishes), watch)
    return copy(LocalFolder(fetched.folder), store, wishes, watch)


@dataclass(eq=False)
class StoreOrigin:
    """The objects of a source."""

    source: Source
    targets: dict[str, RemoteObject]
    counters: Counters
    vouched: set[str] = field(default_factory=set)
    sessions: set[Session] = field(default_factory=set)
    stopped: threading.Event = field(default_factory=threading.Event)

    def open(self, name: str) -> ObjectReading:
        """Start to read an object."""
        return ObjectReading(self, self.targets[name])

    def stop(self) -> None:
        """Cut every stream."""
        self.stopped.set()
        for session in tuple(self.sessions):
            with suppress(Exception):
                session.abort()


class ObjectReading:
    """One object, read part by part over a stream of its own; parts that fail or are damaged are asked for again."""

    def __init__(self, origin: StoreOrigin, target: RemoteObject) -> None:
        self._origin, self._target = origin, target
        self._parts = plan_parts(target)
        self._digest = PassingDigest(target)
        self._session: Session | None = None
        size = self._parts[0].length if self._parts else MIN_UPLOAD_BYTES
        self.part_size = size * max(1, -(-MIN_UPLOAD_BYTES // size))

    def read(self, start: int, into: memoryview) -> int:
        """Read the parts that lie there; give their CRC32C together."""
        whole = 0
        end = start + len(into)
        for part in (part for part in self._parts if start <= part.start < end):
            place = into[part.start - start : part.start - start + part.length]
            whole = combine(whole, self._read_part(part, place), part.length)
        self._digest.update(into)
        return whole

    def judge(self, sent: Sent) -> None:
        """Compare the whole object with what its store says of it."""
        sums, found = self._target.checksums, Found(sent.crc32c, sent.row.sha256, self._digest.agrees())
        if faults := whole_faults(sums, found):
            raise CorruptWeightsError(
                f"{self._target.name}: {'; '.join(faults)}", hint="Publish this file again at the source."
            )
        if all(part.expected is not None for part in self._parts) or is_vouched(sums, found):
            self._origin.vouched.add(self._target.name)

    def close(self) -> None:
        """Close the stream."""
        if self._session is not None:
            self._origin.sessions.discard(self._session)
            with suppress(Exception):
                self._session.close()
        self._session = None

    def _read_part(self, part: Part, into: memoryview) -> int:
        mismatches = 0
        for attempt in range(PART_TRIES):
            try:
                crc = self._pull(part, into)
            except TransientError as error:
                self.close()
                pause = min(LONGEST_PAUSE_SECONDS, max(FIRST_PAUSE_SECONDS * 2**attempt, error.retry_after or 0.0))
                if attempt == PART_TRIES - 1 or self._origin.stopped.wait(pause):
                    words = f"{self._target.name}, part {part.number} at byte {part.start}: {error}"
                    raise SourceUnavailableError(f"{words} ({attempt + 1} tries)") from error
            else:
                if part.expected in {None, crc}:
                    return crc
                mismatches += 1
                if mismatches == MISMATCHES:
                    raise CorruptWeightsError(
                        f"{self._target.name}, part {part.number}, offset {part.start}: expected CRC32C "
                        f"{part.expected:08x}, found {crc:08x}, {mismatches} times in a row",
                        hint="Publish this file again at the source.",
                    )
            self._origin.counters.parts_again += 1
        raise SourceUnavailableError(f"{self._target.name}, part {part.number} did not arrive")

    def _pull(self, part: Part, into: memoryview) -> int:
        if self._session is None:
            self._session = self._origin.source.session()
            self._origin.sessions.add(self._session)
        # Looked at after the session can be found: either this sees that it is to stop, or who stops sees the session.
        if self._origin.stopped.is_set():
            raise TransientError("told to stop")
        body = self._session.open_range(self._target, part.start, part.length)
        try:
            filled = 0
            while filled < part.length:
                count = body.readinto(into[filled:])
                if not count:
                    raise TransientError(f"the body ended after {filled} of {part.length} bytes")
                filled += count
        finally:
            body.close()
        return extend_crc(0, into)


def _judge_structure(source: Source, offer: Offer) -> None:
    """Refuse weight files that are not whole, by their headers alone."""
    files = {target.name: target.size for target in offer.objects}
    targets = {target.name: target for target in offer.objects}

    def read(name: str, start: int, length: int) -> bytes:
        return patiently(lambda: read_object(source, targets[name], (start, length)))

    faults = structure_faults(files, read)
    if faults:
        raise corrupt(source.describe(), faults)
