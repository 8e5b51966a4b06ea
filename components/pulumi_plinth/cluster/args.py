"""Arguments of the components around a cluster, for Python and for other languages, and how they are checked."""

from typing import Any, NotRequired, TypedDict, TypeVar

import pulumi
from pydantic import ValidationError

from pulumi_plinth.cluster.plan import cluster_faults
from pulumi_plinth.cluster.spec import ClusterSpec
from pulumi_plinth.errors import SpecError, faults_of
from pulumi_plinth.oci_args import OciArgs, plain
from pulumi_plinth.oci_spec import OciSpec
from pulumi_plinth.spec import Spec

Checked = TypeVar("Checked", bound=Spec)


class ClusterSubnetsArgs(TypedDict):
    """A network that is there, with a subnet for each part of the cluster."""

    vcn_id: pulumi.Input[str]
    """The network."""
    api_subnet_id: pulumi.Input[str]
    """Subnet of the Kubernetes API."""
    node_subnet_id: pulumi.Input[str]
    """Subnet of nodes."""
    pod_subnet_id: pulumi.Input[str]
    """Subnet of pods."""
    load_balancer_subnet_id: pulumi.Input[str]
    """Subnet of load balancers."""


class ClusterNetworkArgs(TypedDict):
    """The cluster's network."""

    existing: NotRequired[ClusterSubnetsArgs]
    """A network that is there; one is made unless given."""
    cidr: NotRequired[str]
    """Addresses of the network that is made; 10.0.0.0/16 unless given."""
    services: NotRequired[str]
    """Addresses of Kubernetes services; 10.96.0.0/16 unless given."""
    nodes: NotRequired[int]
    """Most nodes there will ever be; 64 unless given."""
    pods_per_node: NotRequired[int]
    """Most pods of a node; 31 unless given."""
    load_balancers: NotRequired[str]
    """private (unless given) or public."""
    clients: NotRequired[list[str]]
    """Addresses that reach load balancers; the network's own unless given."""


class SystemPoolArgs(TypedDict):
    """Nodes without GPUs."""

    shape: NotRequired[str]
    """Shape; VM.Standard.E5.Flex unless given."""
    ocpus: NotRequired[float]
    """Cores of a node; 2 unless given."""
    memory_gib: NotRequired[float]
    """Memory of a node; 16 unless given."""
    size: NotRequired[int]
    """Nodes; 3 unless given."""
    image_id: NotRequired[pulumi.Input[str]]
    """Image; OKE's newest when the pool is made unless given."""


class GpuClusterArgs(TypedDict):
    """An OKE cluster that is there (`id`), or one that is made."""

    oci: OciArgs
    """What everything made on OCI shares."""
    id: NotRequired[pulumi.Input[str]]
    """A cluster that is there."""
    kubernetes_version: NotRequired[str]
    """Version of a cluster that is made; required then."""
    name: NotRequired[str]
    """Name of what is made; the component's unless given."""
    public: NotRequired[bool]
    """Whether the API has a public address; false unless given."""
    allowed: NotRequired[list[str]]
    """Addresses that reach the API besides nodes and pods."""
    network: NotRequired[ClusterNetworkArgs]
    """Its network."""
    system_pool: NotRequired[SystemPoolArgs]
    """Nodes without GPUs."""
    key_id: NotRequired[pulumi.Input[str]]
    """Customer key that Kubernetes' secrets are encrypted with."""
    protect: NotRequired[bool]
    """Pulumi refuses to delete a cluster that was made; true unless given."""


class AddonArgs(TypedDict):
    """One of OKE's add-ons."""

    version: str
    """Version, or auto."""
    configuration: NotRequired[dict[str, pulumi.Input[str]]]
    """Settings by OKE's keys; nested ones are JSON in text."""


class ClusterAddonsArgs(TypedDict):
    """OKE's add-ons of one cluster."""

    cluster_id: pulumi.Input[str]
    """The cluster."""
    addons: dict[str, AddonArgs]
    """Add-ons, by OKE's names."""
    oci: NotRequired[OciArgs]
    """What everything made on OCI shares; with it the autoscaler's policy is written."""


class WorkloadIdentityArgs(TypedDict):
    """A service account, and what its pods may use on OCI."""

    oci: OciArgs
    """What everything made on OCI shares."""
    cluster_id: pulumi.Input[str]
    """The cluster, an enhanced one."""
    namespace: str
    """Kubernetes namespace."""
    service_account: str
    """Service account."""
    create: NotRequired[bool]
    """Make the service account; true unless given."""
    read_buckets: NotRequired[list[str]]
    """Buckets its pods may read."""
    write_buckets: NotRequired[list[str]]
    """Buckets its pods may read and publish to."""
    read_secrets: NotRequired[list[str]]
    """Secrets of a vault its pods may read."""


class ImageRepositoryArgs(TypedDict):
    """A place for images in Oracle's registry."""

    oci: OciArgs
    """What everything made on OCI shares."""
    name: NotRequired[str]
    """Name of the repository; plinth/runtime unless given."""
    immutable: NotRequired[bool]
    """A tag never changes its image; true unless given."""


class VaultSecretArgs(TypedDict):
    """A Kubernetes secret made from a secret of OCI's vault."""

    secret_id: pulumi.Input[str]
    """The vault's secret."""
    namespace: str
    """Namespace of the Kubernetes secret."""
    name: str
    """Name of the Kubernetes secret."""
    key: NotRequired[str]
    """Key under which the value stands; token unless given."""


def checked(kind: type[Checked], name: str, args: Any) -> Checked:
    """Check what is plain of a component's arguments, before anything is registered. Raises SpecError."""
    given = {key: plain(value) for key, value in args.items() if key != "oci"}
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        raise SpecError(faults_of(error, kind, name)) from None


def checked_oci(name: str, args: OciArgs) -> OciSpec:
    """Check what all OCI resources share."""
    try:
        return OciSpec.model_validate(plain(dict(args)))
    except ValidationError as error:
        raise SpecError(faults_of(error, OciSpec, f"{name}.oci")) from None


def checked_cluster(name: str, args: GpuClusterArgs) -> tuple[ClusterSpec, OciSpec]:
    """Check a cluster's arguments, also those that depend on each other."""
    spec, oci = checked(ClusterSpec, name, args), checked_oci(name, args["oci"])
    if faults := cluster_faults(name, spec, oci):
        raise SpecError(faults)
    return spec, oci
