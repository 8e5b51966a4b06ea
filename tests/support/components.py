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
OUTPUTS = {
    "oci:Artifacts/containerRepository:ContainerRepository": {"namespace": "axnamespace"},
    "oci:FileStorage/mountTarget:MountTarget": {"ipAddress": "10.0.4.7", "exportSetId": "exports"},
    "oci:Lustre/fileStorageLustreFileSystem:FileStorageLustreFileSystem": {
        "managementServiceAddress": "10.0.4.9",
        "lnet": "tcp",
    },
}


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
POOL_FULL = POOL | {
    "nsg_ids": ["ocid1.nsg.a", "ocid1.nsg.b"],
    "pod_subnet_ids": ["ocid1.subnet.p", "ocid1.subnet.q"],
    "pod_nsg_ids": ["ocid1.nsg.c", "ocid1.nsg.d"],
    "image": {"id": "ocid1.image.i"},
    "ssh_key": "ssh-ed25519 AAAA",
    "key_id": "ocid1.key.k",
    "labels": {"a": "1", "b": "2"},
    "taints": [{"key": "a"}, {"key": "b"}],
    "tags": {"x": "1", "y": "2"},
    "defined_tags": {"N.x": "1", "N.y": "2"},
    "ignore_tags": ["N.u", "N.v"],
    "placements": [
        {
            "availability_domain": "Uocm:PHX-AD-1",
            "subnet_id": "ocid1.subnet.nodes",
            "fault_domains": ["FAULT-DOMAIN-1", "FAULT-DOMAIN-2"],
            "host_group_id": "ocid1.hostgroup.h",
        },
        {"availability_domain": "Uocm:PHX-AD-2", "capacity_reservation_id": "ocid1.capacityreservation.r"},
    ],
}
POOL_FULL_IDS = (
    ("nsg_ids", 0), ("pod_subnet_ids", 0), ("pod_nsg_ids", 0), ("image", "id"), ("ssh_key",), ("key_id",),
    ("placements", 0, "subnet_id"), ("placements", 0, "host_group_id"), ("placements", 1, "capacity_reservation_id"),
)  # fmt: skip
METAL = POOL | {"shape": "BM.GPU.H100.8"}
CONTROL = {"control_plane": {"endpoint": "10.0.0.5", "certificate": "Q0E="}, "kind": "cluster-network"}
IDENTITY = {"oci": OCI, "cluster_id": CLUSTER, "namespace": "serving", "service_account": "chat"}
READERS = [{"namespace": "serving", "service_account": "chat"}, {"namespace": "batch", "service_account": "score"}]
OCI_FULL = OCI | {
    "home_region": "us-ashburn-1", "tenancy_id": "ocid1.tenancy.t", "namespace": "axnamespace",
    "tags": {"x": "1", "y": "2"}, "defined_tags": {"N.x": "1", "N.y": "2"}, "ignore_tags": ["N.u", "N.v"],
}  # fmt: skip
OCI_IDS = (("oci", "compartment_id"), ("oci", "tenancy_id"), ("oci", "namespace"))
BUCKET = {
    "kind": "bucket", "bucket": "team-weights", "oci": OCI, "cluster_id": CLUSTER, "models": {"llama": "meta/llama-3"},
    "readers": [{"namespace": "serving", "service_account": "chat"}],
}  # fmt: skip
BUCKET_FULL = BUCKET | {
    "oci": OCI_FULL,
    "models": {"llama": "meta/llama-3", "qwen": "qwen/qwen3"},
    "readers": READERS,
    "writers": READERS,
    "key": {"id": "ocid1.key.k"},
    "private_endpoint": {"subnet_id": "ocid1.subnet.e", "prefix": "models", "nsg_ids": ["ocid1.nsg.a", "ocid1.nsg.b"]},
}
FILES = {"oci": OCI, "availability_domain": "Uocm:PHX-AD-1", "subnet_id": "ocid1.subnet.f", "key_id": "ocid1.key.k"}
FILES_IDS = (("oci", "compartment_id"), ("availability_domain",), ("subnet_id",), ("key_id",))
SUBNETS = {
    f"{part}_id": f"ocid1.{part.rpartition('_')[2]}.{part}"
    for part in ("vcn", "api_subnet", "node_subnet", "pod_subnet", "load_balancer_subnet")
}
POOL_HOME, STORE_HOME, CLUSTER_HOME = "pool.component.GpuNodePool", "store.component.ModelStore", "cluster.component.GpuCluster"  # fmt: skip # noqa: E501

COMPONENTS = {
    "pool": Component(POOL_HOME, POOL, POOL_IDS, "nodes", {"size": -1}),
    "pool-full": Component(POOL_HOME, POOL_FULL, POOL_FULL_IDS, "nodes", {"labels": {"a b": "c"}}),
    "pool-autoscaled": Component(POOL_HOME, POOL | {"autoscale": {"max": 3}}, POOL_IDS, "nodes", {"sise": 1}),
    "pool-reserved": Component(
        POOL_HOME,
        METAL
        | {
            "capacity_reservation_id": "ocid1.capacityreservation.r",
            "compute_cluster_id": "ocid1.network.n",
            "rdma": True,
        },
        (*POOL_IDS, ("capacity_reservation_id",), ("compute_cluster_id",)),
        "nodes",
        {"preemptible": True},
    ),
    "pool-rdma": Component(POOL_HOME, METAL | {"rdma": True}, POOL_IDS, "nodes", {"shape": "x"}),
    "pool-cluster-network": Component(
        POOL_HOME,
        METAL | CONTROL,
        (*POOL_IDS, ("control_plane", "endpoint"), ("control_plane", "certificate")),
        "nodes",
        {"placements": []},
    ),
    "store": Component(STORE_HOME, BUCKET, (("oci", "compartment_id"), ("cluster_id",)), "bucket", {"kind": "buckit"}),
    "store-full": Component(
        STORE_HOME,
        BUCKET_FULL,
        (*OCI_IDS, ("key", "id"), ("private_endpoint", "subnet_id"), ("private_endpoint", "nsg_ids", 0)),
        "bucket",
        {"retention": [{"name": "year", "days": 0}]},
    ),
    "store-key": Component(
        STORE_HOME,
        BUCKET | {"key": {"create": True, "vault_id": "ocid1.vault.v"}},
        (("key", "vault_id"),),
        "bucket",
        {"key": {"create": True, "id": "ocid1.key.k"}},
    ),
    "store-fss": Component(
        STORE_HOME,
        FILES | {"kind": "fss", "clients": "10.0.8.0/21"},
        FILES_IDS,
        "file-system",
        {"export_path": "no path"},
    ),
    "store-fss-there": Component(
        STORE_HOME,
        {"kind": "fss", "file_system_id": "ocid1.filesystem.f", "mount_target": "10.0.4.4"},
        (("file_system_id",), ("mount_target",)),
    ),
    "store-lustre": Component(
        STORE_HOME, FILES | {"kind": "lustre", "capacity_tb": 35}, FILES_IDS, "file-system", {"capacity_tb": 7}
    ),
    "store-lustre-there": Component(
        STORE_HOME, {"kind": "lustre", "address": "10.0.2.6@tcp", "file_system": "shared"}, (("address",),)
    ),
    "cluster": Component(
        CLUSTER_HOME,
        {"oci": OCI, "kubernetes_version": "v1.34.1"},
        (("oci", "compartment_id"),),
        "cluster",
        {"kubernetes_version": "1.34"},
    ),
    "cluster-full": Component(
        CLUSTER_HOME,
        {
            "oci": OCI_FULL,
            "kubernetes_version": "v1.34.1",
            "network": {"existing": SUBNETS},
            "key_id": "ocid1.key.k",
            "system_pool": {"image_id": "ocid1.image.i"},
        },
        (*OCI_IDS, *(("network", "existing", part) for part in SUBNETS), ("key_id",), ("system_pool", "image_id")),
        "cluster",
        {"network": {"existing": SUBNETS, "nodes": 5}},
    ),
    "cluster-there": Component(CLUSTER_HOME, {"oci": OCI, "id": CLUSTER}, (("id",),)),
    "addons": Component(
        "cluster.addons.ClusterAddons",
        {
            "oci": OCI_FULL,
            "cluster_id": CLUSTER,
            "addons": {
                "NvidiaGpuPlugin": {"version": "v0.17.1", "configuration": {"a": "1", "b": "2"}},
                "ClusterAutoscaler": {"version": "auto"},
            },
        },
        (("cluster_id",), *OCI_IDS, ("addons", "NvidiaGpuPlugin", "configuration", "a")),
        "nvidiagpuplugin",
        {"addons": {"NvidiaPlugin": {"version": "v1"}}},
    ),
    "identity": Component(
        "cluster.identity.WorkloadIdentity",
        IDENTITY
        | {
            "oci": OCI_FULL,
            "read_buckets": ["weights", "data"],
            "write_buckets": ["out", "log"],
            "read_secrets": ["ocid1.vaultsecret.a", "ocid1.vaultsecret.b"],
        },
        (("cluster_id",), *OCI_IDS),
        "policy",
        {"namespace": "Serving!"},
    ),
    "repository": Component(
        "cluster.repository.ImageRepository", {"oci": OCI_FULL}, OCI_IDS, "repository", {"immutable": "perhaps"}
    ),
    "vault-secret": Component(
        "cluster.vault_secret.VaultSecret",
        {"secret_id": "ocid1.vaultsecret.s", "namespace": "serving", "name": "hf-token"},
        (("secret_id",),),
        "secret",
        {"key": "no key"},
    ),
}
"""By a name that tells which of its ways: a component may be made in several."""

OTHERS = ("Platform", "ModelDeployment")
"""Components whose only argument is a plan: they are tried with stacks, in test_behaviours_stack.py."""

MAIN = [kind for kind, component in COMPONENTS.items() if component.main]
"""Those with a child that options go to."""

WRONG = [kind for kind, component in COMPONENTS.items() if component.wrong]
"""Those with an argument to get wrong."""

SETS = frozenset({
    "nsg_ids", "pod_nsg_ids", "pod_subnet_ids", "taints", "placements", "fault_domains", "readers", "writers",
    "read_buckets", "write_buckets", "read_secrets", "ignore_tags",
})  # fmt: skip
"""Arguments that are sets in the API, whatever their order."""


def backwards(value: Any, key: str = "") -> Any:
    """Arguments with every mapping and every set in the opposite order."""
    if isinstance(value, dict):
        return {key: backwards(item, key) for key, item in reversed(value.items())}
    if isinstance(value, list):
        found = [backwards(item) for item in value]
        return found[::-1] if key in SETS else found
    return value


def cloud(*, preview: bool = False) -> Cloud:
    """The clouds as they answer here."""
    return Cloud(preview=preview, outputs=OUTPUTS, functions=FUNCTIONS)


def with_value(args: dict[str, Any], path: tuple[str | int, ...], change: Callable[[Any], Any]) -> dict[str, Any]:
    """Arguments with the value at a path changed, everything on the way copied."""
    head, rest = path[0], path[1:]
    copy: Any = dict(args) if isinstance(args, dict) else list(args)
    copy[head] = with_value(copy[head], rest, change) if rest else change(copy[head])
    return copy
