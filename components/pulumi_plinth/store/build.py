"""Build: what the effects of a store are made from."""

from dataclasses import dataclass

import pulumi

from pulumi_plinth import naming
from pulumi_plinth.oci_spec import OciSpec
from pulumi_plinth.options import main_child
from pulumi_plinth.store.args import ModelStoreArgs
from pulumi_plinth.store.plan import StorePlan


@dataclass(frozen=True)
class Build:
    """A component under construction: its arguments as given, its plan, its options."""

    component: pulumi.ComponentResource
    name: str
    args: ModelStoreArgs
    plan: StorePlan
    oci: OciSpec | None
    opts: pulumi.ResourceOptions | None

    def child(self, suffix: str) -> str:
        """Name a child."""
        return naming.child(self.name, suffix)

    def inside(self, *needs: pulumi.Resource, protect: bool = False) -> pulumi.ResourceOptions:
        """Return options of a plain child. Not protecting it leaves what it inherits."""
        return pulumi.ResourceOptions(parent=self.component, protect=protect or None, depends_on=needs)

    def main(self, *, protect: bool) -> pulumi.ResourceOptions:
        """Return options of the child that the component stands for."""
        return main_child(self.component, self.opts, pulumi.ResourceOptions(protect=protect or None))
