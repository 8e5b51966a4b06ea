"""What a server says of itself: the phases, the body of `/startupz`, and why it ended."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from plinth_runtime.contract.base import Document
from plinth_runtime.contract.transfer import TransferStatus


class Phase(StrEnum):
    """Where a server is in its life, in the order of a good one."""

    FETCHING = "fetching"
    VERIFYING = "verifying"
    JOINING = "joining"
    STARTING = "starting"
    LOADING = "loading"
    WARMING = "warming"
    READY = "ready"
    RESTARTING = "restarting"
    DRAINING = "draining"
    STOPPED = "stopped"
    FAILED = "failed"


class Cause(StrEnum):
    """Why an engine, agent or fetch ended, as a class that has one exit code and one piece of advice."""

    SOURCE_REFUSED = "source-refused"
    NO_SPACE = "no-space"
    CANCELLED = "cancelled"
    BAD_CONFIG = "bad-config"
    CORRUPT_WEIGHTS = "corrupt-weights"
    PORT_TAKEN = "port-taken"
    ALREADY_RUNNING = "already-running"
    BAD_ARGUMENTS = "bad-arguments"
    OUT_OF_MEMORY = "out-of-memory"
    STARTUP_TIMEOUT = "startup-timeout"
    ENGINE_DIED = "engine-died"
    HUNG = "hung"
    PEER_LOST = "peer-lost"
    INTERNAL = "internal"


class Termination(Document):
    """The truth about an end: written to the run directory and to the pod's termination message."""

    cause: Cause
    message: str = Field(description="What happened, in one sentence.")
    advice: str = Field(description="What to do about it, in one sentence.")
    exit_code: int
    engine_exit: str | None = Field(default=None, description="How the engine ended, e.g. 'signal 9 (SIGKILL)'.")
    log_tail: tuple[str, ...] = Field(default=(), description="The last lines the engine said, at most 20.")


class StartRecord(Document):
    """What a start took, for the estimates of the next one. Only a start of the same launch is comparable."""

    launch_digest: str
    seconds: dict[Phase, float] = Field(description="In each phase from the beginning to ready.")


class GroupStatus(Document):
    """A group as one of its members sees it."""

    rank: int = Field(description="This member's; 0 leads.")
    nodes: int
    leader: str = Field(description="The leader's host name or address.")
    epoch: int = Field(default=0, description="Starts of the group so far; engines that work together have the same.")
    missing: tuple[int, ...] = Field(default=(), description="Ranks that the leader waits for; others do not know.")


class StartupStatus(Document):
    """The body of `/startupz` and of the run directory's status file."""

    deployment: str
    launch_digest: str = Field(description="Digest of the LaunchConfig that runs.")
    phase: Phase
    agent_pid: int
    engine_pid: int | None = None
    seconds: float = Field(description="Since the agent started.")
    phase_seconds: float = Field(description="Since this phase began.")
    phase_percent: float | None = Field(
        default=None, description="Done of this phase: bytes verified, shards loaded. None: nothing measures it."
    )
    elapsed: dict[Phase, float] = Field(
        default_factory=dict, description="Seconds in each phase of the present start, this one included."
    )
    eta_seconds: float | None = Field(
        default=None,
        description="Until ready, from this phase's rate and the last start of the same launch here. None: not known.",
    )
    bytes_done: int = Field(default=0, description="Weight bytes fetched or verified so far.")
    bytes_total: int = 0
    fetch: TransferStatus | None = Field(default=None, description="How the weights came. None: they were here.")
    percent: float = Field(default=0, ge=0, le=100, description="Estimated progress to ready.")
    weights: str = Field(default="unknown", description="'verified', 'unverified' (no manifest) or 'unknown' yet.")
    restarts: int = 0
    ready_after_seconds: float | None = Field(default=None, description="Start to first ready; None before.")
    message: str = ""
    last_end: Termination | None = Field(default=None, description="The engine's last end, if it ended.")
    group: GroupStatus | None = Field(default=None, description="None: the server has one node.")
