"""Pods that use GPUs say so in full: limits, memory, toleration."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from plinth_rules.resource import LATER, Resource, Rule, at, each, objects, pod_of

GPU_KEYS = ("nvidia.com/gpu", "amd.com/gpu")


def _check(resource: Resource, config: Mapping[str, Any]) -> Iterator[str]:  # noqa: ARG001 the interface of rules
    pod = pod_of(resource)
    if pod is None:
        return
    used: set[str] = set()
    for container in objects(pod.get("containers")):
        found = _gpus(container)
        used |= found.keys()
        for key, (requested, limit) in found.items():
            where = f"{resource.name}: container {container.get('name')}"
            if limit is None:
                yield f"{where} requests {key} without a limit; write resources.limits with {key}: {requested}"
            elif requested not in (None, limit) and LATER not in (requested, limit):
                yield f"{where} requests {requested} of {key} and has the limit {limit}; write the same number twice"
        if found and at(container, "resources", "limits", "memory") is None:
            where = f"{resource.name}: container {container.get('name')}"
            yield f"{where} has no memory limit; write resources.limits.memory"
    tolerated = {str(item.get("key")) for item in objects(pod.get("tolerations"))}
    everything = any(
        not item.get("key") and item.get("operator") == "Exists" for item in objects(pod.get("tolerations"))
    )
    for key in sorted(used - tolerated):
        if not everything and pod.get("tolerations") is not LATER:
            yield f"{resource.name} uses {key} and does not tolerate its nodes' taint; add a toleration of key {key}"


def _gpus(container: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return what a container requests and is limited to, by the name of the GPU's resource."""
    found = {}
    for key in GPU_KEYS:
        pair = at(container, "resources", "requests", key), at(container, "resources", "limits", key)
        if pair != (None, None):
            found[key] = pair
    return found


GPU_PODS = Rule(
    "gpu-pods-are-complete",
    "Pods with GPUs have GPU and memory limits and tolerate the taint of GPU nodes.",
    each(_check),
)
