"""WorkloadIdentity: a service account, and what its pods may use on OCI without any key."""

import pulumi

from pulumi_plinth import naming
from pulumi_plinth.cluster.args import WorkloadIdentityArgs, checked, checked_oci
from pulumi_plinth.cluster.plan import identity_statements
from pulumi_plinth.cluster.spec import IdentityAccessSpec
from pulumi_plinth.oci_args import in_home_region, in_order, settled, tags_of
from pulumi_plinth.oci_policy import CLUSTER, COMPARTMENT, fill
from pulumi_plinth.options import main_child


class WorkloadIdentity(pulumi.ComponentResource):
    """Trust in pods: by cluster, namespace and service account, for exactly what is named."""

    service_account: pulumi.Output[str]
    """Name of the service account, once it is there."""
    statements: pulumi.Output[list[str]]
    """The policy statements that were written."""

    def __init__(self, name: str, args: WorkloadIdentityArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        args = in_order(args)
        spec, oci_spec = checked(IdentityAccessSpec, name, args), checked_oci(name, args["oci"])
        super().__init__(naming.WORKLOAD_IDENTITY, name, {**args}, opts)
        # The cluster is left open: the id that is given may be known only later.
        statements = identity_statements(spec.model_copy(update={"cluster_id": None}))
        values = {COMPARTMENT: args["oci"]["compartment_id"], CLUSTER: args["cluster_id"]}
        self.statements = settled(values).apply(lambda found: [fill(text, found) for text in statements])
        if statements:
            import pulumi_oci as oci

            oci.identity.Policy(
                naming.child(name, "policy"),
                compartment_id=args["oci"]["compartment_id"],
                name=naming.child(name, "policy"),
                description=f"What {spec.namespace}/{spec.service_account} may use",
                statements=self.statements,
                **tags_of(oci_spec),
                opts=main_child(self, opts, in_home_region(self, name, oci_spec, args["oci"])),
            )
        self.service_account = pulumi.Output.from_input(spec.service_account)
        if spec.create:
            import pulumi_kubernetes as kubernetes

            account = kubernetes.core.v1.ServiceAccount(
                naming.child(name, "account"),
                metadata={"name": spec.service_account, "namespace": spec.namespace},
                opts=pulumi.ResourceOptions(parent=self),
            )
            self.service_account = account.metadata.apply(lambda found: found.name or "")
        self.register_outputs({"service_account": self.service_account, "statements": self.statements})
