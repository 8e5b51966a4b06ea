"""Models of a stack as objects of a cluster, and back. Pure: the same table as for documents that people have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pulumi_plinth.model.dialects.ome import OME
from pulumi_plinth.model.dialects.source import Document
from pulumi_plinth.model.dialects.table import Model, dump, read_document
from pulumi_plinth.model.findings import Finding
from pulumi_plinth.model.spec import ModelSpec


def model_object(
    name: str, spec: ModelSpec, address: str | None = None, namespace: str | None = None
) -> dict[str, Any]:
    """Write a model as BaseModel or ClusterBaseModel.

    `address` is where its store keeps it, for a model that names a store instead of an address; `namespace` is where a
    namespaced model goes that names none. Raises Unwritable for one that has no address at all.
    """
    data = dump(spec)
    if address is not None:
        data.setdefault("storage", {})["uri"] = address
    if spec.scope == "namespaced" and namespace is not None:
        data.setdefault("namespace", namespace)
    document: dict[str, Any] = OME.write(name, data)
    return document


def model_of(document: Mapping[str, Any]) -> tuple[Model | None, list[Finding]]:
    """Read an object of the cluster. What is wrong with it or lost is said; None if it is no model."""
    model, reading = read_document(Document("cluster", 1, dict(document)), OME)
    return model, [*reading.errors, *reading.warnings]
