"""Whose definitions a cluster has, and whether they are good enough for the agents. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from plinth_runtime.contract.model_names import VERSION
from pulumi_plinth.errors import Fault
from pulumi_plinth.model.crds.definition import OWNER, OWNER_LABEL

CrdPolicy = Literal["manage", "existing"]
"""manage: Plinth creates and changes the definitions; existing: somebody else does."""

_LISTS = {"nodesReady": "set", "nodesFailed": "set", "nodes": "map", "conditions": "map"}


def crd_faults(policy: CrdPolicy, name: str, found: Mapping[str, Any] | None, path: str) -> list[Fault]:
    """Judge what a cluster has under a definition's name before anything is changed. `found` None: nothing."""
    if policy == "manage":
        return _to_manage(name, found, path)
    if found is None:
        return [
            Fault(path, policy, f"finds no {name} in the cluster", "install the definitions first, or write manage")
        ]
    lacking = [field for field, kind in _LISTS.items() if _list_type(found, field) != kind]
    if lacking:
        problem = f"finds a {name} in which {', '.join(lacking)} are no lists that nodes can write side by side"
        return [Fault(path, policy, problem, "install Plinth's definitions, which take the same documents")]
    return []


def _to_manage(name: str, found: Mapping[str, Any] | None, path: str) -> list[Fault]:
    labels = (found or {}).get("metadata", {}).get("labels") or {}
    if found is None or labels.get(OWNER_LABEL) == OWNER:
        return []
    owner = labels.get(OWNER_LABEL, "somebody else")
    problem = f"would overwrite {name}, which belongs to {owner}"
    remedy = f"write existing, or hand it over: kubectl label crd {name} {OWNER_LABEL}={OWNER} --overwrite"
    return [Fault(path, "manage", problem, remedy)]


def _list_type(found: Mapping[str, Any], field: str) -> str | None:
    for version in found.get("spec", {}).get("versions", ()):
        if version.get("name") == VERSION:
            schema = version.get("schema", {}).get("openAPIV3Schema", {})
            part = schema.get("properties", {}).get("status", {}).get("properties", {}).get(field, {})
            found_type: str | None = part.get("x-kubernetes-list-type")
            return found_type
    return None
