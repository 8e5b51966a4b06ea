"""What a run says: percentiles of three waits, and throughput. Pure; the JSON form is the benchmark file.

The waits are those of the engine's own benchmark, so that the figures can be compared: *first token* from sending to
the first piece of text, *between tokens* from piece to piece (an engine that gives several tokens at once has fewer,
longer waits), *whole answer* from sending to the last piece. Nothing is made up for a request that failed: it is
counted and left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from plinth_runtime.bench.wish import Outcome, Run, Server, Wish

VERSION = 1
PERCENTS = (50, 90, 99)
MILLISECONDS = 1000


@dataclass(frozen=True, slots=True)
class Wait:
    """One kind of wait: its name, its JSON key, and every one that was seen, in milliseconds and sorted."""

    name: str
    key: str
    values: tuple[float, ...]

    def percentile(self, percent: float) -> float:
        """Give the value below which so many percent lie, between neighbours in proportion. There must be one."""
        place = (len(self.values) - 1) * percent / 100
        low = int(place)
        high = min(low + 1, len(self.values) - 1)
        return self.values[low] + (self.values[high] - self.values[low]) * (place - low)


@dataclass(frozen=True, slots=True)
class Figures:
    """What was wished, what was seen."""

    wish: Wish
    seconds: float
    waits: tuple[Wait, ...]
    succeeded: int
    failed: int
    errors: tuple[tuple[str, int], ...]
    prompt_tokens: int
    output_tokens: int

    @property
    def output_tokens_per_second(self) -> float:
        """Generated tokens a second, of all clients together."""
        return self.output_tokens / self.seconds

    @property
    def total_tokens_per_second(self) -> float:
        """The same with the tokens of the prompts."""
        return (self.prompt_tokens + self.output_tokens) / self.seconds

    @property
    def requests_per_second(self) -> float:
        """Answers a second."""
        return self.succeeded / self.seconds


def figures_of(wish: Wish, run: Run) -> Figures:
    """Put a run's figures together."""
    good = [outcome for outcome in run.outcomes if not outcome.error]
    errors = Counter(outcome.error for outcome in run.outcomes if outcome.error)
    return Figures(
        wish=wish,
        seconds=run.seconds,
        waits=_waits(good),
        succeeded=len(good),
        failed=len(run.outcomes) - len(good),
        errors=tuple(errors.most_common()),
        prompt_tokens=sum(outcome.prompt_tokens for outcome in good),
        output_tokens=sum(outcome.output_tokens for outcome in good),
    )


def _waits(good: Sequence[Outcome]) -> tuple[Wait, ...]:
    first = [outcome.arrivals[0] for outcome in good]
    between = [later - sooner for outcome in good for sooner, later in pairwise(outcome.arrivals)]
    whole = [outcome.arrivals[-1] for outcome in good]
    named = (
        ("first token", "timeToFirstToken", first),
        ("between tokens", "interTokenLatency", between),
        ("whole answer", "endToEndLatency", whole),
    )
    return tuple(
        Wait(name, key, tuple(sorted(MILLISECONDS * value for value in values))) for name, key, values in named
    )


def load_of(figures: Figures) -> str:
    """Say in words under which load this was seen."""
    wish = figures.wish
    return f"{wish.clients} clients, {wish.prompt_tokens} tokens of prompt and {wish.max_tokens} of answer each"


def benchmark_file(figures: Figures, server: Server, measured_at: str) -> dict[str, Any]:
    """Give the benchmark file's document. `tokensPerSecond` is what a deployment's field of this name takes."""
    wish = figures.wish
    source = f"plinth-runtime bench, {measured_at}, {wish.model}: {load_of(figures)}"
    rate = round(figures.output_tokens_per_second, 3)
    return {
        "version": VERSION,
        "measuredAt": measured_at,
        "server": str(server),
        "model": wish.model,
        "load": {
            "clients": wish.clients,
            "requests": wish.requests,
            "promptTokens": wish.prompt_tokens,
            "maxTokens": wish.max_tokens,
        },
        "seconds": round(figures.seconds, 3),
        "requests": {"succeeded": figures.succeeded, "failed": figures.failed, "errors": dict(figures.errors)},
        "milliseconds": {wait.key: _row(wait) for wait in figures.waits if wait.values},
        "throughput": {
            "outputTokensPerSecond": rate,
            "totalTokensPerSecond": round(figures.total_tokens_per_second, 3),
            "requestsPerSecond": round(figures.requests_per_second, 3),
        },
        "tokensPerSecond": {"value": rate, "source": source} if figures.output_tokens else None,
    }


def _row(wait: Wait) -> dict[str, float]:
    mean = sum(wait.values) / len(wait.values)
    return {f"p{percent}": round(wait.percentile(percent), 3) for percent in PERCENTS} | {"mean": round(mean, 3)}
