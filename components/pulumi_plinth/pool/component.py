"""GpuNodePool: one planned pool as a component. Executes the plan, decides nothing.

No postponed annotations here: schemas for other languages are read from them.
"""

from typing import TYPE_CHECKING, Any

import pulumi

from pulumi_plinth import naming
from pulumi_plinth.errors import Fault
from pulumi_plinth.options import main_child
from pulumi_plinth.pool import resources
from pulumi_plinth.pool.arguments import GpuNodePoolArgs, planned, tidied
from pulumi_plinth.pool.image import ImageWish, choose_image
from pulumi_plinth.pool.plan import PoolPlan

if TYPE_CHECKING:
    from collections.abc import Mapping

TIMEOUTS = pulumi.CustomTimeouts(create="90m", update="180m", delete="90m")
"""Bare metal needs most of an hour to come, and an eviction may take one; OCI's own 60m gave up on such nodes."""


class GpuNodePool(pulumi.ComponentResource):
    """Nodes with GPUs in an OKE cluster.

    Raises SpecError, before anything is registered, for arguments that cannot work. Of its options `protect`,
    providers, aliases, `depends_on`, `ignore_changes`, `custom_timeouts`, `delete_before_replace` and
    `retain_on_delete` hold for the pool.
    """

    pool_id: pulumi.Output[str]
    """Id of the pool; empty for nodes that exist."""
    image_id: pulumi.Output[str]
    """The nodes' image: given, or selected when the pool was made; empty for nodes that exist."""
    node_selector: pulumi.Output[dict[str, str]]
    """Labels by which pods find the nodes."""
    node_taints: pulumi.Output[list[str]]
    """Taints that such pods must tolerate, as key=value:effect."""
    autoscaler_nodes: pulumi.Output[str]
    """The pool's entry in the autoscaler's setting `nodes` (least:most:id); empty where it owns nothing."""

    def __init__(self, name: str, args: GpuNodePoolArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        given = tidied(args)
        plan = planned(name, given)
        super().__init__(naming.GPU_NODE_POOL, name, given, opts)
        if pulumi.runtime.is_dry_run():
            self._tell(plan)
        image: Any = given.get("image", {}).get("id") or (self._select(name, plan.image, given) if plan.image else "")
        made, used = self._made(name, plan, given, image, opts or pulumi.ResourceOptions())
        self.pool_id = pulumi.Output.from_input(made)
        self.image_id = pulumi.Output.from_input(used)
        self.node_selector = pulumi.Output.from_input(plan.selector)
        self.node_taints = pulumi.Output.from_input(list(plan.taints))
        bounds = f"{plan.spec.least}:{plan.spec.most}:" if plan.spec.autoscale and plan.spec.kind == "managed" else ""
        self.autoscaler_nodes = pulumi.Output.concat(bounds, made) if bounds else pulumi.Output.from_input("")
        self.register_outputs(
            {
                "pool_id": self.pool_id,
                "image_id": self.image_id,
                "node_selector": self.node_selector,
                "node_taints": self.node_taints,
                "autoscaler_nodes": self.autoscaler_nodes,
            }
        )

    def _made(
        self, name: str, plan: PoolPlan, given: "Mapping[str, Any]", image: Any, opts: pulumi.ResourceOptions
    ) -> tuple[Any, Any]:
        """Register what the plan's kind takes; return the ids of pool and image, empty for nodes that exist."""
        if plan.spec.kind == "existing":
            return "", ""
        import pulumi_oci as oci

        own, around = self._options(plan, opts), pulumi.ResourceOptions(parent=self)
        network = given.get("compute_cluster_id")
        if network is None and (plan.spec.rdma or plan.spec.kind == "gpu-memory-cluster"):
            inputs = resources.compute_cluster(plan, given)
            network = oci.core.ComputeCluster(naming.child(name, "rdma"), **inputs, opts=around).id
        if plan.spec.kind == "managed":
            inputs = resources.node_pool(plan, given, image, network)
            pool = oci.containerengine.NodePool(naming.child(name, "nodes"), **inputs, opts=own)
            # What a pool has, which may be older than what would be selected now.
            return pool.id, pool.node_source_details.apply(lambda source: source.image_id if source else image)
        inputs = resources.instance_configuration(plan, given, image, network)
        pattern = oci.core.InstanceConfiguration(naming.child(name, "configuration"), **inputs, opts=around).id
        if plan.spec.kind == "cluster-network":
            inputs = resources.cluster_network(plan, given, pattern)
            return oci.core.ClusterNetwork(naming.child(name, "nodes"), **inputs, opts=own).id, image
        inputs = resources.gpu_memory_cluster(plan, given, pattern, network)
        return oci.core.ComputeGpuMemoryCluster(naming.child(name, "nodes"), **inputs, opts=own).id, image

    def _tell(self, plan: PoolPlan) -> None:
        """Say in a preview what comes, and what deserves a second look."""
        pulumi.log.info(plan.summary(), resource=self)
        for doubt in plan.doubts:
            pulumi.log.warn(doubt, resource=self)

    def _options(self, plan: PoolPlan, opts: pulumi.ResourceOptions) -> pulumi.ResourceOptions:
        own = pulumi.ResourceOptions(
            # Beside the wait that a component's children have anyway, the dependency is to be in the state.
            depends_on=opts.depends_on,
            ignore_changes=resources.ignored(plan),
            custom_timeouts=TIMEOUTS,
            delete_before_replace=plan.replacing.delete_first,
        )
        return main_child(self, opts, own)

    def _select(self, name: str, wish: ImageWish, given: "Mapping[str, Any]") -> pulumi.Output[str]:
        import pulumi_oci as oci

        options = oci.containerengine.get_node_pool_option_output(
            node_pool_option_id=given["cluster_id"],
            compartment_id=given["compartment_id"],
            node_pool_k8s_version=wish.kubernetes,
            opts=pulumi.InvokeOutputOptions(parent=self),
        )
        path = f"{name}.image"
        return options.sources.apply(lambda found: _chosen(path, [(s.image_id, s.source_name) for s in found], wish))


def _chosen(path: str, sources: list[tuple[str, str]], wish: ImageWish) -> str:
    found = choose_image(sources, wish)
    if found is None:
        problem = (
            f"has none of the {len(sources)} images that OKE offers: {wish.os} {wish.os_version}, {wish.kubernetes}"
        )
        remedy = "pin one by image: {id: …}, or write another osVersion or kubernetesVersion"
        fault = Fault(path, None, f"{problem}, {wish.arch}, with a driver for {wish.vendor}", remedy)
        raise pulumi.RunError(str(fault))
    return found
