"""NetworkSpec -> NetworkPlan: the subnets' addresses, and which part may speak to which. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from pulumi_plinth.cluster.network_spec import WIDEST, NetworkSpec
from pulumi_plinth.errors import Fault

Part = Literal["api", "nodes", "pods", "balancers"]
PARTS: tuple[Part, ...] = ("api", "nodes", "pods", "balancers")
WORLD, ORACLE = "0.0.0.0/0", "oracle services"
"""Everybody; and Oracle's own services, whose addresses only the region knows."""

RESERVED = 3
"""Addresses that OCI keeps of every subnet."""

TCP, ICMP, ALL = "6", "1", "all"


Ranges = tuple[tuple[int, int], ...]

API: Ranges = ((6443, 6443), (12250, 12250))
CALL_API: Ranges = ((6443, 6443),)
KUBELET: Ranges = ((10250, 10250),)
SERVICES: Ranges = ((30000, 32767), (10256, 10256))
"""Ports of services on nodes, and the one where balancers ask for a node's health."""

HTTPS: Ranges = ((443, 443),)
WEB: Ranges = ((80, 80), (443, 443))

ROWS: tuple[tuple[Part, Literal["in", "out"], str, str, Ranges, str], ...] = (
    ("api", "in", "nodes", TCP, API, "nodes call the API"),
    ("api", "in", "pods", TCP, API, "pods call the API"),
    ("api", "in", "nodes", ICMP, (), "path discovery"),
    ("api", "in", "allowed", TCP, CALL_API, "people call the API"),
    ("api", "out", "oracle", TCP, (), "the control plane calls Oracle's services"),
    ("api", "out", "nodes", TCP, KUBELET, "the API calls kubelets"),
    ("api", "out", "nodes", ICMP, (), "path discovery"),
    ("api", "out", "pods", ALL, (), "the API calls webhooks and metrics"),
    ("nodes", "in", "nodes", ALL, (), "nodes speak to each other"),
    ("nodes", "in", "pods", ALL, (), "pods speak to nodes"),
    ("nodes", "in", "api", TCP, KUBELET, "the API calls kubelets"),
    ("nodes", "in", "api", ICMP, (), "path discovery"),
    ("nodes", "in", "balancers", TCP, SERVICES, "services on nodes"),
    ("nodes", "out", "nodes", ALL, (), "nodes speak to each other"),
    ("nodes", "out", "pods", ALL, (), "nodes speak to pods"),
    ("nodes", "out", "api", TCP, API, "nodes call the API"),
    ("nodes", "out", "world", ICMP, (), "path discovery"),
    ("nodes", "out", "oracle", TCP, (), "registry, object storage, identity"),
    ("nodes", "out", "world", TCP, HTTPS, "registries and model hubs"),
    ("pods", "in", "nodes", ALL, (), "nodes speak to pods"),
    ("pods", "in", "pods", ALL, (), "pods speak to each other"),
    ("pods", "in", "api", ALL, (), "the API calls webhooks and metrics"),
    ("pods", "out", "nodes", ALL, (), "pods speak to nodes"),
    ("pods", "out", "pods", ALL, (), "pods speak to each other"),
    ("pods", "out", "api", TCP, API, "pods call the API"),
    ("pods", "out", "oracle", TCP, (), "object storage, identity"),
    ("pods", "out", "world", TCP, HTTPS, "model hubs"),
    ("balancers", "in", "clients", TCP, WEB, "clients"),
    ("balancers", "out", "nodes", TCP, SERVICES, "services on nodes"),
)
"""Whose rule, direction, the other side, protocol, ports (none: all), why: what OKE asks for VCN-native pods."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing that may pass. `peer` is a network, or ORACLE. `ports` are first and last; None means all."""

    ingress: bool
    peer: str
    protocol: str
    ports: tuple[int, int] | None
    why: str


@dataclass(frozen=True, slots=True)
class SubnetPlan:
    """One subnet of a network that is made."""

    part: Part
    cidr: str
    public: bool
    rules: tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class NetworkPlan:
    """A network that is made."""

    cidr: str
    subnets: tuple[SubnetPlan, ...]

    @property
    def has_public(self) -> bool:
        """Whether any part has public addresses."""
        return any(subnet.public for subnet in self.subnets)


@dataclass(frozen=True, slots=True)
class Openness:
    """Who may come in from outside: whether the API is public, and from where it is reached."""

    public: bool
    allowed: tuple[str, ...]


def plan_network(spec: NetworkSpec, open_to: Openness) -> NetworkPlan:
    """Deal the addresses out and write the rules. The API has a /28, balancers a 256th, nodes a 16th, pods half."""
    cidrs = divide(spec.cidr)
    peers: dict[str, tuple[str, ...]] = {
        **{str(part): (cidr,) for part, cidr in cidrs.items()},
        "allowed": open_to.allowed,
        "clients": spec.clients or (spec.cidr,),
        "oracle": (ORACLE,),
        "world": (WORLD,),
    }
    balancers = spec.load_balancers == "public"
    subnets = tuple(
        SubnetPlan(
            part,
            cidrs[part],
            {"api": open_to.public, "balancers": balancers}.get(part, False),
            tuple(_rules(part, peers)),
        )
        for part in PARTS
    )
    return NetworkPlan(spec.cidr, subnets)


def divide(cidr: str) -> dict[Part, str]:
    """Return the subnets' addresses."""
    network = ipaddress.IPv4Network(cidr)
    length = network.prefixlen
    pods = list(network.subnets(new_prefix=length + 1))[1]
    nodes = list(network.subnets(new_prefix=length + 4))[1]
    balancers = list(network.subnets(new_prefix=length + 8))[1]
    api = next(network.subnets(new_prefix=28))
    return {"api": str(api), "nodes": str(nodes), "pods": str(pods), "balancers": str(balancers)}


def network_faults(path: str, spec: NetworkSpec) -> Iterator[Fault]:
    """Find a network that is too small for the nodes and pods it is meant for."""
    if spec.existing is not None:
        return
    cidrs = divide(spec.cidr)
    wanted: dict[Part, tuple[int, str]] = {
        "nodes": (spec.nodes, f"{spec.nodes:,} nodes"),
        "pods": (
            spec.nodes * spec.pods_per_node,
            f"{spec.nodes:,} nodes x {spec.pods_per_node} pods = {spec.nodes * spec.pods_per_node:,} addresses",
        ),
    }
    for part, (count, words) in wanted.items():
        room = ipaddress.IPv4Network(cidrs[part]).num_addresses - RESERVED
        if count > room:
            wider = ipaddress.IPv4Network(spec.cidr).prefixlen > WIDEST
            advice = (
                f"a wider cidr (up to /{WIDEST}), fewer nodes or podsPerNode" if wider else "fewer nodes or podsPerNode"
            )
            problem = f"has {room:,} addresses for {part} in {cidrs[part]}, which is less than {words}"
            yield Fault(f"{path}.cidr", spec.cidr, problem, f"write {advice}")


def _rules(part: Part, peers: Mapping[str, tuple[str, ...]]) -> Iterator[Rule]:
    for owner, way, peer, protocol, ranges, why in ROWS:
        if owner == part:
            for network in peers[peer]:
                for ports in ranges or (None,):
                    yield Rule(way == "in", network, protocol, ports, why)
