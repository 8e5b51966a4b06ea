"""The schema of `spec`, from the table by which OME's documents are read: one field per row, typed as ours. Pure.

So whatever the dialect reads the API server takes, and whatever our spec documents the cluster explains.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from pulumi_plinth.model.crds.rules import STORAGE_RULES
from pulumi_plinth.model.crds.structural import structural
from pulumi_plinth.model.dialects import paths
from pulumi_plinth.model.dialects.ome import PLACES, SPEC
from pulumi_plinth.model.dialects.table import Row
from pulumi_plinth.model.spec import ModelSpec

_LIMITS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "maxTokens": {"format": "int32"},
        "modelParameterSize": {"pattern": r"^[0-9]+(\.[0-9]+)?[KMBTkmbt]?$", "maxLength": 32},
        "modelFormat.weight": {"format": "int64"},
        "modelFramework.weight": {"format": "int64"},
        "deprecationTime": {"maxLength": 40},
        "storage.storageUri": {"minLength": 1, "maxLength": 2048},
        "storage.path": {"minLength": 1, "maxLength": 2048},
        "storage.key": {"maxLength": 253},
        "storage.storageKey": {"maxLength": 253},
        "storage.parameters": {"maxProperties": 64},
        "storage.nodeSelector": {"maxProperties": 64},
    }
)
"""Bounds that the API server can check and our specs check otherwise, by place below `spec`."""

_PREFIX = "spec."


def spec_schema() -> dict[str, Any]:
    """Give the schema of `spec`."""
    ours = structural(ModelSpec)
    schema: dict[str, Any] = {
        "type": "object",
        "description": "What the model is, where its weights come from and which nodes get them.",
        "required": ["storage"],
        "properties": {},
    }
    for place, part, required in _fields(ours):
        _put(schema, place, part, required=required)
    storage = schema["properties"]["storage"]
    storage["description"] = "Where the weights come from and how they reach the nodes."
    storage["x-kubernetes-validations"] = STORAGE_RULES
    return schema


def _fields(ours: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any], bool]]:
    """Give every place below `spec` with its schema and whether it must be there."""
    for row in (*SPEC, *PLACES):
        if not row.theirs.startswith(_PREFIX):
            continue
        part, required = _ours(ours, row)
        for place in (row.theirs, *row.also):
            name = place.removeprefix(_PREFIX)
            other = {} if place == row.theirs else {"description": f"Deprecated spelling of {row.theirs}."}
            yield name, {**part, **_LIMITS.get(name, {}), **other}, required and place == row.theirs


def _ours(ours: Mapping[str, Any], row: Row) -> tuple[dict[str, Any], bool]:
    """Find the field of our spec that a row is read into. Parents that must be there only if used are not required."""
    part: Mapping[str, Any] = ours
    required = False
    for key in paths.split(row.ours):
        required = key in part.get("required", ())
        part = part["properties"][key]
    return dict(part), required


def _put(schema: dict[str, Any], place: str, part: dict[str, Any], *, required: bool) -> None:
    *parents, last = paths.split(place)
    for key in parents:
        schema = schema["properties"].setdefault(key, {"type": "object", "properties": {}})
    schema["properties"][last] = part
    if required:
        schema["required"] = sorted({*schema.get("required", ()), last})
