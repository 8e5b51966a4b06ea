"""Platform: a whole planned stack as one component."""

from __future__ import annotations

import pulumi

from pulumi_plinth import naming
from pulumi_plinth.deployment.component import ModelDeployment
from pulumi_plinth.planner import StackPlan
from pulumi_plinth.store.args import args_of
from pulumi_plinth.store.component import ModelStore


class Platform(pulumi.ComponentResource):
    """Stores, and the deployments that serve models from them.

    Raises SpecError, before anything is registered, for a plan with deployments that this release only plans.
    Outputs, each a map by name of deployment: `endpoints`, `management` and the secret `keys`.
    """

    endpoints: pulumi.Output[dict[str, str]]
    management: pulumi.Output[dict[str, str]]
    keys: pulumi.Output[dict[str, str]]

    def __init__(self, name: str, plan: StackPlan, opts: pulumi.ResourceOptions | None = None) -> None:
        plan = plan.deployable()
        super().__init__(naming.PLATFORM, name, {}, opts)
        inside = pulumi.ResourceOptions(parent=self)
        stores = {
            store.name: ModelStore(naming.child(name, f"store-{store.name}"), args_of(store), inside)
            for store in plan.stores
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
        self.endpoints = pulumi.Output.all(**{name: server.endpoint for name, server in servers.items()})
        self.management = pulumi.Output.all(**{name: server.management for name, server in servers.items()})
        self.keys = pulumi.Output.secret(pulumi.Output.all(**{name: item.key for name, item in servers.items()}))
        self.register_outputs({"endpoints": self.endpoints, "management": self.management, "keys": self.keys})
