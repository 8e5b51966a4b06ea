"""A server that spans several nodes: how its members find each other, and what their agents tell each other.

The member of rank 0 leads: it alone answers clients, listens on the group's port, and decides. The others ask it.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal, Self

from pydantic import Field, model_validator

from plinth_runtime.contract.base import Document
from plinth_runtime.contract.status import Termination

SeatSource = Literal["leader-worker-set", "stateful-set", "environment"]


class LaunchGroup(Document):
    """What all members of a group have in common. A member's rank and the leader's address come from its surroundings,
    so that one launch file serves all of them.
    """

    nodes: int = Field(ge=2, le=64, description="Members: one agent and one engine on each node.")
    seat: SeatSource = Field(
        default="leader-worker-set",
        description="Where rank and leader are read: `leader-worker-set` (LWS_WORKER_INDEX, LWS_LEADER_ADDRESS, "
        "LWS_GROUP_SIZE), `stateful-set` (the ordinal in HOSTNAME, and `service`), `environment` (PLINTH_GROUP_RANK, "
        "PLINTH_GROUP_LEADER).",
    )
    service: str | None = Field(
        default=None, description="`stateful-set` only: the headless service's DNS name, such as `chat-group`."
    )
    port: int = Field(
        default=29500, ge=1, le=65535, description="The leader's agent listens here for the others' agents."
    )
    master_port: int = Field(
        default=29501, ge=1, le=65535, description="The leader's engine listens here for the others' engines."
    )
    heartbeat_seconds: float = Field(
        default=1, gt=0, le=5, description="A member asks its leader this often, and at once when something happened."
    )
    lost_seconds: float = Field(
        default=6,
        gt=0,
        description="A member that is not heard of for this long is lost, and the group ends with it. Six heartbeats: "
        "with the end of all engines that is below 15 s.",
    )
    join_seconds: float = Field(
        default=1800,
        gt=0,
        description="Members wait this long for each other. Half an hour: a node with GPUs may have to come first.",
    )

    @model_validator(mode="after")
    def _can_work(self) -> Self:
        if (self.seat == "stateful-set") != (self.service is not None):
            raise ValueError("group.service belongs to seat `stateful-set`, which cannot do without it")
        if self.port == self.master_port:
            raise ValueError(f"group.port and group.masterPort are both {self.port}; give each its own")
        if self.lost_seconds < 2 * self.heartbeat_seconds:
            raise ValueError(
                f"group.lostSeconds: {self.lost_seconds:g} is below two heartbeats of {self.heartbeat_seconds:g} s; "
                f"write at least {2 * self.heartbeat_seconds:g}"
            )
        return self


class Condition(StrEnum):
    """What a member says of itself."""

    PREPARING = "preparing"  # its weights are not checked yet; no engine
    WAITING = "waiting"  # no engine, and nothing hinders one
    RUNNING = "running"  # its engine lives
    LEAVING = "leaving"  # somebody asked it to end
    FAILED = "failed"  # it will not come back by itself


class Order(StrEnum):
    """What the leader wants of all members."""

    HOLD = "hold"  # no engine; wait
    RUN = "run"  # an engine of this epoch
    OVER = "over"  # the group has ended


class GroupReport(Document):
    """A member to its leader."""

    rank: int = Field(ge=1)
    agent: str = Field(description="Another one for each agent process: a member that was started again is seen.")
    number: int = Field(ge=0, description="Of this agent's reports; an older one that comes late is not heeded.")
    launch_digest: str
    condition: Condition
    epoch: int = Field(default=0, ge=0, description="The last epoch in which it started an engine; 0: none.")
    fault: Termination | None = Field(default=None, description="Why its engine of that epoch ended by itself.")


class GroupOrder(Document):
    """The leader's answer."""

    leader: str = Field(description="Another one for each agent process of the leader.")
    order: Order
    epoch: int = Field(ge=0, description="The group's starts are counted; all engines that work together have one.")
    ready: bool = Field(default=False, description="Whether clients may be sent to the leader.")
    fault: Termination | None = Field(default=None, description="Why the last epoch ended, or the group.")
