"""Rollouts and drains of rendered pods under traffic: a stand-in engine under the real agent, kubelets and proxies."""

import dataclasses
import json
import sys
import threading
import time
from pathlib import Path

import pytest
import yaml
from cluster.runtime_image import MODEL_FOLDER, runtime_image
from support.project import ROOT, require

from pulumi_plinth.project import Workspace
from pulumi_plinth.rendering_files import files_of

pytestmark = [pytest.mark.cluster, pytest.mark.exhaustive, pytest.mark.timeout(600)]

IMAGE = "plinth.local/stand-in:test"
ENGINE = "/engine/python"
CLIENTS = 4
READY = "--timeout=240s"


@pytest.fixture
def image(tmp_path):
    """The runtime's image with an engine that starts at once and streams for a second."""
    require(MODEL_FOLDER / "plinth-manifest.json", "make model")
    start = tmp_path / "engine"
    python, program = Path(sys.executable), ROOT / "tests/fakes/engine.py"
    start.write_text(f'#!/bin/sh\nexec "{python}" -I -S "{program}" "$@"\n')
    start.chmod(0o755)
    base = runtime_image()
    folders = (*base.host_folders, str(program.parent))
    return dataclasses.replace(base, name=IMAGE, files={ENGINE: start}, host_folders=folders)


SMALL = {
    "model": "small",
    "target": "kubernetes",
    "engine": "vllm-cpu",
    "maxModelLen": 512,
    "open": True,
    "replicas": {"min": 2},
    "environment": {"FAKE_DIR": "/run/plinth"},
    "pod": {"cpu": "50m", "memory": "300Mi"},
}
LARGE = {
    "model": "large",
    "target": "kubernetes",
    "node": {"gpus": 8, "gpuMemory": "80Gi", "gpu": "H100"},
    "maxModelLen": 4096,
    "open": True,
    "environment": {"FAKE_DIR": "/run/plinth"},
    "pod": {"cpu": "50m", "memory": "300Mi"},
}
"""Two nodes of eight GPUs a replica."""


@pytest.fixture
def apply(kubectl, namespace, tmp_path):
    """A function that renders a deployment called `server`, applies it and waits for the rollout."""
    (tmp_path / "stacks").mkdir()
    (tmp_path / "Pulumi.yaml").write_bytes((ROOT / "Pulumi.yaml").read_bytes())

    def do(deployment, workload="deployment"):
        stack = {
            "kubernetes": {"namespace": namespace, "namespaces": "existing", "enginePython": ENGINE},
            "models": {
                "small": {"preset": {"name": "smollm2-135m-instruct", "image": IMAGE}},
                "large": {"preset": {"name": "llama-3.1-405b-instruct", "image": IMAGE}},
            },
            "deployments": {"server": deployment},
        }
        (tmp_path / "stacks/Pulumi.pod.yaml").write_text(yaml.safe_dump({"config": {"plinth:stack": stack}}))
        files = files_of(Workspace(tmp_path, "pod").plan())
        text = "---\n".join(content for name, content in files.items() if name.endswith(".yaml"))
        kubectl("apply", "--server-side", "--validate=strict", "-f", "-", text=text)
        kubectl("rollout", "status", READY, f"{workload}/server", "-n", namespace, seconds=300)
        address = kubectl("get", "service", "server", "-n", namespace, "-ojsonpath={.spec.clusterIP}").stdout
        return f"http://{address}:8000/stream"

    return do


class Traffic:
    """Clients that ask one after another for a stream and look whether it is whole, until they are stopped."""

    def __init__(self, cluster, url):
        self.cluster, self.url = cluster, url
        self.whole, self.broken, self.ended = 0, [], threading.Event()
        self.threads = [threading.Thread(target=self._ask, daemon=True) for _ in range(CLIENTS)]

    def _ask(self):
        while not self.ended.is_set():
            try:
                answer = self.cluster.call(self.url)
                said = f"{answer.status} {answer.text[-40:]!r}"
                good = answer.text.endswith("data: [DONE]\n\n")
            except OSError as error:
                said, good = repr(error), False
            if good:
                self.whole += 1
            else:
                self.broken.append(f"{time.strftime('%H:%M:%S')} {said}")

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        for thread in self.threads:
            thread.join(30)


@pytest.fixture
def nodes(kubectl, namespace, image, real_nodes):
    """Two nodes that have the image; the test's namespace enforces `restricted`."""
    found = real_nodes(2)
    for node in found:
        node.load(image)
    kubectl("label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted")
    return found


def pods(kubectl, namespace):
    """Pods that are not on their way out, by name."""
    made = json.loads(kubectl("get", "pods", "-n", namespace, "-ojson").stdout)["items"]
    return {item["metadata"]["name"]: item for item in made if "deletionTimestamp" not in item["metadata"]}


def test_nobody_notices_a_rollout_or_a_drain(cluster, kubectl, namespace, nodes, apply):
    """Streams of four clients go on, whole, while the launch changes and while a node is drained."""
    url = apply(SMALL)
    cluster.wait_answer(url)
    before = pods(kubectl, namespace)
    with Traffic(cluster, url) as traffic:
        apply(SMALL | {"maxBodySize": "1Mi"})
        after = pods(kubectl, namespace)
        rolled, seen = len(traffic.broken), traffic.whole
        try:
            kubectl("drain", nodes[0].name, "--ignore-daemonsets", "--delete-emptydir-data", READY, seconds=300)
            kubectl("rollout", "status", READY, "deployment/server", "-n", namespace, seconds=300)
        finally:
            kubectl("uncordon", nodes[0].name)
    assert traffic.broken == [], f"{rolled} of them in the rollout"
    assert seen
    assert traffic.whole > seen
    assert not set(before) & set(after)
    assert nodes[0].name not in {item["spec"]["nodeName"] for item in pods(kubectl, namespace).values()}


@pytest.fixture
def gpus(kubectl, nodes):
    """Eight GPUs on each node, as far as scheduler and kubelet can see: nothing but numbers."""
    for node in nodes:
        patch = json.dumps([{"op": "add", "path": "/status/capacity/nvidia.com~1gpu", "value": "8"}])
        kubectl("patch", "node", node.name, "--subresource=status", "--type=json", f"-p={patch}")
    yield
    for node in nodes:
        patch = json.dumps([{"op": "remove", "path": "/status/capacity/nvidia.com~1gpu"}])
        kubectl("patch", "node", node.name, "--subresource=status", "--type=json", f"-p={patch}")


@pytest.mark.usefixtures("gpus")
def test_a_group_starts_answers_and_rolls(cluster, kubectl, namespace, apply):
    """One replica on two nodes: a StatefulSet whose members find each other; the leader answers; a new launch replaces
    all pods, and the group comes back.
    """
    url = apply(LARGE, "statefulset")
    assert cluster.wait_answer(url).text.endswith("data: [DONE]\n\n")
    first = pods(kubectl, namespace)
    assert sorted(first) == ["server-0", "server-1"]
    assert len({item["spec"]["nodeName"] for item in first.values()}) == 2
    apply(LARGE | {"maxBodySize": "1Mi"}, "statefulset")
    assert cluster.wait_answer(url)
    second = pods(kubectl, namespace)
    for name, item in second.items():
        assert item["metadata"]["uid"] != first[name]["metadata"]["uid"]
