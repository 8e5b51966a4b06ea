"""All objects of the node agent, in the order in which they may be applied: plain dicts, nothing decided. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from plinth_runtime.contract.model_names import AGENT_NAME, ModelKey, ModelKind
from plinth_runtime.contract.uri import StorageUri
from pulumi_plinth.model.spec import ModelSpec
from pulumi_plinth.node_agent.access import LABELS, SecretName, access_objects
from pulumi_plinth.node_agent.guard import guard_objects
from pulumi_plinth.node_agent.spec import NodeAgentSpec, TolerationSpec

MODELS, SCRATCH = "models", "scratch"
PORT = "health"
GRACE_SECONDS = 15
"""Fetches are told to end and end within two seconds; what has arrived is kept."""

_CLOSED = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
    "runAsUser": 0,
    "seccompProfile": {"type": "RuntimeDefault"},
}
"""Root without any capability: the folder on the node belongs to root, and nothing else of the node is there."""


def node_agent_objects(spec: NodeAgentSpec, secrets: Sequence[SecretName] = ()) -> tuple[dict[str, Any], ...]:
    """Give namespace, account, rights, guard and DaemonSet; `secrets` are those that declared models name."""
    return (*_namespace(spec), *access_objects(spec, secrets), *guard_objects(spec), _daemon_set(spec))


def secrets_of(models: Iterable[tuple[ModelKey, ModelSpec]], spec: NodeAgentSpec) -> tuple[SecretName, ...]:
    """Give the secrets that the agents must read for these models; stores of pods and vendors need none."""
    found = set()
    for key, model in models:
        storage = model.storage
        if storage is None or storage.key is None or storage.uri is None:
            continue
        if StorageUri.parse(storage.uri).scheme not in ("local", "pvc", "vendor"):
            place = key.namespace if key.kind is ModelKind.BASE_MODEL else spec.namespace
            found.add(SecretName(place, storage.key))
    return tuple(sorted(found))


def _namespace(spec: NodeAgentSpec) -> Iterator[dict[str, Any]]:
    if spec.manage_namespace:
        labels = {**LABELS, "pod-security.kubernetes.io/enforce": "privileged"}
        yield {"apiVersion": "v1", "kind": "Namespace", "metadata": {"labels": labels, "name": spec.namespace}}


def _daemon_set(spec: NodeAgentSpec) -> dict[str, Any]:
    selector = {"app.kubernetes.io/name": AGENT_NAME}
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"labels": dict(LABELS), "name": AGENT_NAME, "namespace": spec.namespace},
        "spec": {
            "selector": {"matchLabels": selector},
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "10%"}},
            "template": {"metadata": {"labels": dict(LABELS)}, "spec": _pod(spec)},
        },
    }


def _pod(spec: NodeAgentSpec) -> dict[str, Any]:
    pod: dict[str, Any] = {
        "serviceAccountName": AGENT_NAME,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        "tolerations": [_toleration(row) for row in spec.tolerations],
        "containers": [_container(spec)],
        "volumes": [
            {"name": MODELS, "hostPath": {"path": spec.root, "type": "DirectoryOrCreate"}},
            {"name": SCRATCH, "emptyDir": {"sizeLimit": "1Gi"}},
        ],
    }
    if spec.node_selector:
        pod["nodeSelector"] = dict(spec.node_selector)
    if spec.priority_class:
        pod["priorityClassName"] = spec.priority_class
    if spec.image_pull_secrets:
        pod["imagePullSecrets"] = [{"name": name} for name in spec.image_pull_secrets]
    return pod


def _container(spec: NodeAgentSpec) -> dict[str, Any]:
    name = {"name": "NODE_NAME", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}
    variables = {"HOME": "/tmp", **spec.environment}  # noqa: S108 the emptyDir
    return {
        "name": "agent",
        "image": spec.image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["plinth-runtime"],
        "args": [
            *("node", "--node", "$(NODE_NAME)", "--root", spec.root, "--namespace", spec.namespace),
            *("--fetches", str(spec.fetches), "--sweep-seconds", f"{spec.sweep:g}", "--port", str(spec.port)),
        ],
        "env": [name, *({"name": key, "value": value} for key, value in sorted(variables.items()))],
        "ports": [{"name": PORT, "containerPort": spec.port, "protocol": "TCP"}],
        "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": spec.memory}},
        "volumeMounts": [{"name": MODELS, "mountPath": spec.root}, {"name": SCRATCH, "mountPath": "/tmp"}],  # noqa: S108
        "readinessProbe": _probe("/readyz", 5),
        "livenessProbe": _probe("/livez", 30),
        "securityContext": dict(_CLOSED),
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }


def _probe(path: str, period: int) -> dict[str, Any]:
    asked = {"path": path, "port": PORT, "scheme": "HTTP"}
    return {"httpGet": asked, "periodSeconds": period, "failureThreshold": 3, "timeoutSeconds": 4}


def _toleration(row: TolerationSpec) -> dict[str, Any]:
    return row.model_dump(mode="json", exclude_none=True)
