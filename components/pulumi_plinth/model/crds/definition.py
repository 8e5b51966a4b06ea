"""The two CustomResourceDefinitions as plain objects: one schema, two scopes. Pure."""

from __future__ import annotations

from functools import cache
from typing import Any

from plinth_runtime.contract.model_names import GROUP, VERSION, ModelKind
from pulumi_plinth.model.crds.spec_schema import spec_schema
from pulumi_plinth.model.crds.status_schema import status_schema

OWNER_LABEL, OWNER = "app.kubernetes.io/managed-by", "plinth"
"""Only definitions with this label are ours to change."""

_COLUMNS = (
    ("State", "string", ".status.state", 0, "What the model is good for."),
    ("Size", "string", ".spec.modelParameterSize", 0, "Parameters."),
    ("Vendor", "string", ".spec.vendor", 0, "Who made it."),
    ("Disabled", "boolean", ".spec.disabled", 1, "Whether it may not be served."),
    ("Architecture", "string", ".spec.modelArchitecture", 1, "Class by config.json."),
    ("Source", "string", ".spec.storage.storageUri", 1, "Where the content comes from."),
    ("Nodes ready", "string", ".status.nodesReady", 0, "Nodes that have the content."),
    ("Nodes failed", "string", ".status.nodesFailed", 1, "Nodes where fetching failed."),
    ("Age", "date", ".metadata.creationTimestamp", 0, "Since it was declared."),
)


@cache
def crd_objects() -> tuple[dict[str, Any], ...]:
    """Give the definitions of BaseModel and ClusterBaseModel, in this order; the same objects each time."""
    return tuple(_definition(kind) for kind in ModelKind)


def _definition(kind: ModelKind) -> dict[str, Any]:
    names = {"kind": kind.kind, "listKind": f"{kind.kind}List", "plural": kind.value, "singular": kind.kind.lower()}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.value}.{GROUP}", "labels": {OWNER_LABEL: OWNER}},
        "spec": {
            "group": GROUP,
            "names": names,
            "scope": "Namespaced" if kind.namespaced else "Cluster",
            "versions": [_version(kind)],
        },
    }


def _version(kind: ModelKind) -> dict[str, Any]:
    return {
        "name": VERSION,
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "additionalPrinterColumns": [_column(*row) for row in _COLUMNS],
        "schema": {
            "openAPIV3Schema": {
                "type": "object",
                "description": _DESCRIPTIONS[kind],
                "required": ["spec"],
                "properties": {
                    "apiVersion": {"type": "string"},
                    "kind": {"type": "string"},
                    "metadata": {"type": "object"},
                    "spec": spec_schema(),
                    "status": status_schema(),
                },
            }
        },
    }


_DESCRIPTIONS = {
    ModelKind.BASE_MODEL: "A model for one namespace: what it is, where its weights are, which nodes get them.",
    ModelKind.CLUSTER_BASE_MODEL: "A model for everybody: what it is, where its weights are, which nodes get them.",
}


def _column(name: str, kind: str, path: str, priority: int, description: str) -> dict[str, Any]:
    column: dict[str, Any] = {"name": name, "type": kind, "jsonPath": path, "description": description}
    return column | ({"priority": priority} if priority else {})
