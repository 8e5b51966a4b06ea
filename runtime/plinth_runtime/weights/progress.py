"""How far it is, for people (a bar on a terminal) and for machines (JSON lines, Prometheus text)."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TextIO

from plinth_runtime.weights.disk import writing
from plinth_runtime.weights.work import Counters

if TYPE_CHECKING:
    from plinth_runtime.contract.transfer import TransferStatus

BAR_WIDTH = 24
BAR_SECONDS = 0.2
LINE_SECONDS = 1.0
RATE_WINDOW_SECONDS = 5.0
UNITS = ("B", "kB", "MB", "GB", "TB")
THOUSAND = 1000


class Shown(Protocol):
    """Something that is told how far a transfer is."""

    def __call__(self, counters: Counters, /) -> None:
        """Take the state in; called several times a second."""

    def close(self) -> None:
        """Tell the last state."""


class Rate:
    """Bytes per second over the last seconds."""

    def __init__(self) -> None:
        self._points: deque[tuple[float, int]] = deque()

    def update(self, now: float, done: int) -> float:
        """Take a measurement in; give the rate."""
        self._points.append((now, done))
        while now - self._points[0][0] > RATE_WINDOW_SECONDS:
            self._points.popleft()
        then, before = self._points[0]
        return max(0.0, (done - before) / (now - then)) if now > then else 0.0


class Bar:
    """A bar that is drawn over itself."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._rate = Rate()
        self._next = 0.0

    def __call__(self, counters: Counters) -> None:
        """Draw, several times a second."""
        now = self._clock()
        if now >= self._next:
            self._next = now + BAR_SECONDS
            self._stream.write(f"\r\x1b[K{bar_text(counters, self._rate.update(now, counters.bytes_done))}")
            self._stream.flush()

    def close(self) -> None:
        """Leave the line."""
        self._stream.write("\r\x1b[K")
        self._stream.flush()


class Lines:
    """One JSON object a second, and one at the end."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._rate = Rate()
        self._next = 0.0
        self._last: Counters | None = None

    def __call__(self, counters: Counters) -> None:
        """Write if it is time."""
        self._last = counters
        now = self._clock()
        if now >= self._next:
            self._next = now + LINE_SECONDS
            self._write(counters, self._rate.update(now, counters.bytes_done))

    def close(self) -> None:
        """Write the last state."""
        if self._last is not None:
            self._write(self._last, self._rate.update(self._clock(), self._last.bytes_done))

    def _write(self, counters: Counters, rate: float) -> None:
        self._stream.write(transfer_status(counters, rate).model_dump_json() + "\n")
        self._stream.flush()


class Textfile:
    """A file for Prometheus' textfile collector, replaced once a second; it stays with the last state."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._clock = clock
        self._rate = Rate()
        self._next = 0.0
        self._last = Counters()

    def __call__(self, counters: Counters) -> None:
        """Write if it is time."""
        self._last = counters
        now = self._clock()
        if now >= self._next:
            self._next = now + LINE_SECONDS
            self._write(running=True)

    def close(self) -> None:
        """Write the last state, and that nothing runs any more."""
        self._write(running=False)

    def _write(self, *, running: bool) -> None:
        # A library of some megabytes that most fetches do not need.
        from prometheus_client import CollectorRegistry, Gauge, write_to_textfile

        from plinth_runtime.contract.transfer import transfer_gauges

        status = transfer_status(self._last, self._rate.update(self._clock(), self._last.bytes_done))
        registry = CollectorRegistry()
        Gauge("plinth_transfer_running", "1 while bytes may move.", registry=registry).set(running)
        for name, text, value in transfer_gauges(status):
            Gauge(name, text, registry=registry).set(value)
        with writing(self._path):
            write_to_textfile(str(self._path), registry)


def transfer_status(counters: Counters, rate: float) -> TransferStatus:
    """Give the state as machines read it."""
    from plinth_runtime.contract.transfer import TransferStatus

    return TransferStatus(**asdict(counters), bytes_per_second=round(rate), eta_seconds=eta_seconds(counters, rate))


def bar_text(counters: Counters, rate: float) -> str:
    """Give the state as people read it, in one line."""
    if not counters.bytes_total:
        return "looking at what is there"
    share = counters.bytes_done / counters.bytes_total
    filled = "#" * int(share * BAR_WIDTH)
    left = eta_seconds(counters, rate)
    return (
        f"[{filled:<{BAR_WIDTH}}] {share:4.0%}  {size_text(counters.bytes_done)} of {size_text(counters.bytes_total)}, "
        f"{counters.files_done} of {counters.files_total} files, {size_text(rate)}/s"
        + (f", {left:.0f} s left" if left is not None else "")
    )


def eta_seconds(counters: Counters, rate: float) -> float | None:
    """Estimate the seconds to the end; None while nothing moves."""
    return round((counters.bytes_total - counters.bytes_done) / rate, 1) if rate else None


def size_text(count: float) -> str:
    """Write bytes with three digits at most."""
    for unit in UNITS[:-1]:
        if count < THOUSAND:
            return f"{count:.3g} {unit}"
        count /= THOUSAND
    return f"{count:.3g} {UNITS[-1]}"
