"""The board that streams take their parts from: what waits, what is under way, what failed and what that means.

Every method may be called from any thread. Time and randomness are given.
"""

from __future__ import annotations

import os
import random
import statistics
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from plinth_runtime.errors import CorruptWeightsError, SourceRefusedError, SourceUnavailableError
from plinth_runtime.weights.reader import Buffer
from plinth_runtime.weights.sources import (
    NotFoundError,
    RefusedError,
    Session,
    TransientError,
    WrongAnswerError,
)
from plinth_runtime.weights.streams import Share
from plinth_runtime.weights.window import StreamState, Window, adapt, streams_to_cut
from plinth_runtime.weights.work import Counters, FileWork, Job

REMEMBERED_DURATIONS = 64
WAIT_SECONDS = 0.5
"""Longest sleep of a stream without work before it looks again."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long and how often a transfer tries. Seconds, unless named otherwise."""

    silence: float = 10.0
    no_progress: float = 120.0
    failures: int = 8
    wrong_answers: int = 3
    mismatches: int = 3
    first_backoff: float = 0.1
    longest_backoff: float = 10.0
    longest_retry_after: float = 60.0
    settle: float = 0.05
    """Before each measurement, while connections are made."""

    first_adapt: float = 0.1
    """What a trial of more streams takes; the pause before the next doubles with each that failed, to `adapt_every`."""

    adapt_every: float = 8.0


@dataclass(slots=True)
class Lane:
    """One busy stream."""

    job: Job
    buffer: Buffer
    began: float
    last_byte: float
    received: int = 0
    session: Session | None = None


@dataclass(frozen=True, slots=True)
class Clocks:
    """Time and chance: monotonic seconds, processor seconds of this process per processor, and numbers from 0 to 1."""

    now: Callable[[], float] = time.monotonic
    busy: Callable[[], float] = lambda: time.process_time() / (os.cpu_count() or 1)
    chance: Callable[[], float] = random.random


@dataclass(slots=True)
class Rate:
    """Bytes and processor time at the beginning of a measurement, to know the rates since."""

    at: float
    received: int = 0
    busy: float = 0.0
    throttled: bool = False
    settled: bool = False


class Board:
    """All parts of one transfer."""

    def __init__(
        self,
        jobs: Iterable[Job],
        patience: Patience,
        share: Share,
        clocks: Clocks = Clocks(),
    ) -> None:
        self.counters = Counters()
        self._clocks = clocks
        self.window = Window()
        self._patience = patience
        self._share = share
        self._clock = clocks.now
        self._ready = deque(jobs)
        self._later: list[Job] = []
        self._lanes: dict[int, Lane] = {}
        self._durations: deque[float] = deque(maxlen=REMEMBERED_DURATIONS)
        self._changed = threading.Condition()
        self._closed = False
        self._resume_at = 0.0
        self._retired_bytes = 0
        now = clocks.now()
        self._rate = Rate(now)
        self._pause = patience.first_adapt
        self._last_progress = (now, 0)
        self.fault: BaseException | None = None

    def take(self, number: int) -> tuple[Job, Buffer] | None:
        """Wait for a part to fetch, and memory to fetch it through; None: there is nothing more to do."""
        with self._changed:
            while not self._closed:
                now = self._clock()
                self._wake(now)
                may = self._ready and len(self._lanes) < self.window.streams and now >= self._resume_at
                if may and (buffer := self._share.take()) is not None:
                    job = self._ready.popleft()
                    self._lanes[number] = Lane(job, buffer, now, now)
                    return job, buffer
                self._changed.wait(WAIT_SECONDS if not self._later else self._patience.first_backoff)
            return None

    def attach(self, number: int, session: Session) -> Callable[[int], None]:
        """Say over which session a lane's part comes, and give what is to be called with each count of bytes."""
        with self._changed:
            lane = self._lanes[number]
            lane.session = session
            if self._closed:
                session.abort()

        def arrived(count: int) -> None:
            lane.received += count
            lane.last_byte = self._clock()

        return arrived

    def succeeded(self, number: int) -> None:
        """Take a part off the board."""
        with self._changed:
            lane = self._retire(number)
            self._durations.append(self._clock() - lane.began)
            self.counters.bytes_done += lane.job.part.length

    def failed(self, number: int, error: Exception) -> None:
        """Put a part back for later, or end the transfer if trying again is of no use."""
        with self._changed:
            job = self._retire(number).job
            self.counters.parts_again += 1
            if not isinstance(error, TransientError):
                self._stop(_final(error))
                return
            verdict = self._give_up(job, error)
            if verdict is not None:
                self._stop(verdict)
                return
            self._put_back(job, error)

    def mismatched(self, number: int, found: int) -> None:
        """Put a part back that arrived damaged, or end the transfer if it is always damaged."""
        with self._changed:
            job = self._retire(number).job
            job.mismatches += 1
            self.counters.parts_again += 1
            if job.mismatches >= self._patience.mismatches:
                self._stop(CorruptWeightsError(_damage(job, found), hint="Publish this file again at the source."))
            else:
                self._ready.appendleft(job)
                self._changed.notify_all()

    def again(self, work: FileWork) -> None:
        """Fetch all parts of a file once more."""
        with self._changed:
            self.counters.bytes_done -= work.target.size
            self.counters.parts_again += len(work.parts)
            self._ready.extend(Job(work, part) for part in work.parts)
            self._changed.notify_all()

    def stop(self, fault: BaseException | None = None) -> None:
        """End: streams are cut and get no more work. The first fault counts."""
        with self._changed:
            self._stop(fault)

    @property
    def is_closed(self) -> bool:
        """Say whether the transfer ended."""
        return self._closed

    def tick(self) -> None:
        """Look after the streams: adapt their number, cut those that stand still, give up when nothing moves."""
        with self._changed:
            now = self._clock()
            received = self._retired_bytes + sum(lane.received for lane in self._lanes.values())
            self.counters.bytes_fetched = received
            self.counters.streams = len(self._lanes)
            self.counters.most_streams = max(self.counters.most_streams, len(self._lanes))
            self._adapt(now, received)
            self._cut(now)
            if received > self._last_progress[1] or not (self._ready or self._later or self._lanes):
                self._last_progress = (now, received)
            elif now - self._last_progress[0] > self._patience.no_progress:
                self._stop(SourceUnavailableError(f"no byte has arrived for {self._patience.no_progress:.0f} s"))
            self._changed.notify_all()

    def _retire(self, number: int) -> Lane:
        lane = self._lanes.pop(number)
        self._retired_bytes += lane.received
        self._share.give_back(lane.buffer)
        return lane

    def _stop(self, fault: BaseException | None) -> None:
        self.fault = self.fault or fault
        self._closed = True
        for lane in self._lanes.values():
            if lane.session is not None:
                lane.session.abort()
        self._changed.notify_all()

    def _wake(self, now: float) -> None:
        due = [job for job in self._later if job.not_before <= now]
        if due:
            self._later = [job for job in self._later if job.not_before > now]
            self._ready.extendleft(due)

    def _give_up(self, job: Job, error: TransientError) -> SourceRefusedError | None:
        if error.throttled:
            return None
        job.failures += 1
        wrong = isinstance(error, WrongAnswerError)
        limit = self._patience.wrong_answers if wrong else self._patience.failures
        if job.failures < limit:
            return None
        place = f"{job.work.target.name}, part {job.part.number} at byte {job.part.start}"
        words = f"{place}: {error} ({job.failures} tries)"
        return SourceRefusedError(words) if wrong else SourceUnavailableError(words)

    def _put_back(self, job: Job, error: TransientError) -> None:
        now = self._clock()
        backoff = min(self._patience.longest_backoff, self._patience.first_backoff * 2**job.failures)
        # Streams that failed together must not come back together.
        backoff *= 0.5 + self._clocks.chance()
        if error.throttled:
            self._rate.throttled = True
            self.counters.throttled += 1
            wish = min(error.retry_after or 0.0, self._patience.longest_retry_after)
            self._resume_at = max(self._resume_at, now + max(wish, backoff))
        job.not_before = now + backoff
        self._later.append(job)

    def _adapt(self, now: float, received: int) -> None:
        if not received:  # what it takes to connect says nothing about streams
            self._rate = Rate(now, busy=self._clocks.busy(), throttled=self._rate.throttled)
        passed = now - self._rate.at
        if not self._rate.settled and not self._rate.throttled:
            if passed >= self._patience.settle:
                self._rate = Rate(now, received, self._clocks.busy(), settled=True)
            return
        if not self._rate.throttled and passed < (self._patience.first_adapt if self.window.before else self._pause):
            return
        busy = self._clocks.busy()
        share = (busy - self._rate.busy) / passed if passed else 0.0
        full = bool(self._ready) and len(self._lanes) >= self.window.streams
        speed = (received - self._rate.received) / passed if passed else 0.0
        window = adapt(self.window, speed, throttled=self._rate.throttled, full=full, busy=share)
        if window.streams < self.window.streams:
            self._pause = min(self._patience.adapt_every, 2 * self._pause)
        elif self.window.before:
            self._pause = self._patience.first_adapt
        self.window = window
        self._rate = Rate(now, received, busy)

    def _cut(self, now: float) -> None:
        streams = [
            StreamState(number, now - lane.began, now - lane.last_byte, lane.job.cuts)
            for number, lane in self._lanes.items()
            if lane.session is not None
        ]
        typical = statistics.median(self._durations) if self._durations else None
        idle = not self._ready and not self._later
        for number in streams_to_cut(streams, silence_limit=self._patience.silence, typical=typical, idle=idle):
            lane = self._lanes[number]
            lane.job.cuts += 1
            lane.last_byte = now
            if lane.session is not None:
                lane.session.abort()


def _final(error: Exception) -> Exception:
    """Give a source's last word as a fault of the fetch; what the fetch decides on itself stays as it is."""
    if isinstance(error, (RefusedError, NotFoundError)):
        return SourceRefusedError(str(error))
    return error


def _damage(job: Job, found: int) -> str:
    part, target = job.part, job.work.target
    return (
        f"{target.name}, part {part.number}, offset {part.start} ({part.length} bytes): "
        f"expected CRC32C {part.expected:08x}, found {found:08x}, {job.mismatches} times in a row"
    )
