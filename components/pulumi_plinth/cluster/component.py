"""GpuCluster: an OKE cluster that is there, or one that is made. Executes the plan, decides nothing."""

import pulumi

from pulumi_plinth import naming
from pulumi_plinth.cluster.args import GpuClusterArgs, checked_cluster
from pulumi_plinth.cluster.build import Build
from pulumi_plinth.cluster.plan import plan_cluster
from pulumi_plinth.oci_args import in_order


class GpuCluster(pulumi.ComponentResource):
    """The cluster that pools and servers live in.

    Without `id` it is made: network, an enhanced cluster with VCN-native pods, three nodes for the system. A cluster
    that is there is neither changed nor deleted.
    """

    cluster_id: pulumi.Output[str]
    """The cluster's id."""
    kubeconfig: pulumi.Output[str]
    """How it is reached, secret: a kubeconfig that asks the `oci` command for a token."""
    vcn_id: pulumi.Output[str]
    """Its network; empty for a cluster that is there."""
    node_subnet_id: pulumi.Output[str]
    """Subnet for nodes of pools; empty for a cluster that is there."""
    pod_subnet_id: pulumi.Output[str]
    """Subnet for pods; empty for a cluster that is there."""

    def __init__(self, name: str, args: GpuClusterArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        args = in_order(args)
        spec, oci_spec = checked_cluster(name, args)
        super().__init__(naming.GPU_CLUSTER, name, {**args}, opts)
        import pulumi_oci as oci

        given = args.get("id")
        if given is not None:
            self.cluster_id = pulumi.Output.from_input(given)
            self.vcn_id = self.node_subnet_id = self.pod_subnet_id = pulumi.Output.from_input("")
        else:
            from pulumi_plinth.cluster.making_cluster import make_cluster

            build = Build(self, name, args, plan_cluster(spec, name), oci_spec, opts)
            self.cluster_id, subnets = make_cluster(build)
            self.vcn_id = pulumi.Output.from_input(subnets.vcn)
            self.node_subnet_id = pulumi.Output.from_input(subnets.nodes)
            self.pod_subnet_id = pulumi.Output.from_input(subnets.pods)
        reached = oci.containerengine.get_cluster_kube_config_output(
            cluster_id=self.cluster_id,
            endpoint="PUBLIC_ENDPOINT" if spec.public else "PRIVATE_ENDPOINT",
            opts=pulumi.InvokeOutputOptions(parent=self),
        )
        self.kubeconfig = pulumi.Output.secret(reached.content)
        self.register_outputs(
            {
                "cluster_id": self.cluster_id,
                "kubeconfig": self.kubeconfig,
                "vcn_id": self.vcn_id,
                "node_subnet_id": self.node_subnet_id,
                "pod_subnet_id": self.pod_subnet_id,
            }
        )
