"""How many GPUs one stack may have, and what its nodes may cost an hour."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from plinth_rules.resource import Resource, Rule, at

POOL, CLUSTER_NETWORK = "oci:ContainerEngine/nodePool:NodePool", "oci:Core/clusterNetwork:ClusterNetwork"
CONFIGURATION = "oci:Core/instanceConfiguration:InstanceConfiguration"
RACK = "oci:Core/computeGpuMemoryCluster:ComputeGpuMemoryCluster"
COMPONENT = "plinth:index:GpuNodePool"


@dataclass(frozen=True)
class Nodes:
    """Nodes of one shape, at their most."""

    name: str
    shape: str
    count: int


@cache
def shipped() -> dict[str, dict[str, float | None]]:
    """Return GPUs and price of a GPU-hour by shape, as the planner has them."""
    found: dict[str, dict[str, float | None]] = json.loads((Path(__file__).parent / "shapes.json").read_text())
    return found


def _judge(found: list[Resource], config: Mapping[str, Any]) -> Iterator[str]:
    shapes = {**shipped(), **config.get("shapes", {})}
    most, limit = config.get("maxGpus"), config.get("maxUsdPerHour")
    nodes = [item for item in _nodes(found) if _is_gpu(item.shape)]
    for item in nodes:
        if item.shape not in shapes:
            yield (
                f"{item.name} has the shape {item.shape}, of which GPUs and price are not known here; write them under "
                f"`shapes` of this policy, such as {item.shape}: {{gpus: 8, usd: 10}}"
            )
    known = [item for item in nodes if item.shape in shapes]
    gpus = {item: int(item.count * (shapes[item.shape]["gpus"] or 0)) for item in known}
    if most is not None and (total := sum(gpus.values())) > most:
        sums = " + ".join(f"{item.name} {item.count} x {item.shape} = {count}" for item, count in gpus.items())
        yield f"the stack has {total} GPUs ({sums}), {most:g} are allowed; make pools smaller, or raise maxGpus"
    costs = {item: count * float(shapes[item.shape].get("usd") or 0) for item, count in gpus.items()}
    if limit is not None and (bill := sum(costs.values())) > limit:
        sums = " + ".join(f"{item.name} ${cost:.2f}" for item, cost in costs.items())
        remedy = "make pools smaller, or raise maxUsdPerHour"
        yield f"the stack costs ${bill:.2f} an hour ({sums}), ${limit:.2f} are allowed; {remedy}"


def _is_gpu(shape: str) -> bool:
    return ".GPU" in shape


def _nodes(found: list[Resource]) -> Iterator[Nodes]:
    """Yield what each pool may grow to: with an autoscaler of our own component, its `max`."""
    by_urn = {item.urn: item for item in found}
    shapes = {item.name: at(item.props, "instanceDetails", "launchDetails", "shape") for item in found}
    for item in found:
        shape, size = _shape_and_size(item, shapes)
        parent = by_urn.get(item.parent)
        if parent is not None and parent.type == COMPONENT:
            largest = at(parent.props, "autoscale", "max")
            size = largest if isinstance(largest, (int, float)) else size
            shape = shape or at(parent.props, "shape")
        if isinstance(shape, str) and isinstance(size, (int, float)):
            yield Nodes(item.name, shape, int(size))


def _shape_and_size(item: Resource, shapes: Mapping[str, Any]) -> tuple[Any, Any]:
    if item.type == POOL:
        return item.props.get("nodeShape"), at(item.props, "nodeConfigDetails", "size")
    if item.type == CLUSTER_NETWORK:
        prefix = item.name.rpartition("-")[0]
        return shapes.get(f"{prefix}-configuration"), at(item.props, "instancePools", 0, "size")
    if item.type == RACK:
        prefix = item.name.rpartition("-")[0]
        size = item.props.get("size")
        return shapes.get(f"{prefix}-configuration"), int(size) if isinstance(size, str) and size.isdigit() else size
    return None, None


BUDGET = Rule(
    "stack-within-budget",
    "A stack has no more GPUs and costs no more an hour than somebody decided.",
    _judge,
    {
        "maxGpus": {"type": "number", "minimum": 0, "description": "Most GPUs; no limit unless written."},
        "maxUsdPerHour": {
            "type": "number",
            "minimum": 0,
            "description": "Most US dollars an hour; no limit unless written.",
        },
        "shapes": {
            "type": "object",
            "default": {},
            "description": "GPUs and price of a GPU-hour (usd) by shape, over those that are shipped.",
            "additionalProperties": {
                "type": "object",
                "properties": {"gpus": {"type": "number"}, "usd": {"type": "number"}},
                "required": ["gpus"],
            },
        },
    },
    whole_stack=True,
)
