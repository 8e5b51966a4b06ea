"""ModelStoreArgs: what a ModelStore takes, for Python and for other languages, and how it becomes a plan."""

from typing import Any, NotRequired, TypedDict, cast

import pulumi
from pydantic import Field, ValidationError

from pulumi_plinth.errors import Fault, SpecError, faults_of
from pulumi_plinth.oci_args import OciArgs, plain
from pulumi_plinth.oci_policy import IdentitySpec
from pulumi_plinth.oci_spec import PENDING, OciSpec
from pulumi_plinth.spec import Spec
from pulumi_plinth.store.bucket_spec import BucketStoreSpec, Prefix
from pulumi_plinth.store.plan import StoreCase, StorePlan, plan_store, store_faults
from pulumi_plinth.store.spec import StoreSpec


class StoreKeyArgs(TypedDict):
    """The customer's key that a bucket is encrypted with."""

    id: NotRequired[pulumi.Input[str]]
    """A key that is there."""
    create: NotRequired[bool]
    """Make a key."""
    vault_id: NotRequired[pulumi.Input[str]]
    """Vault in which the key is made; with `create` and without it, a vault is made too."""


class StoreRetentionArgs(TypedDict):
    """How long objects cannot be changed or deleted by anybody."""

    name: str
    """Name of the rule."""
    days: NotRequired[int]
    """Days since an object's last change; without end unless given."""
    locked_from: NotRequired[str]
    """Time (UTC, RFC 3339) from which nobody can shorten the rule."""


class StoreReplicationArgs(TypedDict):
    """A copy of every new object in another region."""

    region: str
    """Region of the copy."""
    bucket: str
    """Bucket of the copy."""
    keep_deleted: NotRequired[bool]
    """Objects deleted here stay there; true unless given."""


class StoreEndpointArgs(TypedDict):
    """An address of Object Storage inside a network, which reaches this bucket alone."""

    subnet_id: pulumi.Input[str]
    """Subnet of the address."""
    prefix: str
    """First part of its host name."""
    nsg_ids: NotRequired[list[pulumi.Input[str]]]
    """Network security groups of the address."""


class IdentityArgs(TypedDict):
    """Pods that are trusted: all that run in a namespace under a service account."""

    namespace: str
    """Kubernetes namespace."""
    service_account: str
    """Service account of the pods."""
    cluster_id: NotRequired[str]
    """Their cluster, if it is not the store's."""


class ModelStoreArgs(TypedDict):
    """A store of weights. Which arguments belong together is said by `kind`: see docs/components/model-store.md."""

    kind: NotRequired[str]
    """folder (unless given), bucket, s3, pvc, fss or lustre."""
    models: NotRequired[dict[str, str]]
    """Path of each model inside the store, by model."""
    oci: NotRequired[OciArgs]
    """What everything made on OCI shares; required for what is made there."""
    cluster_id: NotRequired[pulumi.Input[str]]
    """The cluster of readers and writers."""
    path: NotRequired[str]
    """folder: the folder."""
    bucket: NotRequired[str]
    """bucket, s3: name of the bucket."""
    existing: NotRequired[bool]
    """bucket: it is there and left alone."""
    prefix: NotRequired[str]
    """All but folder: folder inside the store for all models."""
    versioning: NotRequired[str]
    """bucket: enabled (unless given), suspended or disabled."""
    keep_old_versions_days: NotRequired[int]
    """bucket: days until a replaced object is gone; 30 unless given."""
    abort_uploads_days: NotRequired[int]
    """bucket: days until an unfinished upload is gone; 7 unless given."""
    key: NotRequired[StoreKeyArgs]
    """bucket: customer key; Oracle's own unless given."""
    retention: NotRequired[list[StoreRetentionArgs]]
    """bucket: retention rules."""
    replication: NotRequired[StoreReplicationArgs]
    """bucket: copy in another region."""
    private_endpoint: NotRequired[StoreEndpointArgs]
    """bucket: address inside a network."""
    readers: NotRequired[list[IdentityArgs]]
    """bucket: pods that may read."""
    writers: NotRequired[list[IdentityArgs]]
    """bucket: pods that may read and publish."""
    policies: NotRequired[str]
    """bucket: create (unless given) or show."""
    protect: NotRequired[bool]
    """Pulumi refuses to delete what was made; true unless given."""
    retain: NotRequired[bool]
    """bucket: it outlives the component."""
    endpoint: NotRequired[str]
    """s3: address of the service."""
    region: NotRequired[str]
    """s3: its region."""
    secret: NotRequired[str]
    """s3: Kubernetes secret with its keys."""
    claim: NotRequired[str]
    """pvc, fss, lustre: the claim; the component's name unless given."""
    namespace: NotRequired[str]
    """pvc, fss, lustre: namespace of the claim."""
    size: NotRequired[str]
    """pvc: make the claim, so large."""
    storage_class: NotRequired[str]
    """pvc: class of a made claim."""
    access: NotRequired[str]
    """pvc: how a made claim is shared."""
    file_system_id: NotRequired[pulumi.Input[str]]
    """fss: a file system that is there."""
    mount_target: NotRequired[pulumi.Input[str]]
    """fss: address of its mount target."""
    export_path: NotRequired[str]
    """fss: path of the export."""
    clients: NotRequired[str]
    """fss: addresses that may mount what is made."""
    availability_domain: NotRequired[pulumi.Input[str]]
    """fss, lustre: where it is made."""
    subnet_id: NotRequired[pulumi.Input[str]]
    """fss, lustre: subnet of what is made."""
    key_id: NotRequired[pulumi.Input[str]]
    """fss, lustre: customer key of what is made."""
    address: NotRequired[pulumi.Input[str]]
    """lustre: management address of one that is there."""
    file_system: NotRequired[str]
    """lustre: name of the file system."""
    capacity_tb: NotRequired[int]
    """lustre: terabytes of what is made, in steps of 5."""
    throughput: NotRequired[int]
    """lustre: megabytes a second for each terabyte."""


class _Checked(Spec):
    """The arguments, sorted into what each part of the plan is made of."""

    store: StoreSpec = Field(description="The store's own arguments.")
    oci: OciSpec | None = Field(default=None, description="What all resources on OCI share.")
    models: dict[str, Prefix] = Field(default_factory=dict, description="Paths of models.")


def args_of(plan: StorePlan, cluster_id: pulumi.Input[str] | None = None) -> ModelStoreArgs:
    """Return what the component takes to carry out a plan, with pods of a cluster as readers and writers."""
    cluster = {"cluster_id": cluster_id} if plan.bucket and cluster_id is not None else {}
    return cast("ModelStoreArgs", {**plan.args, **cluster})


def decide(name: str, args: ModelStoreArgs) -> tuple[StorePlan, StoreSpec, OciSpec | None]:
    """Check the arguments and plan the store. Raises SpecError, with every fault, before anything is registered."""
    given: dict[str, Any] = plain(dict(args))
    parts = {key: given.pop(key) for key in ("oci", "models") if key in given}
    cluster_id = given.pop("cluster_id", None)
    try:
        checked = _Checked.model_validate({"store": given, **parts})
    except ValidationError as error:
        found = faults_of(error, _Checked, name)
        raise SpecError([_flat(fault, name) for fault in found]) from None
    if PENDING in str([identity.cluster_id for identity in _identities(checked.store)]):
        remedy = "write the id itself, or give it as the store's own cluster_id"
        raise SpecError([Fault(f"{name}.readers", None, "have a cluster that is known only later", remedy)])
    case = StoreCase(name, models=checked.models, oci=checked.oci, cluster_id=cluster_id)
    if faults := store_faults(name, case, checked.store):
        raise SpecError(faults)
    return plan_store(case, checked.store), checked.store, checked.oci


def _identities(store: StoreSpec) -> tuple[IdentitySpec, ...]:
    return (*store.readers, *store.writers) if isinstance(store, BucketStoreSpec) else ()


def _flat(fault: Fault, name: str) -> Fault:
    path = fault.path.replace(f"{name}.store", name, 1)
    return Fault(path, fault.value, fault.problem, fault.remedy)
