"""Scheduler truth: where pods find room by our arithmetic, and what is said of the others, is what a cluster does."""

import json
import time
from collections import Counter
from contextlib import contextmanager

import pytest
from cluster import fakes
from cluster.fleets import FILLER, FLEET, Fleet, workloads
from cluster.models import wait_until
from support.pods import IMAGE, planned

from pulumi_plinth.check.fleet import fleet_of, room_for, wish_of
from pulumi_plinth.deployment.kubernetes.manifests import manifests
from pulumi_plinth.naming import labels

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

ROUNDS = 3
"""The most deployments a fleet has; they come one after the other, so that each meets what those before left."""

PAUSE, PATIENCE = 0.5, 300
NOT_READY = "node.kubernetes.io/not-ready"


def _listed(items):
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": list(items)})


@contextmanager
def standing(cluster, namespace, fleets):
    """Nodes of all fleets with what uses them; they go afterwards."""
    kubectl = cluster.kubectl
    nodes = [node for fleet in fleets for node in fleet.nodes]
    names = [node["metadata"]["name"] for node in nodes]
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": FILLER, "namespace": namespace}}
    spaces = [item for fleet in fleets for item in fleet.common]
    pods = [pod for fleet in fleets for pod in fleet.fillers]
    alive = [node for node in nodes if "annotations" in node["metadata"]]
    try:
        kubectl("create", "-f", "-", text=_listed([account, *spaces, *(node for node in nodes if node not in alive)]))
        fakes.add(cluster, alive)
        kubectl("create", "-f", "-", text=_listed(pods))
        wait_until(lambda: _settled(cluster, {node["metadata"]["name"] for node in alive}))
        yield
    finally:
        kubectl("delete", "namespace", "--wait=false", *(fleet.name for fleet in fleets))
        fakes.remove(cluster, names)


def _snapshot(cluster):
    """What people are told to print."""
    return json.loads(cluster.kubectl("get", "nodes,pods", "-A", "-o", "json").stdout)


def _settled(cluster, names):
    """The taint that every new node has goes when its kubelet is there."""
    time.sleep(PAUSE)
    found = json.loads(cluster.kubectl("get", "nodes", "-ojson").stdout)["items"]
    tainted = {
        node["metadata"]["name"]
        for node in found
        if any(taint["key"] == NOT_READY for taint in node["spec"].get("taints", ()))
    }
    return not names & tainted


def _conditions(pod):
    return pod.get("status", {}).get("conditions", ())


def _reasons(pod):
    """Why a pod waits; after that the scheduler says what preemption would help."""
    if not pod["spec"].get("nodeName"):
        yield from (row["message"] for row in _conditions(pod) if row["type"] == "PodScheduled")


def _pods_of(document, server):
    wanted = labels(server.name).items()
    for item in document["items"]:
        metadata = item["metadata"]
        if item["kind"] == "Pod" and metadata["namespace"] == server.namespace and wanted <= metadata["labels"].items():
            yield item


def _when_decided(cluster, counts):
    """What there is when the scheduler has looked at every pod of the servers."""
    wanted = {(server.namespace, server.name): count for server, count in counts}
    path = (
        "{range .items[*]}{.metadata.namespace} {.metadata.labels.app\\.kubernetes\\.io/instance} "
        '{.spec.nodeName}{.status.conditions[?(@.type=="PodScheduled")].status}{"\\n"}{end}'
    )

    def decided():
        time.sleep(PAUSE)
        rows = cluster.kubectl("get", "pods", "-A", f"-ojsonpath={path}").stdout.splitlines()
        found = Counter(tuple(row.split()[:2]) for row in rows if len(row.split()) == 3)
        return all(found[key] == count for key, count in wanted.items())

    wait_until(decided, PATIENCE)
    return _snapshot(cluster)


def compare(cluster, namespace, seeds):
    """Let every deployment of every fleet come in its turn, and compare what becomes of it with what was said."""
    fleets = [Fleet(seed, namespace) for seed in seeds]
    said = {"run": 0, "wait": 0}
    with standing(cluster, namespace, fleets):
        before = _snapshot(cluster)
        for number in range(ROUNDS):
            servers = [fleet.servers[number] for fleet in fleets if number < len(fleet.servers)]
            counts = [(server, sum(count for _, _, count in workloads(server))) for server in servers]
            cluster.kubectl("create", "-f", "-", text=_listed(item for one in servers for item in manifests(one)))
            after = _when_decided(cluster, counts)
            nodes = fleet_of(before)
            for server, count in counts:
                _compare(server, count, nodes, list(_pods_of(after, server)), said)
            before = after
    return said


def _compare(server, count, nodes, pods, said):
    _, template, _ = next(workloads(server))
    room = room_for(wish_of(template.spec), nodes)
    placed = [pod["spec"]["nodeName"] for pod in pods if pod["spec"].get("nodeName")]
    about = f"{server.namespace}/{server.name}"
    assert len(placed) == min(count, room.total), about
    assert {name: placed.count(name) for name in placed if placed.count(name) > room.pods.get(name, 0)} == {}, about
    reasons = {reason for pod in pods for reason in _reasons(pod)}
    assert {reason for reason in reasons if not reason.startswith(room.waiting)} == set(), (about, room.waiting)
    said["run"] += len(placed)
    said["wait"] += count - len(placed)


def test_five_fleets_are_placed_as_planned(cluster, namespace):
    """What we say runs does, nowhere else; what we say waits does, for the reason that we say."""
    said = compare(cluster, namespace, range(5))
    assert said["run"]
    assert said["wait"]


@pytest.mark.exhaustive
def test_fifty_fleets_are_placed_as_planned(cluster, namespace):
    """The same, of fifty."""
    said = compare(cluster, namespace, range(5, 55))
    assert min(said.values()) > 50


@pytest.mark.parametrize(("count", "waits"), [(3, True), (4, False)])
def test_room_that_the_plan_doubts_is_missing(kubectl, fake_nodes, namespace, count, waits):
    """Three small pods go to three nodes and keep the large one out; with the node that the doubt asks for it runs."""
    pool = {"kind": "existing", "gpus": 8, "gpuMemory": "80Gi", "size": count, "labels": {FLEET: namespace}}
    common = {"model": "qwen", "target": "kubernetes", "pool": "gpu", "maxModelLen": 4096}
    sizes = {"small": (2, 3), "large": (8, 1)}
    document = {
        "kubernetes": {"image": IMAGE, "namespace": namespace, "namespaces": "existing"},
        "models": {"qwen": {"storage": {"uri": "hf://Qwen/Qwen3-8B"}, "preset": {"name": "qwen3-8b"}}},
        "pools": {"gpu": pool},
        "deployments": {
            name: {**common, "parallel": {"tensor": tensor, "data": 1}, "replicas": {"min": replicas}}
            for name, (tensor, replicas) in sizes.items()
        },
    }
    plan = planned(document)
    (doubt,) = [text for text in plan.pools[0].doubts if "may wait" in text] or [""]
    assert ("write 4 nodes" in doubt) is waits
    fake_nodes(count, namespace, labels={FLEET: namespace})
    for name in ("small", "large"):
        (server,) = [server for server in plan.servers if server.name == name]
        kubectl("create", "-f", "-", text=_listed(manifests(server)))
        ready = "jsonpath={.status.readyReplicas}=" + str(sizes[name][1])
        if not (waits and name == "large"):
            kubectl("wait", f"deployment/{name}", "-n", namespace, f"--for={ready}", "--timeout=60s")
    if waits:
        pod = "app.kubernetes.io/instance=large"
        kubectl("wait", "pods", "-l", pod, "-n", namespace, "--for=condition=PodScheduled=false", "--timeout=60s")
        (found,) = json.loads(kubectl("get", "pods", "-l", pod, "-n", namespace, "-ojson").stdout)["items"]
        assert f"{count} Insufficient {fakes.GPU}" in next(_reasons(found))
