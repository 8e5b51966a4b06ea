"""Rules about what is said twice: wrong only where the values differ."""

from __future__ import annotations

from collections.abc import Iterator

from pulumi_plinth.check.core import Verdict, refuse
from pulumi_plinth.check.subject import Subject


def differing(subject: Subject) -> Iterator[Verdict]:
    """Hold that one thing stated twice must have one value."""
    for double in subject.serving.doubles:
        (where, first), (elsewhere, second) = double.first, double.second
        if first != second:
            problem = f"{double.name} is {first} in {where} and {second} in {elsewhere}"
            yield refuse("said-twice", where, problem, "write it once, or write the same value")
