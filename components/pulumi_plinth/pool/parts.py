"""Parts of a PoolSpec: placement, image, autoscaling, eviction, cycling, taints. Pure."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from pulumi_plinth.oci_spec import Ocid
from pulumi_plinth.quantities import Count, Flag, Positive, Seconds, Text
from pulumi_plinth.spec import Spec

_LABEL_KEY = re.compile(r"([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")
_LABEL_VALUE = re.compile(r"|[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")


def parse_label_key(value: Any) -> str:
    """Read the key of a label or taint, as Kubernetes writes it."""
    if not isinstance(value, str) or not _LABEL_KEY.fullmatch(value):
        raise ValueError(
            "is no key of a label; write a name of at most 63 characters, such as 'team' or 'acme.com/team'"
        )
    return value


def parse_label_value(value: Any) -> str:
    """Read the value of a label or taint."""
    if not isinstance(value, str) or not _LABEL_VALUE.fullmatch(value):
        raise ValueError("is no value of a label; write at most 63 letters, digits, '-', '_' or '.', in quotes")
    return value


LabelKey = Annotated[str, BeforeValidator(parse_label_key), Field(json_schema_extra={"examples": ["acme.com/team"]})]
LabelValue = Annotated[str, BeforeValidator(parse_label_value), Field(json_schema_extra={"examples": ["search"]})]


class TaintSpec(Spec):
    """Keeps pods away that do not tolerate it."""

    key: LabelKey = Field(description="Key of the taint. Required.")
    value: LabelValue = Field(default="", description="Value of the taint. Default: none, the key says enough.")
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] = Field(
        default="NoSchedule", description="What happens to pods without toleration. Default: they are not scheduled."
    )

    def __str__(self) -> str:
        """Write as the kubelet reads it."""
        return f"{self.key}={self.value}:{self.effect}"


class PlacementSpec(Spec):
    """Where nodes of a pool stand."""

    availability_domain: Text = Field(description="Name of the availability domain, such as Uocm:PHX-AD-1. Required.")
    subnet_id: Ocid | None = Field(default=None, description="OCID of the nodes' subnet here. Default: the pool's.")
    fault_domains: tuple[Literal["FAULT-DOMAIN-1", "FAULT-DOMAIN-2", "FAULT-DOMAIN-3"], ...] = Field(
        default=(), description="Fault domains to use. Default: OCI spreads over all that have room."
    )
    capacity_reservation_id: Ocid | None = Field(
        default=None, description="OCID of the capacity reservation to take nodes of. Default: the pool's."
    )
    host_group_id: Ocid | None = Field(
        default=None, description="OCID of the compute host group to place nodes in. Default: none, any host."
    )


class ImageSpec(Spec):
    """The nodes' image: one by its id, or OKE's newest at the time the pool is made."""

    id: Ocid | None = Field(
        default=None,
        description="OCID of the image. Default: none, one is selected once; a newer one later changes nothing.",
    )
    os: Text = Field(default="Oracle-Linux", description="Selection: first part of the image's name. Default: OKE's.")
    os_version: Text = Field(default="8", description="Selection: release of the system. Default: 8, OKE's usual one.")


class FlexSpec(Spec):
    """Size of a node of a flexible shape."""

    ocpus: float = Field(gt=0, description="Cores. Required.")
    memory_gib: float = Field(gt=0, description="Host memory, GB as OCI counts them. Required.")


class AutoscaleSpec(Spec):
    """Bounds between which the cluster autoscaler owns the size."""

    min: Count = Field(default=0, description="Fewest nodes. Default: 0, idle GPUs are not paid for.")
    max: Positive = Field(description="Most nodes; also what deployments on the pool may count on. Required.")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.max < self.min:
            raise ValueError(f"has max {self.max} below min {self.min}; write a max of at least {self.min}")
        return self


class EvictionSpec(Spec):
    """How pods leave a node that is to go."""

    grace: Seconds = Field(
        default=3600.0,
        ge=0,
        le=3600,
        description="Time for pods to leave, whole minutes up to 60m. Default: 60m, OKE's own; servers leave sooner.",
    )
    force: Flag = Field(
        default=True,
        description="Take the node away when the time is over. Default: true, a pod that never ends must not keep a "
        "node that is paid by the hour.",
    )


class CyclingSpec(Spec):
    """How nodes follow a change of image, version, boot volume or metadata. Needs an enhanced cluster."""

    enabled: Flag = Field(
        default=True, description="Change nodes that are there. Default: true; else new nodes only have the change."
    )
    maximum_unavailable: Positive | None = Field(
        default=None, description="Nodes that are gone at the same time. Default: 1; with surge none."
    )
    maximum_surge: Positive | None = Field(
        default=None,
        description="Nodes made beyond the size. Default: none; with surge 1, which needs capacity and quota.",
    )


class ControlPlaneSpec(Spec):
    """What nodes that OKE does not manage need to find their cluster."""

    endpoint: Text = Field(description="Private address of the Kubernetes API, without a port. Required.")
    certificate: Text = Field(description="The cluster's CA certificate, base64, as in a kubeconfig. Required.")
