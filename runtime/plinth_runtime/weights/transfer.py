"""One transfer: streams as threads, a finisher, and the loop that looks after both until every file is in its place."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from plinth_runtime.errors import FetchCancelledError
from plinth_runtime.weights.board import Board, Patience
from plinth_runtime.weights.finisher import Arrival, Finisher, Place
from plinth_runtime.weights.journal import Journal
from plinth_runtime.weights.reader import Buffer, pull
from plinth_runtime.weights.sources import Session, Source
from plinth_runtime.weights.streams import Streams
from plinth_runtime.weights.window import first_window
from plinth_runtime.weights.work import Counters, FileWork, Job, Watch

TICK_SECONDS = 0.05
STREAM_END_SECONDS = 1.0
FLUSH_SECONDS = 60.0
CANCEL_FLUSH_SECONDS = 0.7
"""A cancelled fetch writes down what it can in this time: with the streams' end it is below 2 s."""


@dataclass(frozen=True, slots=True)
class Transport:
    """What a transfer needs from outside."""

    source: Source
    journal: Journal
    place: Place
    watch: Watch
    patience: Patience = field(default_factory=Patience)
    streams: Streams = field(default_factory=Streams)


def run_transfer(works: Sequence[FileWork], transport: Transport, counters: Counters) -> list[FileWork]:
    """Fetch every missing part of these files and put them in their places. Returns the files.

    Raises CorruptWeightsError, SourceRefusedError, NoSpaceError, ChangedError, and what `watch` raises; what has
    arrived by then is kept for the next time.
    """
    transfer = _Transfer(works, transport, counters)
    try:
        transfer.run()
    except BaseException as error:
        hurried = isinstance(error, (FetchCancelledError, KeyboardInterrupt))
        transfer.end(CANCEL_FLUSH_SECONDS if hurried else FLUSH_SECONDS)
        raise
    transfer.end(FLUSH_SECONDS)
    return transfer.finisher.finished


class _Transfer:
    def __init__(self, works: Sequence[FileWork], transport: Transport, counters: Counters) -> None:
        jobs = [Job(work, part) for work in works for part in work.parts if part.number not in work.crcs]
        self._works = works
        self._jobs = len(jobs)
        self._transport = transport
        self._share = transport.streams.join()
        self._board = Board(jobs, transport.patience, self._share)
        self._board.counters = counters
        self._board.window = first_window(os.cpu_count() or 1)
        self._threads: list[threading.Thread] = []
        self.finisher = Finisher(transport.journal, transport.place, self._board.again, self._board.stop)

    def run(self) -> None:
        """Work until every file is finished."""
        for work in self._works:
            if work.is_complete:
                self.finisher.take_complete(work)
        self.finisher.start()
        before = self._board.counters.files_done
        while len(self.finisher.finished) < len(self._works) and not self._board.is_closed:
            self._board.tick()
            self._staff()  # at once: the next measurement is to see what new streams bring
            self._board.counters.files_done = before + len(self.finisher.finished)
            self._transport.watch(self._board.counters)
            self.finisher.wait_for(len(self._works), TICK_SECONDS)
        self._board.tick()
        self._board.counters.files_done = before + len(self.finisher.finished)
        self._transport.watch(self._board.counters)
        if self._board.fault is not None:
            raise self._board.fault

    def end(self, flush_seconds: float) -> None:
        """End every thread, within about two seconds if nothing may be waited for."""
        self._board.stop()
        deadline = time.monotonic() + STREAM_END_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        self._share.leave()
        self.finisher.close(flush_seconds)
        for work in self._works:
            # A stream that could not be cut still writes into its file, which is nobody's any more.
            if not any(thread.is_alive() for thread in self._threads):
                work.close()
        self._transport.journal.close()

    def _staff(self) -> None:
        """Start the streams that the window allows and the work needs."""
        while len(self._threads) < min(self._board.window.streams, self._jobs):
            number = len(self._threads)
            thread = threading.Thread(target=self._stream, args=(number,), name=f"stream-{number}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def _stream(self, number: int) -> None:
        session: Session | None = None
        while (taken := self._board.take(number)) is not None:
            session = self._fetch(number, *taken, session)
        with suppress(Exception):
            if session is not None:
                session.close()

    def _fetch(self, number: int, job: Job, buffer: Buffer, session: Session | None) -> Session | None:
        """Fetch one part. Returns the session if it can be used again."""
        try:
            session = session or self._transport.source.session()
            arrived = self._board.attach(number, session)
            pulled = pull(session, job.work.bound_target, job.part, (job.work.open(), buffer), arrived)
        except Exception as error:  # noqa: BLE001 the board decides what it means
            with suppress(Exception):
                if session is not None:
                    session.close()
            self._board.failed(number, error)
            return None
        job.work.bind(pulled.etag)
        if job.part.expected not in {None, pulled.crc32c}:
            self._board.mismatched(number, pulled.crc32c)
            return session
        self._board.succeeded(number)
        self.finisher.arrived(Arrival(job.work, job.part, pulled.crc32c))
        return session
