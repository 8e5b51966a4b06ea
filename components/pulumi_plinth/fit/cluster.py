"""A cluster's own nodes, as `kubectl get nodes -o json` lists them, to nodes that can be planned for. Pure.

Labels of GPU Feature Discovery say what a node has; the kubelet's allocatable GPUs say what it offers, and win.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from pulumi_plinth.fit.parallel import Nodes
from pulumi_plinth.fit.plan import Fitted, Wish, fit
from pulumi_plinth.fit.shapes import Shape, shape_of_labels
from pulumi_plinth.fit.sizing import Sizer

RESOURCE = "nvidia.com/gpu"
SLICE = "-MIG-"
"""In the product's name where every GPU is a slice (MIG strategy `single`)."""


def cluster_nodes(document: Any) -> tuple[Nodes, ...]:
    """Group nodes with GPUs by what they have, most GPUs first; cordoned and unready ones do not count."""
    items = document.get("items", [document]) if isinstance(document, Mapping) else document
    usable = [item for item in items if _is_usable(item)] if isinstance(items, list) else []
    counted = Counter(shape for item in usable if (shape := _shape(item)))
    groups = [Nodes(shape, count, mig=SLICE in shape.gpu) for shape, count in counted.items()]
    return tuple(sorted(groups, key=lambda nodes: (-nodes.shape.gpus * nodes.most, nodes.shape.name)))


def best_nodes(sizer: Sizer, groups: Iterable[Nodes], wish: Wish) -> Nodes:
    """Take the group where a copy binds the least GPU memory: large GPUs stay free for large models."""
    return min(groups, key=lambda nodes: _order(sizer, nodes, wish))


def _order(sizer: Sizer, nodes: Nodes, wish: Wish) -> tuple[bool, int, int]:
    outcome = fit(sizer, nodes, wish)
    if not isinstance(outcome, Fitted):
        return True, 0, 0
    return False, outcome.layout.gpus_per_copy * nodes.shape.usable_bytes, outcome.nodes


def _shape(item: Mapping[str, Any]) -> Shape | None:
    labels = item.get("metadata", {}).get("labels") or {}
    shape = shape_of_labels({str(name): str(value) for name, value in labels.items()})
    offered = str((item.get("status", {}).get("allocatable") or {}).get(RESOURCE, ""))
    if shape is None or not offered.isdecimal():
        return shape
    return replace(shape, gpus=min(shape.gpus, int(offered))) if int(offered) else None


def _is_usable(item: Any) -> bool:
    if not isinstance(item, Mapping) or (item.get("spec") or {}).get("unschedulable"):
        return False
    return all(status == "True" for kind, status in _conditions(item) if kind == "Ready")


def _conditions(item: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for condition in (item.get("status") or {}).get("conditions") or []:
        yield str(condition.get("type")), str(condition.get("status"))
