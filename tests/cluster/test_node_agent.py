"""Agents as processes on a real API server: declarations become content on nodes, and nodes say so, each for itself."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from fakes.hub import FakeHub, FakeStorage

from pulumi_plinth.model.crds import crd_objects

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(180)]

PATIENCE = 40
MEMORY_LIMIT = 60 << 20


def wait_until(condition, seconds=PATIENCE):
    """Wait for what processes do."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if result := condition():
            return result
        time.sleep(0.1)
    raise AssertionError(f"not within {seconds} s")


@pytest.fixture
def crds(kubectl):
    """Both definitions, established."""
    text = "\n---\n".join(json.dumps(item) for item in crd_objects())
    kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", text=text)
    for item in crd_objects():
        kubectl("wait", "--for=condition=Established", "--timeout=30s", f"crd/{item['metadata']['name']}")


@pytest.fixture
def hub(make_model, tmp_path):
    """A hub with one model."""
    folder = make_model(tmp_path / "origin", manifest=False)
    with FakeStorage() as storage, FakeHub(storage) as server:
        for path in folder.iterdir():
            server.add(path.name, path.read_bytes(), large=path.suffix == ".safetensors")
        yield server


class Agent:
    """One agent's process."""

    def __init__(self, cluster, hub, name, root):
        self.name, self.root = name, root
        self._command = [
            sys.executable, "-m", "plinth_runtime", "node", "--node", name, "--root", str(root),
            "--kubeconfig", str(cluster.kubeconfig), "--sweep-seconds", "2", "--retry-seconds", "0.5",
            "--keep-seconds", "0.5",
        ]  # fmt: skip
        self._environment = os.environ | {"HF_ENDPOINT": hub.address}
        self.process = None

    def start(self):
        """Start it, or start it again."""
        with (self.root.parent / f"{self.name}.log").open("ab") as log:
            self.process = subprocess.Popen(self._command, env=self._environment, stdout=log, stderr=log)
        return self

    def stop(self, number=signal.SIGTERM):
        """End it and wait for it."""
        self.process.send_signal(number)
        return self.process.wait(10)


@pytest.fixture
def agents(cluster, hub, kubectl, crds, tmp_path):
    """A function that adds a node with a running agent; both go when the test ends."""
    running = []

    def add(name, labels=None):
        metadata = {"name": name, "labels": labels or {}}
        kubectl("apply", "-f", "-", text=json.dumps({"apiVersion": "v1", "kind": "Node", "metadata": metadata}))
        agent = Agent(cluster, hub, name, tmp_path / name).start()
        running.append(agent)
        return agent

    yield add
    for agent in running:
        if agent.process.poll() is None:
            agent.stop(signal.SIGKILL)
        kubectl("delete", "node", agent.name, "--ignore-not-found", "--wait=false")


@pytest.fixture
def declare(kubectl, namespace):
    """Functions to declare a BaseModel and to read it."""

    def apply(name="llama", **storage):
        spec = {"storage": {"storageUri": "hf://acme/llama", **storage}}
        metadata = {"name": name, "namespace": namespace}
        text = json.dumps({"apiVersion": "ome.io/v1beta1", "kind": "BaseModel", "metadata": metadata, "spec": spec})
        kubectl("apply", "--server-side", "-f", "-", text=text)

    return apply


@pytest.fixture
def read(kubectl, namespace):
    """A function that reads a BaseModel."""
    return lambda name="llama": json.loads(kubectl("get", "basemodel", name, "-n", namespace, "-ojson").stdout)


def labels_of(kubectl, node):
    """A node's labels."""
    return json.loads(kubectl("get", "node", node, "-ojson").stdout)["metadata"].get("labels", {})


def test_a_declared_model_arrives_and_is_said_to_be_ready(kubectl, namespace, agents, declare, read):
    """From declaration to Ready: content under the link, entry, lists, state, conditions, node labels, filled fields."""
    agent = agents("node-a", {"pool": "gpu"})
    declare(nodeSelector={"pool": "gpu"})
    wait_until(lambda: read().get("status", {}).get("state") == "Ready")
    found = read()
    assert found["status"]["nodesReady"] == ["node-a"]
    assert {row["type"]: row["status"] for row in found["status"]["conditions"]} == {
        "Ready": "True",
        "UpToDate": "True",
    }
    assert found["spec"]["modelArchitecture"] == "LlamaForCausalLM"
    assert (agent.root / "models" / f"namespace.{namespace}.llama" / "config.json").is_file()
    label = f"models.ome.io/{namespace}.basemodel.llama"
    wait_until(lambda: labels_of(kubectl, "node-a").get(label) == "Ready")
