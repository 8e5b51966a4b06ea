"""The lifecycle of a server as a table: (phase, event) -> (phase, actions). Pure; the agent performs the actions.

Two rules:

1. Everything that decides what a server does next is in TABLE. The agent turns what happens into events and actions
   into effects; it has no opinion.
2. An event without a row in the present phase is old news and changes nothing. No row leaves STOPPED or FAILED.

Timers are events like any other: an action arms one, and it fires at most once. Whether a dead engine gets another
chance is decided by `restart.py`, which picks between DIED_RETRY and DIED_FINAL.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from plinth_runtime.contract.launch import LaunchLifecycle
from plinth_runtime.contract.status import Phase

LOAD_GRACE_SECONDS = 2.0
"""Between SIGTERM and SIGKILL when no request can be open, and between one SIGKILL and the next."""


class Event(StrEnum):
    """What can happen."""

    WEIGHTS_HERE = "weights here"
    WEIGHTS_GOOD = "weights good"
    FAULT = "fault"  # found by ourselves, before or at the start of the engine
    LOADING_SEEN = "loading seen"
    WARMING_SEEN = "warming seen"
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"
    HUNG = "hung"
    DIED_RETRY = "died, retry"
    DIED_FINAL = "died, final"
    BACKOFF_OVER = "backoff over"
    STARTUP_OVERDUE = "startup overdue"
    MUST_JOIN = "weights good, in a group"
    ASSEMBLED = "all members wait"
    PEER_FAILED = "another member failed"
    DIED_JOIN = "died, in a group"
    STOP = "stop"
    QUIET = "no request open"
    KILL_DUE = "kill due"


class Action(StrEnum):
    """What to do about it, in the order given."""

    SPAWN = "spawn"
    ARM_STARTUP = "arm startup timeout"
    ARM_BACKOFF = "arm backoff"
    ARM_GRACE = "arm short grace"
    ARM_DRAIN = "arm drain limit"
    ARM_END = "arm limit of the engine's own end"
    AWAIT_QUIET = "wait for open requests"
    SHOW = "show ready"
    HIDE = "hide ready"
    REFUSE_NEW = "refuse new requests"
    TERMINATE = "terminate"
    KILL = "kill group"
    FINISH = "finish"


@dataclass(frozen=True, slots=True)
class Step:
    """Where an event leads, and what to do on the way."""

    phase: Phase
    actions: tuple[Action, ...] = ()


LIVE = (Phase.STARTING, Phase.LOADING, Phase.WARMING)
"""An engine runs and was not ready yet."""


def _rows() -> Iterator[tuple[Phase, Event, Step]]:
    yield Phase.FETCHING, Event.WEIGHTS_HERE, Step(Phase.VERIFYING)
    yield Phase.FETCHING, Event.FAULT, Step(Phase.FAILED, (Action.FINISH,))
    yield Phase.FETCHING, Event.STOP, Step(Phase.STOPPED, (Action.FINISH,))

    yield Phase.VERIFYING, Event.WEIGHTS_GOOD, Step(Phase.STARTING, (Action.ARM_STARTUP, Action.SPAWN))
    yield Phase.VERIFYING, Event.MUST_JOIN, Step(Phase.JOINING)
    yield Phase.VERIFYING, Event.FAULT, Step(Phase.FAILED, (Action.FINISH,))
    yield Phase.VERIFYING, Event.STOP, Step(Phase.STOPPED, (Action.FINISH,))

    yield Phase.JOINING, Event.ASSEMBLED, Step(Phase.STARTING, (Action.ARM_STARTUP, Action.SPAWN))
    yield Phase.JOINING, Event.FAULT, Step(Phase.FAILED, (Action.FINISH,))
    yield Phase.JOINING, Event.STOP, Step(Phase.STOPPED, (Action.FINISH,))

    yield Phase.STARTING, Event.LOADING_SEEN, Step(Phase.LOADING)
    yield Phase.STARTING, Event.WARMING_SEEN, Step(Phase.WARMING)
    yield Phase.LOADING, Event.WARMING_SEEN, Step(Phase.WARMING)
    for phase in LIVE:
        yield phase, Event.HEALTHY, Step(Phase.READY, (Action.SHOW,))
        yield phase, Event.FAULT, Step(Phase.FAILED, (Action.FINISH,))
        yield phase, Event.DIED_RETRY, Step(Phase.RESTARTING, (Action.ARM_BACKOFF,))
        yield phase, Event.DIED_JOIN, Step(Phase.JOINING)
        yield phase, Event.DIED_FINAL, Step(Phase.FAILED, (Action.FINISH,))
        yield phase, Event.PEER_FAILED, Step(phase, (Action.KILL, Action.ARM_GRACE))
        # The engine stays the same until its death is seen: a kill is asked for again as long as it is not.
        yield phase, Event.STARTUP_OVERDUE, Step(phase, (Action.KILL, Action.ARM_GRACE))
        yield phase, Event.KILL_DUE, Step(phase, (Action.KILL, Action.ARM_GRACE))
        # While loading there is no request to lose, and the engine may not hear SIGTERM: a short grace.
        yield phase, Event.STOP, Step(Phase.DRAINING, (Action.REFUSE_NEW, Action.TERMINATE, Action.ARM_GRACE))

    yield Phase.READY, Event.HEALTHY, Step(Phase.READY, (Action.SHOW,))
    yield Phase.READY, Event.UNHEALTHY, Step(Phase.READY, (Action.HIDE,))
    # As with a start that takes too long, the engine stays the same until its death is seen.
    yield Phase.READY, Event.HUNG, Step(Phase.READY, (Action.HIDE, Action.KILL, Action.ARM_GRACE))
    yield Phase.READY, Event.KILL_DUE, Step(Phase.READY, (Action.HIDE, Action.KILL, Action.ARM_GRACE))
    yield Phase.READY, Event.DIED_RETRY, Step(Phase.RESTARTING, (Action.HIDE, Action.ARM_BACKOFF))
    yield Phase.READY, Event.PEER_FAILED, Step(Phase.READY, (Action.HIDE, Action.KILL, Action.ARM_GRACE))
    yield Phase.READY, Event.DIED_JOIN, Step(Phase.JOINING, (Action.HIDE,))
    yield Phase.READY, Event.DIED_FINAL, Step(Phase.FAILED, (Action.HIDE, Action.FINISH))
    # SIGTERM comes when nothing is open any more: vLLM aborts what reaches its core later, as if it were complete.
    stop_ready = (Action.HIDE, Action.REFUSE_NEW, Action.ARM_DRAIN, Action.AWAIT_QUIET)
    yield Phase.READY, Event.STOP, Step(Phase.DRAINING, stop_ready)

    yield Phase.RESTARTING, Event.BACKOFF_OVER, Step(Phase.STARTING, (Action.ARM_STARTUP, Action.SPAWN))
    yield Phase.RESTARTING, Event.STOP, Step(Phase.STOPPED, (Action.FINISH,))

    yield Phase.DRAINING, Event.QUIET, Step(Phase.DRAINING, (Action.TERMINATE, Action.ARM_END))
    yield Phase.DRAINING, Event.STOP, Step(Phase.DRAINING, (Action.KILL, Action.ARM_GRACE))
    yield Phase.DRAINING, Event.KILL_DUE, Step(Phase.DRAINING, (Action.KILL, Action.ARM_GRACE))
    # What is open needs every member: there is nothing left to wait for.
    yield Phase.DRAINING, Event.PEER_FAILED, Step(Phase.DRAINING, (Action.KILL, Action.ARM_GRACE))
    yield Phase.DRAINING, Event.DIED_RETRY, Step(Phase.STOPPED, (Action.FINISH,))
    yield Phase.DRAINING, Event.FAULT, Step(Phase.STOPPED, (Action.FINISH,))
    yield Phase.DRAINING, Event.DIED_FINAL, Step(Phase.STOPPED, (Action.FINISH,))


TABLE: Mapping[tuple[Phase, Event], Step] = MappingProxyType({(phase, event): to for phase, event, to in _rows()})

BEGINNINGS = (Phase.FETCHING, Phase.VERIFYING)
"""Where a life begins: with a source of weights, and without."""

ENDS = (Phase.STOPPED, Phase.FAILED)


def step(phase: Phase, event: Event) -> Step:
    """Give the next phase and what to do. An unexpected event stays and does nothing."""
    return TABLE.get((phase, event), Step(phase))


def timer_of(action: Action, limits: LaunchLifecycle) -> tuple[Event, float]:
    """Say what happens, and in how many seconds, when a timer is armed."""
    return {
        Action.ARM_STARTUP: (Event.STARTUP_OVERDUE, limits.startup_timeout_seconds),
        Action.ARM_GRACE: (Event.KILL_DUE, LOAD_GRACE_SECONDS),
        Action.ARM_DRAIN: (Event.KILL_DUE, limits.shutdown_timeout_seconds),
        Action.ARM_END: (Event.KILL_DUE, limits.kill_after_seconds),
    }[action]


def mermaid() -> str:
    """Draw the table as a mermaid state diagram, arrows between the same two phases merged."""
    arrows: dict[tuple[Phase, Phase], list[str]] = {}
    for (phase, event), to in TABLE.items():
        if phase is not to.phase:
            arrows.setdefault((phase, to.phase), []).append(event)
    lines = [f"    {start} --> {end}: {' / '.join(events)}" for (start, end), events in arrows.items()]
    ends = [f"    {phase} --> [*]" for phase in ENDS]
    begins = [f"    [*] --> {phase}" for phase in BEGINNINGS]
    return "\n".join(["stateDiagram-v2", *begins, *lines, *ends])
