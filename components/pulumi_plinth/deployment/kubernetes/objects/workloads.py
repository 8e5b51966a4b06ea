"""The object that runs the pods: a Deployment, StatefulSets (one for each group), or a LeaderWorkerSet. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from pulumi_plinth import naming
from pulumi_plinth.deployment.kubernetes.objects.common import Manifest, head, matching
from pulumi_plinth.deployment.kubernetes.objects.pod import template
from pulumi_plinth.deployment.kubernetes.plan import ServerPlan

DEPLOYMENT, STATEFUL_SET = ("apps/v1", "Deployment"), ("apps/v1", "StatefulSet")
LEADER_WORKER_SET = ("leaderworkerset.x-k8s.io/v1", "LeaderWorkerSet")
KINDS = {"deployment": DEPLOYMENT, "stateful-set": STATEFUL_SET, "leader-worker-set": LEADER_WORKER_SET}
REVISIONS = 5
"""Older revisions that `kubectl rollout undo` can go back to; their ConfigMaps are kept by whoever applies."""


def workloads(plan: ServerPlan) -> Iterator[Manifest]:
    """Yield the workload; groups without LeaderWorkerSet are one StatefulSet each."""
    if plan.workload.kind == "deployment":
        yield _deployment(plan)
    elif plan.workload.kind == "leader-worker-set":
        yield _leader_worker_set(plan)
    elif not plan.workload.grouped:
        yield _stateful_set(plan, plan.workload.replicas)
    else:
        yield from (_group(plan, number) for number in range(plan.workload.replicas or 0))


def _replicas(plan: ServerPlan) -> Manifest:
    """Leave the number out where an autoscaler owns it, or every apply would reset it."""
    return {} if plan.workload.replicas is None else {"replicas": plan.workload.replicas}


def _deployment(plan: ServerPlan) -> Manifest:
    spec = {
        **_replicas(plan),
        "progressDeadlineSeconds": plan.timing.progress,
        "revisionHistoryLimit": REVISIONS,
        "selector": matching(plan),
        "strategy": _strategy(plan),
        "template": template(plan),
    }
    return {**head(DEPLOYMENT, plan), "spec": spec}


def _strategy(plan: ServerPlan) -> Manifest:
    if plan.workload.strategy == "recreate":
        return {"type": "Recreate"}
    surge = plan.workload.strategy == "surge"
    return {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": int(surge), "maxUnavailable": int(not surge)}}


def _stateful_set(plan: ServerPlan, replicas: int | None) -> Manifest:
    """One pod a replica, under a name that stays."""
    count = {} if replicas is None else {"replicas": replicas}
    return {**head(STATEFUL_SET, plan), "spec": {**count, **_set_spec(plan), "selector": matching(plan)}}


def _group(plan: ServerPlan, number: int) -> Manifest:
    label = {naming.GROUP_LABEL: str(number)}
    spec = {"replicas": plan.workload.size, **_set_spec(plan, **label), "selector": matching(plan, **label)}
    return {**head(STATEFUL_SET, plan, naming.group_set(plan.name, number)), "spec": spec}


def _set_spec(plan: ServerPlan, **labels: str) -> Manifest:
    """Start all pods of a group at once: they wait for each other."""
    return {
        "podManagementPolicy": "Parallel",
        "revisionHistoryLimit": REVISIONS,
        "serviceName": naming.group_service(plan.name),
        "template": template(plan, **labels),
        "updateStrategy": {"type": "RollingUpdate"},
    }


def _leader_worker_set(plan: ServerPlan) -> Manifest:
    surge = plan.workload.strategy == "surge"
    rolling = {"maxSurge": int(surge), "maxUnavailable": int(not surge)}
    spec = {
        **_replicas(plan),
        "leaderWorkerTemplate": {
            "restartPolicy": "RecreateGroupOnPodRestart",
            "size": plan.workload.size,
            "workerTemplate": template(plan),
        },
        "networkConfig": {"subdomainPolicy": "Shared"},
        "rolloutStrategy": {"type": "RollingUpdate", "rollingUpdateConfiguration": rolling},
        "startupPolicy": "LeaderCreated",
    }
    return {**head(LEADER_WORKER_SET, plan), "spec": spec}
