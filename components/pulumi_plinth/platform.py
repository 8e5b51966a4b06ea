"""Platform: a whole planned stack as one component.

No postponed annotations here: schemas for other languages are read from them.
"""

from collections.abc import Mapping
from typing import Any

import pulumi

from pulumi_plinth import naming
from pulumi_plinth.deployment.component import ModelDeployment
from pulumi_plinth.deployment.kubernetes.declared import object_key
from pulumi_plinth.deployment.kubernetes.manifests import common_manifests
from pulumi_plinth.deployment.kubernetes_resources import make_objects
from pulumi_plinth.planner import StackPlan
from pulumi_plinth.platform_oke import Reached, add_ons, reach
from pulumi_plinth.pool.arguments import arguments_of
from pulumi_plinth.pool.component import GpuNodePool
from pulumi_plinth.store.args import args_of
from pulumi_plinth.store.component import ModelStore


class Platform(pulumi.ComponentResource):
    """Stores, and the deployments that serve models from them.

    Raises SpecError, before anything is registered, for a plan with deployments that this release only plans.
    Outputs, each a map by name of deployment: `endpoints`, `management` and the secret `keys`;
    and `totals`, nodes and dollars that the next deployment is compared with.
    """

    endpoints: pulumi.Output[dict[str, str]]
    management: pulumi.Output[dict[str, str]]
    keys: pulumi.Output[dict[str, str]]
    totals: pulumi.Output[dict[str, Any]]

    def __init__(self, name: str, plan: StackPlan, opts: pulumi.ResourceOptions | None = None) -> None:
        plan = plan.deployable()
        super().__init__(naming.PLATFORM, name, {}, opts)
        reached = reach(name, plan, self)
        inside = reached.inside(self)
        stores = {
            item.name: ModelStore(naming.child(name, f"store-{item.name}"), args_of(item, reached.cluster_id), inside)
            for item in plan.stores
        }
        servers = {
            item.name: ModelDeployment(
                naming.child(name, item.name),
                item,
                stores[item.store].location if item.store else item.fetched_from,
                inside,
            )
            for item in plan.deployments
        }
        pools = {
            pool.name: GpuNodePool(
                naming.child(name, f"pool-{pool.name}"), reached.in_cluster(arguments_of(pool)), inside
            )
            for pool in plan.pools
        }
        add_ons(name, plan, reached, pools, self)
        pods = self._pods(name, plan, pools, reached)
        endpoints = {item: server.endpoint for item, server in (*servers.items(), *pods.items())}
        self.endpoints = _by_name(endpoints)
        self.management = _by_name({name: server.management for name, server in servers.items()})
        self.keys = pulumi.Output.secret(_by_name({name: server.key for name, server in servers.items()}))
        self.totals = pulumi.Output.from_input(plan.totals().kept())
        self.register_outputs(
            {"endpoints": self.endpoints, "management": self.management, "keys": self.keys, "totals": self.totals}
        )

    def _pods(
        self, name: str, plan: StackPlan, pools: Mapping[str, GpuNodePool], reached: Reached
    ) -> dict[str, ModelDeployment]:
        """Register what runs on the cluster: declared models and their agents, what all share, then each deployment."""
        inside = reached.inside(self)
        make_objects(naming.child(name, "models"), plan.declared.objects, 0, inside, object_key)
        if plan.cluster is None or not plan.servers:
            return {}
        shared = make_objects(name, common_manifests(plan.cluster), 0, inside)
        inside = pulumi.ResourceOptions.merge(inside, pulumi.ResourceOptions(depends_on=list(shared.values())))
        # A pod waits for its nodes: without this a first rollout would be given up before they are made.
        nodes = {item.name: pools[item.pool.name] for item in plan.kubernetes if item.pool}
        after = {item: pulumi.ResourceOptions(depends_on=[pool]) for item, pool in nodes.items()}
        return {
            item.name: ModelDeployment(
                naming.child(name, item.name), item, "", pulumi.ResourceOptions.merge(inside, after.get(item.name))
            )
            for item in plan.servers
        }


def _by_name(values: dict[str, pulumi.Output[str]]) -> pulumi.Output[dict[str, str]]:
    """Put outputs into one; nothing is an empty map, and not the empty list that Pulumi makes of it."""
    return pulumi.Output.all(**values) if values else pulumi.Output.from_input({})
