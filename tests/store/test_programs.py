"""Whole programs with stores and clusters, run by the embedded engine against a stand-in for Oracle's provider."""

import json
import textwrap

import pytest
from fakes.oci_provider import Cloud, put_on_path
from support.components import BUCKET, OCI

from pulumi_plinth import embedded
from pulumi_plinth.embedded import crypto

pytestmark = [pytest.mark.processes, pytest.mark.timeout(900)]

IMAGE = "Oracle-Linux-8.10-2025.05.19-0-OKE-1.34.1-905"
NEWER = "Oracle-Linux-8.10-2026.01.31-0-OKE-1.34.1-1200"
CLUSTER = {"oci": OCI, "kubernetes_version": "v1.34.1"}


class Program:
    """A project whose program makes one component, and the cloud it is run against."""

    def __init__(self, root):
        self.root, self.events = root, []
        (root / "Pulumi.yaml").write_text("name: box\nruntime: python\nbackend:\n  url: file://.\n")
        (root / "Pulumi.dev.yaml").write_text("config: {}\n")
        self.cloud.change(images=[IMAGE], kubeconfig="apiVersion: v1")

    @property
    def cloud(self):
        """The cloud as it is now."""
        return Cloud(self.root)

    def run(self, kind):
        """Run an operation."""
        self.events = []
        options = embedded.Options(passphrase="correct horse", preview=False)
        return getattr(embedded, kind)(embedded.Project.load(self.root), "dev", self.events.append, options)

    def up(self, component, args):
        """Make a component named `it`."""
        text = f"""
            import json, pulumi, pulumi_plinth
            pulumi_plinth.{component}("it", json.loads({json.dumps(json.dumps(args))}))
        """
        (self.root / "__main__.py").write_text(textwrap.dedent(text))
        return self.run("up")

    def changed(self):
        """What the last run changed, by name of the resource."""
        return {e.name: e.keys for e in self.events if isinstance(e, embedded.StepFinished) and e.op != "same"}

    def said(self):
        """What the last run said to people."""
        return " ".join(event.message for event in self.events if isinstance(event, embedded.Diagnostic))


@pytest.fixture
def program(tmp_path, monkeypatch):
    """A project, and the stand-in on PATH."""
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setattr(crypto, "ITERATIONS", 1000)
    environment = {"PATH": "/usr/bin:/bin"}
    put_on_path(tmp_path, environment)
    monkeypatch.setenv("PATH", environment["PATH"])
    return Program(tmp_path)


def test_a_store_is_made_changed_unprotected_and_removed(program):
    """A second up changes nothing, other days are one update, and a protected bucket goes only after its flag."""
    program.up("ModelStore", BUCKET)
    assert not program.up("ModelStore", BUCKET).has_changes
    program.up("ModelStore", BUCKET | {"keep_old_versions_days": 7})
    assert set(program.changed()) == {"it", "it-lifecycle"}
    (bucket,) = program.cloud.of(":Bucket")
    with pytest.raises(embedded.EmbeddedError, match="protect"):
        program.run("destroy")
    assert set(program.cloud.of(":Bucket")) == {bucket}
    program.up("ModelStore", BUCKET | {"keep_old_versions_days": 7, "protect": False})
    assert set(program.cloud.of(":Bucket")) == {bucket}
    program.run("destroy")
    assert program.cloud.data["resources"] == {}


def test_another_name_never_replaces_a_bucket_that_holds_weights(program):
    """OCI cannot rename a bucket; the deployment stops at the protection, and nothing is lost."""
    program.up("ModelStore", BUCKET)
    with pytest.raises(embedded.EmbeddedError):
        program.up("ModelStore", BUCKET | {"bucket": "another"})
    assert "protect" in program.said()
    assert [item["inputs"]["name"] for item in program.cloud.of(":Bucket").values()] == ["team-weights"]


def test_a_failed_policy_is_made_up_for_by_the_next_run(program):
    """What waits for the policy is not made before it; the next up makes exactly the rest."""
    program.cloud.change(faults=[{"type": ":Policy", "call": "Create", "kind": "invisible", "times": 9}])
    with pytest.raises(embedded.EmbeddedError):
        program.up("ModelStore", BUCKET)
    assert not program.cloud.of(":Bucket")
    program.cloud.change(faults=[])
    program.up("ModelStore", BUCKET)
    assert {item["type"].rsplit(":", 1)[1] for item in program.cloud.data["resources"].values()} == {
        "Policy", "Bucket", "ObjectLifecyclePolicy",
    }  # fmt: skip
    assert not program.up("ModelStore", BUCKET).has_changes


def test_a_cluster_stays_as_it_is_when_the_catalogue_moves_on(program):
    """A second up and a newer image change nothing; a version is an update of cluster and pool; protection holds."""
    program.up("GpuCluster", CLUSTER)
    assert not program.up("GpuCluster", CLUSTER).has_changes
    program.cloud.change(images=[IMAGE, NEWER])
    assert not program.up("GpuCluster", CLUSTER).has_changes
    program.cloud.change(images=[IMAGE, NEWER, NEWER.replace("1.34.1", "1.35.0")])
    result = program.up("GpuCluster", CLUSTER | {"kubernetes_version": "v1.35.0"})
    assert set(program.changed()) == {"it", "it-cluster", "it-system"}
    assert set(result.changes) <= {"same", "update"}
    with pytest.raises(embedded.EmbeddedError, match="protect"):
        program.run("destroy")
    program.up("GpuCluster", CLUSTER | {"kubernetes_version": "v1.35.0", "protect": False})
    program.run("destroy")
    assert program.cloud.data["resources"] == {}
