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


@pytest.fixture
def apply(kubectl, namespace, tmp_path):
    """A function that renders two replicas, with other fields, applies them and waits for the rollout."""
    (tmp_path / "stacks").mkdir()
    (tmp_path / "Pulumi.yaml").write_bytes((ROOT / "Pulumi.yaml").read_bytes())

    def do(**fields):
        stack = {
            "kubernetes": {"namespace": namespace, "namespaces": "existing", "enginePython": ENGINE},
            "models": {"m": {"preset": {"name": "smollm2-135m-instruct", "image": IMAGE}}},
            "deployments": {
                "small": {
                    "model": "m",
                    "target": "kubernetes",
                    "engine": "vllm-cpu",
                    "maxModelLen": 512,
                    "open": True,
                    "replicas": {"min": 2},
                    "environment": {"FAKE_DIR": "/run/plinth"},
                    "pod": {"cpu": "50m", "memory": "300Mi"},
                    **fields,
                }
            },
        }
        (tmp_path / "stacks/Pulumi.pod.yaml").write_text(yaml.safe_dump({"config": {"plinth:stack": stack}}))
        files = files_of(Workspace(tmp_path, "pod").plan())
        text = "---\n".join(content for name, content in files.items() if name.endswith(".yaml"))
        kubectl("apply", "--server-side", "--validate=strict", "-f", "-", text=text)
        kubectl("rollout", "status", READY, "deployment/small", "-n", namespace, seconds=300)

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
def nodes(image, real_nodes):
    """Two nodes that have the image."""
    found = real_nodes(2)
    for node in found:
        node.load(image)
    return found


@pytest.fixture
def serving(cluster, namespace, nodes, apply):
    """Two replicas on two nodes, ready, in a namespace that enforces `restricted`; the Service's address."""
    kubectl = cluster.kubectl
    kubectl("label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted")
    apply()
    address = kubectl("get", "service", "small", "-n", namespace, "-ojsonpath={.spec.clusterIP}").stdout
    url = f"http://{address}:8000/stream"
    cluster.wait_answer(url)
    return nodes, url


def names(kubectl, namespace):
    """Pods of the deployment that are not on their way out."""
    made = json.loads(kubectl("get", "pods", "-n", namespace, "-ojson").stdout)["items"]
    return {item["metadata"]["name"] for item in made if "deletionTimestamp" not in item["metadata"]}


def test_nobody_notices_a_rollout_or_a_drain(cluster, kubectl, namespace, serving, apply):
    """Streams of four clients go on, whole, while the launch changes and while a node is drained."""
    (first, *_), url = serving
    before = names(kubectl, namespace)
    with Traffic(cluster, url) as traffic:
        apply(maxBodySize="1Mi")
        after = names(kubectl, namespace)
        rolled, seen = len(traffic.broken), traffic.whole
        try:
            kubectl("drain", first.name, "--ignore-daemonsets", "--delete-emptydir-data", READY, seconds=300)
            kubectl("rollout", "status", READY, "deployment/small", "-n", namespace, seconds=300)
        finally:
            kubectl("uncordon", first.name)
    assert traffic.broken == [], f"{rolled} of them in the rollout"
    assert seen
    assert traffic.whole > seen
    assert not before & after
    where = "-ojsonpath={.items[*].spec.nodeName}"
    assert first.name not in kubectl("get", "pods", "-n", namespace, where).stdout.split()
