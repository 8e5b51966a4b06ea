"""Build: what the effects of a cluster are made from."""

from dataclasses import dataclass
from typing import Any

import pulumi

from pulumi_plinth import naming
from pulumi_plinth.cluster.args import GpuClusterArgs
from pulumi_plinth.cluster.plan import ClusterPlan
from pulumi_plinth.oci_args import ignored_tags, tags_of
from pulumi_plinth.oci_spec import OciSpec


@dataclass(frozen=True)
class Subnets:
    """The parts of the cluster's network."""

    vcn: pulumi.Input[str]
    api: pulumi.Input[str]
    nodes: pulumi.Input[str]
    pods: pulumi.Input[str]
    balancers: pulumi.Input[str]


@dataclass(frozen=True)
class Build:
    """A component under construction: its arguments as given, its plan, its options."""

    component: pulumi.ComponentResource
    name: str
    args: GpuClusterArgs
    plan: ClusterPlan
    oci: OciSpec
    opts: pulumi.ResourceOptions | None

    def child(self, suffix: str) -> str:
        """Name a child."""
        return naming.child(self.name, suffix)

    @property
    def compartment(self) -> pulumi.Input[str]:
        """The compartment, as given."""
        return self.args["oci"]["compartment_id"]

    def common(self, suffix: str) -> dict[str, Any]:
        """Return what every resource of the network has."""
        return {"compartment_id": self.compartment, "display_name": self.child(suffix), **tags_of(self.oci)}

    def inside(self) -> pulumi.ResourceOptions:
        """Return options of a child."""
        return pulumi.ResourceOptions(parent=self.component, ignore_changes=ignored_tags(self.oci))

    def ask(self) -> pulumi.InvokeOutputOptions:
        """Return options of a question to OCI."""
        return pulumi.InvokeOutputOptions(parent=self.component)
