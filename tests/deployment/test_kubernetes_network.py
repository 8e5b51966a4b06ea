"""NetworkPolicies of a stack, evaluated over all pairs of pods: what is meant to be open is, and nothing else."""

import itertools

import pytest
from support.network_policy import Peer, allowed
from support.pods import IMAGE, LARGE, planned, pods

from pulumi_plinth.deployment.kubernetes.manifests import manifests

API, MANAGEMENT, GROUP_PORT, NCCL = 8000, 9000, 29500, 41234
STORE = "203.0.113.7"


@pytest.fixture(scope="module")
def world():
    """A stack with a server, another one, and two groups of two nodes; and everybody who may want to speak to them."""
    document = pods(
        kubernetes={"image": IMAGE, "apiNamespaces": ["gateway"], "monitoring": {}, "nodeNetworks": ["10.1.0.0/16"]},
        models=LARGE,
    )
    chat = document["deployments"]["chat"]
    group = {"model": "llama", "target": "kubernetes", "shape": "BM.GPU.H100.8", "maxModelLen": 8192}
    document["deployments"] |= {
        "other": chat | {"pod": {"allowedNamespaces": ["friends"]}, "weights": {"claim": "models"}},
        "large": group,
        "huge": group,
    }
    policies, peers = [], {}
    for plan in planned(document).servers:
        for item in manifests(plan):
            if item["kind"] == "NetworkPolicy":
                policies.append(item)
            template = item.get("spec", {}).get("template")
            if template:
                ports = {port["name"]: port["containerPort"] for port in template["spec"]["containers"][0]["ports"]}
                for number in range(plan.workload.size):
                    name = f"{plan.name}-{number}" if plan.workload.grouped else plan.name
                    peers[name] = Peer(plan.namespace, template["metadata"]["labels"], ports)
    peers |= {
        "neighbour": Peer("plinth", {"app": "web"}),
        "gateway": Peer("gateway", {"app": "proxy"}),
        "friend": Peer("friends", {"app": "web"}),
        "stranger": Peer("elsewhere", {"app": "web"}),
        "prometheus": Peer("monitoring", {"app": "prometheus"}),
        "node": Peer(address="10.1.2.3"),
        "store": Peer(address=STORE),
    }
    return policies, peers


SERVERS = ("chat", "other", "large-0", "large-1", "huge-0", "huge-1")
CALLERS = {server: {"neighbour", "gateway"} for server in SERVERS} | {"other": {"neighbour", "gateway", "friend"}}


def deployment(name):
    """The deployment that a pod belongs to."""
    return name.split("-")[0]


def expected(source, target, port):
    """What should be open, said without a policy's words."""
    if target not in SERVERS:
        if source not in SERVERS:
            return True
        return port == 443 and source != "other"  # where a store is, no policy can know; one has its weights in a claim
    if source in SERVERS:
        return source != target and deployment(source) == deployment(target)
    if port == API:
        return source in CALLERS[target]
    return port == MANAGEMENT and source in ("prometheus", "node")


def test_all_pairs_are_as_meant(world):
    """Clients reach the API, Prometheus and nodes the management port, members each other, servers their store."""
    policies, peers = world
    assert len(policies) == 4
    wrong = [
        (source, target, port)
        for source, target in itertools.permutations(peers, 2)
        for port in (API, MANAGEMENT, GROUP_PORT, NCCL, 443)
        if allowed(policies, peers[source], peers[target], port) != expected(source, target, port)
    ]
    assert wrong == []


def test_the_oracle_sees_what_is_open_without_policies(world):
    """So the test above can fail: without policies everybody reaches everybody, with one of four others are open."""
    policies, peers = world
    assert allowed([], peers["stranger"], peers["chat"], API)
    only = [policy for policy in policies if policy["metadata"]["name"] == "chat"]
    assert not allowed(only, peers["stranger"], peers["chat"], API)
    assert allowed(only, peers["stranger"], peers["large-0"], NCCL)
