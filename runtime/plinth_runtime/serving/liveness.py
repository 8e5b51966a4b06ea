"""Does the engine move? Pure: samples in, a verdict out.

An engine is judged by its own steps, never by how long an answer takes: as long as its counter of steps moves, the
longest queue is no hang. A single step may last long; while the engine's processes use processor time it has a larger
bound. Without work it is asked for one token now and then, because a frozen idle engine looks like a
well one: its server answers everything but requests.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

FIRST_STEP_FACTOR = 2
"""The first request may compile, allocate and load what no warm-up did; until a step was seen, patience is doubled."""

SHORTEST_PATIENCE_SECONDS = 0.1

COMPUTING_SHARE = 0.1
"""Of one processor. An engine that waits uses less than a hundredth, one that computes a whole one or more."""

METRIC = re.compile(
    r"^(vllm:num_requests_running|vllm:num_requests_waiting|vllm:iteration_tokens_total_count)(?:\{[^}]*\})? (\S+)$",
    re.MULTILINE,
)
STEPS = "vllm:iteration_tokens_total_count"


class Verdict(StrEnum):
    """What to think of an engine."""

    MOVING = "moving"
    STALLED = "stalled"
    HUNG = "hung"


@dataclass(frozen=True, slots=True)
class Patience:
    """How long work may stand still, in seconds: then no more clients are sent, then the engine is replaced. `step` is
    how long one step may last while the engine computes.
    """

    stall: float
    hang: float
    step: float


@dataclass(frozen=True, slots=True)
class Computed:
    """Processor time that the engine's processes had used or been ready for at a moment, in seconds."""

    at: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Sample:
    """One look. `at`: when it began. `steps`: the engine's counter, None if it did not tell. `waiting`: there is work
    that the engine has not finished: requests of clients, or an unanswered probe. `silent`: its server said nothing.
    `computed`: None if it cannot be told, or a process is stopped.
    """

    at: float
    waiting: bool
    steps: float | None = None
    silent: bool = False
    computed: Computed | None = None


@dataclass(frozen=True, slots=True)
class Pulse:
    """What all looks so far come to. `still_since`: the last sign that work goes on, a step or computing; `step_since`:
    the last step; both None when nothing waits. `proven` once a step was seen; `silent` as the last sample was.
    """

    steps: float | None = None
    still_since: float | None = None
    step_since: float | None = None
    proven: bool = False
    silent: bool = False
    computed: Computed | None = None


def read_metrics(text: str, at: float) -> Sample:
    """Read a sample from the engine's metrics, summed over its data-parallel ranks."""
    totals: dict[str, float] = {}
    for name, value in METRIC.findall(text):
        totals[name] = totals.get(name, 0.0) + float(value)
    steps = totals.pop(STEPS, None)
    return Sample(at, waiting=sum(totals.values()) > 0, steps=steps)


def moved(pulse: Pulse, sample: Sample) -> bool:
    """Say whether the engine made a step since the last look."""
    return None not in (pulse.steps, sample.steps) and sample.steps != pulse.steps


def computes(pulse: Pulse, sample: Sample) -> bool:
    """Say whether the engine used the processor since the last look."""
    before, now = pulse.computed, sample.computed
    if before is None or now is None or now.at <= before.at:
        return False
    return now.seconds - before.seconds >= COMPUTING_SHARE * (now.at - before.at)


def feel(pulse: Pulse, sample: Sample) -> Pulse:
    """Take one more look into account."""
    fresh = pulse.still_since is None or moved(pulse, sample)
    still = sample.at if fresh or computes(pulse, sample) else pulse.still_since
    step = sample.at if fresh else pulse.step_since
    return Pulse(
        steps=pulse.steps if sample.steps is None else sample.steps,
        still_since=still if sample.waiting else None,
        step_since=step if sample.waiting else None,
        proven=pulse.proven or moved(pulse, sample),
        silent=sample.silent,
        computed=sample.computed,
    )


def judge(pulse: Pulse, now: float, patience: Patience) -> Verdict:
    """Say what the pulse means at a moment."""
    if pulse.still_since is None or pulse.step_since is None:
        return Verdict.MOVING
    quiet, factor = now - pulse.still_since, _factor(pulse)
    if quiet >= patience.hang * factor or now - pulse.step_since >= patience.step:
        return Verdict.HUNG
    # An engine that never made a step is not called stalled: its first one may be slow. Silence is no step.
    return Verdict.STALLED if factor == 1 and quiet >= patience.stall else Verdict.MOVING


def until_next_verdict(pulse: Pulse, now: float, patience: Patience) -> float:
    """Give the seconds after which the verdict changes if nothing moves; for as long a probe may take."""
    since = now if pulse.still_since is None else pulse.still_since
    limits = (patience.stall, patience.hang * _factor(pulse))
    due = [since + limit - now for limit in limits]
    return min((left for left in due if left > 0), default=SHORTEST_PATIENCE_SECONDS) + SHORTEST_PATIENCE_SECONDS


def _factor(pulse: Pulse) -> int:
    return 1 if pulse.proven or pulse.silent else FIRST_STEP_FACTOR
