"""The one thread that makes arrived parts durable, writes them into the journal, and finishes files.

Parts are synced in batches, one call for all of them; only then the journal speaks of them. A file whose parts are all
there is checked as a whole and put under its name.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Protocol

from plinth_runtime.errors import CorruptWeightsError
from plinth_runtime.weights.digests import Found, has_better, is_vouched, md5_agrees, sha256_of, whole_faults
from plinth_runtime.weights.disk import stamp_of, sync_files
from plinth_runtime.weights.journal import FileRecord, Journal, PartRecord
from plinth_runtime.weights.parts import Part
from plinth_runtime.weights.work import FileWork

if TYPE_CHECKING:
    from concurrent.futures import Future

BATCH_BYTES = 64 << 20
"""What a killed fetch may have to fetch again, besides the parts under way. Half of it arrives while half is synced."""

MAX_ARRIVALS = 128
"""Parts that wait to be looked at; a slow disk holds up the streams, not the number of open files."""

ROOM_SECONDS = 0.5
HASH_THREADS = 2
MAX_ROUNDS = 2
"""A file that is wrong as a whole, with no part to blame, is fetched once more."""


class Place(Protocol):
    """Where finished files go."""

    def place(self, work: FileWork) -> Path:
        """Give the unfinished file its name."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """A part that was written; not durable yet."""

    work: FileWork
    part: Part
    crc32c: int


@dataclass(frozen=True, slots=True)
class Hashed:
    """A file's digests are known; `md5` says whether it agrees with the store's, if that can be said."""

    work: FileWork
    sha256: str
    md5: bool | None


@dataclass(frozen=True, slots=True)
class Complete:
    """A file has nothing to wait for."""

    work: FileWork


class Finisher:
    """Takes arrivals from every stream; everything else happens on its own thread."""

    def __init__(
        self, journal: Journal, place: Place, again: Callable[[FileWork], None], failed: Callable[[Exception], None]
    ) -> None:
        # With its logging it takes longer to import than a model that is here takes to check.
        from concurrent.futures import ThreadPoolExecutor

        self._journal = journal
        self._place = place
        self._again = again
        self._failed = failed
        self._queue: SimpleQueue[Arrival | Hashed | Complete | None] = SimpleQueue()
        self._waiting: list[Arrival] = []
        self._waiting_bytes = 0
        self._progress = threading.Condition()
        self._stopped = threading.Event()
        self._room = threading.Condition()
        self._arrived = 0
        self._volatile_bytes = 0
        self._hashers = ThreadPoolExecutor(HASH_THREADS, thread_name_prefix="hash")
        self._thread = threading.Thread(target=self._run, name="finisher", daemon=True)
        self.finished: list[FileWork] = []

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def arrived(self, arrival: Arrival) -> None:
        """Take a part. Any thread may call; it waits while a batch is not durable, or too many files are kept open."""
        with self._room:
            while not self._room.wait_for(self._has_room, ROOM_SECONDS):
                if self._stopped.is_set() or not self._thread.is_alive():
                    return
            self._arrived += 1
            self._volatile_bytes += arrival.part.length
        self._queue.put(arrival)

    def _has_room(self) -> bool:
        return self._arrived < MAX_ARRIVALS and self._volatile_bytes < BATCH_BYTES

    def _leave(self, parts: int, size: int) -> None:
        with self._room:
            self._arrived -= parts
            self._volatile_bytes -= size
            self._room.notify_all()

    def take_complete(self, work: FileWork) -> None:
        """Take a file that has no parts to wait for: an empty one, or one whose parts arrived before."""
        work.open()
        work.close()
        self._queue.put(Complete(work))

    def wait_for(self, count: int, seconds: float) -> None:
        """Wait until so many files are finished, but no longer than this."""
        with self._progress:
            self._progress.wait_for(lambda: len(self.finished) >= count, seconds)

    def close(self, seconds: float) -> None:
        """Write down what has arrived and end; give up waiting after so many seconds."""
        self._queue.put(None)
        self._stopped.set()
        self._thread.join(seconds)
        self._hashers.shutdown(wait=False, cancel_futures=True)

    def _run(self) -> None:
        try:
            while self._step():
                pass
        except Exception as error:  # noqa: BLE001 it is raised again by the thread that asked for the fetch
            self._failed(error)

    def _step(self) -> bool:
        """Take what is there, at least one thing. False: it was told to end."""
        items = [self._queue.get()]
        while not self._queue.empty():
            items.append(self._queue.get())
        complete = [item.work for item in items if isinstance(item, Arrival) and self._note(item)]
        complete += [item.work for item in items if isinstance(item, Complete)]
        ending = None in items
        if complete or ending or self._waiting_bytes >= BATCH_BYTES // 2:
            self._flush()
        for work in complete:
            self._check(work)
        self._leave(sum(isinstance(item, Arrival) for item in items), 0)
        for item in items:
            if isinstance(item, Hashed):
                item.work.sha256, item.work.md5_agrees = item.sha256, item.md5
                self._judge(item.work)
        return not ending

    def _note(self, arrival: Arrival) -> bool:
        """Remember a part; True if it was the last of its file."""
        arrival.work.crcs[arrival.part.number] = arrival.crc32c
        self._waiting.append(arrival)
        self._waiting_bytes += arrival.part.length
        return arrival.work.is_complete

    def _flush(self) -> None:
        """Make durable, then write down."""
        works = {id(arrival.work): arrival.work for arrival in self._waiting}
        sync_files(work.open() for work in works.values())
        self._journal.append(
            PartRecord(arrival.work.key, arrival.part.number, arrival.crc32c)
            for arrival in self._waiting
            if arrival.work.key is not None and len(arrival.work.parts) > 1
        )
        self._waiting.clear()
        self._leave(0, self._waiting_bytes)
        self._waiting_bytes = 0

    def _check(self, work: FileWork) -> None:
        """Check a complete file: at once if its parts say all, after a pass over it if a digest is wanted."""
        if work.wants_sha256:
            work.close()
            future = self._hashers.submit(_hash, work, self._stopped)
            future.add_done_callback(self._hashed)
        else:
            self._judge(work)

    def _hashed(self, done: Future[Hashed]) -> None:
        if done.cancelled():
            return
        if (error := done.exception()) is not None:
            self._failed(error if isinstance(error, Exception) else RuntimeError(str(error)))
        else:
            self._queue.put(done.result())

    def _judge(self, work: FileWork) -> None:
        faults = whole_faults(work.target.checksums, _found(work))
        if not faults:
            self._finish(work)
        elif work.rounds < MAX_ROUNDS:
            work.rounds += 1
            work.crcs.clear()
            self._again(work)
        else:
            raise CorruptWeightsError(
                f"{work.target.name}: {'; '.join(faults)}, {work.rounds} times in a row",
                hint="Publish this file again at the source.",
            )

    def _finish(self, work: FileWork) -> None:
        work.vouched = _is_vouched(work)
        work.close()
        path = self._place.place(work)
        if work.key is not None:
            stamp = stamp_of(path) or ""
            self._journal.append([FileRecord(work.key, stamp, work.whole_crc, work.sha256, work.vouched)])
        with self._progress:
            self.finished.append(work)
            if self._queue.empty():
                self._progress.notify_all()


def _found(work: FileWork) -> Found:
    return Found(work.whole_crc, work.sha256, work.md5_agrees)


def _is_vouched(work: FileWork) -> bool:
    """Say whether anything but the bytes themselves said what they should be. An empty file needs no word."""
    by_parts = all(part.expected is not None for part in work.parts)
    return by_parts or is_vouched(work.target.checksums, _found(work))


def _hash(work: FileWork, stopped: threading.Event) -> Hashed:
    """Read a complete file for its digests; the store's MD5 only where it gives nothing better."""
    sums = work.target.checksums
    return Hashed(work, sha256_of(work.path, stopped), None if has_better(sums) else md5_agrees(work.path, sums))
