"""What keeps pods safe: who may speak to them and they to whom, and how many may be taken away at once. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from pulumi_plinth.deployment.kubernetes.credentials import CLIENTS
from pulumi_plinth.deployment.kubernetes.objects.common import API, MANAGEMENT, Manifest, head, matching
from pulumi_plinth.deployment.kubernetes.objects.volumes import needs_identity
from pulumi_plinth.deployment.kubernetes.plan import ServerPlan
from pulumi_plinth.deployment.kubernetes.weights import Fetch

NAMESPACE_LABEL = "kubernetes.io/metadata.name"
"""Set by every API server on every namespace."""

PORT = re.compile(r"^https?://[^/]+?:(\d{1,5})(?=/|$)")
"""The port that an address names."""

STORE_PORT = 443
METADATA = "169.254.169.254/32"
"""Where clouds tell an instance who it is."""


def network_policy(plan: ServerPlan) -> Manifest:
    """Return the policy: what is not listed is denied, in both directions.

    A kubelet reaches the pods of its own node in any case (Kubernetes: network policies); `nodeNetworks` is for CNIs
    that do not hold to it.
    """
    spec = {
        "podSelector": matching(plan),
        "policyTypes": ["Ingress", "Egress"],
        "ingress": list(_ingress(plan)),
        "egress": list(_egress(plan)),
    }
    return {**head(("networking.k8s.io/v1", "NetworkPolicy"), plan), "spec": spec}


def _ingress(plan: ServerPlan) -> Iterator[Manifest]:
    own: Manifest = {"podSelector": {}}
    yield {"from": [own, *_namespaces(plan.placement.callers)], "ports": [{"port": API, "protocol": "TCP"}]}
    readers = list(_namespaces(plan.monitoring.namespaces if plan.monitoring else ()))
    nodes = [{"ipBlock": {"cidr": network}} for network in plan.node_networks]
    if readers or nodes:
        yield {"from": [*readers, *nodes], "ports": [{"port": MANAGEMENT, "protocol": "TCP"}]}
    if plan.workload.grouped:
        # Tensors travel over ports that NCCL draws; none of them knows a key, so only members may reach them.
        yield {"from": [{"podSelector": matching(plan)}]}


def _egress(plan: ServerPlan) -> Iterator[Manifest]:
    if plan.workload.grouped or plan.weights.fetches:
        yield {"ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]}
    for fetch in plan.weights.fetches:
        yield {"ports": [{"port": port, "protocol": "TCP"} for port in _store_ports(fetch)]}
        if needs_identity(fetch):
            yield {"to": [{"ipBlock": {"cidr": METADATA}}], "ports": [{"port": 80, "protocol": "TCP"}]}
    if plan.workload.grouped:
        yield {"to": [{"podSelector": matching(plan)}]}


def _store_ports(fetch: Fetch) -> tuple[int, ...]:
    """Return the ports of a store: 443, those that addresses name, and those of its identities."""
    named = [int(port) for text in (str(fetch.uri), *dict(fetch.settings).values()) for port in PORT.findall(text)]
    identity = CLIENTS[fetch.uri.scheme].ports if needs_identity(fetch) else ()
    return tuple(dict.fromkeys((STORE_PORT, *named, *identity)))


def _namespaces(names: Iterable[str]) -> Iterator[Manifest]:
    return ({"namespaceSelector": {"matchLabels": {NAMESPACE_LABEL: name}}} for name in names)


def disruption_budget(plan: ServerPlan) -> Manifest:
    """Return the budget: one pod at a time, so that nodes can be drained even where one replica is all there is."""
    spec = {"maxUnavailable": 1, "selector": matching(plan), "unhealthyPodEvictionPolicy": "AlwaysAllow"}
    return {**head(("policy/v1", "PodDisruptionBudget"), plan), "spec": spec}
