"""A ServerPlan -> its objects, in the order in which they are best applied. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pulumi_plinth.deployment.kubernetes.objects.common import Manifest
from pulumi_plinth.deployment.kubernetes.objects.guards import disruption_budget, network_policy
from pulumi_plinth.deployment.kubernetes.objects.scalers import autoscaler, pod_monitor
from pulumi_plinth.deployment.kubernetes.objects.services import account, launch_map, services
from pulumi_plinth.deployment.kubernetes.objects.workloads import workloads
from pulumi_plinth.deployment.kubernetes.plan import ServerPlan
from pulumi_plinth.deployment.kubernetes.spec import KubernetesSpec

RESTRICTED = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("audit", "enforce", "warn")}


def manifests(plan: ServerPlan) -> tuple[Manifest, ...]:
    """Return every object of a deployment: what pods need, the pods, what looks after them."""
    return tuple(_made(plan))


def _made(plan: ServerPlan) -> Iterator[Manifest]:
    yield from _there((account(plan),))
    yield launch_map(plan)
    yield network_policy(plan)
    yield from services(plan)
    yield from workloads(plan)
    yield disruption_budget(plan)
    yield from _there((autoscaler(plan), pod_monitor(plan)))


def _there(found: Iterable[Manifest | None]) -> Iterator[Manifest]:
    return (item for item in found if item is not None)


def common_manifests(cluster: KubernetesSpec) -> tuple[Manifest, ...]:
    """Return what all deployments of a stack share: their namespace, whose pods must be `restricted`."""
    if cluster.namespaces == "existing":
        return ()
    labels = {"app.kubernetes.io/managed-by": "plinth", **RESTRICTED}
    return ({"apiVersion": "v1", "kind": "Namespace", "metadata": {"labels": labels, "name": cluster.namespace}},)
