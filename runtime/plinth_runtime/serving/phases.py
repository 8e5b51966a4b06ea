"""What a line of the engine's log says about its progress. Pure: a line in, a sighting or nothing out.

Why an engine ended is read in `deaths.py`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from plinth_runtime.contract.status import Phase
from plinth_runtime.serving.states import Event

IDLE_FIGURES = re.compile(
    r"Avg prompt throughput: 0\.\d tokens/s, Avg generation throughput: 0\.\d tokens/s, "
    r"Running: 0 reqs, Waiting: 0 reqs"
)
SHARDS = re.compile(r"checkpoint shards:\s+(\d+)% Completed")


@dataclass(frozen=True, slots=True)
class Sighting:
    """A sign of progress: the event it stands for (None: the same phase goes on) and how far the way to ready is.
    `share`: what is done of the phase (0 to 1), if the line tells.
    """

    event: Event | None
    percent: float
    share: float | None = None


MARKS = (
    ("Resolved architecture:", Sighting(None, 20)),
    ("Using max model len", Sighting(None, 22)),
    ("Initializing a V1 LLM engine", Sighting(None, 40)),
    ("Starting to load model", Sighting(Event.LOADING_SEEN, 55)),
    ("Loading weights took", Sighting(Event.WARMING_SEEN, 75)),
    ("KV cache size:", Sighting(Event.WARMING_SEEN, 80)),
    ("Warming up", Sighting(Event.WARMING_SEEN, 82)),
    ("init engine (", Sighting(Event.WARMING_SEEN, 90)),
    ("Starting vLLM server on", Sighting(Event.WARMING_SEEN, 97)),
    ("engine core exited unexpectedly", Sighting(Event.UNHEALTHY, 0)),  # seconds before the server ends itself
    ("EngineDeadError", Sighting(Event.UNHEALTHY, 0)),
    ("Application startup complete.", Sighting(Event.WARMING_SEEN, 99)),
)
"""A text in a line, and what it means. Percentages are shares of the time a small model takes."""

LOADING_FROM, LOADING_TO = 55.0, 75.0

FIRST_PERCENT = {Phase.FETCHING: 0.0, Phase.VERIFYING: 0.0, Phase.STARTING: 10.0, Phase.READY: 100.0}
"""Where a phase begins, for those that no line announces."""


def says_nothing(line: str) -> bool:
    """Say whether a line only tells, every ten seconds, that an idle engine computed our probes."""
    return IDLE_FIGURES.search(line) is not None


def read_line(line: str) -> Sighting | None:
    """Say what a line means, if anything."""
    shards = SHARDS.search(line)
    if shards:
        share = int(shards[1]) / 100
        return Sighting(Event.LOADING_SEEN, LOADING_FROM + share * (LOADING_TO - LOADING_FROM), share)
    for text, sighting in MARKS:
        if text in line:
            return sighting
    return None


def weights_percent(done: int, total: int) -> float:
    """Share of the way to ready while weights are fetched or checked."""
    return FIRST_PERCENT[Phase.STARTING] * done / total if total else 0.0
