"""`plinth status` on a real API server: rendered deployments, GPU nodes, declared models, rights that are missing."""

import json
import time

import pytest
import yaml
from click.testing import CliRunner
from status.record import scenarios, workload

from pulumi_plinth.cli import main
from pulumi_plinth.model.crds import crd_objects

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(120)]

IMAGE = "registry.example/runtime@sha256:" + "ab" * 32
SHAPE = "VM.GPU.A10.1"
PATIENCE = 30
READABLE = {"apiGroups": ["", "apps"], "resources": ["pods", "deployments", "statefulsets"], "verbs": ["list"]}


@pytest.fixture
def plinth(tmp_path, cluster, namespace):
    """A function that runs a command on a stack with one deployment of two replicas in the test's namespace."""
    stack = {
        "kubernetes": {
            "kubeconfig": str(cluster.kubeconfig),
            "namespace": namespace,
            "namespaces": "existing",
            "image": IMAGE,
            "leaderWorkerSet": True,
            "nodeAgent": {"image": IMAGE},
        },
        "models": {
            "qwen": {"preset": {"name": "qwen3-8b"}},
            "own": {"storage": {"uri": "hf://Qwen/Qwen3-0.6B"}, "namespace": namespace},
        },
        "deployments": {
            "chat": {
                "model": "qwen",
                "target": "kubernetes",
                "shape": SHAPE,
                "maxModelLen": 4096,
                "replicas": {"min": 2},
                "rollout": {"strategy": "in-place"},
            }
        },
    }
    (tmp_path / "Pulumi.yaml").write_text("name: box\nruntime: python\nbackend:\n  url: file://.\n")
    (tmp_path / "Pulumi.dev.yaml").write_text(json.dumps({"config": {"plinth:stack": stack}}))

    def run(command, *arguments):
        options = ["--stack", "dev", "--cwd", str(tmp_path)]
        return CliRunner().invoke(main, [command, *options, *arguments], catch_exceptions=False)

    return run


@pytest.fixture
def deployed(plinth, kubectl, fake_nodes, namespace, tmp_path):
    """The rendered objects on a cluster with one GPU, and a declared model that one node has and one cannot have."""
    fake_nodes(1, "a10", gpus=1, labels={"node.kubernetes.io/instance-type": SHAPE})
    assert plinth("render", "--to", str(tmp_path / "out")).exit_code == 0
    definitions = "\n---\n".join(map(json.dumps, crd_objects()))
    kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", text=definitions)
    kubectl(
        "wait", "--for=condition=Established", "--timeout=30s", *(f"crd/{i['metadata']['name']}" for i in crd_objects())
    )
    kubectl("apply", "--server-side", "-R", "-f", tmp_path / "out" / "chat")
    (model,) = (tmp_path / "out" / "plinth-models").glob("*-basemodel-*own.yaml")
    kubectl("apply", "--server-side", "-f", model)
    entries = [
        {"name": "gpu-a", "phase": "Ready"},
        {"name": "gpu-b", "phase": "Failed", "reason": "NoSpace", "message": "12 GB lack"},
    ]
    said = {"status": {"state": "Ready", "nodesReady": ["gpu-a"], "nodesFailed": ["gpu-b"], "nodes": entries}}
    patch = ("--subresource=status", "--type=merge", "-p", json.dumps(said))
    kubectl("patch", "basemodel", "own", "-n", namespace, *patch)
    kubectl("wait", "--for=jsonpath={.status.readyReplicas}=1", "--timeout=60s", "deployment/chat", "-n", namespace)


def test_a_deployment_that_waits_for_a_gpu(plinth, deployed, cluster, namespace, tmp_path):
    """One replica serves on the only GPU, the other waits, and the scheduler's reason is told; models and nodes as they
    are; what a user may not read is one line each; who may read nothing gets exit code 1.
    """
    said = told(plinth)
    (row,) = said["deployments"]
    assert (row["phase"], row["replicas"]) == ("pending", {"wanted": 2, "ready": 1, "updated": 2})
    assert "Insufficient nvidia.com/gpu" in row["message"]
    assert row["endpoint"] == f"http://chat.{namespace}.svc:8000/v1"
    assert [(pod["phase"], pod["node"], pod["gpus"]) for pod in row["pods"]] == [
        ("pending", None, 1),
        ("ready", "a10-0", 1),
    ]
    (model,) = said["models"]
    assert (model["state"], model["nodesReady"], model["nodesFailed"]) == ("Ready", ["gpu-a"], ["gpu-b"])
    (node,) = [node for node in said["nodes"] if node["name"] == "a10-0"]
    assert (node["gpus"], node["keepsOut"]) == ({"allocatable": 1, "requested": 1}, [])
    assert [note for note in said["notes"] if "leaderworkersets.leaderworkerset.x-k8s.io" not in note] == []

    config = account(cluster, namespace, tmp_path / "limited")
    nothing = plinth("status", "--kubeconfig", str(config))
    assert (nothing.exit_code, "no right to read pods" in nothing.stderr) == (1, True)
    allow(cluster, namespace)
    some = told(plinth, "--kubeconfig", str(config))
    assert some["deployments"][0]["replicas"] == row["replicas"]
    assert sorted(note.partition(":")[0] for note in some["notes"]) == [
        f"no right to read {kind}" for kind in ("basemodels", "events", "leaderworkersets", "nodes", "services")
    ]


KUBELETS = {
    "loading": ("loading", "43 %; about 80 s left"),
    "crashing": ("restarting", "exit code 20: the engine died: signal 9; Give it memory."),
    "no-secret": ("creating", 'CreateContainerConfigError: secret "absent" not found'),
}
"""Trouble -> phase and words of the row."""


@pytest.mark.exhaustive
@pytest.mark.parametrize("case", KUBELETS)
def test_what_kubelets_and_servers_say(plinth, real_nodes, cluster, namespace, case):
    """On a real node: a server's own words through the API server, those of an end, the kubelet's about a Secret."""
    real_nodes(1)
    made = workload("chat", scenarios()[case], namespace)
    cluster.kubectl("apply", "--server-side", "-f", "-", text=json.dumps(made))
    phase, words = KUBELETS[case]
    deadline = time.monotonic() + PATIENCE
    while words not in (row := told(plinth)["deployments"][0])["message"] and time.monotonic() < deadline:
        time.sleep(0.2)
    assert words in row["message"]
    assert row["phase"] == phase


def told(plinth, *arguments):
    """What `plinth status --json` says when it succeeds; a rights' change takes the API server a moment."""
    deadline = time.monotonic() + PATIENCE
    while (run := plinth("status", "--json", *arguments)).exit_code and time.monotonic() < deadline:
        time.sleep(0.2)
    assert run.exit_code == 0, run.stderr
    return json.loads(run.stdout)


def account(cluster, namespace, path):
    """A kubeconfig of an account that may do nothing yet."""
    cluster.kubectl("create", "serviceaccount", "reader", "-n", namespace)
    config = yaml.safe_load(cluster.kubeconfig.read_text())
    token = cluster.kubectl("create", "token", "reader", "-n", namespace).stdout.strip()
    config["users"] = [{"name": config["users"][0]["name"], "user": {"token": token}}]
    path.write_text(yaml.safe_dump(config))
    return path


def allow(cluster, namespace):
    """Let the account list what deployments are told by, in its namespace."""
    head = {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": "reader", "namespace": namespace}}
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"}
    subject = {"kind": "ServiceAccount", "name": "reader", "namespace": namespace}
    made = (
        {**head, "kind": "Role", "rules": [READABLE]},
        {**head, "kind": "RoleBinding", "roleRef": reference, "subjects": [subject]},
    )
    cluster.kubectl("apply", "--server-side", "-f", "-", text="\n---\n".join(map(json.dumps, made)))
