"""What the two sides of a group have in common: rules, and the news that come out of a step. Pure.

How a group lives (the leader is rank 0's agent; every row is one branch of `leader.py` or `follower.py`):

leader's order   what happens                                             what follows
HOLD             every member waits, the leader may start too             RUN of the next epoch: engines start
HOLD             a member has failed for good, or one never came          OVER with the cause: all agents fail
HOLD, RUN        a member is asked to end                                 the leader drains, then OVER: all agents end
RUN              an engine died, anywhere                                 HOLD with the cause: all engines are killed
RUN              a member is silent, was started again, or did not start  HOLD with the cause
RUN              the leader itself ended                                  OVER

follower         what happens                                             what follows
has an engine    HOLD; another leader; another epoch; a silent leader     its engine is killed
has an engine    its engine died                                          told at once, with the cause
waits            RUN of an epoch it has not had                           its engine starts
waits            no leader for too long                                   its agent fails
any              OVER                                                     it ends as the leader did

An engine starts only after every other one is known to be gone: a report that comes after HOLD was said was made
knowing the answers before it, because a follower has one question open at a time.
"""

from __future__ import annotations

from dataclasses import dataclass

from plinth_runtime.contract.group import LaunchGroup
from plinth_runtime.contract.status import Termination
from plinth_runtime.errors import PeerLostError, termination_of


@dataclass(frozen=True, slots=True)
class Begin:
    """Start the engine of this epoch."""

    epoch: int


@dataclass(frozen=True, slots=True)
class EndEngine:
    """The engine must end because of what happened elsewhere. `final`: the group does not start again."""

    fault: Termination
    final: bool = False


@dataclass(frozen=True, slots=True)
class GiveUp:
    """There is no engine and there will be none."""

    fault: Termination


@dataclass(frozen=True, slots=True)
class Asked:
    """The server shall drain and end."""

    by: str


@dataclass(frozen=True, slots=True)
class Released:
    """The leader has ended as it was asked to: nothing is open any more."""


@dataclass(frozen=True, slots=True)
class Shown:
    """Whether clients may be sent to the leader."""

    ready: bool


News = Begin | EndEngine | GiveUp | Asked | Released | Shown


@dataclass(frozen=True, slots=True)
class Rules:
    """What both sides go by. `agent` names this process and no other."""

    launch: LaunchGroup
    launch_digest: str
    agent: str


def lost(message: str) -> Termination:
    """Say that a member went away."""
    return termination_of(PeerLostError(message))


def told(fault: Termination, rank: int) -> Termination:
    """Name the rank whose fault it was; once is enough."""
    if fault.message.startswith("rank "):
        return fault
    return fault.model_copy(update={"message": f"rank {rank}: {fault.message}"})
