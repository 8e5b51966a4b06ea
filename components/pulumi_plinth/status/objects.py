"""Objects of a cluster as they are read here: which kinds, how a list is asked for and refused, small readings. Pure.

ReadError      a PlinthError; the message is one line for people
├── DownError      nobody answers, or nobody may ask anything: every further question is vain
├── RefusedError   no right to this list
└── AbsentError    the cluster does not know this kind
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from plinth_runtime.contract.model_names import GROUP, VERSION, ModelKind
from plinth_runtime.contract.status import StartupStatus
from pulumi_plinth.engines.ome_runtime import GPU_RESOURCES
from pulumi_plinth.errors import PlinthError
from pulumi_plinth.model.findings import hide

Object = Mapping[str, Any]

LONGEST_MESSAGE = 500
"""Characters of what a cluster says that are shown: a log's end is at most 2 KiB."""


class ReadError(PlinthError):
    """A list was not given."""


class DownError(ReadError):
    """Nobody answers, or nobody may ask anything."""


class RefusedError(ReadError):
    """There is no right to this list."""


class AbsentError(ReadError):
    """The cluster does not know this kind."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of object as the API's paths spell it."""

    group: str
    version: str
    kind: str
    plural: str
    namespaced: bool = True


PODS = Kind("", "v1", "Pod", "pods")
NODES = Kind("", "v1", "Node", "nodes", namespaced=False)
SERVICES = Kind("", "v1", "Service", "services")
EVENTS = Kind("", "v1", "Event", "events")
DEPLOYMENTS = Kind("apps", "v1", "Deployment", "deployments")
STATEFUL_SETS = Kind("apps", "v1", "StatefulSet", "statefulsets")
LEADER_WORKER_SETS = Kind("leaderworkerset.x-k8s.io", "v1", "LeaderWorkerSet", "leaderworkersets")


def model_kind(kind: ModelKind) -> Kind:
    """Return the kind of a declaration."""
    return Kind(GROUP, VERSION, kind.kind, kind.value, kind.namespaced)


@dataclass(frozen=True, slots=True)
class Selection:
    """Which objects of a kind: those of one namespace or, without one, of all; with all of these labels and fields."""

    namespace: str | None = None
    labels: Mapping[str, str] | None = None
    fields: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True, order=True)
class PodPort:
    """A port of a pod."""

    namespace: str
    pod: str
    port: int


class Reader(Protocol):
    """A cluster that can be asked."""

    def list(self, kind: Kind, selection: Selection) -> tuple[Object, ...]:
        """Return the objects of a kind. Raises ReadError."""

    def startup(self, port: PodPort) -> StartupStatus | None:
        """Return what a server's management port says of its start; None where it cannot be reached this way."""


def metadata(item: Object) -> Object:
    """Return an object's metadata."""
    found: Object = item.get("metadata") or {}
    return found


def condition(item: Object, kind: str) -> Object:
    """Return one of an object's conditions; empty if it has none of that type."""
    rows = (item.get("status") or {}).get("conditions") or ()
    return next((row for row in rows if row.get("type") == kind), {})


def gpus_in(amounts: Object | None) -> int:
    """Add up the GPUs of a list of resources, whoever made them."""
    counts = (str((amounts or {}).get(name, "0")) for name in GPU_RESOURCES)
    return sum(int(count) for count in counts if count.isdecimal())


def gpus_asked(pod_spec: Object) -> int:
    """Count the GPUs that a pod asks for. Of GPUs a limit is the request."""
    containers = pod_spec.get("containers") or ()
    return sum(gpus_in((container.get("resources") or {}).get("limits")) for container in containers)


def words(*parts: str) -> str:
    """Join what a cluster said into one line that is safe to show: no control characters, no secrets, not endless."""
    joined = ": ".join(part for part in parts if part)
    line = hide(" ".join("".join(letter if letter.isprintable() else " " for letter in joined).split()))
    return line if len(line) <= LONGEST_MESSAGE else line[: LONGEST_MESSAGE - 1] + "…"


def about(events: tuple[Object, ...], item: Object) -> Iterator[Object]:
    """Yield the events about an object, the newest first."""
    uid = metadata(item).get("uid")
    mine = [event for event in events if uid and (event.get("involvedObject") or {}).get("uid") == uid]
    return iter(sorted(mine, key=_when, reverse=True))


def _when(event: Object) -> str:
    """Return when an event was last seen; by its age, whichever way its reporter writes it."""
    series = (event.get("series") or {}).get("lastObservedTime")
    times = (series, event.get("lastTimestamp"), event.get("eventTime"), metadata(event).get("creationTimestamp"))
    return str(next(filter(None, times), ""))
