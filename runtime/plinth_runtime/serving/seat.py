"""Which member of its group is this one, and where is the leader? Pure: the environment is passed in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from plinth_runtime.contract.group import LaunchGroup
from plinth_runtime.errors import BadConfigError

ORDINAL = re.compile(r"^(?P<set>.+)-(?P<ordinal>\d+)$")
"""Name of a StatefulSet's pod."""


@dataclass(frozen=True, slots=True)
class Seat:
    """A member's place: its rank, 0 leads, and the host name or address of the leader."""

    rank: int
    leader: str

    @property
    def leads(self) -> bool:
        """Whether this is the leader."""
        return self.rank == 0


def find_seat(group: LaunchGroup, environment: Mapping[str, str]) -> Seat:
    """Read the seat from what the platform says. Raises BadConfigError naming what is missing or does not fit."""
    seat = {
        "leader-worker-set": _of_leader_worker_set,
        "stateful-set": _of_stateful_set,
        "environment": _of_environment,
    }[group.seat](group, environment)
    if seat.rank >= group.nodes:
        raise BadConfigError(f"rank {seat.rank} has no place among group.nodes = {group.nodes}, 0 to {group.nodes - 1}")
    return seat


def _of_leader_worker_set(group: LaunchGroup, environment: Mapping[str, str]) -> Seat:
    size = _number(environment, "LWS_GROUP_SIZE")
    if size != group.nodes:
        raise BadConfigError(f"LWS_GROUP_SIZE is {size}, group.nodes is {group.nodes}: write the same in both")
    return Seat(_number(environment, "LWS_WORKER_INDEX"), _text(environment, "LWS_LEADER_ADDRESS"))


def _of_stateful_set(group: LaunchGroup, environment: Mapping[str, str]) -> Seat:
    name = _text(environment, "HOSTNAME")
    found = ORDINAL.match(name)
    if found is None:
        raise BadConfigError(f"HOSTNAME is {name!r}, which is no StatefulSet's pod: it does not end in -0, -1, …")
    return Seat(int(found["ordinal"]), f"{found['set']}-0.{group.service}")


def _of_environment(_group: LaunchGroup, environment: Mapping[str, str]) -> Seat:
    return Seat(_number(environment, "PLINTH_GROUP_RANK"), _text(environment, "PLINTH_GROUP_LEADER"))


def _text(environment: Mapping[str, str], name: str) -> str:
    value = environment.get(name, "")
    if not value:
        raise BadConfigError(f"{name} is not set, and group.seat says that a member's place is read from it")
    return value


def _number(environment: Mapping[str, str], name: str) -> int:
    text = _text(environment, name)
    if not text.isdecimal():
        raise BadConfigError(f"{name} is {text!r}, not a number from 0 on")
    return int(text)
