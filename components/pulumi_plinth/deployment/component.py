"""ModelDeployment: one planned deployment as a component. Executes the plan, decides nothing."""

from __future__ import annotations

import pulumi

from pulumi_plinth import naming
from pulumi_plinth.deployment.local_resource import LocalServer
from pulumi_plinth.deployment.plan import DeploymentPlan


class ModelDeployment(pulumi.ComponentResource):
    """A model, served.

    Outputs: `endpoint` (base URL of the OpenAI API), `management` (base URL for probes), `pid` of the agent, and
    `key`, a secret that is empty when the deployment is open.
    """

    endpoint: pulumi.Output[str]
    management: pulumi.Output[str]
    pid: pulumi.Output[int]
    key: pulumi.Output[str]

    def __init__(
        self, name: str, plan: DeploymentPlan, store: pulumi.Input[str], opts: pulumi.ResourceOptions | None = None
    ) -> None:
        # Only what names the deployment: what it is made of is the server's input, so a change is one update.
        super().__init__(naming.MODEL_DEPLOYMENT, name, {"deployment": plan.name, "store": store}, opts)
        if pulumi.runtime.is_dry_run():
            pulumi.log.info(plan.outline().summary(), resource=self)
        server = LocalServer(naming.child(name, "server"), plan, store, pulumi.ResourceOptions(parent=self))
        self.endpoint, self.management = server.endpoint, server.management
        self.pid, self.key = server.pid, pulumi.Output.secret(server.key)
        self.register_outputs(
            {"endpoint": self.endpoint, "management": self.management, "pid": self.pid, "key": self.key}
        )
