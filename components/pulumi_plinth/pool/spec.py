"""PoolSpec: nodes with GPUs, as people write them. Pure."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from pulumi_plinth.oci_spec import Ocid
from pulumi_plinth.pool.parts import (
    AutoscaleSpec,
    ControlPlaneSpec,
    CyclingSpec,
    EvictionSpec,
    FlexSpec,
    ImageSpec,
    LabelKey,
    LabelValue,
    PlacementSpec,
    TaintSpec,
)
from pulumi_plinth.quantities import ByteSize, Count, Flag, Text
from pulumi_plinth.spec import Spec

Kind = Literal["managed", "cluster-network", "gpu-memory-cluster", "existing"]
Replacement = Literal["delete-first", "surge", "in-place"]

RDMA_PLUGINS = (
    "Compute HPC RDMA Authentication", "Compute HPC RDMA Auto-Configuration", "Compute RDMA GPU Monitoring",
)  # fmt: skip
"""What Oracle's agent on a node must do for RDMA."""


class PoolSpec(Spec):
    """Nodes with GPUs in an OKE cluster. The pool's name is its key under `pools`."""

    kind: Kind = Field(
        default="managed",
        description="managed: OKE makes, drains and cycles the nodes. cluster-network: bare metal on one RDMA network, "
        "which joins by itself. gpu-memory-cluster: the same for Grace-Blackwell racks. existing: nodes that are there "
        "already, found by `labels`. Default: managed, it does the most.",
    )
    shape: Text | None = Field(
        default=None,
        description="The nodes' shape, a name of `plinth shapes` or of `shapes` in this file. Required, except for "
        "existing nodes that `gpus` and `gpuMemory` describe.",
    )
    gpus: Annotated[int, Field(ge=1, le=72, strict=True)] | None = Field(
        default=None, description="GPUs of a node, for a shape that no table knows. Default: as known by name."
    )
    gpu_memory: ByteSize | None = Field(
        default=None, gt=0, description="Memory of one GPU, for a shape that no table knows. Default: as known by name."
    )
    gpu: Text | None = Field(
        default=None, description="Name of the GPU, for a shape that no table knows. Default: as known, else not said."
    )
    flex: FlexSpec | None = Field(
        default=None,
        description="Cores and memory of a node; flexible shapes need it. Default: none, shapes are fixed.",
    )
    size: Count = Field(default=1, description="Nodes; with `autoscale` those to begin with. Default: 1, or its `min`.")
    autoscale: AutoscaleSpec | None = Field(
        default=None, description="Bounds for the cluster autoscaler. Default: none, `size` is what there is."
    )
    cluster_id: Ocid | None = Field(
        default=None, description="OCID of the OKE cluster. Default: the one declared under `cluster`."
    )
    compartment_id: Ocid | None = Field(
        default=None, description="OCID of the compartment. Default: the one under `oci`."
    )
    placements: tuple[PlacementSpec, ...] = Field(
        default=(), description="Availability domains for nodes, at least one. Required unless nodes exist."
    )
    subnet_id: Ocid | None = Field(
        default=None, description="OCID of the nodes' subnet. Required unless each placement names one."
    )
    nsg_ids: tuple[Ocid, ...] = Field(
        default=(), description="OCIDs of security groups of the nodes. Default: none, the subnet's rules hold."
    )
    pod_network: Literal["vcn-native", "flannel"] = Field(
        default="vcn-native", description="The cluster's pod network. Default: vcn-native, OKE's own for GPU pools."
    )
    pod_subnet_ids: tuple[Ocid, ...] = Field(
        default=(), description="OCIDs of the pods' subnets (vcn-native). Default: the nodes' own subnets."
    )
    pod_nsg_ids: tuple[Ocid, ...] = Field(
        default=(), description="OCIDs of security groups of the pods (vcn-native). Default: none."
    )
    max_pods: Annotated[int, Field(ge=1, le=110, strict=True)] = Field(
        default=31,
        description="Pods of a node, at most 110. Default: 31, what one network card has addresses for; a GPU node "
        "runs few large pods.",
    )
    kubernetes_version: Annotated[str, Field(pattern=r"^v\d+\.\d+\.\d+$")] | None = Field(
        default=None,
        description="Kubernetes of the nodes, such as v1.32.1. Required to select an image. Default: the cluster's.",
    )
    image: ImageSpec = Field(
        default_factory=ImageSpec, description="The nodes' image. Default: OKE's newest for GPUs, chosen once."
    )
    boot_volume: ByteSize | None = Field(
        default=None,
        ge=50 << 30,
        le=32 << 40,
        description="Boot volume, whole GiB from 50Gi. Default: planned: system, engine image and weights at 85 %.",
    )
    weights: ByteSize | None = Field(
        default=None,
        description="Bytes of weights that a node keeps. Default: those of the deployments that name the pool.",
    )
    nvme: Literal["raid0", "none"] = Field(
        default="raid0",
        description="What is done with local NVMe drives: one striped file system for weights, or nothing. Default: "
        "raid0, they can be fetched again and nothing reads faster.",
    )
    labels: dict[LabelKey, LabelValue] = Field(
        default_factory=dict, description="Labels of the nodes; of existing ones those that select them. Default: none."
    )
    taints: tuple[TaintSpec, ...] = Field(
        default=(), description="Taints beside those OKE puts on GPU nodes. Default: none."
    )
    capacity_reservation_id: Ocid | None = Field(
        default=None, description="OCID of a capacity reservation to take nodes of. Default: none, on demand."
    )
    preemptible: Flag = Field(default=False, description="Nodes at half price that OCI may take away. Default: false.")
    rdma: Flag = Field(
        default=False,
        description="managed: put the nodes into a compute cluster, so that they reach each other by RDMA. Changing "
        "it replaces the pool. Default: false, because all nodes must then find room in one network.",
    )
    compute_cluster_id: Ocid | None = Field(
        default=None, description="OCID of a compute cluster that is there. Default: one is made where rdma needs it."
    )
    control_plane: ControlPlaneSpec | None = Field(
        default=None, description="The cluster as nodes find it that join by themselves. Required for those kinds."
    )
    agent_plugins: tuple[Text, ...] = Field(
        default=RDMA_PLUGINS,
        description="Plugins of Oracle's agent to enable on nodes that join by themselves. Default: those RDMA needs.",
    )
    eviction: EvictionSpec = Field(
        default_factory=EvictionSpec, description="How pods leave nodes that go. Default: an hour, then force."
    )
    replacement: Replacement | None = Field(
        default=None,
        description="How nodes and pool are replaced: delete-first gives a node up before it makes the next; surge "
        "makes one first and needs spare capacity; in-place keeps the host and changes its boot volume. Default: "
        "in-place for bare metal, delete-first for VMs: scarce GPUs are seldom free twice.",
    )
    cycling: CyclingSpec = Field(
        default_factory=CyclingSpec, description="How nodes that are there follow a change. Default: one by one."
    )
    boot_script: Text | None = Field(
        default=None, description="Shell lines to run before the node joins. Default: none."
    )
    ssh_key: Text | None = Field(
        default=None, description="Public key for logging in to nodes. Default: none, nobody logs in."
    )
    key_id: Ocid | None = Field(
        default=None, description="OCID of a key of your own for boot volumes. Default: Oracle's key."
    )
    encrypt_in_transit: Flag = Field(
        default=False,
        description="Encrypt between node and boot volume (VMs). Default: false, images and shapes must know it.",
    )
    tags: dict[Text, str] = Field(default_factory=dict, description="Free-form tags. Default: none.")
    defined_tags: dict[Text, str] = Field(
        default_factory=dict, description="Defined tags as namespace.key. Default: none."
    )
    ignore_tags: tuple[Text, ...] = Field(
        default=("Oracle-Tags.CreatedBy", "Oracle-Tags.CreatedOn"),
        description="Defined tags that the tenancy sets by itself; changes are left alone. Default: Oracle's two.",
    )

    @property
    def least(self) -> int:
        """The fewest nodes there may be."""
        return self.autoscale.min if self.autoscale else self.size

    @property
    def most(self) -> int:
        """The most nodes there may be."""
        return self.autoscale.max if self.autoscale else self.size

    @property
    def first(self) -> int:
        """Nodes to begin with."""
        if self.autoscale is None:
            return self.size
        wanted = self.size if "size" in self.model_fields_set else self.autoscale.min
        return min(max(wanted, self.autoscale.min), self.autoscale.max)
