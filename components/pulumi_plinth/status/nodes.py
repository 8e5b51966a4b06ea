"""GPU nodes as they are now: what they offer, what is asked of them, and what keeps the stack's pods out. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pulumi_plinth.check.place_pod import Taint
from pulumi_plinth.status.objects import Object, condition, gpus_asked, gpus_in, metadata, words
from pulumi_plinth.status.workloads import Workload

SOFT = "PreferNoSchedule"
OVER = frozenset({"Succeeded", "Failed"})


@dataclass(frozen=True, slots=True)
class Barrier:
    """A taint that pods do not bear, or a label that they select and the node has not; and whose pods."""

    what: str
    deployments: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """A node. `allocatable` and `requested` are GPUs; the latter is None where the pods of all may not be read.

    `barriers` are what keeps pods of the stack out which ask for GPUs.
    """

    name: str
    ready: bool
    allocatable: int
    requested: int | None
    message: str
    barriers: tuple[Barrier, ...]

    def to_json(self) -> dict[str, Any]:
        """Render for `plinth status --json`."""
        barriers = [{"what": item.what, "deployments": list(item.deployments)} for item in self.barriers]
        gpus = {"allocatable": self.allocatable, "requested": self.requested}
        return {"name": self.name, "ready": self.ready, "gpus": gpus, "message": self.message, "keepsOut": barriers}


def silent_nodes(nodes: Iterable[Object]) -> frozenset[str]:
    """Return the nodes whose kubelets stopped reporting."""
    return frozenset(str(metadata(node).get("name")) for node in nodes if _ready(node).get("status") == "Unknown")


def has_gpus(node: Object) -> bool:
    """Tell whether a node has any, in use or not."""
    return gpus_in((node.get("status") or {}).get("capacity")) > 0


def gpu_nodes(nodes: Iterable[Object], workloads: Mapping[str, Workload]) -> tuple[Object, ...]:
    """Pick the nodes that have GPUs, and those that the stack's deployments select for theirs."""
    wanting = [item for item in workloads.values() if item.gpus]

    def counts(node: Object) -> bool:
        labels = metadata(node).get("labels") or {}
        return has_gpus(node) or any(item.selects(labels) for item in wanting)

    return tuple(node for node in nodes if counts(node))


def asked_on(pods: Iterable[Object]) -> dict[str, int]:
    """Add up the GPUs that pods ask for, by node; pods that are over ask for none."""
    asked: dict[str, int] = {}
    for pod in pods:
        spec, phase = pod.get("spec") or {}, (pod.get("status") or {}).get("phase")
        if (node := spec.get("nodeName")) and phase not in OVER:
            asked[node] = asked.get(node, 0) + gpus_asked(spec)
    return asked


def node_status(node: Object, asked: Mapping[str, int] | None, workloads: Mapping[str, Workload]) -> NodeStatus:
    """Describe one node; `asked` are the GPUs asked for by node, if the pods of the whole cluster may be read."""
    name, status = str(metadata(node).get("name")), node.get("status") or {}
    ready, offered = _ready(node), gpus_in(status.get("allocatable"))
    return NodeStatus(
        name=name,
        ready=ready.get("status") == "True",
        allocatable=offered,
        requested=None if asked is None else asked.get(name, 0),
        message=_trouble(node, ready, offered),
        barriers=tuple(_barriers(node, {name: item for name, item in sorted(workloads.items()) if item.gpus})),
    )


def _barriers(node: Object, wanting: Mapping[str, Workload]) -> Iterator[Barrier]:
    labels = metadata(node).get("labels") or {}
    for row in (node.get("spec") or {}).get("taints") or ():
        taint = Taint(row.get("key") or "", row.get("value") or "", row.get("effect") or "")
        names = tuple(name for name, item in wanting.items() if not item.bears(taint))
        if names and taint.effect != SOFT:
            yield Barrier(words(f"taint {taint}"), names)
    for label in sorted({label for item in wanting.values() for label in item.selector}):
        names = tuple(name for name, item in wanting.items() if label in item.selector)
        if labels.get(label[0]) != label[1]:
            yield Barrier(words(f"no label {label[0]}={label[1]}"), names)


def _trouble(node: Object, ready: Object, offered: int) -> str:
    if ready.get("status") != "True":
        return words("not ready", ready.get("message") or ready.get("reason") or "it never reported")
    if (node.get("spec") or {}).get("unschedulable"):
        return "cordoned: no new pods"
    return "" if offered else "offers no GPUs: its device plugin does not run, or sees none"


def _ready(node: Object) -> Object:
    return condition(node, "Ready")
