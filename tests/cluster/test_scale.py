"""Many nodes and models at once: agents are killed, the API server too, and nothing that anybody said is lost.

Five agents are processes with the rights of their DaemonSet, which fetch real files; the others are whole agents in
this process with disks in memory (`crowd.py`). Nobody sweeps: what one write lost would stay lost, and be seen here.
"""

import json
import random
import signal
import time
from dataclasses import dataclass

import pytest
from cluster.crowd import Crowd
from cluster.models import BASE_MODEL, Agent, install_crds, install_rights, wait_until, writes
from fakes.hub import FakeHub, FakeStorage

from plinth_runtime.contract.model_names import OME_DOMAIN, ModelKey, ModelKind
from plinth_runtime.node.declaration import declared_digest
from plinth_runtime.node.kube import KubeApi
from plinth_runtime.node.shelves import describe

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.exhaustive,
    pytest.mark.timeout(900),
    # What waits for the cluster ends with the process of an agent; the crowd's is this one.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

PROCESSES = 5
SHARDS = "shard"
GOOD, GONE, OTHER = "hf://acme/llama", "hf://acme/gone", "hf://acme/llama@v2"
FAILING, NOWHERE = 5, 5
"""Of the models: how many no store knows, and how many are meant for no node."""

CHANGED = 10
WRITES_PER_CHANGE, CHANGES = 2, 2
"""New content is two changes on each node, Updating and Ready; each is one write of the entry and one of the labels."""

WRITES_PER_MODEL = 12
"""Beside, for all nodes together: state and conditions, which follow in three steps, by whoever comes first."""

MEMORY_LIMIT = 60 << 20
PATIENCE = 600


@dataclass(frozen=True)
class Size:
    """How many there are, how many nodes share what they have, and how long agents are killed."""

    nodes: int
    models: int
    shard: int
    seconds: float


class Scene:
    """Nodes in shards, and models in turn for the shards."""

    def __init__(self, namespace, size):
        self.namespace, self._shards = namespace, -(-size.nodes // size.shard)
        self.labels = {f"{namespace}-{index:04}": {SHARDS: f"s{index % self._shards}"} for index in range(size.nodes)}
        self.models = [f"m{index:03}" for index in range(size.models)]

    def declaration(self, index, address=None):
        """A model as it is declared."""
        failing, nowhere = index < FAILING, FAILING <= index < FAILING + NOWHERE
        shard = "none" if nowhere else f"s{index % self._shards}"
        storage = {"storageUri": address or (GONE if failing else GOOD), "nodeSelector": {SHARDS: shard}}
        metadata = {"name": self.models[index], "namespace": self.namespace}
        return {**BASE_MODEL, "metadata": metadata, "spec": {"storage": storage}}

    def expected(self, index):
        """(state, the nodes that have it, the nodes that failed)."""
        selector = self.declaration(index)["spec"]["storage"]["nodeSelector"]
        meant = sorted(name for name, labels in self.labels.items() if selector.items() <= labels.items())
        if not meant:
            return "Creating", [], []
        return ("Failed", [], meant) if index < FAILING else ("Ready", meant, [])


@pytest.fixture
def folder(make_model, tmp_path):
    """A model."""
    return make_model(tmp_path / "origin", manifest=False)


@pytest.fixture
def hub(folder):
    """A hub with the model in two revisions."""
    with FakeStorage() as storage, FakeHub(storage) as server:
        for path in folder.iterdir():
            server.add(path.name, path.read_bytes(), large=path.suffix == ".safetensors")
        server.revisions |= {"v2": "f" * 40, "f" * 40: "f" * 40}
        yield server


@pytest.fixture
def stage(cluster, kubectl, namespace, hub, folder):
    """A function that brings up a scene; everything goes when the test ends."""
    install_crds(kubectl)
    install_rights(kubectl)
    running, crowds = [], []

    def bring(size, processes=PROCESSES):
        scene = Scene(namespace, size)
        rows = [
            {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}}
            for name, labels in scene.labels.items()
        ]
        _create(kubectl, rows)
        names = list(scene.labels)
        running.extend(
            Agent(cluster, kubectl, name, folder.parent, {"HF_ENDPOINT": hub.address}).start()
            for name in names[:processes]
        )
        api = KubeApi.open(cluster.kubeconfig)
        crowds.append(Crowd(api, {name: scene.labels[name] for name in names[processes:]}, describe(folder), [GONE]))
        return scene, running, crowds[0]

    yield bring
    for crowd in crowds:
        crowd.stop()
    for agent in running:
        if agent.process.poll() is None:
            agent.end(signal.SIGKILL)
    kubectl("delete", "basemodels", "--all", "-n", namespace, "--wait=false", seconds=300)
    if crowds:  # in one request: by name it is five a second
        kubectl("delete", "--raw", f"/api/v1/nodes?labelSelector={SHARDS}", seconds=300)


def _create(kubectl, items):
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
    kubectl("create", "--validate=false", "-f", "-", text=text, seconds=300)


def _read(kubectl, namespace):
    found = json.loads(kubectl("get", "basemodels", "-n", namespace, "-ojson", seconds=300).stdout)["items"]
    return {item["metadata"]["name"]: item.get("status", {}) for item in found}


def wrong(kubectl, scene):
    """The models that do not say what is so."""
    found, bad = _read(kubectl, scene.namespace), []
    for index, name in enumerate(scene.models):
        state, ready, failed = scene.expected(index)
        status = found[name]
        there = (
            status.get("state"),
            sorted(status.get("nodesReady", [])),
            sorted(status.get("nodesFailed", [])),
            sorted(row["name"] for row in status.get("nodes", [])),
        )
        conditions = {row["type"]: row["status"] for row in status.get("conditions", [])}
        good = conditions.get("UpToDate") == "True" if state == "Ready" else True
        if there != (state, ready, failed, sorted(ready + failed)) or not good:
            bad.append(name)
    return bad


def mislabelled(kubectl, scene):
    """The nodes whose labels do not say what they have."""
    wanted = {name: {} for name in scene.labels}
    for index, name in enumerate(scene.models):
        key = ModelKey(ModelKind.BASE_MODEL, scene.namespace, name)
        _, ready, failed = scene.expected(index)
        for node in ready + failed:
            wanted[node][key.ome_label] = "Ready" if node in ready else "Failed"
    found = json.loads(kubectl("get", "nodes", "-ojson", seconds=300).stdout)["items"]
    said = {
        item["metadata"]["name"]: {
            label: value for label, value in item["metadata"]["labels"].items() if label.startswith(f"{OME_DOMAIN}/")
        }
        for item in found
    }
    return [node for node in wanted if said[node] != wanted[node]]


def wait_for(everybody, condition):
    """Wait, unless one who is to bring it about is no more."""
    agents, crowd = everybody

    def looked():
        crowd.check()
        assert {agent.name: agent.log.read_text()[-3000:] for agent in agents if agent.process.poll() is not None} == {}
        return condition()

    began = time.monotonic()
    wait_until(looked, PATIENCE)
    return time.monotonic() - began


def disturb(cluster, agents, crowd, seconds):
    """Kill every agent once at a random time, and the API server in the middle."""
    chance, now = random.Random(8), time.time()  # noqa: S311 no secret
    for node in crowd.nodes:
        node.kill_at(now + chance.uniform(0, seconds))
    times = sorted((now + chance.uniform(0, seconds), agent) for agent in agents)
    middle = [(now + seconds / 2, None)]
    for at, agent in sorted([*times, *middle], key=lambda row: row[0]):
        time.sleep(max(0.0, at - time.time()))
        if agent is None:
            cluster.restart("kube-apiserver")
        else:
            agent.end(signal.SIGKILL)
            agent.start()


@pytest.mark.parametrize("size", [Size(40, 20, 10, 10), Size(1005, 100, 20, 60)], ids=["small", "a thousand"])
def test_a_bad_hour_of_many_nodes(cluster, kubectl, stage, size):
    """Whoever was killed when: every state, list, entry and label is right; then writes per change are as promised."""
    scene, agents, crowd = stage(size)
    _create(kubectl, [scene.declaration(index) for index in range(size.models)])
    disturb(cluster, agents, crowd, size.seconds)
    took = wait_for((agents, crowd), lambda: not wrong(kubectl, scene))
    wait_for((agents, crowd), lambda: not mislabelled(kubectl, scene))
    assert [node.name for node in crowd.nodes if node.killed != 1] == []
    print(f"{size.nodes} nodes, {size.models} models: right {took:.0f} s after the last kill")
    _measure(kubectl, scene, (agents, crowd))
    assert max(agent.memory for agent in agents) < MEMORY_LIMIT


def _measure(kubectl, scene, everybody):
    """Change some models while nobody is killed, and count what the API server was told."""
    before = writes(kubectl)
    indices = range(FAILING + NOWHERE, FAILING + NOWHERE + CHANGED)
    pairs = sum(len(scene.expected(index)[1]) for index in indices)
    changed = [scene.declaration(index, OTHER) for index in indices]
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": changed})
    kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", text=text)
    took = wait_for(everybody, lambda: _is_renewed(kubectl, scene, changed))
    after = writes(kubectl)
    each = {kind: (after[kind] - before[kind]) / pairs for kind in after}
    print(f"{CHANGED} models changed on {pairs} pairs in {took:.0f} s; writes of a pair: {each}")
    spent = each["models"] + each["nodes"]
    assert spent <= CHANGES * WRITES_PER_CHANGE + CHANGED * WRITES_PER_MODEL / pairs


def _is_renewed(kubectl, scene, changed):
    """Whether every node says that it has what is declared now, by entry and by label."""
    found = _read(kubectl, scene.namespace)
    nodes = json.loads(kubectl("get", "nodes", "-ojson", seconds=300).stdout)["items"]
    labels = {item["metadata"]["name"]: item["metadata"]["labels"] for item in nodes}
    for document in changed:
        name, wanted = document["metadata"]["name"], declared_digest(document)
        label = ModelKey(ModelKind.BASE_MODEL, scene.namespace, name).content_label
        for row in found[name]["nodes"]:
            if (row["phase"], row["declared"]) != ("Ready", wanted) or labels[row["name"]][label] != row["content"][
                :16
            ]:
                return False
    return not wrong(kubectl, scene)
