"""Autoscalers and the collection of metrics. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from pulumi_plinth import naming
from pulumi_plinth.deployment.kubernetes.objects.common import MANAGEMENT, Manifest, head, matching
from pulumi_plinth.deployment.kubernetes.objects.workloads import KINDS
from pulumi_plinth.deployment.kubernetes.plan import ServerPlan
from pulumi_plinth.deployment.kubernetes.scaling import Scaling

MINUTE = 60
FAILURES = 3
"""Times that Prometheus may say nothing before KEDA falls back to the fewest replicas."""

INSTANCE = naming.INSTANCE_LABEL.replace(".", "_").replace("/", "_")
"""The label as Prometheus writes it."""


def autoscaler(plan: ServerPlan) -> Manifest | None:
    """Return the autoscaler, if the deployment has one."""
    if plan.scaling is None:
        return None
    return _scaled_object(plan, plan.scaling) if plan.scaling.by == "keda" else _horizontal(plan, plan.scaling)


def adapter_metric(name: str) -> str:
    """Return the name under which an adapter must offer an engine's metric: Kubernetes' names know no colon."""
    return name.replace(":", "_")


def pod_monitor(plan: ServerPlan) -> Manifest | None:
    """Return what tells Prometheus' operator where the metrics are: the agent's and the engine's on one page."""
    monitoring = plan.monitoring
    if monitoring is None:
        return None
    made = head(("monitoring.coreos.com/v1", "PodMonitor"), plan)
    made["metadata"]["labels"] = {**monitoring.labels, **made["metadata"]["labels"]}
    endpoint = {"interval": f"{monitoring.interval:g}s", "path": "/metrics", "port": MANAGEMENT}
    spec = {
        "podMetricsEndpoints": [endpoint],
        "podTargetLabels": [naming.INSTANCE_LABEL],
        "selector": matching(plan),
    }
    return {**made, "spec": spec}


def _target(plan: ServerPlan) -> Manifest:
    version, kind = KINDS[plan.workload.kind]
    return {"apiVersion": version, "kind": kind, "name": plan.name}


def _behavior(scaling: Scaling) -> Manifest:
    """One replica is taken away a minute at most: each has answers to finish."""
    return {
        "scaleDown": {
            "policies": [{"periodSeconds": MINUTE, "type": "Pods", "value": 1}],
            "stabilizationWindowSeconds": scaling.down_window,
        },
        "scaleUp": {
            "policies": [{"periodSeconds": MINUTE, "type": "Pods", "value": scaling.step}],
            "stabilizationWindowSeconds": scaling.up_window,
        },
    }


def _horizontal(plan: ServerPlan, scaling: Scaling) -> Manifest:
    metrics = [
        {
            "type": "Pods",
            "pods": {
                "metric": {"name": adapter_metric(name)},
                "target": {"averageValue": f"{bound:g}", "type": "AverageValue"},
            },
        }
        for name, bound in scaling.metrics
    ]
    spec = {
        "behavior": _behavior(scaling),
        "maxReplicas": scaling.most,
        "metrics": metrics,
        "minReplicas": scaling.least,
        "scaleTargetRef": _target(plan),
    }
    return {**head(("autoscaling/v2", "HorizontalPodAutoscaler"), plan), "spec": spec}


def _scaled_object(plan: ServerPlan, scaling: Scaling) -> Manifest:
    spec = {
        "advanced": {"horizontalPodAutoscalerConfig": {"behavior": _behavior(scaling)}},
        "fallback": {"failureThreshold": FAILURES, "replicas": scaling.least},
        "maxReplicaCount": scaling.most,
        "minReplicaCount": scaling.least,
        "pollingInterval": 15,
        "scaleTargetRef": _target(plan),
        "triggers": list(_triggers(plan, scaling)),
    }
    return {**head(("keda.sh/v1alpha1", "ScaledObject"), plan), "spec": spec}


def _triggers(plan: ServerPlan, scaling: Scaling) -> Iterator[Manifest]:
    for name, bound in scaling.metrics:
        query = f'sum({name}{{namespace="{plan.namespace}",{INSTANCE}="{plan.name}"}})'
        metadata = {
            "ignoreNullValues": "false",  # no data is a fault, not a load of nothing
            "query": query,
            "serverAddress": scaling.prometheus,
            "threshold": f"{bound:g}",
        }
        yield {"type": "prometheus", "metricType": "AverageValue", "metadata": metadata}
