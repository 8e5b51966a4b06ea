"""Our definitions on a real API server: what it takes, what it refuses and with which words, who may write what."""

import json

import pytest

from pulumi_plinth.model.crds import crd_objects

pytestmark = pytest.mark.cluster


@pytest.fixture
def crds(kubectl):
    """Both definitions, established; they stay for the tests that follow."""
    text = "\n---\n".join(json.dumps(item) for item in crd_objects())
    kubectl("apply", "--server-side", "--force-conflicts", "--validate=strict", "-f", "-", text=text)
    for item in crd_objects():
        kubectl("wait", "--for=condition=Established", "--timeout=30s", f"crd/{item['metadata']['name']}")


def model(namespace, spec, name="llama"):
    """A BaseModel as text."""
    metadata = {"name": name, "namespace": namespace}
    return json.dumps({"apiVersion": "ome.io/v1beta1", "kind": "BaseModel", "metadata": metadata, "spec": spec})


def refused(kubectl, text, *verb):
    """What the API server says against a document; empty if it takes it."""
    verb = verb or ("create", "--dry-run=server")
    done = kubectl(*verb, "--validate=strict", "-f", "-", text=text, check=False)
    return done.stderr if done.returncode else ""


def test_seeds_are_taken_unchanged(kubectl, crds, namespace, project_root):
    """The seed's own example, which has its address in `path`, is a valid object."""
    text = (project_root / "tests/model/documents/seeds/ome-base-model.yaml").read_text()
    done = kubectl(
        "create", "--dry-run=server", "--validate=strict", "-n", namespace, "-f", "-", text=text, check=False
    )
    assert not done.returncode, done.stderr
