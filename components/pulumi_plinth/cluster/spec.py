"""ClusterSpec: an OKE cluster that is there, or one that is made, and what stands around it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from pulumi_plinth.cluster.network_spec import Cidr, NetworkSpec
from pulumi_plinth.oci_policy import IdentitySpec
from pulumi_plinth.oci_spec import Ocid, SafeName
from pulumi_plinth.quantities import Flag, Label, Text
from pulumi_plinth.spec import Spec

AddonName = Literal[
    "NvidiaGpuPlugin", "NvidiaGpuOperator", "NodeFeatureDiscovery", "NvidiaNetworkOperator", "AmdGpuPlugin",
    "CertManager", "ClusterAutoscaler", "KubernetesMetricsServer", "CoreDNS", "KubeProxy",
]  # fmt: skip
AUTOSCALER: Literal["ClusterAutoscaler"] = "ClusterAutoscaler"
"""The add-on that owns the size of autoscaled pools; its setting `nodes` lists least:most:id of each."""

UNPINNED = "auto"
"""What is written instead of a version where OKE may change it at any time."""

AddonVersion = Annotated[
    str, Field(pattern=r"^(auto|v?\d+[A-Za-z0-9._+-]*)$", json_schema_extra={"examples": ["v0.17.1"]})
]
KubernetesVersion = Annotated[str, Field(pattern=r"^v1\.\d+\.\d+$", json_schema_extra={"examples": ["v1.34.1"]})]
MADE_ONLY = ("network", "public", "allowed", "system_pool", "key_id")


class SystemPoolSpec(Spec):
    """Nodes without GPUs, for what the cluster itself runs: DNS, metrics, add-ons."""

    shape: Text = Field(
        default="VM.Standard.E5.Flex", description="Shape. Default: VM.Standard.E5.Flex, small and common."
    )
    ocpus: Annotated[float, Field(gt=0)] = Field(default=2.0, description="Cores of a node. Default: 2.")
    memory_gib: Annotated[float, Field(gt=0)] = Field(
        default=16.0, description="Memory of a node, GB as OCI counts. Default: 16."
    )
    size: Annotated[int, Field(ge=1, le=1000)] = Field(
        default=3, description="Nodes. Default: 3, so that one may be away while another is changed."
    )
    image_id: Ocid | None = Field(
        default=None, description="Image. Default: OKE's newest when the pool is made; a newer one changes nothing."
    )


class AddonSpec(Spec):
    """One of OKE's add-ons."""

    version: AddonVersion = Field(
        description="Version, as `oci ce addon-option list` shows it, or auto. Required: a driver that changes by "
        "itself takes servers down."
    )
    configuration: dict[Text, str] = Field(
        default_factory=dict, description="Settings by OKE's keys; nested ones are JSON in text. Default: OKE's own."
    )


class RepositorySpec(Spec):
    """A place for images in Oracle's registry."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9]+([._/-][a-z0-9]+)*$", max_length=255)] = Field(
        default="plinth/runtime", description="Name of the repository. Default: plinth/runtime."
    )
    immutable: Flag = Field(default=True, description="A tag never changes its image. Default: true, pins stay true.")


class SecretSpec(Spec):
    """A secret of OCI's vault, copied to Kubernetes when the stack is deployed."""

    secret_id: Ocid = Field(description="The vault's secret. Required; its value is never written in a stack file.")
    namespace: Label = Field(description="Namespace of the Kubernetes secret. Required.")
    key: SafeName = Field(
        default="token", description="Key under which the value stands. Default: token, as OME reads it."
    )


class IdentityAccessSpec(IdentitySpec):
    """A service account, and what its pods may use on OCI beyond the stack's own stores."""

    create: Flag = Field(default=True, description="Make the service account. Default: true.")
    read_buckets: tuple[SafeName, ...] = Field(default=(), description="Buckets its pods may read. Default: none.")
    write_buckets: tuple[SafeName, ...] = Field(
        default=(), description="Buckets its pods may read and publish to. Default: none."
    )
    read_secrets: tuple[Ocid, ...] = Field(
        default=(), description="Secrets of a vault its pods may read. Default: none."
    )


class ClusterSpec(Spec):
    """The OKE cluster: by its id, or made."""

    id: Ocid | None = Field(default=None, description="A cluster that is there. Default: none, one is made.")
    kubernetes_version: KubernetesVersion | None = Field(
        default=None, description="Version of a cluster that is made. Required then: OKE offers only a few, for a time."
    )
    name: SafeName | None = Field(default=None, description="Name of what is made. Default: made of project and stack.")
    public: Flag = Field(
        default=False,
        description="Whether the Kubernetes API has a public address. Default: false; people reach it by a bastion.",
    )
    allowed: tuple[Cidr, ...] = Field(
        default=(), description="Addresses that reach the API besides nodes and pods. Required if it is public."
    )
    network: NetworkSpec = Field(default_factory=NetworkSpec, description="Its network. Default: one is made.")
    system_pool: SystemPoolSpec = Field(
        default_factory=SystemPoolSpec, description="Nodes without GPUs. Default: three small ones."
    )
    key_id: Ocid | None = Field(
        default=None, description="Customer key that Kubernetes' secrets are encrypted with. Default: Oracle's own."
    )
    addons: dict[AddonName, AddonSpec] = Field(
        default_factory=dict, description="OKE's add-ons, by name. Default: none beyond what OKE always installs."
    )
    identities: dict[Label, IdentityAccessSpec] = Field(
        default_factory=dict, description="Service accounts with rights on OCI, by a name of your own. Default: none."
    )
    repository: RepositorySpec | None = Field(default=None, description="A place for images. Default: none is made.")
    secrets: dict[Label, SecretSpec] = Field(
        default_factory=dict, description="Kubernetes secrets made from a vault's, by their name. Default: none."
    )
    protect: Flag = Field(
        default=True,
        description="Pulumi refuses to delete a cluster that was made. Default: true; write false and deploy first.",
    )

    @model_validator(mode="after")
    def _there_or_made(self) -> Self:
        fields = type(self).model_fields
        wrong = [str(fields[field].alias or field) for field in MADE_ONLY if field in self.model_fields_set]
        if self.id and wrong:
            raise ValueError(f"has the id of a cluster that is there and says {', '.join(wrong)}; keep one side")
        if self.id is None and self.kubernetes_version is None:
            raise ValueError(
                "has neither id nor kubernetesVersion; write the id of a cluster, or a version to make one"
            )
        return self

    @model_validator(mode="after")
    def _known_callers(self) -> Self:
        if self.public and not self.allowed:
            raise ValueError("is public and open to nobody; list under `allowed:` who reaches the API")
        if self.public and "0.0.0.0/0" in self.allowed:
            raise ValueError(
                "is public and allowed for 0.0.0.0/0, which is everybody; list the addresses of your people"
            )
        return self

    @model_validator(mode="after")
    def _one_driver(self) -> Self:
        if wrong := driver_faults(self.addons):
            raise ValueError(wrong)
        return self


def driver_faults(addons: Mapping[AddonName, AddonSpec]) -> str:
    """Say why add-ons cannot stand beside each other, as `problem; remedy`; empty if they can."""
    if {"NvidiaGpuPlugin", "NvidiaGpuOperator"} <= addons.keys():
        return "has NvidiaGpuPlugin and NvidiaGpuOperator, which both hand out the GPUs; keep one of the add-ons"
    if "NvidiaGpuOperator" in addons and "NodeFeatureDiscovery" not in addons:
        return "has NvidiaGpuOperator without NodeFeatureDiscovery, which it needs; add that add-on"
    return ""
