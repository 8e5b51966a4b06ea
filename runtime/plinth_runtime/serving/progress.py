"""How long the rest of a start takes. Pure, and nothing is guessed: what cannot be known is None.

Two things are known: the rate of the present phase where it has one (bytes checked, shards loaded), and what each phase
took in the last start of the very same launch on this host.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from plinth_runtime.contract.status import Phase

WAY = (Phase.FETCHING, Phase.VERIFYING, Phase.STARTING, Phase.LOADING, Phase.WARMING)
"""The phases of a start, in order. One that no line of the engine's log announced took no time."""


@dataclass(frozen=True, slots=True)
class Moment:
    """A point in a start: the phase, seconds since it began, and the share of it that is done (0 to 1) if known."""

    phase: Phase
    seconds: float
    share: float | None = None


def eta_seconds(moment: Moment, known: Mapping[Phase, float]) -> float | None:
    """Give the seconds until ready; `known` are those that each phase took before."""
    if moment.phase is Phase.READY:
        return 0.0
    if moment.phase not in WAY:
        return None
    later = WAY[WAY.index(moment.phase) + 1 :]
    rest = _rest_of_phase(moment, known)
    if rest is None or any(phase not in known for phase in later):
        return None
    return rest + sum(known[phase] for phase in later)


def _rest_of_phase(moment: Moment, known: Mapping[Phase, float]) -> float | None:
    if moment.share:
        return moment.seconds * (1 - moment.share) / moment.share
    before = known.get(moment.phase)
    # Over its former time a phase may end now or never: that is not known.
    return None if before is None or moment.seconds > before else before - moment.seconds
