"""Numbers of pods: groups that need each other, rollouts, quotas, budgets. Sources stand with each rule."""

from __future__ import annotations

import math
from collections.abc import Iterator

from pulumi_plinth.check.core import Verdict, refuse, warn
from pulumi_plinth.check.place_rules.common import gpus_asked, gpus_on_node
from pulumi_plinth.check.subject import Subject


def group_size(subject: Subject) -> float:
    """Return the pods (and nodes) that make one server together."""
    return subject.place.workload.pods_per_replica or subject.serving.nodes or 1


def pool_capacity(subject: Subject) -> float | None:
    """Return the most nodes there can be."""
    pool = subject.place.pool
    return pool.size if pool.max_nodes is None else pool.max_nodes


def group_deadlock(subject: Subject) -> Iterator[Verdict]:
    """Refuse groups that may hold half of the nodes each and wait for ever (kaito#2174)."""
    workload, nodes = subject.place.workload, pool_capacity(subject)
    size, replicas = group_size(subject), workload.replicas or 1
    need = replicas * size
    if nodes is None or size <= 1 or need <= nodes:
        return
    tell = warn if workload.gang and size <= nodes else refuse
    yield tell(
        "group-above-pool",
        "workload.replicas",
        f"{replicas:g} replicas x {size:g} nodes = {need:g} > {nodes:g} in the pool",
        f"write replicas: {max(1, nodes // size):g}, or give the pool {need:g} nodes",
    )


def replicas_above_pool(subject: Subject) -> Iterator[Verdict]:
    """Warn of replicas beyond the pool's GPUs: they stay Pending, and scalers believe that they scaled
    (facts: serving 5).
    """
    place, nodes = subject.place, pool_capacity(subject)
    asked, on_node = gpus_asked(subject), gpus_on_node(subject)
    if not asked or group_size(subject) > 1:
        return
    if nodes and on_node and asked <= on_node:
        room = nodes * (on_node // asked)
    elif place.pool.gpus is not None:
        room = place.pool.gpus // asked
    else:
        return
    wanted = max(place.workload.replicas or 1, place.scaling.maximum or 1)
    if wanted > room:
        yield warn(
            "replicas-above-pool",
            "workload.replicas",
            f"{wanted:g} replicas x {asked:g} GPUs, and the nodes hold {room:g} of them",
            f"write at most {room:g}, or enlarge the pool",
        )


def rollout_stands(subject: Subject) -> Iterator[Verdict]:
    """Refuse rollouts that may neither start a pod more nor end one, as the API server does (Kubernetes)."""
    workload = subject.place.workload
    if workload.surge == 0 and workload.unavailable == 0:
        yield refuse(
            "rollout-stands-still",
            "workload.strategy.rollingUpdate",
            "maxSurge 0 and maxUnavailable 0: no pod can be replaced",
            "write 1 for one of them",
        )


def rollout_surge(subject: Subject) -> Iterator[Verdict]:
    """Demand a spare GPU for rollouts that start the new pod first (defilantech/LLMKube#192, airunway#400)."""
    workload, spare = subject.place.workload, _spare(subject)
    asked = gpus_asked(subject)
    if not _surges(subject) or asked == 0:
        return
    if spare is not None and spare < (asked or 1):
        yield refuse(
            "rollout-without-spare",
            "workload.strategy",
            f"the new pod needs {asked or 1:g} GPUs before the old one may go, and {spare:g} are free",
            "write strategy Recreate, or maxSurge 0 and maxUnavailable 1",
        )
    elif spare is None and ((asked and workload.kind) or workload.strategy or workload.surge):
        yield warn(
            "rollout-needs-spare",
            "workload.strategy",
            f"a rollout starts the new pod before the old one goes and needs {asked or 1:g} more GPUs",
            "keep a spare node, or write maxSurge 0 and maxUnavailable 1",
        )


def _surges(subject: Subject) -> bool:
    """Tell whether a pod more is started first: by default 25 % above rounded up, 25 % below rounded down
    (Kubernetes: Deployments).
    """
    workload = subject.place.workload
    strategy = (workload.strategy or "").lower().replace("-", "").replace("_", "")
    rolls = "rolling" in strategy or (workload.kind or "").lower() == "deployment" or workload.surge is not None
    if not rolls or "recreate" in strategy:
        return False
    replicas = workload.replicas or 1
    unavailable = math.floor(replicas / 4) if workload.unavailable is None else workload.unavailable
    surge = math.ceil(replicas / 4) if workload.surge is None else workload.surge
    return surge > 0 and unavailable == 0


def _spare(subject: Subject) -> float | None:
    place = subject.place
    if place.node.spare_gpus is not None:
        return place.node.spare_gpus
    nodes, on_node, asked = pool_capacity(subject), gpus_on_node(subject), gpus_asked(subject)
    if place.pool.gpus is not None:
        return max(0.0, place.pool.gpus - (place.workload.replicas or 1) * (asked or 1))
    if nodes is None or on_node is None or asked is None:
        return None
    return max(0.0, nodes * on_node - (place.workload.replicas or 1) * asked)


def not_distributed(subject: Subject) -> Iterator[Verdict]:
    """Warn of copies of a command for one node: they do not become one engine (kaito-project/kaito#1653)."""
    workload = subject.place.workload
    count = group_size(subject)
    if workload.distributed is False and count > 1:
        yield warn(
            "nodes-without-distribution",
            "workload",
            f"{count:g} nodes are asked for, and the command has neither ranks nor Ray: {count:g} engines of their own",
            "give the command --nnodes, --node-rank and --master-addr, or ask for replicas",
        )


def ordered_group(subject: Subject) -> Iterator[Verdict]:
    """Demand that pods that wait for each other start together and find each other unready (facts: kaito 3.3)."""
    workload = subject.place.workload
    if group_size(subject) <= 1:
        return
    if workload.ordered:
        yield refuse(
            "group-starts-in-order",
            "workload.podManagementPolicy",
            "the second pod starts only when the first is ready, and the first waits for the second",
            "write podManagementPolicy: Parallel",
        )
    if workload.publishes_unready is False:
        yield refuse(
            "group-hides-unready",
            "service.publishNotReadyAddresses",
            "workers find the leader by name, and names of pods that are not ready are not published",
            "write publishNotReadyAddresses: true in the headless Service",
        )


def probed_workers(subject: Subject) -> Iterator[Verdict]:
    """Refuse HTTP probes of pods that serve none: only the first rank does (facts: serving 2.7)."""
    if subject.place.workload.workers_probed:
        yield refuse(
            "workers-probed",
            "workload.workerTemplate.readinessProbe",
            "workers of a group serve no HTTP, and their probes ask for it: they never get ready",
            "probe the first pod only; it fails when a worker does",
        )


def quotas(subject: Subject) -> Iterator[Verdict]:
    """Compare all replicas with quota and service limits: pods and nodes above them are never made."""
    quota, asked = subject.place.quota, gpus_asked(subject) or subject.serving.gpu.count
    need = (asked or 1) * group_size(subject) * (subject.place.workload.replicas or 1)
    for what, limit in (("the namespace's quota", quota.gpus), ("the service limit", quota.shape_limit)):
        if limit is not None and limit < need:
            yield refuse(
                "gpus-above-quota",
                "quota",
                f"{need:g} GPUs are asked for and {what} is {limit:g}",
                "ask for a higher limit, or for fewer GPUs",
            )


def blocked_drain(subject: Subject) -> Iterator[Verdict]:
    """Warn of a budget that allows no disruption: it blocks every drain (Kubernetes: disruptions)."""
    workload = subject.place.workload
    if workload.min_available is not None and workload.min_available >= (workload.replicas or 1):
        yield warn(
            "budget-blocks-drain",
            "podDisruptionBudget.minAvailable",
            f"{workload.min_available:g} of {workload.replicas or 1:g} pods must stay: no node can be drained",
            "write maxUnavailable: 1",
        )


RULES = (
    group_deadlock, replicas_above_pool, rollout_stands, rollout_surge, not_distributed, ordered_group,
    probed_workers, quotas, blocked_drain,
)  # fmt: skip
