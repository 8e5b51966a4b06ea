"""How addresses are dealt out, and which part of a cluster may speak to which."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulumi_plinth.cluster.network import PARTS, WORLD, Openness, divide, network_faults, plan_network
from pulumi_plinth.cluster.network_spec import NetworkSpec

CLOSED = Openness(public=False, allowed=())


@given(st.integers(16, 20), st.integers(0, 255))
def test_subnets_lie_in_the_network_and_never_meet(length, octet):
    """Whatever network is asked for, its four parts are inside and apart, and pods have half."""
    network = ipaddress.ip_network(f"10.{octet}.0.0/{length}")
    parts = {part: ipaddress.ip_network(cidr) for part, cidr in divide(str(network)).items()}
    assert set(parts) == set(PARTS)
    assert all(part.subnet_of(network) for part in parts.values())
    assert not any(parts[one].overlaps(parts[two]) for one in parts for two in parts if one != two)
    assert parts["pods"].num_addresses * 2 == network.num_addresses


@pytest.mark.parametrize(
    ("part", "ingress", "peer", "port", "passes"),
    [
        ("api", True, "nodes", 6443, True),
        ("api", True, "pods", 12250, True),
        ("api", True, "balancers", 6443, False),
        ("api", True, "192.0.2.0/24", 6443, True),
        ("api", True, "192.0.2.0/24", 12250, False),
        ("api", True, WORLD, 6443, False),
        ("nodes", True, "api", 10250, True),
        ("nodes", True, "api", 22, False),
        ("nodes", True, "balancers", 31000, True),
        ("nodes", True, "balancers", 22, False),
        ("nodes", True, "nodes", 5000, True),
        ("nodes", True, WORLD, 443, False),
        ("pods", True, "api", 8443, True),
        ("pods", True, "balancers", 8000, False),
        ("pods", True, WORLD, 8000, False),
        ("pods", False, WORLD, 443, True),
        ("pods", False, WORLD, 25, False),
        ("balancers", True, "10.0.0.0/16", 443, True),
        ("balancers", True, WORLD, 443, False),
        ("balancers", False, "nodes", 30000, True),
        ("balancers", False, WORLD, 443, False),
    ],
)
def test_only_what_oke_needs_may_pass(part, ingress, peer, port, passes):
    """Each way in and out is one somebody wrote down; everything else is closed."""
    plan = plan_network(NetworkSpec(), Openness(public=True, allowed=("192.0.2.0/24",)))
    cidrs = {subnet.part: subnet.cidr for subnet in plan.subnets}
    rules = next(subnet.rules for subnet in plan.subnets if subnet.part == part)
    found = [
        rule
        for rule in rules
        if rule.ingress == ingress
        and rule.peer == cidrs.get(peer, peer)
        and rule.protocol in ("6", "all")
        and (rule.ports is None or rule.ports[0] <= port <= rule.ports[1])
    ]
    assert bool(found) == passes


def test_every_way_out_has_a_way_in():
    """What one part may send to another, the other accepts, with the same protocol and ports."""
    plan = plan_network(NetworkSpec(), CLOSED)
    part_of = {subnet.cidr: subnet for subnet in plan.subnets}
    for subnet in plan.subnets:
        for rule in subnet.rules:
            if not rule.ingress and rule.peer in part_of:
                accepted = [other for other in part_of[rule.peer].rules if other.ingress and other.peer == subnet.cidr]
                assert any(
                    (other.protocol in (rule.protocol, "all") and other.ports in (rule.ports, None))
                    or rule.protocol == "all"
                    for other in accepted
                ), (subnet.part, rule)


def test_nothing_is_public_unless_it_is_said():
    """API and load balancers have private addresses by default, and each can be opened by itself."""
    assert not plan_network(NetworkSpec(), CLOSED).has_public
    balancers = plan_network(NetworkSpec(load_balancers="public", clients=("0.0.0.0/0",)), CLOSED)
    assert {subnet.part for subnet in balancers.subnets if subnet.public} == {"balancers"}
    api = plan_network(NetworkSpec(), Openness(public=True, allowed=("192.0.2.0/24",)))
    assert {subnet.part for subnet in api.subnets if subnet.public} == {"api"}


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, None),
        ({"nodes": 1000, "podsPerNode": 31}, None),
        (
            {"nodes": 2000, "podsPerNode": 31},
            "for pods in 10.0.128.0/17, which is less than 2,000 nodes x 31 pods = 62,000 addresses",
        ),
        ({"cidr": "10.0.0.0/20", "nodes": 300, "podsPerNode": 1}, "for nodes in 10.0.1.0/24, which is less than 300"),
        ({"cidr": "10.0.0.0/20", "podsPerNode": 110}, "write a wider cidr (up to /16)"),
    ],
)
def test_a_network_that_is_too_small_is_refused_with_the_arithmetic(spec, expected):
    """Subnets cannot grow, so that they must be right on the first day."""
    faults = [str(fault) for fault in network_faults("cluster.network", NetworkSpec.model_validate(spec))]
    assert faults == [] if expected is None else any(expected in fault for fault in faults), faults
