"""ClusterAddons: OKE's add-ons of one cluster, each at a version that somebody chose."""

from typing import Self

import pulumi
from pydantic import Field, model_validator

from pulumi_plinth import naming
from pulumi_plinth.cluster.args import ClusterAddonsArgs, checked
from pulumi_plinth.cluster.spec import UNPINNED, AddonName, AddonSpec, driver_faults
from pulumi_plinth.oci_spec import Ocid
from pulumi_plinth.options import main_child
from pulumi_plinth.spec import Spec


class _Checked(Spec):
    """What is plain of the arguments."""

    cluster_id: Ocid = Field(description="The cluster.")
    addons: dict[AddonName, AddonSpec] = Field(description="Add-ons.")

    @model_validator(mode="after")
    def _one_driver(self) -> Self:
        if wrong := driver_faults(self.addons):
            raise ValueError(wrong)
        return self


class ClusterAddons(pulumi.ComponentResource):
    """Add-ons that OKE installs and keeps alive. NVIDIA's plugin and operator exclude each other."""

    names: pulumi.Output[list[str]]
    """Names of the add-ons."""

    def __init__(self, name: str, args: ClusterAddonsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        spec = checked(_Checked, name, args)
        super().__init__(naming.CLUSTER_ADDONS, name, {**args}, opts)
        import pulumi_oci as oci

        made: dict[str, pulumi.Resource] = {}
        for key, addon in sorted(spec.addons.items()):
            needs = [made["NodeFeatureDiscovery"]] if key == "NvidiaGpuOperator" else None
            made[key] = oci.containerengine.Addon(
                naming.child(name, key.lower()),
                addon_name=key,
                cluster_id=args["cluster_id"],
                # An add-on that is taken away takes its pods along: half of a driver is worse than none.
                remove_addon_resources_on_delete=True,
                override_existing=True,
                version=None if addon.version == UNPINNED else addon.version,
                configurations=[
                    {"key": item, "value": value}
                    for item, value in sorted(args["addons"][key].get("configuration", {}).items())
                ],
                opts=main_child(self, opts, pulumi.ResourceOptions(depends_on=needs)),
            )
        self.names = pulumi.Output.from_input([str(key) for key in sorted(made)])
        self.register_outputs({"names": self.names})
