"""Nodes and pools that servers are meant for, as declared or as reported. Values only; None is not known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pulumi_plinth.check.place_pod import Taint


@dataclass(frozen=True, slots=True)
class Node:
    """One node."""

    labels: Mapping[str, str] | None = None
    gpu_label: str | None = None
    """What a label says about the GPU."""
    gpu_sought: str | None = None
    """The GPU that the request names."""
    gpus: float | None = None
    """GPUs in the machine."""
    spare_gpus: float | None = None
    """GPUs that nobody uses, where the pods may go."""
    allocatable_gpus: float | None = None
    taints: tuple[Taint, ...] = ()
    disk_bytes: float | None = None
    """Root file system as kubelet sees it; where people give a range, its lower end."""
    allocatable_disk_bytes: float | None = None
    memory_bytes: float | None = None
    default_runtime: str | None = None
    """Container runtime without a RuntimeClass: runc, nvidia."""
    device_plugins: float | None = None
    """Software that offers the node's GPUs, counted."""
    sharing: str | None = None
    """How GPUs are shared: time-slicing, mps, mig-single or mig-mixed."""
    servers_per_gpu: float | None = None
    one_share: bool | None = None
    """True: a container gets one share of a shared GPU at most (failRequestsGreaterThanOne)."""
    driver_in_image: bool | None = None
    driver_by_operator: bool | None = None
    driver_after_join: bool | None = None
    """True: the node is Ready before its driver is installed."""
    servers: float | None = None
    """Servers that are to stand on one node."""


@dataclass(frozen=True, slots=True)
class Pulls:
    """Images that one node pulls at the same time."""

    count: float | None = None
    """Where people give a range, its upper end."""
    image_bytes: float | None = None
    """One image as compressed in the registry."""
    unpacked_bytes: float | None = None
    """One image on disk."""


@dataclass(frozen=True, slots=True)
class Pool:
    """A group of equal nodes, as declared. Kubernetes versions are (major, minor[, patch])."""

    provider: str | None = None
    shape: str | None = None
    region: str | None = None
    offered: bool | None = None
    """True: the shape is known to be offered where the pool is."""
    reserved: bool | None = None
    gpus: float | None = None
    """GPUs of all nodes together."""
    provisioned: bool | None = None
    """Whether nodes are made on demand; False: they are there already and only chosen by label."""
    virtual: bool | None = None
    """True: virtual nodes (OKE)."""
    size: float | None = None
    min_nodes: float | None = None
    max_nodes: float | None = None
    autoscaled: bool | None = None
    size_kept: bool | None = None
    """Whether a deployment leaves alone what the autoscaler changed; False: it is known that it does not."""
    template_labels: tuple[str, ...] | None = None
    """Labels that the template shows; () where it is known to show none."""
    template_gpus: float | None = None
    """GPUs that the autoscaler's or provisioner's template shows; 0 where it is known to show none."""
    catalogue_gpus: float | None = None
    """GPUs that a cloud's catalogue reports for the shape."""
    boot_bytes: float | None = None
    cloud_init: tuple[str, ...] | None = None
    """Steps in order: 'grow' and 'kubelet'; others are left out. () where it is known that there is no script."""
    preemptible: bool | None = None
    taints: tuple[Taint, ...] = ()
    domains: tuple[str, ...] | None = None
    """Availability domains of the placements; () where it is known that none is given."""
    region_domains: float | None = None
    """Availability domains of the region."""
    image_os: str | None = None
    image_name: str | None = None
    image_arch: str | None = None
    """amd64 or arm64."""
    version: tuple[int, ...] | None = None
    image_version: tuple[int, ...] | None = None
    versions_differ: bool | None = None
    """True: pool and image are known to be of different versions, without saying which."""
    cluster_version: tuple[int, ...] | None = None
    flexible_size: bool | None = None
    """Whether cores and memory are stated (nodeShapeConfig)."""
    cores: float | None = None
    memory_bytes: float | None = None
    max_pods: float | None = None
    subnet_bits: float | None = None
    """Length of the prefix of the pods' subnet: /26 is 26."""
    vnics: float | None = None
    """Network cards of a node."""
    changed_field: str | None = None
    """The field that an update of an existing pool changes."""
    provider_release: tuple[int, ...] | None = None
    cycle_mode: str | None = None
    """How nodes are replaced: instance or boot volume."""
    cycled: bool | None = None
    """True: nodes are replaced after the change."""
    provider_below: tuple[int, ...] | None = None
    """The deploying provider's release is below this one."""
    cluster_type: str | None = None
    """basic or enhanced."""
    features: tuple[str, ...] = ()
    """What is wanted that only enhanced clusters have, in words."""
    joins: bool | None = None
    """False: the node's own script is known not to run the service's, so that nodes never join."""
    surge: float | None = None
    unavailable: float | None = None


@dataclass(frozen=True, slots=True)
class Quota:
    """What a namespace or tenancy may take."""

    gpus: float | None = None
    shape_limit: float | None = None
    """The service limit for the shape."""
    extra: Mapping[str, float] = field(default_factory=dict)
