"""The guard: admission policies by which an agent changes its own node's model labels and nothing else. Pure.

The API server knows which node an account's token was made for; RBAC cannot use that, a policy can.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from plinth_runtime.contract.model_names import AGENT_NAME, GROUP, OME_DOMAIN, OUR_DOMAIN, VERSION, ModelKind
from pulumi_plinth.node_agent.access import LABELS
from pulumi_plinth.node_agent.spec import NodeAgentSpec

_API = "admissionregistration.k8s.io/v1"
_NODE = "authentication.kubernetes.io/node-name"
_OURS = f"(name.startsWith('{OME_DOMAIN}/') || name.startsWith('{OUR_DOMAIN}/'))"
_SAME = "has(object.metadata.{0}) == has(oldObject.metadata.{0}) && (!has(object.metadata.{0}) || "
_UNTOUCHED = (_SAME + "object.metadata.{0} == oldObject.metadata.{0})").format
_KEPT_OR_OURS = (
    f"variables.after.all(name, {_OURS} || "
    "(name in variables.before && variables.after[name] == variables.before[name]))"
)

_NODES = (
    (
        f"'{_NODE}' in request.userInfo.extra && request.userInfo.extra['{_NODE}'] == [object.metadata.name]",
        "an agent may label the node that it runs on only",
    ),
    ("object.spec == oldObject.spec", "an agent may not change a node's spec, such as its taints"),
    (_UNTOUCHED("annotations"), "an agent may not change annotations"),
    (
        _KEPT_OR_OURS,
        "an agent may set labels about models only",
    ),
    (
        f"variables.before.all(name, {_OURS} || name in variables.after)",
        "an agent may remove labels about models only",
    ),
)
_MODELS = (
    ("object.spec.storage == oldObject.spec.storage", "an agent may not change where a model comes from or goes"),
    (_UNTOUCHED("labels"), "an agent may not change labels"),
    (_UNTOUCHED("annotations"), "an agent may not change annotations"),
)


def guard_objects(spec: NodeAgentSpec) -> Iterator[dict[str, Any]]:
    """Give two policies and their bindings."""
    variables = [
        {"name": "after", "expression": "has(object.metadata.labels) ? object.metadata.labels : {}"},
        {"name": "before", "expression": "has(oldObject.metadata.labels) ? oldObject.metadata.labels : {}"},
    ]
    nodes = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["UPDATE"], "resources": ["nodes"]}
    yield from _policy(
        spec, f"{AGENT_NAME}-nodes", nodes, {"variables": variables, "validations": _validations(_NODES)}
    )
    plurals = [kind.value for kind in ModelKind]
    models = {"apiGroups": [GROUP], "apiVersions": [VERSION], "operations": ["UPDATE"], "resources": plurals}
    yield from _policy(spec, f"{AGENT_NAME}-models", models, {"validations": _validations(_MODELS)})


def _validations(rows: tuple[tuple[str, str], ...]) -> list[dict[str, str]]:
    return [{"expression": expression, "message": message} for expression, message in rows]


def _policy(spec: NodeAgentSpec, name: str, rule: dict[str, Any], body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    account = f"system:serviceaccount:{spec.namespace}:{AGENT_NAME}"
    condition = {"name": "agents", "expression": f"request.userInfo.username == '{account}'"}
    content = {
        "failurePolicy": "Fail",
        "matchConstraints": {"resourceRules": [rule]},
        "matchConditions": [condition],
        **body,
    }
    metadata = {"labels": dict(LABELS), "name": name}
    yield {"apiVersion": _API, "kind": "ValidatingAdmissionPolicy", "metadata": metadata, "spec": content}
    binding = {"policyName": name, "validationActions": ["Deny"]}
    yield {"apiVersion": _API, "kind": "ValidatingAdmissionPolicyBinding", "metadata": metadata, "spec": binding}
