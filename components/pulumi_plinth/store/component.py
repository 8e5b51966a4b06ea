"""ModelStore: one store as a component. Executes the plan, decides nothing."""

import pulumi

from pulumi_plinth import naming
from pulumi_plinth.oci_args import in_order, settled
from pulumi_plinth.oci_policy import fill
from pulumi_plinth.store.args import ModelStoreArgs, decide
from pulumi_plinth.store.bucket_spec import BucketStoreSpec
from pulumi_plinth.store.build import Build
from pulumi_plinth.store.spec import FolderStoreSpec
from pulumi_plinth.store.volume_spec import S3StoreSpec


class ModelStore(pulumi.ComponentResource):
    """A place that holds weights: a folder, a bucket, or a volume that pods mount.

    A folder, and whatever is there already, is never created, changed or deleted: the weights in it are the user's.
    What is made on OCI is private, versioned and protected unless the arguments say otherwise.
    """

    location: pulumi.Output[str]
    """The folder, or the address that models' own paths are put behind."""
    uris: pulumi.Output[dict[str, str]]
    """Address of each model's weights, by model."""
    statements: pulumi.Output[list[str]]
    """The policy statements that the store needs, whether they are written or only shown."""

    def __init__(self, name: str, args: ModelStoreArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        args = in_order(args)
        plan, spec, oci = decide(name, args)
        super().__init__(naming.MODEL_STORE, name, {**args}, opts)
        build = Build(self, name, args, plan, oci, opts)
        values: dict[str, pulumi.Input[str]] = {}
        if isinstance(spec, BucketStoreSpec):
            from pulumi_plinth.store.bucket import make_bucket

            values = make_bucket(build)
        elif not isinstance(spec, (FolderStoreSpec, S3StoreSpec)):
            from pulumi_plinth.store.volume import make_volume

            make_volume(build, spec)
        filled = settled(values)
        self.location = filled.apply(lambda found: fill(plan.location, found))
        self.uris = filled.apply(lambda found: {model: fill(uri, found) for model, uri in plan.uris.items()})
        self.statements = filled.apply(lambda found: [fill(text, found) for text in plan.statements])
        self.register_outputs({"location": self.location, "uris": self.uris, "statements": self.statements})
