"""A real vLLM in a real pod: the example rendered, applied, scheduled, started by the agent, asked by its Service."""

import json
import shutil

import pytest
import yaml
from click.testing import CliRunner
from cluster.runtime_image import ENGINE_PYTHON, MODEL_FOLDER, NAME, runtime_image
from support.project import ROOT, require

from pulumi_plinth.cli import main

pytestmark = [pytest.mark.cluster, pytest.mark.engine, pytest.mark.exhaustive, pytest.mark.timeout(900)]

READY = "--timeout=600s"
EXAMPLE = "kubernetes-example"
MODEL = "smollm2-135m"
OURS = "app.kubernetes.io/instance=small"
"""The example's other deployment waits for GPUs."""


def volume(namespace, node, folder):
    """A folder of models as a claim: a local volume on one node, bound by name, as an administrator makes it."""
    here = {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}]}
    common = {"accessModes": ["ReadOnlyMany"], "storageClassName": ""}
    disk = common | {
        "capacity": {"storage": "1Gi"},
        "local": {"path": str(folder)},
        "claimRef": {"namespace": namespace, "name": "models"},
        "nodeAffinity": {"required": {"nodeSelectorTerms": [here]}},
    }
    claim = common | {"volumeName": namespace, "resources": {"requests": {"storage": "1Gi"}}}
    made = (
        {"kind": "PersistentVolume", "metadata": {"name": namespace}, "spec": disk},
        {"kind": "PersistentVolumeClaim", "metadata": {"name": "models", "namespace": namespace}, "spec": claim},
    )
    return "\n---\n".join(json.dumps({"apiVersion": "v1", **item}) for item in made)


@pytest.fixture
def models(tmp_path):
    """A copy of the sample model: a kubelet may change the group of what it mounts."""
    require(ENGINE_PYTHON, "make engine")
    require(MODEL_FOLDER / "plinth-manifest.json", "make model")
    shutil.copytree(MODEL_FOLDER, tmp_path / "models" / MODEL_FOLDER.name)
    (tmp_path / "models").chmod(0o755)
    return tmp_path / "models"


@pytest.fixture
def rendered(namespace, tmp_path):
    """The example rendered as a person would; images, namespace, interpreter and processors are the test's."""
    stack = yaml.safe_load((ROOT / f"stacks/Pulumi.{EXAMPLE}.yaml").read_text())["config"]["plinth:stack"]
    of_test = {"namespace": namespace, "namespaces": "existing", "image": NAME, "enginePython": str(ENGINE_PYTHON)}
    stack["kubernetes"] |= of_test
    stack["deployments"]["small"]["pod"] = {"image": NAME, "cpu": 0.5}
    project = tmp_path / "project"
    (project / "stacks").mkdir(parents=True)
    (project / "Pulumi.yaml").write_bytes((ROOT / "Pulumi.yaml").read_bytes())
    (project / f"stacks/Pulumi.{EXAMPLE}.yaml").write_text(yaml.safe_dump({"config": {"plinth:stack": stack}}))
    asked = ["render", "--stack", EXAMPLE, "--cwd", str(project), "--to", str(tmp_path / "out")]
    done = CliRunner().invoke(main, asked)
    assert done.exit_code == 0, done.output
    return tmp_path / "out"


def test_a_model_answers_through_its_service(cluster, namespace, rendered, models, real_nodes):
    """In a namespace that enforces `restricted`, from rendered files to an answer, and a clean end of the pod."""
    (node,), kubectl = real_nodes(1), cluster.kubectl
    node.load(runtime_image())
    kubectl("label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted")
    kubectl("apply", "--server-side", "-f", "-", text=volume(namespace, node.name, models))
    try:
        kubectl("apply", "--server-side", "--validate=strict", "-R", "-f", str(rendered))
        kubectl("wait", "--for=condition=Available", READY, "deployment/small", "-n", namespace, seconds=660)
        service = json.loads(kubectl("get", "service", "small", "-n", namespace, "-ojson").stdout)["spec"]
        url = f"http://{service['clusterIP']}:{service['ports'][0]['port']}/v1"
        cluster.wait_answer(f"{url}/models")
        asked = {"model": MODEL, "prompt": "The capital of France is", "max_tokens": 8, "temperature": 0}
        answer = cluster.call(f"{url}/completions", asked)
        assert answer.status == 200, answer.text
        assert answer.json()["choices"][0]["text"].strip()
        (pod,) = json.loads(kubectl("get", "pods", "-n", namespace, "-l", OURS, "-ojson").stdout)["items"]
        assert "hostPath" not in json.dumps(pod["spec"])
        assert node.find("EngineCore")
        kubectl("delete", "deployment", "small", "-n", namespace)
        name = f"pod/{pod['metadata']['name']}"
        kubectl("wait", "--for=delete", "--timeout=60s", name, "-n", namespace)
        assert not node.find("EngineCore")
    finally:
        kubectl("delete", "persistentvolume", namespace, "--wait=false")
