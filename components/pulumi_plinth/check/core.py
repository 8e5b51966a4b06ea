"""What a rule is, what it says, and how all of them are asked. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from pulumi_plinth.check.subject import Subject


class Severity(StrEnum):
    """What follows from a verdict."""

    REFUSE = "refuse"
    """It cannot work, or only by accident."""

    WARN = "warn"
    """It may work, and deserves a second look."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one rule says: its name, where the value stands, what is wrong (with the arithmetic), what to write."""

    rule: str
    severity: Severity
    path: str
    problem: str
    remedy: str

    def __str__(self) -> str:
        """Render as `path: problem; remedy [rule]`."""
        return f"{self.path}: {self.problem}; {self.remedy} [{self.rule}]"


Rule = Callable[[Subject], Iterator[Verdict]]
"""Speaks only of what the subject knows: a value that is None is not held against anybody."""


def refuse(rule: str, path: str, problem: str, remedy: str) -> Verdict:
    """Say that something cannot work."""
    return Verdict(rule, Severity.REFUSE, path, problem, remedy)


def warn(rule: str, path: str, problem: str, remedy: str) -> Verdict:
    """Say that something deserves a second look."""
    return Verdict(rule, Severity.WARN, path, problem, remedy)


def judge(subject: Subject, rules: Iterable[Rule]) -> tuple[Verdict, ...]:
    """Ask every rule; refusals come first, otherwise in the order of the rules."""
    verdicts = [verdict for rule in rules for verdict in rule(subject)]
    return tuple(sorted(verdicts, key=lambda verdict: verdict.severity is not Severity.REFUSE))
