"""The agent's numbers, each with its reason. Values only. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from plinth_runtime.node.api import Api
from plinth_runtime.node.attempts import Patience
from plinth_runtime.node.keeping import Keeping
from plinth_runtime.node.seen import Place
from plinth_runtime.node.shelves import Shelves
from plinth_runtime.node.tasks import Fetcher

API_PATIENCE = Patience(first=1.0, longest=60.0, hopeless=60.0)
"""A cluster that does not answer is asked again soon, and by a thousand agents not at once."""


@dataclass(frozen=True, slots=True)
class Settings:
    """One agent. Durations are seconds."""

    place: Place
    patience: Patience = field(default_factory=Patience)
    api_patience: Patience = API_PATIENCE
    settle: float = 2.0
    """Between two writes about one model that is still on its way: short phases are not worth a write."""
    progress: float = 60.0
    """Between two writes that say nothing but progress. Metrics and logs say it every second."""
    repair: float = 10.0
    """A state that does not follow from the entries is put right after a random part of this, by the first to wake."""
    sweep: float = 300.0
    """Between two looks at everything: local folders, neighbours that vanished, what others wiped out."""
    keeping: Keeping = field(default_factory=Keeping)
    fetches: int = 2
    """At once. One fetch fills the wire; the second keeps it full while the first checks what has arrived."""


@dataclass(frozen=True, slots=True)
class Ports:
    """The outside world of one agent. `clock` is Unix time, `text` writes one in RFC 3339, `chance` is 0 to 1."""

    api: Api
    shelves: Shelves
    fetcher: Fetcher
    clock: Callable[[], float]
    text: Callable[[float], str]
    chance: Callable[[], float]
    log: Callable[[str], None]
