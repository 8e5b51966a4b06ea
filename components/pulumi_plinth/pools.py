"""Pools of a stack: the shape of each, what deployments ask of it, and whether there is room. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import gcd
from typing import Any

from pulumi_plinth.cluster.spec import ClusterSpec
from pulumi_plinth.deployment.facts import CardFacts, PoolNodes
from pulumi_plinth.deployment.gpu_plan import GpuPlan
from pulumi_plinth.deployment.totals import Nodes
from pulumi_plinth.errors import Fault
from pulumi_plinth.fit.layout import Reason
from pulumi_plinth.fit.market import Market
from pulumi_plinth.oci_spec import PENDING
from pulumi_plinth.pool.case import Needs, PoolCase, shape_of
from pulumi_plinth.pool.plan import PoolPlan, plan_pool, selector_of, taints_of
from pulumi_plinth.pool.price import capacity_of
from pulumi_plinth.pool.reasons import DOUBT
from pulumi_plinth.pool.spec import PoolSpec
from pulumi_plinth.stack import CONFIG_KEY, StackSpec


@dataclass(frozen=True, slots=True)
class Claim:
    """What a deployment takes of a pool at its most replicas: `nodes` of each replica, `gpus` on each of them."""

    name: str
    replicas: int
    nodes: int
    gpus: int

    def __str__(self) -> str:
        """Write the product: chat 3 x 2 GPUs, large 1 x 2 nodes."""
        each = f"{self.nodes} nodes" if self.nodes > 1 else f"{self.gpus} GPU{'s' * (self.gpus > 1)}"
        return f"{self.name} {self.replicas} x {each}"


def pool_cases(spec: StackSpec, market: Market, faults: list[Fault]) -> dict[str, PoolCase]:
    """Find the shape of every pool; one without is a fault and left out."""
    found = {}
    for name, pool in sorted(spec.pools.items()):
        path = f"{CONFIG_KEY}.pools.{name}"
        shape = shape_of(path, pool, market, faults)
        if shape is not None:
            needs = Needs(autoscaler=_may_scale(spec.cluster))
            found[name] = PoolCase(path, name, with_defaults(pool, spec), shape, needs, market.storage)
    return found


def with_defaults(pool: PoolSpec, spec: StackSpec) -> PoolSpec:
    """Fill what all of OCI's resources share."""
    shared = spec.oci
    if shared is None or pool.kind == "existing":
        return pool
    ignored = tuple(dict.fromkeys((*pool.ignore_tags, *shared.ignore_tags)))
    return pool.model_copy(
        update={
            "compartment_id": pool.compartment_id or shared.compartment_id,
            "tags": {**shared.tags, **pool.tags},
            "defined_tags": {**shared.defined_tags, **pool.defined_tags},
            "ignore_tags": ignored,
            **_of_cluster(pool, spec.cluster),
        }
    )


def _of_cluster(pool: PoolSpec, cluster: ClusterSpec | None) -> dict[str, Any]:
    """Fill what the stack's own cluster gives; what is made with it is known only later."""
    if cluster is None:
        return {}
    network, later = cluster.network.existing, PENDING if cluster.id is None else None
    pods = network.pod_subnet_id if network else later
    return {
        "cluster_id": pool.cluster_id or cluster.id or PENDING,
        "subnet_id": pool.subnet_id or (network.node_subnet_id if network else later),
        "pod_subnet_ids": pool.pod_subnet_ids or ((pods,) if pods and pool.pod_network == "vcn-native" else ()),
        "kubernetes_version": pool.kubernetes_version or cluster.kubernetes_version,
    }


def _may_scale(cluster: ClusterSpec | None) -> bool:
    """Tell whether an autoscaler may be there: one in a cluster that is made can only be an add-on of the stack."""
    return cluster is None or cluster.id is not None or "ClusterAutoscaler" in cluster.addons


def nodes_of(case: PoolCase) -> PoolNodes:
    """Describe a pool as deployments are planned on it."""
    spec = case.spec
    # How many nodes exist is known only where somebody said so.
    counted = spec.kind != "existing" or bool(spec.model_fields_set & {"size", "autoscale"})
    return PoolNodes(
        name=case.name,
        shape=case.shape,
        most=spec.most if counted else None,
        capacity=capacity_of(case),
        selector=tuple(sorted(selector_of(case).items())),
        taints=taints_of(case),
    )


def plan_pools(
    cases: Mapping[str, PoolCase], plans: Sequence[GpuPlan], cards: Mapping[str, CardFacts], faults: list[Fault]
) -> tuple[PoolPlan, ...]:
    """Decide every pool for what stands on it; too little room is a fault."""
    made = []
    for name, case in cases.items():
        on_it = [plan for plan in plans if plan.pool and plan.pool.name == name]
        faults.extend(_room_faults(case, on_it))
        if plan := plan_pool(replace(case, needs=_needs(case, on_it, cards)), faults):
            doubts = spread_doubts(list(_claims(on_it)), case.shape.gpus, nodes_of(case).most)
            made.append(replace(plan, reasons=(*plan.reasons, *(Reason("room", DOUBT + text) for text in doubts))))
    return tuple(made)


def bill_of(plan: PoolPlan) -> Nodes:
    """Return what is paid for a pool that is made."""
    count = (plan.spec.least, plan.spec.most)
    return Nodes(
        plan.name, plan.shape.name, (plan.shape.gpus * count[0], plan.shape.gpus * count[1]), count, plan.price
    )


def nodes_needed(claims: Iterable[Claim], gpus: int) -> int:
    """Count the nodes that hold all claims: replicas over several nodes take whole ones, others share."""
    claims = list(claims)
    whole = sum(claim.replicas * claim.nodes for claim in claims if claim.nodes > 1)
    single = sorted((claim.gpus for claim in claims if claim.nodes == 1 for _ in range(claim.replicas)), reverse=True)
    free: list[int] = []
    for wanted in single:
        # First fit, the largest first: the best case. `spread_doubts` says what spreading may make of it.
        place = next((number for number, rest in enumerate(free) if rest >= wanted), None)
        if place is None:
            free.append(gpus - wanted)
        else:
            free[place] -= wanted
    return whole + len(free)


def spread_doubts(claims: Sequence[Claim], gpus: int, most: int | None) -> Iterator[str]:
    """Say of each claim whether the others, spread over the nodes, can leave too little free for it on every one.

    All sizes are multiples of their greatest common divisor, so a node is too full for a pod at the first such multiple
    above `gpus` - its size; the others can do that to as many nodes as their GPUs are worth.
    """
    used = sum(claim.replicas * claim.nodes * claim.gpus for claim in claims)
    step = gcd(*(claim.gpus for claim in claims))
    for claim in claims:
        full = ((gpus - claim.gpus) // step + 1) * step
        others = used - claim.gpus
        if most is not None and others >= most * full:
            problem = (
                f"{claim} may wait: the other pods take {others} GPUs, and {full} on each of {most} nodes keep it out"
            )
            yield f"{problem}; the scheduler spreads pods, so write {others // full + 1} nodes or a pool of its own"


def _claims(plans: Iterable[GpuPlan]) -> Iterator[Claim]:
    for plan in plans:
        nodes, gpus = plan.told.fitted.nodes, plan.told.fitted.layout.gpus
        yield Claim(plan.name, plan.replicas.most, nodes, -(-gpus // nodes))


def _room_faults(case: PoolCase, plans: Sequence[GpuPlan]) -> Iterator[Fault]:
    most, claims = nodes_of(case).most, list(_claims(plans))
    need = nodes_needed(claims, case.shape.gpus)
    if most is None or need <= most:
        return
    field = "autoscale.max" if case.spec.autoscale else "size"
    sums = " + ".join(map(str, claims))
    problem = f"holds {most} nodes of {case.shape.gpus} GPUs, and at most replicas {sums} need {need} nodes"
    yield Fault(f"{case.path}.{field}", most, problem, f"write {need}, or fewer replicas")


def _needs(case: PoolCase, plans: Sequence[GpuPlan], cards: Mapping[str, CardFacts]) -> Needs:
    """Add up the weights of all models on the pool: any node may get any of them."""
    weights = {plan.model: card.weight_bytes for plan in plans if (card := cards[plan.name].card)}
    spanning = tuple(plan.name for plan in plans if plan.told.fitted.nodes > 1)
    names = tuple(plan.name for plan in plans)
    return replace(case.needs, weight_bytes=sum(weights.values()), deployments=names, spans_nodes=spanning)
