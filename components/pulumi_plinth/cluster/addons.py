"""ClusterAddons: OKE's add-ons of one cluster, each at a version that somebody chose."""

from collections.abc import Mapping
from typing import Any, Self

import pulumi
from pydantic import Field, model_validator

from pulumi_plinth import naming
from pulumi_plinth.cluster.args import AddonArgs, ClusterAddonsArgs, checked, checked_oci
from pulumi_plinth.cluster.spec import AUTOSCALER, UNPINNED, AddonName, AddonSpec, driver_faults
from pulumi_plinth.oci_args import in_home_region, in_order, settled, tags_of
from pulumi_plinth.oci_policy import CLUSTER, COMPARTMENT, autoscale, fill
from pulumi_plinth.oci_spec import Ocid, OciSpec
from pulumi_plinth.options import main_child
from pulumi_plinth.spec import Spec

NEEDS: Mapping[str, tuple[str, ...]] = {"NvidiaGpuOperator": ("NodeFeatureDiscovery",), AUTOSCALER: ("policy",)}
"""What must be there before an add-on."""


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
        args = in_order(args)
        spec = checked(_Checked, name, args)
        oci_spec = checked_oci(name, args["oci"]) if "oci" in args else None
        super().__init__(naming.CLUSTER_ADDONS, name, {**args}, opts)
        import pulumi_oci as oci

        made: dict[str, pulumi.Resource] = {}
        if AUTOSCALER in spec.addons and oci_spec is not None:
            made["policy"] = self._policy(name, args, oci_spec)
        for key, addon in sorted(spec.addons.items()):
            needs = [made[other] for other in NEEDS.get(key, ()) if other in made]
            made[key] = oci.containerengine.Addon(
                naming.child(name, key.lower()),
                addon_name=key,
                cluster_id=args["cluster_id"],
                # An add-on that is taken away takes its pods along: half of a driver is worse than none.
                remove_addon_resources_on_delete=True,
                override_existing=True,
                version=None if addon.version == UNPINNED else addon.version,
                configurations=_settings(key, args["addons"][key]),
                opts=main_child(self, opts, pulumi.ResourceOptions(depends_on=needs)),
            )
        self.names = pulumi.Output.from_input([str(key) for key in sorted(spec.addons)])
        self.register_outputs({"names": self.names})

    def _policy(self, name: str, args: ClusterAddonsArgs, oci_spec: OciSpec) -> pulumi.Resource:
        import pulumi_oci as oci

        values = {COMPARTMENT: args["oci"]["compartment_id"], CLUSTER: args["cluster_id"]}
        return oci.identity.Policy(
            naming.child(name, "autoscaler-policy"),
            compartment_id=args["oci"]["compartment_id"],
            name=naming.child(name, "autoscaler-policy"),
            description="What OKE's cluster autoscaler may do",
            statements=settled(values).apply(lambda found: [fill(text, found) for text in autoscale()]),
            **tags_of(oci_spec),
            opts=in_home_region(self, name, oci_spec, args["oci"]),
        )


def _settings(key: str, given: AddonArgs) -> list[Any]:
    """Write an add-on's settings as OKE takes them; the autoscaler logs in as its own pods unless something is said."""
    own = {"authType": "workload"} if key == AUTOSCALER else {}
    settings = {**own, **given.get("configuration", {})}
    return [{"key": item, "value": value} for item, value in sorted(settings.items())]
