"""From an address to a verified folder: list, plan, room, parts, checks, names, READY last. Puts the rooms together."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from pydantic import ValidationError

from plinth_runtime.contract.manifest import ManifestFile, WeightManifest
from plinth_runtime.errors import CorruptWeightsError, NoSpaceError, SourceUnavailableError
from plinth_runtime.weights.board import Patience
from plinth_runtime.weights.disk import free_bytes, read_range
from plinth_runtime.weights.finisher import Place
from plinth_runtime.weights.journal import FileRecord
from plinth_runtime.weights.offer import Offer, Wishes, patiently, read_offer
from plinth_runtime.weights.plan_fetch import FetchPlan, How, Shelf, plan_fetch
from plinth_runtime.weights.reuse import find_ready
from plinth_runtime.weights.shelf import Ready
from plinth_runtime.weights.sources import ChangedError, RemoteObject, Source
from plinth_runtime.weights.streams import Streams
from plinth_runtime.weights.structure import structure_faults
from plinth_runtime.weights.transfer import Transport, run_transfer
from plinth_runtime.weights.verify import corrupt
from plinth_runtime.weights.work import Counters, FileWork, Watch

MAX_VERSIONS = 3
"""An object that changes more often than this while it is fetched is not going to stand still."""


class Target(Shelf, Place, Protocol):
    """Where a model goes."""

    @property
    def folder(self) -> Path:
        """The model folder, complete once `finish` was called."""

    @property
    def room(self) -> Path:
        """A folder on the file system that the files go to."""

    def writing(self, waiting: Callable[[], None]) -> AbstractContextManager[None]:
        """Be the only writer."""

    def clean(self, keep: Collection[str]) -> int:
        """Remove unfinished files that nobody will continue; gives their number."""

    def make_room(self, needed: int) -> None:
        """Try to have so many bytes free."""

    def is_ready(self, manifest_digest: str, state: str) -> bool:
        """Say whether it was finished with exactly this manifest."""

    def ready_folders(self) -> Collection[Path]:
        """Give the folders that may be the wanted model already, the best first."""

    def open_up(self) -> None:
        """Say that it is going to change."""

    def path_of(self, name: str) -> Path:
        """Say where a finished file lies."""

    def current_manifest(self) -> bytes | None:
        """Give the text of the manifest that is there."""

    def finish(self, manifest: bytes, ready: Ready, names: Collection[str]) -> None:
        """Publish: manifest, then READY."""


@dataclass(frozen=True, slots=True)
class FetchOptions:
    """How to fetch. `streams`: give the same to several fetches of one process, and they share its bound."""

    wishes: Wishes = field(default_factory=Wishes)
    how: How = field(default_factory=How)
    patience: Patience = field(default_factory=Patience)
    streams: Streams = field(default_factory=Streams)


@dataclass(frozen=True, slots=True)
class FetchResult:
    """What came of it. `state`: 'verified', or 'unverified' with the files that nobody vouched for."""

    folder: Path
    state: str
    manifest: str
    files: int
    bytes: int
    seconds: float
    counters: Counters
    unvouched: tuple[str, ...] = ()


def fetch(source: Source, target: Target, options: FetchOptions, watch: Watch) -> FetchResult:
    """Bring everything below a source's address into a target. Continues what an earlier fetch left.

    Raises SourceRefusedError, SourceUnavailableError, CorruptWeightsError, NoSpaceError, and what `watch` raises.
    """
    began = time.monotonic()
    counters = Counters()
    if options.how.reuse and (here := _here(source, target, options)) is not None:
        return replace(here, seconds=time.monotonic() - began)
    changes: list[str] = []
    with target.writing(lambda: watch(counters)):
        while len(changes) < MAX_VERSIONS:
            try:
                return _Fetch(source, target, options, (counters, watch)).run(began)
            except ChangedError as error:
                changes.append(str(error))
        raise SourceUnavailableError(f"{source.describe()}: {changes[-1]} ({len(changes)} times)")


def _here(source: Source, target: Target, options: FetchOptions) -> FetchResult | None:
    """Give what is ready already, without asking the source."""
    found = find_ready(target.ready_folders(), source.describe(), options.wishes.expected)
    if found is None:
        return None
    ready = found.ready
    done = Counters(ready.bytes, ready.bytes, files_total=ready.files, files_done=ready.files)
    return FetchResult(found.folder, ready.state, ready.manifest, ready.files, ready.bytes, 0.0, done)


class _Fetch:
    def __init__(
        self, source: Source, target: Target, options: FetchOptions, reporting: tuple[Counters, Watch]
    ) -> None:
        self._source = source
        self._target = target
        self._options = options
        self._counters, self._watch = reporting

    def run(self, began: float) -> FetchResult:
        """Fetch one version."""
        wait = self._options.patience.longest_retry_after
        offer = patiently(lambda: read_offer(self._source, self._options.wishes), wait)
        how = self._options.how
        if self._options.wishes.expected or self._target.addressed_by_content:
            how = How(how.recheck, how.page_cache, hash_all=True)
        plan = plan_fetch(offer, self._target, how, lambda: self._watch(self._counters))
        self._start_counting(offer, plan)
        finished = self._bring(plan) if plan.works else []
        rows = self._rows(offer, plan, finished)
        unvouched = self._judge(offer, plan, finished)
        learned = WeightManifest(
            source=self._source.describe(), commit=offer.revision, learned=True if unvouched else None, files=rows
        )
        text = offer.manifest_text or learned.canonical_json().encode()
        state = "unverified" if unvouched else "verified"
        digest = hashlib.sha256(text).hexdigest()
        ready = Ready(state, digest, self._source.describe(), len(rows), offer.total_bytes)
        if plan.works or not self._target.is_ready(digest, state):
            self._target.open_up()
            self._check_structure(offer)
            self._target.finish(text, ready, [row.path for row in rows])
        return FetchResult(
            self._target.folder,
            state,
            digest,
            len(rows),
            offer.total_bytes,
            time.monotonic() - began,
            self._counters,
            unvouched,
        )

    def _start_counting(self, offer: Offer, plan: FetchPlan) -> None:
        self._counters.bytes_total = offer.total_bytes
        self._counters.files_total = len(offer.objects)
        self._counters.bytes_done = offer.total_bytes - plan.missing_bytes
        self._counters.files_done = len(plan.present)

    def _bring(self, plan: FetchPlan) -> list[FileWork]:
        """Make sure of the room, then fetch."""
        target = self._target
        target.open_up()
        target.clean({work.path.stem for work in plan.works})
        target.journal.rewrite(plan.known)
        needed = plan.needed_bytes
        if needed > free_bytes(target.room):
            target.make_room(needed)
        if needed > (free := free_bytes(target.room)):
            raise NoSpaceError(f"{target.room} needs {needed} bytes for the missing files and has {free} free")
        options = self._options
        transport = Transport(self._source, target.journal, target, self._watch, options.patience, options.streams)
        return run_transfer(plan.works, transport, self._counters)

    def _judge(self, offer: Offer, plan: FetchPlan, finished: list[FileWork]) -> tuple[str, ...]:
        """Compare with what the caller expects; give the files that nobody vouches for."""
        digests = {name: record.sha256 for name, record in plan.present.items()}
        digests |= {work.target.name: work.sha256 for work in finished}
        expected = self._options.wishes.expected
        if offer.manifest is None and (lost := sorted(expected - {digest or "" for digest in digests.values()})):
            found = "; ".join(f"{name} {digest}" for name, digest in sorted(digests.items())[:3])
            raise CorruptWeightsError(f"sha256 {lost[0]} was expected and no file has it; found: {found}")
        if offer.manifest is not None and offer.manifest.learned:
            return tuple(digests)
        vouched = {name for name, record in plan.present.items() if record.vouched}
        vouched |= {work.target.name for work in finished if work.vouched}
        return tuple(sorted(name for name, digest in digests.items() if name not in vouched and digest not in expected))

    def _rows(self, offer: Offer, plan: FetchPlan, finished: list[FileWork]) -> tuple[ManifestFile, ...]:
        if offer.manifest is not None:
            return offer.manifest.files
        done = {work.target.name: work for work in finished}
        earlier = _rows_of(self._target.current_manifest())
        return tuple(
            _learned_row(done[target.name])
            if target.name in done
            else _known_row(target, plan.present[target.name], earlier.get(target.name))
            for target in sorted(offer.objects, key=lambda target: target.name)
        )

    def _check_structure(self, offer: Offer) -> None:
        files = {target.name: target.size for target in offer.objects}
        faults = structure_faults(
            files, lambda name, start, length: read_range(self._target.path_of(name), start, length)
        )
        if faults:
            raise corrupt(str(self._target.folder), faults)


def _learned_row(work: FileWork) -> ManifestFile:
    """Describe a file by what arrived."""
    return ManifestFile(
        path=work.target.name,
        size=work.target.size,
        sha256=work.sha256 or "",
        part_size=work.parts[0].length if work.parts else None,
        part_crc32c="".join(f"{work.crcs[part.number]:08x}" for part in work.parts) if work.parts else None,
        etag=work.etag,
    )


def _known_row(target: RemoteObject, record: FileRecord, earlier: ManifestFile | None) -> ManifestFile:
    """Describe a file that was there, as it was described before."""
    if earlier is not None and earlier.sha256 == record.sha256:
        return earlier
    return ManifestFile(path=target.name, size=target.size, sha256=record.sha256 or "", etag=target.etag)


def _rows_of(text: bytes | None) -> dict[str, ManifestFile]:
    """Read a manifest's rows by path; none if there is none that can be read."""
    try:
        manifest = WeightManifest.model_validate_json(text or b"")
    except ValidationError:
        return {}
    return {row.path: row for row in manifest.files}
