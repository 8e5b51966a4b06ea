"""Kubernetes objects as Pulumi resources: the dicts that `manifests` made, nothing added but how they are awaited.

`pulumi_kubernetes` is imported when there is something to make, so that stacks without a cluster do not wait for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pulumi

from pulumi_plinth import naming
from pulumi_plinth.deployment.kubernetes.objects.common import Manifest

WORKLOADS = frozenset({"Deployment", "StatefulSet", "LeaderWorkerSet"})
NEEDED = frozenset({"CustomResourceDefinition", "Namespace", "ServiceAccount", "ConfigMap", "NetworkPolicy"})
"""What must be there before what follows; a pod that is a moment older than its policy is unguarded."""

SKIPPED = {"pulumi.com/skipAwait": "true"}
AWAITED = {
    "LeaderWorkerSet": {"pulumi.com/waitFor": "condition=Available"},
    "PodMonitor": SKIPPED,
    "ScaledObject": SKIPPED,
    "Service": SKIPPED,
}
"""How the provider is told to wait, by kind. A Service would be waited for until a pod is ready, ten minutes at most:
that is what the workload is for, within the plan's own limit. The custom resources tell other controllers something.
"""

MARGIN_SECONDS = 60
"""After the API server's own deadline, which says why a rollout failed."""


def make_provider(name: str, config: Mapping[str, str | None], opts: pulumi.ResourceOptions) -> pulumi.ProviderResource:
    """Make the provider of a cluster. The cluster is known by what the stack file says of it, not by file contents: a
    renewed token is an update, another context another cluster.
    """
    import pulumi_kubernetes

    identifier = "#".join(config.get(key) or "default" for key in ("kubeconfig", "context"))
    return pulumi_kubernetes.Provider(
        name,
        kubeconfig=config.get("kubeconfig"),
        context=config.get("context"),
        cluster_identifier=identifier,
        enable_server_side_apply=True,
        opts=opts,
    )


def suffix_of(item: Manifest) -> str:
    """Name an object inside its component: its kind, and what its own name adds to the deployment's."""
    kind = str(item["kind"]).lower()
    own = item["metadata"]["labels"].get(naming.INSTANCE_LABEL, item["metadata"]["name"])
    tail = "" if kind == "configmap" else str(item["metadata"]["name"]).removeprefix(own)
    return f"{kind}{tail}"


def make_objects(
    name: str,
    objects: Iterable[Manifest],
    seconds: int,
    opts: pulumi.ResourceOptions,
    key: Callable[[Manifest], str] = suffix_of,
) -> dict[str, pulumi.CustomResource]:
    """Register objects in their order, each by a name (`key`) that stays when its content changes. What pods need comes
    before the pods, and what looks after pods comes after them; `seconds` bounds a rollout.
    """
    made: dict[str, pulumi.CustomResource] = {}
    needed: list[pulumi.Resource] = []
    for item in objects:
        limit = f"{seconds + MARGIN_SECONDS}s"
        timeouts = pulumi.CustomTimeouts(create=limit, update=limit) if item["kind"] in WORKLOADS else None
        more = pulumi.ResourceOptions(custom_timeouts=timeouts, depends_on=[*needed])
        resource = _make(naming.child(name, suffix := key(item)), item, pulumi.ResourceOptions.merge(opts, more))
        made[suffix] = resource
        if item["kind"] in NEEDED:
            needed.append(resource)
    return made


def _make(name: str, item: Manifest, opts: pulumi.ResourceOptions) -> pulumi.CustomResource:
    import pulumi_kubernetes as kubernetes

    admission = kubernetes.admissionregistration
    kinds: dict[str, Any] = {
        "ClusterRole": lambda: kubernetes.rbac.v1.ClusterRole,
        "ClusterRoleBinding": lambda: kubernetes.rbac.v1.ClusterRoleBinding,
        "ConfigMap": lambda: kubernetes.core.v1.ConfigMap,
        "CustomResourceDefinition": lambda: kubernetes.apiextensions.v1.CustomResourceDefinition,
        "DaemonSet": lambda: kubernetes.apps.v1.DaemonSet,
        "Deployment": lambda: kubernetes.apps.v1.Deployment,
        "HorizontalPodAutoscaler": lambda: kubernetes.autoscaling.v2.HorizontalPodAutoscaler,
        "Namespace": lambda: kubernetes.core.v1.Namespace,
        "NetworkPolicy": lambda: kubernetes.networking.v1.NetworkPolicy,
        "PodDisruptionBudget": lambda: kubernetes.policy.v1.PodDisruptionBudget,
        "Role": lambda: kubernetes.rbac.v1.Role,
        "RoleBinding": lambda: kubernetes.rbac.v1.RoleBinding,
        "Service": lambda: kubernetes.core.v1.Service,
        "ServiceAccount": lambda: kubernetes.core.v1.ServiceAccount,
        "StatefulSet": lambda: kubernetes.apps.v1.StatefulSet,
        "ValidatingAdmissionPolicy": lambda: admission.v1.ValidatingAdmissionPolicy,
        "ValidatingAdmissionPolicyBinding": lambda: (
            kubernetes.admissionregistration.v1.ValidatingAdmissionPolicyBinding
        ),
    }
    body = _awaited(item)
    if item["kind"] in kinds:
        resource: pulumi.CustomResource = kinds[item["kind"]]()(name, opts=opts, **_arguments(body))
        return resource
    return kubernetes.apiextensions.CustomResource(
        name, api_version=item["apiVersion"], kind=item["kind"], opts=opts, **body
    )


def _arguments(body: Mapping[str, Any]) -> dict[str, Any]:
    """Spell the outermost keys as Python's constructors do; inner ones are the API's."""
    spelled = {"automountServiceAccountToken": "automount_service_account_token", "roleRef": "role_ref"}
    return {spelled.get(key, key): value for key, value in body.items()}


def _awaited(item: Manifest) -> dict[str, Any]:
    """Return an object without its type, and with the note that says how long it is waited for."""
    body = {key: value for key, value in item.items() if key not in ("apiVersion", "kind")}
    if notes := AWAITED.get(item["kind"]):
        metadata = body["metadata"]
        body["metadata"] = {**metadata, "annotations": {**metadata.get("annotations", {}), **notes}}
    return body
