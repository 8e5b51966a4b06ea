"""JSON schemas as pydantic writes them -> structural schemas as the API server wants them. Pure.

Structural: every value has one type, unknown keys have no place, nothing is a choice. What cannot be said so is said by
rules (`rules.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

_KEPT = (
    "type",
    "description",
    "enum",
    "pattern",
    "minLength",
    "maxLength",
    "minimum",
    "maximum",
    "minItems",
    "maxItems",
)
ANYTHING = {"x-kubernetes-preserve-unknown-fields": True}
"""The schema of a value of any kind: used where the content is somebody else's document."""


def structural(model: type[BaseModel]) -> dict[str, Any]:
    """Give the structural schema of a model, by its aliases."""
    schema = model.model_json_schema(by_alias=True)
    return _convert(schema, schema.get("$defs", {}))


def _convert(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> dict[str, Any]:
    if "$ref" in schema:
        target = definitions[schema["$ref"].rpartition("/")[2]]
        return _convert({**target, **{key: schema[key] for key in ("description",) if key in schema}}, definitions)
    if "anyOf" in schema:
        (only,) = (row for row in schema["anyOf"] if row.get("type") != "null")
        return _convert({**only, **{key: schema[key] for key in ("description",) if key in schema}}, definitions)
    if "type" not in schema and "const" not in schema:
        return {**{key: schema[key] for key in ("description",) if key in schema}, **ANYTHING}
    return _plain(schema) | _parts(schema, definitions)


def _plain(schema: Mapping[str, Any]) -> dict[str, Any]:
    found = {key: schema[key] for key in _KEPT if key in schema}
    if "exclusiveMinimum" in schema:
        found["minimum"] = schema["exclusiveMinimum"] + 1
    return found


def _parts(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> dict[str, Any]:
    if "items" in schema:
        return {"items": _convert(schema["items"], definitions)}
    if "properties" in schema:
        properties = {name: _convert(part, definitions) for name, part in schema["properties"].items()}
        return {"properties": properties} | ({"required": schema["required"]} if schema.get("required") else {})
    if isinstance(schema.get("additionalProperties"), dict):
        return {"additionalProperties": _convert(schema["additionalProperties"], definitions)}
    return {}
