"""Which nodes of a cluster can take a pod now, and what the scheduler says of the others. Pure.

Read from what `kubectl get nodes,pods -A -o json` lists. The filters are those of Kubernetes' own scheduler (1.35),
asked in its order and told in its words: cordoned, taints, labels, resources. Affinity, volumes and ports of the node
are not asked about: for pods that have them this is what is possible at most.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pulumi_plinth.check.manifest_read import Document, amount, entries, flag, flat, mapping, text
from pulumi_plinth.check.place_pod import Taint

PODS = "pods"
"""The resource of which every pod takes one."""

KEEPING_OUT = ("NoSchedule", "NoExecute")
CORDONED = Taint("node.kubernetes.io/unschedulable", effect="NoSchedule")
ENDED = ("Succeeded", "Failed")
ROUNDING = 1e-6
"""Cores are added up as fractions."""

Amounts = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class FleetNode:
    """A node as the scheduler sees it: `free` is what no pod has asked for, by resource."""

    name: str
    labels: Mapping[str, str]
    taints: tuple[Taint, ...]
    cordoned: bool
    free: Amounts


@dataclass(frozen=True, slots=True)
class Wish:
    """What a pod asks of a node."""

    amounts: Amounts
    selector: Mapping[str, str]
    tolerations: tuple[Taint, ...]


@dataclass(frozen=True, slots=True)
class Room:
    """How many pods of one kind each node can take, and what is said of the next one when all have come."""

    pods: Mapping[str, int]
    waiting: str

    @property
    def total(self) -> int:
        """Pods that find room."""
        return sum(self.pods.values())


def fleet_of(document: Any) -> tuple[FleetNode, ...]:
    """Read nodes, less what the pods in the same list take of them."""
    items = list(flat(document))
    taken: dict[str, Amounts] = {}
    for pod in items:
        node = text(pod, "spec", "nodeName")
        if text(pod, "kind") == "Pod" and node and text(pod, "status", "phase") not in ENDED:
            taken[node] = _sum(taken.get(node, {}), _amounts(mapping(pod, "spec")))
    nodes = (item for item in items if text(item, "kind") == "Node")
    return tuple(_node(item, taken.get(text(item, "metadata", "name") or "", {})) for item in nodes)


def wish_of(spec: Document) -> Wish:
    """Read what a pod's spec asks for."""
    tolerations = tuple(
        Taint(
            text(item, "key") or "",
            text(item, "value") or "",
            text(item, "effect") or "",
            exists=text(item, "operator") == "Exists",
        )
        for item in entries(spec, "tolerations")
    )
    selector = {key: str(value) for key, value in mapping(spec, "nodeSelector").items()}
    return Wish(_amounts(spec), selector, tolerations)


def room_for(wish: Wish, nodes: Iterable[FleetNode]) -> Room:
    """Count the pods that find room, and say why the next one does not."""
    pods: dict[str, int] = {}
    said: Counter[str] = Counter()
    count = 0
    for count, node in enumerate(nodes, 1):  # noqa: B007 used after the loop
        if hindrance := _hindrance(wish, node):
            said[hindrance] += 1
            continue
        if fitting := _fitting(wish, node):
            pods[node.name] = fitting
        said.update(_lacking(wish, node, fitting))
    reasons = ", ".join(sorted(f"{number} {reason}" for reason, number in said.items()))
    return Room(pods, f"0/{count} nodes are available: {reasons}." if count else "no nodes available to schedule pods")


def _node(item: Document, taken: Amounts) -> FleetNode:
    offered = mapping(item, "status", "allocatable")
    free = {name: (amount(offered, name) or 0.0) - taken.get(name, 0.0) for name in offered}
    taints = tuple(
        Taint(text(row, "key") or "", text(row, "value") or "", text(row, "effect") or "")
        for row in entries(item, "spec", "taints")
    )
    labels = {key: str(value) for key, value in mapping(item, "metadata", "labels").items()}
    cordoned = flag(item, "spec", "unschedulable") or False
    return FleetNode(text(item, "metadata", "name") or "", labels, taints, cordoned, free)


def _hindrance(wish: Wish, node: FleetNode) -> str:
    """Say what keeps every such pod away from a node, however empty it is."""
    if node.cordoned and not _bears(wish, CORDONED):
        return "node(s) were unschedulable"
    if any(taint.effect in KEEPING_OUT and not _bears(wish, taint) for taint in node.taints):
        return "node(s) had untolerated taint(s)"
    if any(node.labels.get(key) != value for key, value in wish.selector.items()):
        return "node(s) didn't match Pod's node affinity/selector"
    return ""


def _bears(wish: Wish, taint: Taint) -> bool:
    return any(toleration.tolerates(taint) for toleration in wish.tolerations)


def _fitting(wish: Wish, node: FleetNode) -> int:
    asked = ((node.free.get(name, 0.0), size) for name, size in wish.amounts.items() if size)
    return max(0, min(int((free + ROUNDING) // size) for free, size in asked))


def _lacking(wish: Wish, node: FleetNode, pods: int) -> Iterator[str]:
    """Name the resources of which a node has too little for one more."""
    for name, size in wish.amounts.items():
        if size and size * (pods + 1) > node.free.get(name, 0.0) + ROUNDING:
            yield "Too many pods" if name == PODS else f"Insufficient {name}"


def _amounts(spec: Document) -> dict[str, float]:
    """Add up a pod: its containers together, or one that runs before them where that asks for more."""
    beside: Amounts = {}
    before: Amounts = {}
    for item in entries(spec, "initContainers"):
        asked = _asked(item)
        if text(item, "restartPolicy") == "Always":
            beside, asked = _sum(beside, asked), {}
        before = _most(before, _sum(beside, asked))
    together = _sum(beside, *map(_asked, entries(spec, "containers")))
    return _sum(_most(before, together), _sizes(mapping(spec, "overhead")), {PODS: 1.0})


def _asked(container: Document) -> Amounts:
    """Read a container's requests; a limit without a request is one."""
    resources = mapping(container, "resources")
    return _sizes({**mapping(resources, "limits"), **mapping(resources, "requests")})


def _sizes(written: Document) -> Amounts:
    return {name: amount(written, name) or 0.0 for name in written}


def _sum(*parts: Amounts) -> dict[str, float]:
    names = dict.fromkeys(name for part in parts for name in part)
    return {name: sum(part.get(name, 0.0) for part in parts) for name in names}


def _most(one: Amounts, other: Amounts) -> dict[str, float]:
    return {name: max(one.get(name, 0.0), other.get(name, 0.0)) for name in {**one, **other}}
