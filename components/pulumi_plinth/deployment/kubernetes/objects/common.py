"""What all objects have: head, metadata, small shapes that several modules write. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pulumi_plinth import naming
from pulumi_plinth.deployment.kubernetes.plan import ServerPlan

Manifest = dict[str, Any]
"""One Kubernetes object, or a part of one, as JSON."""

API, MANAGEMENT = "api", "management"
"""Names of the ports."""


def head(kind: tuple[str, str], plan: ServerPlan, name: str | None = None) -> Manifest:
    """Begin an object: (apiVersion, kind), metadata with the deployment's labels."""
    version, what = kind
    metadata = {"labels": naming.labels(plan.name), "name": name or plan.name, "namespace": plan.namespace}
    return {"apiVersion": version, "kind": what, "metadata": metadata}


def matching(plan: ServerPlan, **more: str) -> Manifest:
    """Select the deployment's pods."""
    return {"matchLabels": {**naming.selector(plan.name), **more}}


def environment(pairs: Mapping[str, str]) -> list[Manifest]:
    """Write variables, in order of their names."""
    return [{"name": name, "value": value} for name, value in sorted(pairs.items())]


def without_empty(part: Manifest) -> Manifest:
    """Leave out what says nothing: an API server would drop it, and a comparison would see a change."""
    return {key: value for key, value in part.items() if value not in (None, "", [], {}, ())}


def quantity(count: int) -> str:
    """Write bytes in whole MiB, rounded up."""
    return f"{-(-count // (1 << 20))}Mi"


def references(names: Iterable[str]) -> list[Manifest]:
    """Refer to objects by name."""
    return [{"name": name} for name in names]
