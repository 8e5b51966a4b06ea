"""What an agent works with. Made in `server.py`, performed in `agent.py`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from plinth_runtime.contract.launch import LaunchConfig
from plinth_runtime.contract.rundir import RunDir
from plinth_runtime.contract.transfer import TransferStatus
from plinth_runtime.serving.command import EngineCommand
from plinth_runtime.serving.engine_cache import EngineCache
from plinth_runtime.serving.inbox import Inbox
from plinth_runtime.serving.logs import Log
from plinth_runtime.serving.membership import Membership


@dataclass(frozen=True, slots=True)
class WeightsReport:
    """What a weight check found: 'verified' or 'unverified', and a sentence."""

    state: str
    message: str


WeightCheck = Callable[[Callable[[int, int], None]], WeightsReport]
"""Takes a progress callback (bytes done, in all). Raises a RuntimeFault when the folder must not be served."""


WeightFetch = Callable[[Callable[[TransferStatus], None]], None]
"""Brings the weights into their folder; takes a progress callback. Raises a RuntimeFault when they do not come."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """What an agent works with."""

    launch: LaunchConfig
    run_dir: RunDir
    command: Callable[[], EngineCommand]
    check_weights: WeightCheck
    fetch_weights: WeightFetch | None
    inbox: Inbox
    log: Log
    token: str = field(default="", repr=False)
    group: Membership | None = None
    cache: EngineCache | None = None

    @property
    def starts_early(self) -> bool:
        """Whether the engine's imports are worth starting before its weights are there: it takes long to fetch them.

        Not in a group, which waits for its members first, and not where compiled code must be checked first.
        """
        return self.fetch_weights is not None and self.group is None and self.cache is None

    @property
    def serves_clients(self) -> bool:
        """Whether the engine here has the API port: everywhere but at the followers of a group."""
        return self.group is None or self.group.seat.leads
