"""A stack file's deployments on a real API server: the project's own program, run by the embedded engine."""

import json

import pytest
from support.sandbox import ITERATIONS, Sandbox

from pulumi_plinth.embedded import crypto
from pulumi_plinth.node_agent.access import LABELS

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

NAMESPACE = "platform"
WIDE = "clusterroles,clusterrolebindings,validatingadmissionpolicies,validatingadmissionpolicybindings"
"""Kinds without a namespace of which other tests leave some behind."""
IMAGE = "registry.example/runtime@sha256:" + "ab" * 32
DEPLOYMENT = {"model": "qwen", "target": "kubernetes", "shape": "VM.GPU.A10.1", "maxModelLen": 4096}


@pytest.fixture
def box(kubernetes_plugin, project_root, tmp_path, monkeypatch):
    """A project with our program; what it made goes with it."""
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setattr(crypto, "ITERATIONS", ITERATIONS)
    made = Sandbox(tmp_path / "project")
    made.write("Pulumi.yaml", "name: box\nruntime: python\nbackend:\n  url: file://.\n")
    made.program((project_root / "__main__.py").read_text())
    yield made
    if made.checkpoint.exists():
        made.run("destroy")


@pytest.fixture
def up(box, cluster):
    """A function that deploys the stack with other fields of its only deployment; a preview has said the same."""

    def do(**fields):
        stack = {
            "kubernetes": {"kubeconfig": str(cluster.kubeconfig), "namespace": NAMESPACE, "image": IMAGE},
            "models": {"qwen": {"preset": {"name": "qwen3-8b"}}},
            "deployments": {"chat": DEPLOYMENT | {"replicas": {"min": 0}} | fields},
        }
        box.write("Pulumi.dev.yaml", json.dumps({"config": {"plinth:stack": stack}}))
        preview = box.run("preview").changes
        result = box.up()
        assert preview == result.changes
        return result

    return do


@pytest.mark.exhaustive  # test_oci_up goes the same way in make test
def test_a_stack_from_nothing_to_nothing(box, up, kubectl):
    """Created and ready; unchanged; a change of the launch is a new ConfigMap and a rollout; a change of who may call
    rolls nothing; deleted with its namespace.
    """
    first = up()
    assert first.changes == {"create": 11}
    assert first.outputs["endpoints"] == {"chat": f"http://chat.{NAMESPACE}.svc:8000/v1"}
    assert up().changes == {"same": 11}
    before = launch(kubectl)
    assert up(maxBodySize="1Mi").changes == {"same": 9, "replace": 1, "update": 1}
    after = launch(kubectl)
    assert after != before
    maps = kubectl("get", "configmaps", "-n", NAMESPACE, "-oname").stdout
    assert (after in maps, before in maps) == (True, False)
    changes = up(maxBodySize="1Mi", pod={"allowedNamespaces": ["team"]}).changes
    assert changes == {"same": 10, "update": 1}
    assert launch(kubectl) == after
    assert box.run("destroy").changes == {"delete": 11}
    assert NAMESPACE not in kubectl("get", "namespaces", "-oname").stdout


def launch(kubectl):
    """Name of the ConfigMap that the pods mount."""
    mounted = "-ojsonpath={.spec.template.spec.volumes[0].configMap.name}"
    return kubectl("get", "deployment/chat", "-n", NAMESPACE, mounted).stdout


def test_declared_models_and_the_agents_that_bring_them(box, cluster, kubectl):
    """Definitions, rights, guard, agents and models come in an order that holds; unchanged; and go."""
    kubectl("delete", "crds", "--ignore-not-found", "basemodels.ome.io", "clusterbasemodels.ome.io")
    kubectl("delete", WIDE, "-l", ",".join(f"{key}={value}" for key, value in LABELS.items()))
    stack = {
        "kubernetes": {
            "kubeconfig": str(cluster.kubeconfig),
            "namespace": NAMESPACE,
            # No node has it, whatever other tests left: the image cannot be had, and the run waits for every pod.
            "nodeAgent": {"image": IMAGE, "namespace": "agents", "nodeSelector": {"plinth.test/agents": "nowhere"}},
        },
        "models": {
            "small": {"storage": {"uri": "hf://Qwen/Qwen3-0.6B", "key": "hub"}},
            "own": {"storage": {"uri": "oci://n/acme/b/models/o/own"}, "namespace": "default"},
        },
    }
    box.write("Pulumi.dev.yaml", json.dumps({"config": {"plinth:stack": stack}}))
    preview = box.run("preview").changes
    assert box.up().changes == preview
    said = kubectl("get", "clusterbasemodels,basemodels", "-A", "-ojsonpath={.items[*].metadata.name}").stdout
    assert sorted(said.split()) == ["own", "small"]
    assert kubectl("get", "daemonset/plinth-node-agent", "-n", "agents", "-oname").stdout.strip()
    again = box.up()
    assert not again.has_changes
    box.run("destroy")
    assert "ome.io" not in kubectl("get", "crds", "-oname").stdout
