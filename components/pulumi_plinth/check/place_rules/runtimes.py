"""Which serving runtime fits the model. Sources stand with each rule."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from pulumi_plinth.check.core import Verdict, refuse, warn
from pulumi_plinth.check.place_storage import RuntimeChoice
from pulumi_plinth.check.subject import Subject


def matching(subject: Subject) -> Iterator[Verdict]:
    """Refuse a model that every runtime differs from in some field (ome-projects/ome#274; facts: ome 3)."""
    runtimes = subject.place.runtimes
    if not runtimes.choices or any(not choice.differs_in for choice in runtimes.choices):
        return
    different = ", ".join(f"{choice.name} in {' and '.join(choice.differs_in)}" for choice in runtimes.choices)
    yield refuse(
        "runtime-matches-none",
        "runtime",
        f"no runtime fits the model: {different} differs; transformers' version in a model only tells who saved it",
        "declare the runtime for the architecture and leave the framework's version out of the comparison",
    )


def size_ranges(subject: Subject) -> Iterator[Verdict]:
    """Warn of overlapping ranges without priority; refuse a model that is in no range (ome-projects/ome#30)."""
    runtimes = subject.place.runtimes
    ranged = [choice for choice in runtimes.choices if choice.low is not None and choice.high is not None]
    low, high = runtimes.low, runtimes.high
    if not ranged or low is None or high is None:
        return
    fitting = [choice for choice in ranged if _overlap(choice, low, high)]
    if not fitting:
        yield refuse(
            "runtime-size-range",
            "runtime.modelSizeRange",
            f"{_billions(low, high)} is in none of {', '.join(_range(choice) for choice in ranged)}",
            "widen a range, or add a runtime",
        )
    for one, other in combinations(fitting, 2):
        if one.priority is None and other.priority is None:
            yield warn(
                "runtimes-overlap",
                "runtime.priority",
                f"{_range(one)} and {_range(other)} both take a model of {_billions(low, high)}",
                "give one of them a priority, or part the ranges",
            )


def _overlap(choice: RuntimeChoice, low: float, high: float) -> bool:
    return (choice.low or 0) <= high and low <= (choice.high or 0)


def _range(choice: RuntimeChoice) -> str:
    return f"{choice.name} ({_billions(choice.low or 0, choice.high or 0)})"


def _billions(low: float, high: float) -> str:
    return f"{low / 1e9:g}B" if low == high else f"{low / 1e9:g}B to {high / 1e9:g}B"


RULES = (matching, size_ranges)
