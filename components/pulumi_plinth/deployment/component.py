"""ModelDeployment: one planned deployment as a component. Executes the plan, decides nothing."""

from __future__ import annotations

import pulumi

from pulumi_plinth import naming
from pulumi_plinth.deployment.kubernetes.manifests import manifests
from pulumi_plinth.deployment.kubernetes.plan import ServerPlan
from pulumi_plinth.deployment.kubernetes_resources import make_objects
from pulumi_plinth.deployment.local_resource import LocalServer
from pulumi_plinth.deployment.outline import Outline
from pulumi_plinth.deployment.plan import DeploymentPlan


class ModelDeployment(pulumi.ComponentResource):
    """A model, served: by a process on this host, or by pods.

    Outputs: `endpoint` (base URL of the OpenAI API), `management` (base URL for probes; empty for pods, which have one
    each), `pid` of the agent (0 for pods), and `key`, a secret that is empty when the deployment is open or a Secret of
    the cluster has its keys.
    """

    endpoint: pulumi.Output[str]
    management: pulumi.Output[str]
    pid: pulumi.Output[int]
    key: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        plan: DeploymentPlan | ServerPlan,
        store: pulumi.Input[str] = "",
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        # Only what names the deployment: what it is made of is the server's input, so a change is one update.
        super().__init__(naming.MODEL_DEPLOYMENT, name, {"deployment": plan.name, "store": store}, opts)
        if isinstance(plan, ServerPlan):
            self._tell(plan.outline)
            self._on_kubernetes(name, plan)
        else:
            self._tell(plan.outline())
            server = LocalServer(naming.child(name, "server"), plan, store, pulumi.ResourceOptions(parent=self))
            self.endpoint, self.management = server.endpoint, server.management
            self.pid, self.key = server.pid, pulumi.Output.secret(server.key)
        self.register_outputs(
            {"endpoint": self.endpoint, "management": self.management, "pid": self.pid, "key": self.key}
        )

    def _tell(self, outline: Outline) -> None:
        if pulumi.runtime.is_dry_run():
            pulumi.log.info(outline.summary(), resource=self)

    def _on_kubernetes(self, name: str, plan: ServerPlan) -> None:
        make_objects(name, manifests(plan), plan.timing.progress, pulumi.ResourceOptions(parent=self))
        self.endpoint, self.management = pulumi.Output.from_input(plan.endpoint), pulumi.Output.from_input("")
        self.pid, self.key = pulumi.Output.from_input(0), pulumi.Output.secret("")
