"""The pod template. It passes Pod Security `restricted`: no root, no privileges, nothing of the node. Pure."""

from __future__ import annotations

from pulumi_plinth import naming
from pulumi_plinth.deployment.kubernetes.objects.common import Manifest, matching, references, without_empty
from pulumi_plinth.deployment.kubernetes.objects.containers import fetches, server
from pulumi_plinth.deployment.kubernetes.objects.volumes import volumes
from pulumi_plinth.deployment.kubernetes.plan import ServerPlan
from pulumi_plinth.deployment.pod_spec import TolerationSpec


def template(plan: ServerPlan, **labels: str) -> Manifest:
    """Return the template; `labels` are further ones, such as a group's number."""
    digest = plan.launch.digest()
    return {
        "metadata": {
            "annotations": {**plan.pod.annotations, naming.LAUNCH_ANNOTATION: digest},
            "labels": {**plan.pod.labels, **naming.labels(plan.name), **labels},
        },
        "spec": without_empty(
            {
                "automountServiceAccountToken": False,
                "containers": [server(plan)],
                "enableServiceLinks": False,
                "imagePullSecrets": references(plan.placement.pull_secrets),
                "initContainers": list(fetches(plan)),
                "nodeSelector": dict(plan.placement.node_selector),
                "priorityClassName": plan.pod.priority_class,
                "runtimeClassName": plan.pod.runtime_class,
                "securityContext": {
                    "fsGroup": plan.user,
                    "fsGroupChangePolicy": "OnRootMismatch",
                    "runAsNonRoot": True,
                    "runAsUser": plan.user,
                    "seccompProfile": {"type": "RuntimeDefault"},
                },
                "serviceAccountName": plan.placement.account,
                "terminationGracePeriodSeconds": plan.timing.grace,
                "tolerations": [toleration(item) for item in plan.placement.tolerations],
                "topologySpreadConstraints": _spread(plan),
                "volumes": list(volumes(plan)),
            }
        ),
    }


def toleration(item: TolerationSpec) -> Manifest:
    """Write a toleration."""
    return without_empty(
        {"key": item.key, "operator": item.operator, "value": item.value, "effect": item.effect},
    )


def _spread(plan: ServerPlan) -> list[Manifest]:
    """Spread replicas where that is possible; members of a group take whole nodes anyway."""
    if plan.workload.grouped:
        return []
    return [
        {
            "labelSelector": matching(plan),
            "maxSkew": 1,
            "topologyKey": plan.pod.spread,
            "whenUnsatisfiable": "ScheduleAnyway",
        }
    ]
