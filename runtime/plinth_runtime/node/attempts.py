"""A fetch that is under way or has failed, and when the next one may start. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from plinth_runtime.contract.model_status import NodeProgress


class Stage(StrEnum):
    """How far a fetch is."""

    QUEUED = "queued"
    LISTING = "listing"
    MOVING = "moving"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One fetch. `failures` counts those that failed in a row, this one included once it has."""

    declared: str
    stage: Stage = Stage.QUEUED
    failures: int = 0
    reason: str = ""
    message: str = ""
    next_try: float = 0.0
    next_try_text: str = ""
    progress: NodeProgress | None = None


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait before something is tried again, seconds."""

    first: float = 10.0
    """After the first failure: a store that stumbled is back by then."""

    longest: float = 600.0
    """The pause doubles up to this, so that a mended store is noticed within ten minutes."""

    hopeless: float = 600.0
    """Where trying again cannot help (refused, corrupt, no space): people may have mended it unseen."""

    spread: float = 0.5
    """Share of the pause that chance takes away, so that a thousand nodes do not come back at once."""


def pause_after(failures: int, patience: Patience, chance: float, *, retryable: bool = True) -> float:
    """Give the pause after so many failures in a row; `chance` is between 0 and 1."""
    whole = min(patience.longest, patience.first * 2.0 ** min(failures - 1, 60)) if retryable else patience.hopeless
    return whole * (1.0 - patience.spread * chance)
