"""Every component of the package as a program: what it is made with, and what the clouds answer it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pulumi
from fakes.pulumi_monitor import Cloud

OCI = {"compartment_id": "ocid1.compartment.oc1..team", "region": "us-phoenix-1"}
CLUSTER = "ocid1.cluster.oc1.phx.main"
IMAGES = ("Oracle-Linux-8.10-Gen2-GPU-2025.05.19-0-OKE-1.34.1-905", "Oracle-Linux-8.10-2025.05.19-0-OKE-1.34.1-905")
TOKEN = "aGYtdmVyeS1zZWNyZXQ="

FUNCTIONS = {
    "oci:ContainerEngine/getNodePoolOption:getNodePoolOption": lambda _: {
        "sources": [{"imageId": f"ocid1.image.{name}", "sourceName": name, "sourceType": "IMAGE"} for name in IMAGES]
    },
    "oci:Core/getServices:getServices": lambda _: {
        "services": [{"id": "ocid1.service.all", "cidrBlock": "all-phx-services", "name": "All", "description": ""}]
    },
    "oci:Identity/getAvailabilityDomains:getAvailabilityDomains": lambda _: {
        "availabilityDomains": [{"name": "Uocm:PHX-AD-1", "id": "", "compartmentId": ""}]
    },
    "oci:ContainerEngine/getClusterKubeConfig:getClusterKubeConfig": lambda _: {"content": "apiVersion: v1"},
    "oci:Secrets/getSecretbundle:getSecretbundle": lambda _: {
        "secretBundleContents": [{"content": TOKEN, "contentType": "BASE64"}]
    },
    "oci:ObjectStorage/getNamespace:getNamespace": lambda _: {"namespace": "axnamespace"},
    "oci:Kms/getVault:getVault": lambda _: {"managementEndpoint": "https://existing.kms.example"},
}
OUTPUTS = {"oci:Artifacts/containerRepository:ContainerRepository": {"namespace": "axnamespace"}}


@dataclass(frozen=True)
class Component:
    """One way to make a component.

    `ids` are arguments (paths into them) that may be any Input; `main` is its child that options go to; `wrong` are
    arguments that cannot be.
    """

    home: str
    args: dict[str, Any]
    ids: tuple[tuple[str | int, ...], ...] = ()
    main: str = ""
    wrong: dict[str, Any] = field(default_factory=dict)

    def make(self, name: str, opts: pulumi.ResourceOptions | None = None, **more: Any) -> Any:
        """Make it; loaded here, as a program does."""
        return self.cls(name, self.args | more, opts)

    @property
    def cls(self) -> Callable[..., Any]:
        """Its class."""
        import importlib

        module, _, name = self.home.rpartition(".")
        return getattr(importlib.import_module(f"pulumi_plinth.{module}"), name)


POOL = {
    "shape": "VM.GPU.A10.1",
    "cluster_id": CLUSTER,
    "compartment_id": OCI["compartment_id"],
    "placements": [{"availability_domain": "Uocm:PHX-AD-1"}],
    "subnet_id": "ocid1.subnet.nodes",
    "kubernetes_version": "v1.34.1",
}
POOL_IDS = (
    ("cluster_id",), ("compartment_id",), ("subnet_id",), ("placements", 0, "availability_domain"),
)  # fmt: skip
CONTROL = {"control_plane": {"endpoint": "10.0.0.5", "certificate": "Q0E="}, "kind": "cluster-network"}
IDENTITY = {"oci": OCI, "cluster_id": CLUSTER, "namespace": "serving", "service_account": "chat"}
BUCKET = {
    "kind": "bucket", "bucket": "team-weights", "oci": OCI, "cluster_id": CLUSTER, "models": {"llama": "meta/llama-3"},
    "readers": [{"namespace": "serving", "service_account": "chat"}],
}  # fmt: skip

COMPONENTS = {
    "pool": Component("pool.component.GpuNodePool", POOL, POOL_IDS, "nodes", {"size": -1}),
    "pool-autoscaled": Component(
        "pool.component.GpuNodePool", POOL | {"autoscale": {"max": 3}}, POOL_IDS, "nodes", {"sise": 1}
    ),
    "pool-rdma": Component(
        "pool.component.GpuNodePool", POOL | {"shape": "BM.GPU.H100.8", "rdma": True}, POOL_IDS, "nodes", {"shape": "x"}
    ),
    "pool-cluster-network": Component(
        "pool.component.GpuNodePool",
        POOL | CONTROL | {"shape": "BM.GPU.H100.8"},
        (*POOL_IDS, ("control_plane", "endpoint"), ("control_plane", "certificate")),
        "nodes",
        {"placements": []},
    ),
    "store": Component(
        "store.component.ModelStore", BUCKET, (("oci", "compartment_id"), ("cluster_id",)), "bucket", {"kind": "buckit"}
    ),
    "cluster": Component(
        "cluster.component.GpuCluster",
        {"oci": OCI, "kubernetes_version": "v1.34.1"},
        (("oci", "compartment_id"),),
        "cluster",
        {"kubernetes_version": "1.34"},
    ),
    "addons": Component(
        "cluster.addons.ClusterAddons",
        {"cluster_id": CLUSTER, "addons": {"NvidiaGpuPlugin": {"version": "v0.17.1"}}},
        (("cluster_id",),),
        "nvidiagpuplugin",
        {"addons": {"NvidiaPlugin": {"version": "v1"}}},
    ),
    "identity": Component(
        "cluster.identity.WorkloadIdentity",
        IDENTITY | {"read_buckets": ["weights"]},
        (("cluster_id",),),
        "policy",
        {"namespace": "Serving!"},
    ),
}


def cloud(*, preview: bool = False) -> Cloud:
    """The clouds as they answer here."""
    return Cloud(preview=preview, outputs=OUTPUTS, functions=FUNCTIONS)


def with_value(args: dict[str, Any], path: tuple[str | int, ...], change: Callable[[Any], Any]) -> dict[str, Any]:
    """Arguments with the value at a path changed, everything on the way copied."""
    head, rest = path[0], path[1:]
    copy: Any = dict(args) if isinstance(args, dict) else list(args)
    copy[head] = with_value(copy[head], rest, change) if rest else change(copy[head])
    return copy
