"""Who may speak to whom under a set of NetworkPolicies: their documented meaning, as an oracle for tests.

https://kubernetes.io/docs/concepts/services-networking/network-policies/: policies add up; a pod that none selects is
open; both ends must allow a connection. Traffic between a pod and its own node is always allowed, so it is not asked.
"""

import ipaddress
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Peer:
    """A pod with its labels and named ports, or with `address` somebody outside."""

    namespace: str = ""
    labels: dict = field(default_factory=dict)
    ports: dict = field(default_factory=dict)
    address: str = ""


def allowed(policies, source, target, port):
    """Whether `source` may open a connection to `target` at a TCP port."""
    outward = _opens(policies, source, target, ("Egress", "egress", "to"), port)
    return outward and _opens(policies, target, source, ("Ingress", "ingress", "from"), port)


def _opens(policies, pod, other, way, port):
    kind, rules, peers = way
    if pod.address:
        return True
    mine = [
        policy["spec"]
        for policy in policies
        if policy["metadata"]["namespace"] == pod.namespace
        and kind in policy["spec"]["policyTypes"]
        and _selects(policy["spec"]["podSelector"], pod.labels)
    ]
    # Ports are those of the end that listens.
    listener = pod if kind == "Ingress" else other
    return not mine or any(
        _matches_port(rule, listener, port)
        and (peers not in rule or any(_is(peer, other, pod) for peer in rule[peers]))
        for spec in mine
        for rule in spec.get(rules, ())
    )


def _matches_port(rule, listener, port):
    named = {**{str(number): number for number in [port]}, **listener.ports}
    tcp = [item for item in rule.get("ports", ()) if item.get("protocol", "TCP") == "TCP"]
    return "ports" not in rule or any(named.get(str(item["port"])) == port for item in tcp)


def _is(rule, other, pod):
    if "ipBlock" in rule:
        return bool(other.address) and ipaddress.ip_address(other.address) in ipaddress.ip_network(
            rule["ipBlock"]["cidr"]
        )
    if other.address:
        return False
    if "namespaceSelector" in rule:
        inside = _selects(rule["namespaceSelector"], {"kubernetes.io/metadata.name": other.namespace})
    else:
        inside = other.namespace == pod.namespace
    return inside and _selects(rule.get("podSelector", {}), other.labels)


def _selects(selector, labels):
    return selector.get("matchLabels", {}).items() <= labels.items()
