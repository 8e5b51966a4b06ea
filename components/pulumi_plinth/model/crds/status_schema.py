"""The schema of `status`: lists that many nodes' agents write at once without losing each other's entries. Pure.

`nodesReady` and `nodesFailed` are sets and `nodes` is a map by name, so server-side apply knows each item's owner.
"""

from __future__ import annotations

from typing import Any

from plinth_runtime.contract.model_status import MAX_NODES, NAME_LENGTH, Condition, ModelState, NodeEntry
from pulumi_plinth.model.crds.structural import structural

LIFECYCLE = ("Deprecated", "Experiment", "Public", "Internal")
"""OME's field has these values; nobody writes it."""


def status_schema() -> dict[str, Any]:
    """Give the schema of `status`."""
    return {
        "type": "object",
        "description": "What the nodes say, and the state that follows from it. Written by the nodes' agents only.",
        "properties": {
            "state": {
                "type": "string",
                "description": "Ready as soon as one node has the content; nodes and conditions say the rest.",
                "enum": [state.value for state in ModelState],
            },
            "lifecycle": {
                "type": "string",
                "description": "OME's field; its lifecycle phases are annotations of the declaration here.",
                "enum": list(LIFECYCLE),
            },
            "nodesReady": _names("Nodes that have content to serve."),
            "nodesFailed": _names("Nodes that have none because fetching failed; status.nodes says why."),
            "nodes": _map("Each node's own words.", structural(NodeEntry), "name", MAX_NODES),
            "conditions": _map("Ready and UpToDate, with reasons.", structural(Condition), "type", len(ModelState)),
        },
    }


def _names(description: str) -> dict[str, Any]:
    items = {"type": "string", "minLength": 1, "maxLength": NAME_LENGTH}
    return {
        "type": "array",
        "description": description,
        "items": items,
        "maxItems": MAX_NODES,
        "x-kubernetes-list-type": "set",
    }


def _map(description: str, items: dict[str, Any], key: str, limit: int) -> dict[str, Any]:
    return {
        "type": "array",
        "description": description,
        "items": items,
        "maxItems": limit,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": [key],
    }
