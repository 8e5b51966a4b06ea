"""What an agent may do: exactly what it does. Pure.

Reading declarations and its node, writing their status, filling in empty fields, labelling its node, and reading those
secrets that declared models name. RBAC cannot say "its own node"; the guard (`guard.py`) does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from plinth_runtime.contract.model_names import AGENT_NAME, GROUP, ModelKind
from pulumi_plinth.model.crds.definition import OWNER, OWNER_LABEL
from pulumi_plinth.node_agent.spec import NodeAgentSpec

LABELS = {"app.kubernetes.io/name": AGENT_NAME, OWNER_LABEL: OWNER}
RBAC = "rbac.authorization.k8s.io"

RULES: tuple[dict[str, Any], ...] = (
    {"apiGroups": [GROUP], "resources": [kind.value for kind in ModelKind], "verbs": ["get", "list", "patch", "watch"]},
    {"apiGroups": [GROUP], "resources": [f"{kind.value}/status" for kind in ModelKind], "verbs": ["patch"]},
    {"apiGroups": [""], "resources": ["nodes"], "verbs": ["get", "list", "patch", "watch"]},
)
"""Patch is server-side apply: without the right to create it changes what is there only."""


@dataclass(frozen=True, slots=True, order=True)
class SecretName:
    """A Secret that a declared model names: the agent's namespace for ClusterBaseModels, else the model's own."""

    namespace: str
    name: str


def access_objects(spec: NodeAgentSpec, secrets: Sequence[SecretName]) -> Iterator[dict[str, Any]]:
    """Give the account, its rights in the whole cluster, and its right to each named secret."""
    account = {"kind": "ServiceAccount", "name": AGENT_NAME, "namespace": spec.namespace}
    yield {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": _metadata(spec.namespace)}
    yield {
        "apiVersion": f"{RBAC}/v1",
        "kind": "ClusterRole",
        "metadata": _metadata(),
        "rules": [dict(rule) for rule in RULES],
    }
    yield _binding("ClusterRoleBinding", "ClusterRole", _metadata(), account)
    for namespace in sorted({secret.namespace for secret in secrets}):
        names = sorted(secret.name for secret in secrets if secret.namespace == namespace)
        rule = {"apiGroups": [""], "resources": ["secrets"], "resourceNames": names, "verbs": ["get"]}
        yield {"apiVersion": f"{RBAC}/v1", "kind": "Role", "metadata": _metadata(namespace), "rules": [rule]}
        yield _binding("RoleBinding", "Role", _metadata(namespace), account)


def _binding(kind: str, role: str, metadata: dict[str, Any], account: dict[str, str]) -> dict[str, Any]:
    reference = {"apiGroup": RBAC, "kind": role, "name": AGENT_NAME}
    return {"apiVersion": f"{RBAC}/v1", "kind": kind, "metadata": metadata, "roleRef": reference, "subjects": [account]}


def _metadata(namespace: str | None = None) -> dict[str, Any]:
    return {"labels": dict(LABELS), "name": AGENT_NAME} | ({"namespace": namespace} if namespace else {})
