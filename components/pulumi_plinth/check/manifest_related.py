"""Reads the objects around a workload: services, claims, scalers, budgets, config maps, namespaces, nodes. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pulumi_plinth.check.facts_place_words import taints_of
from pulumi_plinth.check.manifest_pod import port_of
from pulumi_plinth.check.manifest_read import Document, amount, at, entries, mapping, strings, text
from pulumi_plinth.check.place import Scaling
from pulumi_plinth.check.place_node import Node
from pulumi_plinth.check.place_pod import EPHEMERAL, GPU_RESOURCE

SCALERS = ("HorizontalPodAutoscaler", "ScaledObject")


def of_kind(documents: Sequence[Document], *kinds: str) -> Iterator[Document]:
    """Yield the objects of some kinds."""
    return (document for document in documents if document.get("kind") in kinds)


def named(documents: Sequence[Document], kind: str, name: str | None) -> Document | None:
    """Return the object of a kind with a name."""
    return next((item for item in of_kind(documents, kind) if text(item, "metadata", "name") == name), None)


def services_of(documents: Sequence[Document], labels: Mapping[str, Any]) -> list[Document]:
    """Return the services whose selector a pod with these labels fulfils."""
    found = []
    for service in of_kind(documents, "Service"):
        selector = mapping(service, "spec", "selector")
        if selector and all(labels.get(key) == value for key, value in selector.items()):
            found.append(service)
    return found


def service_ports(services: Sequence[Document], container: Document) -> list[tuple[str, int]]:
    """Return the ports of the container that services forward to, those for metrics left out."""
    found = []
    for service in services:
        for item in entries(service, "spec", "ports"):
            target = at(item, "targetPort")
            port = port_of(container, at(item, "port") if target is None else target)
            if port and "metric" not in (text(item, "name") or ""):
                found.append((f"service {text(service, 'metadata', 'name')}", port))
    return found


def scaling_of(documents: Sequence[Document], kind: str, name: str | None) -> Scaling | None:
    """Return what scales a workload; None when nothing in the file does."""
    for scaler in of_kind(documents, *SCALERS):
        target = mapping(scaler, "spec", "scaleTargetRef")
        if text(target, "name") == name and text(target, "kind") in {kind, None}:
            return _scaling(scaler)
    return None


def budget_of(documents: Sequence[Document], labels: Mapping[str, Any]) -> float | None:
    """Return minAvailable of the budget that selects pods with these labels."""
    for budget in of_kind(documents, "PodDisruptionBudget"):
        selector = mapping(budget, "spec", "selector", "matchLabels")
        if selector and all(labels.get(key) == value for key, value in selector.items()):
            return amount(budget, "spec", "minAvailable")
    return None


def config_values(documents: Sequence[Document]) -> dict[str, dict[str, str]]:
    """Return the data of all config maps by name."""
    return {
        text(item, "metadata", "name") or "": {str(key): str(value) for key, value in mapping(item, "data").items()}
        for item in of_kind(documents, "ConfigMap")
    }


def security_level(documents: Sequence[Document], namespace: str | None) -> str | None:
    """Return the Pod Security level that a namespace enforces."""
    found = named(documents, "Namespace", namespace)
    return text(found, "metadata", "labels", "pod-security.kubernetes.io/enforce")


def node_of(documents: Sequence[Document]) -> Node:
    """Return what the only node of a file is like; of several nothing is said."""
    nodes = list(of_kind(documents, "Node"))
    if len(nodes) != 1:
        return Node()
    offered = mapping(nodes[0], "status", "allocatable")
    return Node(
        labels={str(key): str(value) for key, value in mapping(nodes[0], "metadata", "labels").items()},
        taints=taints_of(entries(nodes[0], "spec", "taints")),
        gpus=amount(nodes[0], "status", "capacity", GPU_RESOURCE),
        allocatable_gpus=amount(offered, GPU_RESOURCE),
        allocatable_disk_bytes=amount(offered, EPHEMERAL),
        memory_bytes=amount(offered, "memory"),
    )


def _scaling(scaler: Document) -> Scaling:
    names: list[str] = []
    utilization = None
    for metric in entries(scaler, "spec", "metrics"):
        names += strings(metric, "pods", "metric", "name") + strings(metric, "external", "metric", "name")
        utilization = text(metric, "resource", "name") or utilization
    for trigger in entries(scaler, "spec", "triggers"):
        names += strings(trigger, "metadata", "query") + strings(trigger, "metadata", "metricName")
        utilization = text(trigger, "type") if text(trigger, "type") in {"cpu", "memory"} else utilization
    spec = mapping(scaler, "spec")
    lowest = amount(spec, "minReplicaCount") if "triggers" in spec else amount(spec, "minReplicas")
    return Scaling(
        metrics=tuple(dict.fromkeys(name for text_ in names for name in _metrics(text_))),
        utilization=utilization if utilization in {"cpu", "memory"} and not names else None,
        minimum=0.0 if lowest is None and "triggers" in spec else lowest,
        maximum=amount(spec, "maxReplicaCount") or amount(spec, "maxReplicas"),
    )


def _metrics(query: str) -> list[str]:
    from pulumi_plinth.check.facts_place import METRIC

    return METRIC.findall(query)
