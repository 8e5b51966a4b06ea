"""Reads a cluster, list by list. What one list refuses is noted and the others are read; silence ends the reading."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from plinth_runtime.contract.model_names import ModelKey, ModelKind
from plinth_runtime.contract.status import StartupStatus
from pulumi_plinth import naming
from pulumi_plinth.status.nodes import has_gpus
from pulumi_plinth.status.objects import (
    DEPLOYMENTS,
    EVENTS,
    LEADER_WORKER_SETS,
    NODES,
    PODS,
    SERVICES,
    STATEFUL_SETS,
    DownError,
    Kind,
    Object,
    PodPort,
    Reader,
    ReadError,
    Selection,
    model_kind,
)
from pulumi_plinth.status.pods import starting_port
from pulumi_plinth.status.report import Part, Seen, key_of
from pulumi_plinth.status.wanted import Wanted

OURS = {naming.NAME_LABEL: naming.SERVER}
WARNINGS = {"type": "Warning"}
MOST_ASKED, AT_ONCE = 16, 8
"""Servers that are asked themselves: in the worst case nobody lets the question through, which takes its time."""


def read(cluster: Reader, wanted: Wanted) -> Seen:
    """Read all that the report needs. Never raises for what the cluster does not tell."""
    reader = _Reader(cluster, wanted)
    try:
        reader.read()
    except DownError as error:
        reader.notes.append(str(error))
    heard = ask(cluster, [pod for part in reader.parts.values() for pod in part.pods])
    return Seen(reader.parts, reader.nodes, reader.pods, reader.models, tuple(reader.notes), heard)


def ask(cluster: Reader, pods: Iterable[Object]) -> dict[PodPort, StartupStatus]:
    """Ask the servers that start how far they are; those that cannot be reached say nothing."""
    ports = sorted(port for pod in pods if (port := starting_port(pod)))[:MOST_ASKED]
    if not ports:
        return {}
    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = zip(ports, pool.map(cluster.startup, ports), strict=True)
        return {port: answer for port, answer in answers if answer is not None}


@dataclass(slots=True)
class _Reader:
    """One reading: what was read so far."""

    cluster: Reader
    wanted: Wanted
    parts: dict[str, Part] = field(default_factory=dict)
    nodes: tuple[Object, ...] | None = None
    pods: tuple[Object, ...] | None = None
    models: dict[ModelKey, Object | None] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def read(self) -> None:
        """Read what matters most first."""
        for namespace in self.wanted.namespaces:
            part = self._part(namespace)
            if part is not None:
                self.parts[namespace] = part
        for kind in sorted({key.kind for key in self.wanted.models}):
            self._models(kind)
        self.nodes = self._list(NODES, Selection(), "nodes and their GPUs are not shown") if self.parts else None
        if any(map(has_gpus, self.nodes or ())):
            self.pods = self._list(PODS, Selection(), "what is asked of GPUs is not shown")

    def _part(self, namespace: str) -> Part | None:
        ours = Selection(namespace, OURS)
        pods = self._list(PODS, ours, f"deployments in {namespace} are not shown")
        if pods is None:
            return None
        kinds = [DEPLOYMENTS, STATEFUL_SETS, *([LEADER_WORKER_SETS] if self.wanted.leader_worker_sets else [])]
        workloads = [self._list(kind, ours, "how many replicas are wanted is not shown") for kind in kinds]
        if all(items is None for items in workloads):
            return None
        return Part(
            pods,
            tuple(item for items in workloads for item in items or ()),
            self._list(SERVICES, ours, "addresses are not shown") or (),
            self._list(EVENTS, Selection(namespace, fields=WARNINGS), "some reasons are not shown") or (),
        )

    def _models(self, kind: ModelKind) -> None:
        keys = [key for key in self.wanted.models if key.kind is kind]
        for namespace in sorted({key.namespace for key in keys}):
            found = self._list(model_kind(kind), Selection(namespace or None), "these models are not shown")
            if found is not None:
                there = {key_of(item): item for item in found}
                mine = [key for key in keys if key.namespace == namespace]
                self.models.update({key: there.get((key.namespace, key.name)) for key in mine})

    def _list(self, kind: Kind, selection: Selection, without: str) -> tuple[Object, ...] | None:
        """Read one list; None and a note if that is refused."""
        try:
            return tuple({"kind": kind.kind, **item} for item in self.cluster.list(kind, selection))
        except DownError:
            raise
        except ReadError as error:
            self.notes.append(f"{error}; {without}")
            return None
