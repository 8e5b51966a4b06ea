"""NetworkSpec: the cluster's network, one that is made or one that is there. Pure."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from pulumi_plinth.oci_spec import Ocid
from pulumi_plinth.spec import Spec

WIDEST, NARROWEST = 16, 20
"""Prefix lengths of a network that is made: OCI takes none wider, and below the other the parts get too small."""


def _network(value: Any) -> str:
    try:
        return str(ipaddress.IPv4Network(str(value)))
    except ValueError:
        raise ValueError("is not a network of IPv4 addresses; write for example '10.0.0.0/16'") from None


Cidr = Annotated[str, BeforeValidator(_network), Field(json_schema_extra={"examples": ["10.0.0.0/16"]})]


class ExistingNetworkSpec(Spec):
    """A network that is there, with a subnet for each part of the cluster."""

    vcn_id: Ocid = Field(description="The network. Required.")
    api_subnet_id: Ocid = Field(description="Subnet of the Kubernetes API. Required.")
    node_subnet_id: Ocid = Field(description="Subnet of nodes. Required.")
    pod_subnet_id: Ocid = Field(description="Subnet of pods. Required.")
    load_balancer_subnet_id: Ocid = Field(description="Subnet of load balancers. Required.")


class NetworkSpec(Spec):
    """The cluster's network."""

    existing: ExistingNetworkSpec | None = Field(
        default=None, description="A network that is there; its rules are not touched. Default: none, one is made."
    )
    cidr: Cidr = Field(
        default="10.0.0.0/16", description="Addresses of the network that is made, /16 to /20. Default: 10.0.0.0/16."
    )
    services: Cidr = Field(
        default="10.96.0.0/16",
        description="Addresses of Kubernetes services, apart from the network. Default: 10.96.0.0/16, as OKE has it.",
    )
    nodes: Annotated[int, Field(ge=1, le=5000)] = Field(
        default=64, description="Most nodes there will ever be; subnets cannot grow. Default: 64."
    )
    pods_per_node: Annotated[int, Field(ge=1, le=110)] = Field(
        default=31, description="Most pods of a node, each with an address of its own. Default: 31, as pools have it."
    )
    load_balancers: Literal["private", "public"] = Field(
        default="private", description="Where load balancers answer. Default: private, inside the network only."
    )
    clients: tuple[Cidr, ...] = Field(
        default=(), description="Addresses that reach load balancers on 80 and 443. Default: the network's own."
    )

    @model_validator(mode="after")
    def _one_network(self) -> Self:
        made = {"cidr": "cidr", "nodes": "nodes", "pods_per_node": "podsPerNode", "clients": "clients"}
        wrong = [alias for field, alias in made.items() if field in self.model_fields_set]
        if self.existing and wrong:
            raise ValueError(f"has a network that is there and says {', '.join(wrong)} of one to make; keep one side")
        return self

    @model_validator(mode="after")
    def _fits_oci(self) -> Self:
        network = ipaddress.IPv4Network(self.cidr)
        if not WIDEST <= network.prefixlen <= NARROWEST:
            raise ValueError(f"has the cidr {self.cidr}, which is not /{WIDEST} to /{NARROWEST}; write 10.0.0.0/16")
        if self.existing is None and network.overlaps(ipaddress.IPv4Network(self.services)):
            raise ValueError(
                f"has services {self.services} inside {self.cidr}; write two that do not meet, such as 10.96.0.0/16"
            )
        return self
