"""Which files are there already, which can be continued, which must come whole. Looks at the disk; fetches nothing."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from plinth_runtime.weights.digests import sha256_of
from plinth_runtime.weights.disk import PartialFile, stamp_of
from plinth_runtime.weights.journal import FileRecord, Journal, Known
from plinth_runtime.weights.offer import Offer
from plinth_runtime.weights.parts import Part, partial_key, plan_parts
from plinth_runtime.weights.reader import BUFFER_BYTES, extend_crc
from plinth_runtime.weights.sources import RemoteObject
from plinth_runtime.weights.work import FileWork

BLOCK_OF_STAT = 512
MARGIN_PERCENT = 5
MOST_MARGIN_BYTES = 1 << 30


class Shelf(Protocol):
    """Where files go; what a plan needs to know of it."""

    addressed_by_content: bool
    journal: Journal

    def data_path(self, key: str | None) -> Path:
        """Say where an unfinished file lies."""

    def may_continue(self, key: str | None) -> bool:
        """Say whether what an earlier process left may be continued."""

    def find(self, target: RemoteObject, record: FileRecord | None) -> FileRecord | None:
        """Give proof of a finished file, if it is certain that it is one."""

    def candidate(self, target: RemoteObject) -> Path | None:
        """Give a file that may be the wanted one, if only somebody looked at its bytes."""


@dataclass(slots=True)
class FetchPlan:
    """What to do: files to work on, and those that are there, by name, with where they are."""

    works: list[FileWork] = field(default_factory=list)
    present: dict[str, FileRecord] = field(default_factory=dict)
    known: Known = field(default_factory=Known)

    @property
    def missing_bytes(self) -> int:
        """Bytes that must come."""
        return sum(work.missing_bytes for work in self.works)

    @property
    def needed_bytes(self) -> int:
        """Bytes that the disk must still give: what is not allocated yet, and 5 % for what else a file system wants."""
        bare = sum(max(0, work.target.size - _allocated(work.path)) for work in self.works)
        return bare + min(MOST_MARGIN_BYTES, bare * MARGIN_PERCENT // 100)


@dataclass(frozen=True, slots=True)
class How:
    """How to fetch. `recheck`: believe no earlier check; `page_cache`: what is written stays in memory; `reuse`: a
    folder that is ready with weights of this source is taken as it is, and the source is not asked.
    """

    recheck: bool = False
    page_cache: bool = False
    hash_all: bool = False
    reuse: bool = False


def plan_fetch(offer: Offer, shelf: Shelf, how: How, progress: Callable[[], None]) -> FetchPlan:
    """Look at every file of an offer."""
    before = shelf.journal.read()
    plan = FetchPlan()
    for target in offer.objects:
        progress()
        _plan_one(target, shelf, how, (before, plan))
    return plan


def _plan_one(target: RemoteObject, shelf: Shelf, how: How, state: tuple[Known, FetchPlan]) -> None:
    before, plan = state
    key = partial_key(target)
    proof = shelf.find(target, before.files.get(key)) if key and not how.recheck else None
    if key and proof is not None and (proof.sha256 is not None or not how.hash_all):
        plan.present[target.name] = plan.known.files[key] = proof
        return
    work = _work(target, shelf, how)
    plan_known = before.parts.get(key, {}) if key and shelf.may_continue(key) and work.path.is_file() else {}
    if plan_known and work.path.stat().st_size == target.size:
        work.crcs = {part.number: plan_known[part.number] for part in work.parts if part.number in plan_known}
    elif (there := shelf.candidate(target)) is not None and key:
        if (proof := _prove(there, target, key)) is not None:
            plan.present[target.name] = plan.known.files[key] = proof
            return
        _salvage(there, work)
    if key and work.crcs:
        plan.known.parts[key] = dict(work.crcs)
    plan.works.append(work)


def _work(target: RemoteObject, shelf: Shelf, how: How) -> FileWork:
    key = partial_key(target)
    parts = plan_parts(target)
    by_parts = bool(parts) and all(part.expected is not None for part in parts)
    wants = how.hash_all or not by_parts
    return FileWork(target, parts, shelf.data_path(key), key, direct=not how.page_cache, wants_sha256=wants)


def _prove(path: Path, target: RemoteObject, key: str) -> FileRecord | None:
    """Read a file that may be the wanted one; give its record if it is."""
    if target.checksums.sha256 is None:
        return None
    digest = sha256_of(path)
    if digest != target.checksums.sha256:
        return None
    return FileRecord(key, stamp_of(path) or "", None, digest, vouched=True)


def _salvage(path: Path, work: FileWork) -> None:
    """Copy a damaged file aside, and keep those of its parts that are as they were published."""
    if not work.parts or work.parts[0].expected is None:
        return
    file = PartialFile(work.path, work.target.size, direct=False)
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    buffer = memoryview(bytearray(BUFFER_BYTES))
    try:
        for part in work.parts:
            if _copy_part(descriptor, part, file, buffer):
                work.crcs[part.number] = part.expected or 0
        file.sync()
    finally:
        os.close(descriptor)
        file.close()


def _copy_part(descriptor: int, part: Part, file: PartialFile, buffer: memoryview) -> bool:
    crc = done = 0
    while done < part.length:
        wanted = buffer[: min(len(buffer), part.length - done)]
        count = os.preadv(descriptor, [wanted], part.start + done)
        if not count:
            return False
        crc = extend_crc(crc, wanted[:count])
        file.write(wanted[:count], part.start + done)
        done += count
    return crc == part.expected


def _allocated(path: Path) -> int:
    try:
        return path.stat().st_blocks * BLOCK_OF_STAT
    except OSError:
        return 0
