"""A whole example on OKE, from a cloud that is empty to pods that are ready, and back.

Oracle's cloud is a stand-in that keeps what it is asked for; the cluster that it says it made is a real one, whose
nodes with GPUs exist in its API server only.
"""

import json

import pytest
import yaml
from support.sandbox import ITERATIONS
from support.stand_ins import project, stand_ins

from pulumi_plinth import embedded
from pulumi_plinth.embedded import crypto

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

IMAGES = ("Oracle-Linux-8.10-Gen2-GPU-2025.05.19-0-OKE-1.34.1-905", "Oracle-Linux-8.10-2025.05.19-0-OKE-1.34.1-905")
NAMESPACE = "oke"


@pytest.fixture
def stack(project_root, tmp_path, monkeypatch, cluster):
    """The example of one A10, deployed with `up(**fields)` of its deployment; what it made goes with it."""
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setattr(crypto, "ITERATIONS", ITERATIONS)
    environment = {"PATH": "/usr/bin:/bin"}
    cloud = stand_ins(tmp_path, environment)
    cloud.change(images=IMAGES, kubeconfig=cluster.kubeconfig.read_text())
    monkeypatch.setenv("PATH", environment["PATH"])
    document = yaml.safe_load((project_root / "stacks/Pulumi.oci-a10.yaml").read_text())
    spec = document["config"]["plinth:stack"]
    spec["kubernetes"]["namespace"] = NAMESPACE
    spec["cluster"]["protect"] = spec["stores"]["weights"]["protect"] = False
    root = project(tmp_path, {"a10": json.dumps(document)})
    made = Stack(root, document, type(cloud))
    yield made
    if made.cloud.data["resources"]:
        made.run("destroy")


class Stack:
    """The project, and the cloud as it is now."""

    def __init__(self, root, document, cloud):
        self._root, self.document, self._cloud = root, document, cloud

    @property
    def cloud(self):
        """What Oracle has."""
        return self._cloud(self._root)

    def run(self, kind):
        """Run an operation."""
        options, said = embedded.Options(passphrase="correct horse", preview=False), []
        result = getattr(embedded, kind)(embedded.Project.load(self._root), "a10", said.append, options)
        steps = [item for item in said if isinstance(item, embedded.StepFinished) and item.op not in ("same", "read")]
        self.changed = {(item.op, item.name): item.keys for item in steps}
        return result

    def up(self, **pool):
        """Deploy, with other fields of the pool."""
        self.document["config"]["plinth:stack"]["pools"]["a10"] |= pool
        (self._root / "stacks/Pulumi.a10.yaml").write_text(json.dumps(self.document))
        return self.run("up")


def test_one_file_from_an_empty_cloud_to_ready_pods_and_back(stack, fake_nodes, kubectl):
    """Network, cluster, pool, bucket and policy, then the server on the pool's nodes; a second up changes nothing; one
    more node is one field of the pool, and a rollout that may now begin with the new pod; a destroy leaves nothing.
    """
    fake_nodes(1, prefix="a10", gpus=1, labels={"plinth.dev/pool": "a10"})
    result = stack.up()
    assert set(result.changes) == {"create"}
    assert result.outputs["endpoints"] == {"chat": f"http://chat.{NAMESPACE}.svc:8000/v1"}
    assert result.outputs["totals"]["nodes"] == {"VM.GPU.A10.1": [1, 1]}
    node = kubectl("get", "pods", "-n", NAMESPACE, "-ojsonpath={.items[0].spec.nodeName}").stdout
    assert node == "a10-0"
    (policy,) = [item for item in stack.cloud.of(":Policy").values() if "weights" in json.dumps(item["inputs"])]
    cluster_id = next(iter(stack.cloud.of("cluster:Cluster")))
    assert any(f"cluster_id='{cluster_id}'" in text for text in policy["inputs"]["statements"])
    stack.up()
    assert stack.changed == {}
    stack.up(size=2)
    assert stack.changed.pop(("update", "plinth-pool-a10-nodes")) == ("nodeConfigDetails.size",)
    assert stack.changed.keys() == {("update", "plinth-pool-a10"), ("update", "plinth-chat-deployment")}
    stack.run("destroy")
    assert stack.cloud.data["resources"] == {}
    assert NAMESPACE not in kubectl("get", "namespaces", "-oname").stdout
