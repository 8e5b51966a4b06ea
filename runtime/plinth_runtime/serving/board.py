"""What the agent knows of its server, for everybody who asks. One writer (the agent), any number of readers.

Single attributes are replaced, never changed in place, so a reader sees an old or a new value and needs no lock.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from plinth_runtime.contract.status import GroupStatus, Phase, StartupStatus, Termination
from plinth_runtime.contract.transfer import TransferStatus
from plinth_runtime.serving.phases import FIRST_PERCENT, weights_percent
from plinth_runtime.serving.progress import Moment, eta_seconds

WEIGHT_PHASES = (Phase.FETCHING, Phase.VERIFYING)
"""Before there is an engine; not repeated for the next one."""

Clock = Callable[[], float]
"""Monotonic seconds."""


@dataclass(eq=False)
class Board:
    """The server's state. `reachable` is what the last probes of a ready engine said; `known` are the seconds that each
    phase took in the last start of this launch.
    """

    deployment: str
    launch_digest: str
    agent_pid: int
    clock: Clock
    known: Mapping[Phase, float] = field(default_factory=dict)
    phase: Phase = Phase.VERIFYING
    engine_pid: int | None = None
    bytes_done: int = 0
    bytes_total: int = 0
    fetch: TransferStatus | None = None
    engine_percent: float = 0
    loaded: float | None = None
    former: Mapping[Phase, float] = field(default_factory=dict)
    weights: str = "unknown"
    restarts: int = 0
    ready_after: float | None = None
    reachable: bool = False
    message: str = ""
    last_end: Termination | None = None
    group: Callable[[], GroupStatus] | None = None
    started_at: float = field(init=False)
    phase_at: float = field(init=False)

    def __post_init__(self) -> None:
        self.started_at = self.phase_at = self.clock()

    @property
    def ready(self) -> bool:
        """Whether clients may be sent here."""
        return self.phase is Phase.READY and self.reachable

    def enter(self, phase: Phase) -> None:
        """Begin a phase; the time in it starts anew. With a new engine only those of the weights are still true."""
        former = self.elapsed()
        kept = {p: former[p] for p in WEIGHT_PHASES if p in former}
        self.former = kept if phase is Phase.STARTING else former
        self.phase = phase
        self.phase_at = self.clock()
        self.loaded = None
        self.engine_percent = FIRST_PERCENT.get(phase, self.engine_percent)
        if phase is Phase.READY and self.ready_after is None:
            self.ready_after = self.phase_at - self.started_at

    def advance(self, percent: float, share: float | None = None) -> None:
        """Move the estimate forward, never back, and note the share of the phase if it is told."""
        self.engine_percent = max(self.engine_percent, percent)
        if share is not None and self.phase is Phase.LOADING:
            self.loaded = share

    def note_fetch(self, status: TransferStatus) -> None:
        """Take in how far the weights are."""
        self.fetch, self.bytes_total, self.bytes_done = status, status.bytes_total, status.bytes_done

    def elapsed(self) -> dict[Phase, float]:
        """Give the seconds in each phase of the present start, in their order."""
        return {**self.former, self.phase: self.former.get(self.phase, 0.0) + self.clock() - self.phase_at}

    def share(self) -> float | None:
        """Say what is done of the present phase (0 to 1), None where nothing measures it."""
        if self.phase in WEIGHT_PHASES:
            return self.bytes_done / self.bytes_total if self.bytes_total else None
        return self.loaded if self.phase is Phase.LOADING else None

    def status(self) -> StartupStatus:
        """Describe the present moment."""
        now, share = self.clock(), self.share()
        eta = eta_seconds(Moment(self.phase, now - self.phase_at, share), self.known)
        early = self.phase in WEIGHT_PHASES
        percent = weights_percent(self.bytes_done, self.bytes_total) if early else self.engine_percent
        return StartupStatus(
            deployment=self.deployment,
            launch_digest=self.launch_digest,
            phase=self.phase,
            agent_pid=self.agent_pid,
            engine_pid=self.engine_pid,
            seconds=round(now - self.started_at, 3),
            phase_seconds=round(now - self.phase_at, 3),
            phase_percent=None if share is None else round(100 * share, 1),
            elapsed={phase: round(seconds, 3) for phase, seconds in self.elapsed().items()},
            eta_seconds=None if eta is None else round(eta, 1),
            bytes_done=self.bytes_done,
            bytes_total=self.bytes_total,
            fetch=self.fetch,
            percent=round(percent, 1),
            weights=self.weights,
            restarts=self.restarts,
            ready_after_seconds=None if self.ready_after is None else round(self.ready_after, 3),
            message=self.message,
            last_end=self.last_end,
            group=None if self.group is None else self.group(),
        )
