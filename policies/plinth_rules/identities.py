"""Pods have rights by workload identity, each for one thing; nodes and keys have none."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from plinth_rules.resource import Resource, Rule, at, each, items, objects, pod_of

POLICY, DYNAMIC_GROUP = "oci:Identity/policy:Policy", "oci:Identity/dynamicGroup:DynamicGroup"
NEEDED = ("request.principal.namespace", "request.principal.service_account", "request.principal.cluster_id")
AUTOSCALER = "kube-system/cluster-autoscaler"
"""OKE's own autoscaler, whose rights OCI cannot narrow to single pools."""

_ANY_USER = re.compile(r"^\s*allow\s+any-user\s", re.IGNORECASE)
_GROUP = re.compile(r"^\s*allow\s+dynamic-group\s+(\S+)\s", re.IGNORECASE)
_SERVICES = re.compile(r"request\.principal\.type\s*=\s*'(nodepool|cluster)'", re.IGNORECASE)
_INSTANCE = ("instance_principal", "InstancePrincipal")


def _check(resource: Resource, config: Mapping[str, Any]) -> Iterator[str]:
    allowed = config.get("dynamicGroups", [])
    if resource.type == DYNAMIC_GROUP and resource.name not in allowed:
        yield (
            f"{resource.name} is a dynamic group, whose rights every process on its nodes has; use workload identity, "
            "or name it under `dynamicGroups` of this policy (nodes that join by themselves need one)"
        )
    if resource.type == POLICY:
        for statement in items(resource.props.get("statements")):
            yield from (
                f"{resource.name}: `{statement}` {wrong}" for wrong in _statement_faults(str(statement), config)
            )
    yield from _pod_faults(resource)


def _statement_faults(statement: str, config: Mapping[str, Any]) -> Iterator[str]:
    group = _GROUP.match(statement)
    if group and group[1] not in config.get("dynamicGroups", []):
        remedy = "grant to a service account: any-user where all {request.principal.type='workload', …}"
        yield f"grants to a dynamic group; {remedy}"
    if _ANY_USER.match(statement) and not _SERVICES.search(statement):
        missing = [name for name in NEEDED if name not in statement]
        if missing:
            yield f"grants to any-user without {', '.join(missing)}; add them inside `where all {{…}}`"
        elif "target." not in statement and _account(statement) not in config.get("wide", [AUTOSCALER]):
            yield "grants on everything in the compartment; name one thing, such as target.bucket.name='…'"
    if re.search(r"\smanage\s+all-resources\s", statement, re.IGNORECASE):
        yield "grants everything; write the verb and the resource that are needed"


def _account(statement: str) -> str:
    found = dict(re.findall(r"request\.principal\.(namespace|service_account)\s*=\s*'([^']*)'", statement))
    return f"{found.get('namespace')}/{found.get('service_account')}"


def _pod_faults(resource: Resource) -> Iterator[str]:
    pod = pod_of(resource)
    for kind in ("containers", "initContainers"):
        for container in objects(pod.get(kind)) if pod else []:
            for variable in objects(container.get("env")):
                if variable.get("name") == "OCI_CLI_AUTH" and variable.get("value") in _INSTANCE:
                    yield (
                        f"{resource.name}: container {container.get('name')} logs in as its node; "
                        "write OCI_CLI_AUTH: oke_workload_identity, or leave it out"
                    )
    if pod is not None and at(pod, "hostNetwork") is True and at(pod, "serviceAccountName") in (None, "default"):
        yield f"{resource.name} is on the node's network under the default account; write serviceAccountName of its own"


IDENTITIES = Rule(
    "workload-identity-only",
    "Rights on OCI belong to service accounts, one thing at a time.",
    each(_check),
    {
        "dynamicGroups": {
            "type": "array",
            "items": {"type": "string"},
            "default": [],
            "description": "Dynamic groups that may be, such as the one that lets nodes join by themselves.",
        },
        "wide": {
            "type": "array",
            "items": {"type": "string"},
            "default": [AUTOSCALER],
            "description": "Service accounts, as namespace/name, that may act on a whole compartment.",
        },
    },
)
