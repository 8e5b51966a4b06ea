"""How clients and members find pods: the Service, the headless one of groups, the account, the launch file. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from pulumi_plinth import naming
from pulumi_plinth.deployment.kubernetes.objects.common import API, Manifest, head
from pulumi_plinth.deployment.kubernetes.objects.volumes import launch_name
from pulumi_plinth.deployment.kubernetes.paths import LAUNCH_FILE
from pulumi_plinth.deployment.kubernetes.plan import ServerPlan

LEADERS = {
    "stateful-set": {"apps.kubernetes.io/pod-index": "0"},
    "leader-worker-set": {"leaderworkerset.sigs.k8s.io/worker-index": "0"},
}
"""Labels of the pod that answers for its group, by kind of workload."""


def account(plan: ServerPlan) -> Manifest | None:
    """Return the service account, if it is the deployment's own. Its token is mounted nowhere by itself."""
    if not plan.placement.own_account:
        return None
    return {**head(("v1", "ServiceAccount"), plan), "automountServiceAccountToken": False}


def launch_map(plan: ServerPlan) -> Manifest:
    """Return the launch file, immutable and named by its digest: pods of an older revision keep theirs."""
    name = launch_name(plan.name, plan.launch)
    file = LAUNCH_FILE.rpartition("/")[2]
    return {
        **head(("v1", "ConfigMap"), plan, name),
        "data": {file: plan.launch.canonical_json()},
        "immutable": True,
    }


def services(plan: ServerPlan) -> Iterator[Manifest]:
    """Yield the Service that clients use, and the one by which members of groups find each other."""
    leader = LEADERS[plan.workload.kind] if plan.workload.grouped else {}
    port = {"name": API, "port": plan.service_port, "protocol": "TCP", "targetPort": API}
    spec = {"ports": [port], "selector": {**naming.selector(plan.name), **leader}, "type": "ClusterIP"}
    yield {**head(("v1", "Service"), plan), "spec": spec}
    if plan.workload.kind == "stateful-set":
        yield {
            **head(("v1", "Service"), plan, naming.group_service(plan.name)),
            # Members must find each other before any of them is ready.
            "spec": {
                "clusterIP": "None",
                "publishNotReadyAddresses": True,
                "selector": naming.selector(plan.name),
                "type": "ClusterIP",
            },
        }
