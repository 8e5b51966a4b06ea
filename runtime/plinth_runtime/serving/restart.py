"""Does a dead engine get another chance? Pure: (exit history, now) -> wait n seconds | give up, with the reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from plinth_runtime.contract.launch import LaunchLifecycle
from plinth_runtime.contract.status import Cause
from plinth_runtime.errors import FAULT_OF

LONGEST_BACKOFF_SECONDS = 60.0
"""Doubling stops here: a server that recovers should not stay away for minutes."""

SAME_STARTUP_FAILURES = 2
"""A known cause that stopped the engine twice in a row before it was ready will do so a third time."""


@dataclass(frozen=True, slots=True)
class Death:
    """One end of an engine that nobody asked for. `at` is on the agent's monotonic clock, in seconds."""

    cause: Cause
    at: float
    was_ready: bool


@dataclass(frozen=True, slots=True)
class Verdict:
    """Wait and start again, or (wait is None) give up. The reason is a sentence for people."""

    wait_seconds: float | None
    reason: str


def judge(history: Sequence[Death], policy: LaunchLifecycle) -> Verdict:
    """Judge the last death in the light of those before it. Pure; `history` is in order and not empty."""
    last = history[-1]
    if not FAULT_OF[last.cause].retryable:
        return Verdict(None, f"{last.cause} does not go away by starting again")
    repeated = history[-SAME_STARTUP_FAILURES:]
    known = last.cause is not Cause.ENGINE_DIED
    same = all(death.cause is last.cause and not death.was_ready for death in repeated)
    if known and same and len(repeated) == SAME_STARTUP_FAILURES:
        return Verdict(None, f"{last.cause} before ready, {SAME_STARTUP_FAILURES} times in a row")
    recent = sum(1 for death in history if last.at - death.at < policy.restart_window_seconds)
    if recent > policy.max_restarts:
        return Verdict(
            None, f"{recent} deaths within {policy.restart_window_seconds:g} s, {policy.max_restarts} allowed"
        )
    wait = min(LONGEST_BACKOFF_SECONDS, policy.restart_backoff_seconds * 2 ** (recent - 1))
    return Verdict(wait, f"restart {recent} of {policy.max_restarts} in {wait:g} s")
