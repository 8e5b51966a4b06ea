"""What reaches the agent's loop, from signal handlers and threads, through one queue.

`SimpleQueue.put` is reentrant, so a signal handler may call it even while the loop itself is putting. Waiting on it
costs nothing and still runs signal handlers. The queue needs no bound: every sender is bounded by what it reports.
Nothing of weight is imported at run time: process 1 loses a signal that comes before its handler is there.
"""

from __future__ import annotations

import signal
from dataclasses import dataclass
from queue import SimpleQueue
from threading import Event as Flag
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType

    from plinth_runtime.errors import RuntimeFault
    from plinth_runtime.serving.deaths import Exit
    from plinth_runtime.serving.group import News
    from plinth_runtime.serving.phases import Sighting
    from plinth_runtime.serving.states import Event


@dataclass(frozen=True, slots=True)
class StopAsked:
    """Somebody wants the server to end."""

    by: str


@dataclass(frozen=True, slots=True)
class ChildDied:
    """There is a child to collect."""


@dataclass(frozen=True, slots=True)
class Ping:
    """Somebody wants to see the loop turn."""

    seen: Flag


@dataclass(frozen=True, slots=True)
class Fetched:
    """The weights are in their folder."""


@dataclass(frozen=True, slots=True)
class Reserved:
    """Engine lock and ports are in order, weights are still to come: the lock."""

    lock: int


@dataclass(frozen=True, slots=True)
class Prepared:
    """Engine lock, ports and weights are in order: the lock if it was not handed over before, the state of the weights,
    and a sentence about them.
    """

    lock: int | None
    weights: str
    message: str


@dataclass(frozen=True, slots=True)
class Failed:
    """A fault found by ourselves."""

    fault: RuntimeFault


@dataclass(frozen=True, slots=True)
class EngineStarted:
    """The engine's process exists."""

    generation: int
    pid: int


@dataclass(frozen=True, slots=True)
class EngineSighted:
    """The engine's log shows progress."""

    generation: int
    sighting: Sighting


@dataclass(frozen=True, slots=True)
class EngineProbed:
    """The opinion of the engine changed: HEALTHY, UNHEALTHY or HUNG, and why."""

    generation: int
    event: Event
    why: str


@dataclass(frozen=True, slots=True)
class EngineQuiet:
    """No request is open in an engine that takes no new ones."""

    generation: int


@dataclass(frozen=True, slots=True)
class EngineEnded:
    """All processes of the engine are gone."""

    generation: int
    end: Exit


@dataclass(frozen=True, slots=True)
class GroupNews:
    """The group wants something of this member."""

    news: News


EngineNews = EngineStarted | EngineSighted | EngineProbed | EngineQuiet | EngineEnded
Message = StopAsked | ChildDied | Ping | Reserved | Fetched | Prepared | Failed | GroupNews | EngineNews
"""`generation` counts the engines of one agent: news of a former one is recognised as such."""

Inbox = SimpleQueue[Message]


def own_signals(inbox: Inbox) -> None:
    """Turn signals into messages. To be called before anything else, in the main thread."""

    def stop(number: int, _frame: FrameType | None) -> None:
        inbox.put(StopAsked(signal.Signals(number).name))

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    signal.signal(signal.SIGCHLD, lambda *_: inbox.put(ChildDied()))
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
