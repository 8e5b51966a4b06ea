"""How many streams at once, and which stream waits too long. Pure: takes measurements, gives decisions.

More streams are tried: kept while they bring more bytes, taken away again when they brought none, and halved when the
store complains. Where each connection has a cap, so that twice the streams bring twice the bytes, they are doubled;
where they do not and the processors are busy with this fetch already, none are added. A stream that gives nothing, or
is far slower than its like while others are idle, is cut and asked anew.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

START_STREAMS = 16
STEP_STREAMS = 16
MAX_STREAMS = 128
GROWTH, GAIN = 1.05, 0.15
"""More streams must bring more than 5 % more bytes to be worth their cost, and more than 15 % of what they would bring
if each brought as much as the old ones: rates vary.
"""

LINEAR = 0.8
"""Of what all streams would bring if each brought as much as the old ones: then the connections are the limit."""

SLOW_FACTOR = 4
SLOW_SECONDS = 2.0
"""A part is never called slow before this, whatever the others do."""

BUSY_SHARE, SPENT_SHARE = 0.25, 0.5
"""Of all processors: where a fetch alone uses so much, streams are hardly what it lacks, and certainly not."""

STREAMS_PER_PROCESSOR = 4
"""Where the processor is the limit, more streams only cost: 0.52 CPU seconds per GB with 8 on two, 0.59 with 16."""


@dataclass(frozen=True, slots=True)
class Window:
    """The number of streams allowed; while more are on trial, how many there were `before` and their `rate` in bytes
    per second (0: none are).
    """

    streams: int = START_STREAMS
    most: int = MAX_STREAMS
    rate: float = 0.0
    before: int = 0


def first_window(processors: int) -> Window:
    """Give the window to start with: 16 streams, fewer on a machine of few processors. The next steps are the same."""
    return Window(min(START_STREAMS, STREAMS_PER_PROCESSOR * processors))


def adapt(window: Window, rate: float, *, throttled: bool, full: bool, busy: float = 0.0) -> Window:
    """Give the next window after an interval at `rate`. `full`: every allowed stream was busy and work waits; `busy`:
    the share of all processors that this fetch used.
    """
    if throttled:
        return replace(window, streams=max(1, window.streams // 2), rate=0.0, before=0)
    if not full:
        return window
    if not window.before:
        return window if busy >= BUSY_SHARE else _tried(window, STEP_STREAMS, rate)
    added = window.streams / window.before - 1
    if rate <= window.rate * max(GROWTH, 1 + GAIN * added):
        return replace(window, streams=window.before, rate=0.0, before=0)
    if rate > LINEAR * window.rate * (1 + added) and busy < SPENT_SHARE:
        return _tried(window, window.streams, rate)
    return replace(window, rate=0.0, before=0) if busy >= BUSY_SHARE else _tried(window, STEP_STREAMS, rate)


def _tried(window: Window, more: int, rate: float) -> Window:
    streams = min(window.most, window.streams + more)
    is_more = streams > window.streams
    return replace(window, streams=streams, rate=rate if is_more else 0.0, before=window.streams if is_more else 0)


@dataclass(frozen=True, slots=True)
class StreamState:
    """One busy stream: seconds since its part began and since its last byte, and how often the part was cut before."""

    number: int
    seconds: float
    silence: float
    cuts: int = 0


def streams_to_cut(
    streams: Iterable[StreamState], *, silence_limit: float, typical: float | None, idle: bool
) -> tuple[int, ...]:
    """Choose streams to cut: those silent for too long, and if others are idle, those far slower than `typical`.

    `typical` is the median of seconds that finished parts took. A part is cut for slowness once only: if it is slow
    again, the store is slow.
    """
    slow = max(SLOW_SECONDS, SLOW_FACTOR * typical) if typical is not None and idle else None
    return tuple(
        stream.number
        for stream in streams
        if stream.silence > silence_limit or (slow is not None and not stream.cuts and stream.seconds > slow)
    )
