"""What the agent knows of its server, for everybody who asks. One writer (the agent), any number of readers.

Single attributes are replaced, never changed in place, so a reader sees an old or a new value and needs no lock.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from plinth_runtime.contract.status import Phase, StartupStatus, Termination
from plinth_runtime.serving.phases import FIRST_PERCENT, verifying_percent

Clock = Callable[[], float]
"""Monotonic seconds."""


@dataclass(eq=False)
class Board:
    """The server's state. `reachable` is what the last probes of a ready engine said."""

    deployment: str
    launch_digest: str
    agent_pid: int
    clock: Clock
    phase: Phase = Phase.VERIFYING
    engine_pid: int | None = None
    bytes_done: int = 0
    bytes_total: int = 0
    engine_percent: float = 0
    weights: str = "unknown"
    restarts: int = 0
    ready_after: float | None = None
    reachable: bool = False
    message: str = ""
    last_end: Termination | None = None
    started_at: float = field(init=False)
    phase_at: float = field(init=False)

    def __post_init__(self) -> None:
        self.started_at = self.phase_at = self.clock()

    @property
    def ready(self) -> bool:
        """Whether clients may be sent here."""
        return self.phase is Phase.READY and self.reachable

    def enter(self, phase: Phase) -> None:
        """Begin a phase; the time in it starts anew."""
        self.phase = phase
        self.phase_at = self.clock()
        self.engine_percent = FIRST_PERCENT.get(phase, self.engine_percent)
        if phase is Phase.READY and self.ready_after is None:
            self.ready_after = self.phase_at - self.started_at

    def advance(self, percent: float) -> None:
        """Move the estimate forward, never back."""
        self.engine_percent = max(self.engine_percent, percent)

    def status(self) -> StartupStatus:
        """Describe the present moment."""
        now = self.clock()
        verifying = self.phase is Phase.VERIFYING
        percent = verifying_percent(self.bytes_done, self.bytes_total) if verifying else self.engine_percent
        return StartupStatus(
            deployment=self.deployment,
            launch_digest=self.launch_digest,
            phase=self.phase,
            agent_pid=self.agent_pid,
            engine_pid=self.engine_pid,
            seconds=round(now - self.started_at, 3),
            phase_seconds=round(now - self.phase_at, 3),
            bytes_done=self.bytes_done,
            bytes_total=self.bytes_total,
            percent=round(percent, 1),
            weights=self.weights,
            restarts=self.restarts,
            ready_after_seconds=None if self.ready_after is None else round(self.ready_after, 3),
            message=self.message,
            last_end=self.last_end,
        )
