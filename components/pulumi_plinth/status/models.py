"""Declared models as they are now: the state, and what each node says. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from plinth_runtime.contract.model_names import ModelKey
from plinth_runtime.contract.model_status import NodeEntry, read_entries
from pulumi_plinth.status.objects import Object, condition, words

MISSING = "missing"


@dataclass(frozen=True, slots=True)
class NodeOfModel:
    """What one node says of a model. `percent` is None unless bytes are arriving."""

    name: str
    phase: str
    reason: str
    message: str
    percent: int | None


@dataclass(frozen=True, slots=True)
class ModelStatus:
    """One declaration."""

    key: ModelKey
    state: str
    reason: str
    message: str
    ready: tuple[str, ...]
    failed: tuple[str, ...]
    nodes: tuple[NodeOfModel, ...]

    def to_json(self) -> dict[str, Any]:
        """Render for `plinth status --json`."""
        nodes = [
            {"name": row.name, "phase": row.phase, "reason": row.reason, "message": row.message, "percent": row.percent}
            for row in self.nodes
        ]
        key = {"name": self.key.name, "kind": self.key.kind.kind, "namespace": self.key.namespace}
        lists = {"nodesReady": list(self.ready), "nodesFailed": list(self.failed), "nodes": nodes}
        return {**key, "state": self.state, "reason": self.reason, "message": self.message, **lists}


def model_status(key: ModelKey, item: Object | None) -> ModelStatus:
    """Describe a declaration; one that is not in the cluster has the state `missing`."""
    if item is None:
        message = "is not declared in the cluster; `plinth up` declares it"
        return ModelStatus(key, MISSING, "", message, (), (), ())
    status = item.get("status") or {}
    ready = condition(item, "Ready")
    return ModelStatus(
        key,
        words(str(status.get("state") or "Creating")),
        words(ready.get("reason") or ""),
        words(ready.get("message") or "no node agent has answered"),
        tuple(sorted(map(str, status.get("nodesReady") or ()))),
        tuple(sorted(map(str, status.get("nodesFailed") or ()))),
        tuple(_nodes(status)),
    )


def _nodes(status: Mapping[str, Any]) -> Iterator[NodeOfModel]:
    for entry in sorted(read_entries(status), key=lambda row: row.name):
        yield NodeOfModel(entry.name, entry.phase.value, entry.reason, words(entry.message), _percent(entry))


def _percent(entry: NodeEntry) -> int | None:
    if entry.progress is None or not entry.progress.bytes_total:
        return None
    return min(100, 100 * entry.progress.bytes_done // entry.progress.bytes_total)
