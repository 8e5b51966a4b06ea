"""What was read of a cluster as one report: rows for people and programs, and what could not be read. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from plinth_runtime.contract.model_names import ModelKey
from plinth_runtime.contract.status import StartupStatus
from pulumi_plinth.status.models import ModelStatus, model_status
from pulumi_plinth.status.nodes import NodeStatus, asked_on, gpu_nodes, node_status, silent_nodes
from pulumi_plinth.status.objects import Object, PodPort, metadata
from pulumi_plinth.status.pods import Around, PodStatus, pod_status
from pulumi_plinth.status.servers import Age, ServerStatus, server_status, service_addresses, untold
from pulumi_plinth.status.wanted import Wanted, WantedServer
from pulumi_plinth.status.workloads import workload_of


@dataclass(frozen=True, slots=True)
class Part:
    """What was read of one namespace."""

    pods: tuple[Object, ...]
    workloads: tuple[Object, ...]
    services: tuple[Object, ...] = ()
    events: tuple[Object, ...] = ()


@dataclass(frozen=True, slots=True)
class Seen:
    """What was read of a cluster. Namespaces and models that could not be read are missing; None is not known."""

    parts: Mapping[str, Part]
    nodes: tuple[Object, ...] | None = None
    pods: tuple[Object, ...] | None = None
    """Those of the whole cluster, for the sums of GPUs."""
    models: Mapping[ModelKey, Object | None] | None = None
    notes: tuple[str, ...] = ()
    """What could not be read, and why: one line each."""
    heard: Mapping[PodPort, StartupStatus] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Report:
    """The answer."""

    servers: tuple[ServerStatus, ...] = ()
    models: tuple[ModelStatus, ...] = ()
    nodes: tuple[NodeStatus, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def told(self) -> bool:
        """Whether every deployment could be told of."""
        return all(server.workload is not None for server in self.servers)

    def to_json(self, age: Age) -> dict[str, Any]:
        """Render for `plinth status --json`."""
        return {
            "deployments": [server.to_json(age) for server in self.servers],
            "models": [model.to_json() for model in self.models],
            "nodes": [node.to_json() for node in self.nodes],
            "notes": list(self.notes),
        }


def report(wanted: Wanted, seen: Seen) -> Report:
    """Describe what is wanted by what was seen."""
    silent = silent_nodes(seen.nodes or ())
    pods = {
        name: tuple(pod_status(pod, Around(part.events, silent, seen.heard)) for pod in part.pods)
        for name, part in seen.parts.items()
    }
    servers = tuple(_server(item, seen.parts.get(item.namespace), pods) for item in wanted.servers)
    workloads = {server.wanted.name: server.workload for server in servers if server.workload is not None}
    nodes = gpu_nodes(seen.nodes or (), workloads)
    asked = None if seen.pods is None else asked_on(seen.pods)
    return Report(
        servers,
        tuple(_models(wanted, seen)),
        tuple(sorted((node_status(node, asked, workloads) for node in nodes), key=lambda node: node.name)),
        seen.notes,
    )


def _server(wanted: WantedServer, part: Part | None, pods: Mapping[str, tuple[PodStatus, ...]]) -> ServerStatus:
    if part is None:
        return untold(wanted, "the cluster did not tell, the note says why")
    workload = workload_of(wanted.name, wanted.namespace, part.workloads, part.events)
    address = service_addresses(part.services).get((wanted.namespace, wanted.name), "")
    return server_status(wanted, workload, pods[wanted.namespace], address)


def _models(wanted: Wanted, seen: Seen) -> list[ModelStatus]:
    """Describe the models that could be read; one that need not be there and is not is left out."""
    known = seen.models or {}
    return [
        model_status(key, known[key])
        for key, certain in sorted(wanted.models.items())
        if key in known and (certain or known[key] is not None)
    ]


def key_of(item: Object) -> tuple[str, str]:
    """Return an object's namespace and name."""
    return str(metadata(item).get("namespace") or ""), str(metadata(item).get("name"))
