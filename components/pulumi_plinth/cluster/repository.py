"""ImageRepository: a place for images in Oracle's registry."""

import pulumi

from pulumi_plinth import naming
from pulumi_plinth.cluster.args import ImageRepositoryArgs, checked, checked_oci
from pulumi_plinth.cluster.spec import RepositorySpec
from pulumi_plinth.oci_args import in_order, tags_of
from pulumi_plinth.options import main_child


class ImageRepository(pulumi.ComponentResource):
    """A private repository whose tags never change, unless the arguments say otherwise."""

    address: pulumi.Output[str]
    """What images are pushed to and pulled from, without tag."""

    def __init__(self, name: str, args: ImageRepositoryArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        args = in_order(args)
        spec, oci_spec = checked(RepositorySpec, name, args), checked_oci(name, args["oci"])
        super().__init__(naming.IMAGE_REPOSITORY, name, {**args}, opts)
        import pulumi_oci as oci

        made = oci.artifacts.ContainerRepository(
            naming.child(name, "repository"),
            compartment_id=args["oci"]["compartment_id"],
            display_name=spec.name,
            is_immutable=spec.immutable,
            is_public=False,
            **tags_of(oci_spec),
            opts=main_child(self, opts),
        )
        host = f"ocir.{oci_spec.region}.oci.oraclecloud.com"
        self.address = pulumi.Output.concat(host, "/", made.namespace, "/", made.display_name)
        self.register_outputs({"address": self.address})
