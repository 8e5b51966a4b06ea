"""Programs of pulumi_kubernetes, run by the embedded engine through the provider's stand-in, on a real API server."""

import pytest
from support.sandbox import ITERATIONS, Sandbox

from pulumi_plinth import embedded
from pulumi_plinth.embedded import crypto

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

BEGIN = """
    import pulumi, pulumi_kubernetes as k8s
    config = pulumi.Config()
    namespace = config.require("namespace")
    cluster = k8s.Provider("cluster", kubeconfig=config.require("kubeconfig"))
    there = pulumi.ResourceOptions(provider=cluster)
"""
OBJECTS = """
    version = config.require("version")
    launch = k8s.core.v1.ConfigMap("launch", metadata={"name": "launch-" + version, "namespace": namespace},
        immutable=True, data={"launch.json": version}, opts=there)
    keys = k8s.core.v1.Secret("keys", metadata={"name": "keys", "namespace": namespace},
        string_data={"key": config.require_secret("key")}, opts=there)
    web = k8s.apps.v1.Deployment("web", spec={
        "replicas": 0, "selector": {"match_labels": {"app": "web"}},
        "template": {"metadata": {"labels": {"app": "web"}}, "spec": {
            "containers": [{"name": "c", "image": "x", "volume_mounts": [{"name": "l", "mount_path": "/l"}]}],
            "volumes": [{"name": "l", "config_map": {"name": launch.metadata["name"]}}]}},
    }, metadata={"name": "web", "namespace": namespace, "labels": {"tier": "web"}}, opts=there)
    pulumi.export("uid", web.metadata["uid"])
"""
KINDS = """
    crd = k8s.apiextensions.v1.CustomResourceDefinition("crd", metadata={"name": "things.example.dev"}, spec={
        "group": "example.dev", "scope": "Namespaced",
        "names": {"kind": "Thing", "plural": "things", "singular": "thing"},
        "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {
            "type": "object", "properties": {"spec": {"type": "object", "properties": {"n": {"type": "integer"}}}}}}}],
    }, opts=there)
    thing = k8s.apiextensions.CustomResource("thing", api_version="example.dev/v1", kind="Thing",
        metadata={"name": "t", "namespace": namespace,
            # The collector of garbage learns of new kinds every half minute only; nothing depends on this object.
            "annotations": {"pulumi.com/deletionPropagationPolicy": "background"}}, spec={"n": 1},
        opts=pulumi.ResourceOptions(provider=cluster, depends_on=[crd]))
"""


@pytest.fixture
def box(cluster, namespace, kubernetes_plugin, tmp_path, monkeypatch):
    """A project that finds the stand-in on PATH and the test cluster in its configuration."""
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setattr(crypto, "ITERATIONS", ITERATIONS)
    made = Sandbox(tmp_path / "project")
    made.write("Pulumi.yaml", "name: box\nruntime: python\nbackend:\n  url: file://.\n")
    made.settings = {"kubeconfig": cluster.kubeconfig.read_text(), "namespace": namespace}
    made.config(**made.settings)
    yield made
    if made.checkpoint.exists():
        made.run("destroy")


def test_a_stack_from_nothing_to_nothing(box, kubectl, namespace):
    """Created, unchanged, updated with a new launch file, deleted: every step is counted, and is so."""
    box.program(BEGIN + OBJECTS + KINDS)
    for version, changes in (
        ("one", {"create": 7}),
        ("one", {"same": 7}),
        ("two", {"same": 5, "replace": 1, "update": 1}),
    ):
        box.config(**box.settings, version=version, key="hush-hush")
        preview = box.run("preview")
        result = box.up()
        assert (preview.changes, result.changes) == (changes, changes)
        uid = kubectl("get", "deployment/web", "-n", namespace, "-ojsonpath={.metadata.uid}").stdout
        assert result.outputs == {"uid": uid}
        mounted = "-ojsonpath={.spec.template.spec.volumes[0].configMap.name}"
        assert kubectl("get", "deployment/web", "-n", namespace, mounted).stdout == f"launch-{version}"
    assert "launch-one" not in kubectl("get", "configmaps", "-n", namespace, "-oname").stdout
    assert "hush-hush" not in box.checkpoint.read_text()
    assert "aHVzaC1odXNo" not in box.checkpoint.read_text()
    assert box.run("destroy").changes == {"delete": 7}
    left = kubectl("get", "deployments,secrets", "-n", namespace, "-oname").stdout
    assert not left


def test_what_somebody_changed_is_seen(box, kubectl, namespace):
    """Refresh finds what others did: what they deleted is made again, their fields stay, one of ours is a conflict."""
    box.program(BEGIN + OBJECTS)
    box.config(**box.settings, version="one", key="k")
    box.up()
    kubectl("annotate", "deployment/web", "-n", namespace, "note=theirs")
    kubectl("delete", "secret/keys", "-n", namespace)
    box.run("refresh")
    assert box.up(preview=True).changes == {"same": 4, "create": 1}
    note = "-ojsonpath={.metadata.annotations.note}"
    assert kubectl("get", "deployment/web", "-n", namespace, note).stdout == "theirs"
    kubectl("label", "deployment/web", "-n", namespace, "--overwrite", "tier=theirs")
    box.run("refresh")
    with pytest.raises(embedded.DeploymentFailed, match='conflict with "kubectl-label"'):
        box.up()


def test_what_is_there_already_is_not_taken_over(box, kubectl, namespace):
    """An object that somebody else made is refused by name, and stays as it is."""
    kubectl("create", "configmap", "settings", "-n", namespace, "--from-literal=a=1")
    box.program(
        BEGIN
        + """
    k8s.core.v1.ConfigMap("settings", metadata={"name": "settings", "namespace": namespace}, data={"a": "2"},
        opts=there)
    """
    )
    with pytest.raises(embedded.DeploymentFailed, match='"settings" already exists'):
        box.up()
    assert kubectl("get", "configmap/settings", "-n", namespace, "-ojsonpath={.data.a}").stdout == "1"


def test_a_misspelt_field_is_refused_in_the_preview(box, kubectl, namespace):
    """The API server validates strictly in a dry run: nothing is created."""
    box.program(
        BEGIN
        + """
    k8s.core.v1.ConfigMap("first", metadata={"name": "first", "namespace": namespace}, data={"a": "1"}, opts=there)
    k8s.apiextensions.CustomResource("set", api_version="apps/v1", kind="StatefulSet",
        metadata={"name": "set", "namespace": namespace}, spec={"serviceName": "s", "replcas": 1}, opts=there)
    """
    )
    with pytest.raises(embedded.DeploymentFailed, match="replcas"):
        box.up(preview=True)
    assert "first" not in kubectl("get", "configmaps", "-n", namespace, "-oname").stdout


def test_what_does_not_become_ready_says_why(box, kubectl, namespace):
    """A pod that nothing can run fails the run with the scheduler's own words; the object is kept, and mended later."""
    program = """
    k8s.apps.v1.Deployment("web", metadata={"name": "web", "namespace": namespace}, spec={
        "replicas": REPLICAS, "selector": {"match_labels": {"app": "web"}},
        "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"node_selector": {"plinth.test/none": "1"},
            "containers": [{"name": "c", "image": "x"}]}},
    }, opts=pulumi.ResourceOptions(provider=cluster, custom_timeouts=pulumi.CustomTimeouts(create="3s", update="20s")))
    """
    box.program(BEGIN + program.replace("REPLICAS", "1"))
    with pytest.raises(embedded.DeploymentFailed, match=r"Minimum number of live Pods .*(Unschedulable|no nodes)"):
        box.up()
    assert box.resource("web")["initErrors"]
    box.program(BEGIN + program.replace("REPLICAS", "0"))
    assert box.up().changes == {"same": 2, "update": 1}
    assert "initErrors" not in box.resource("web")


def test_an_immutable_field_replaces_the_object(box, kubectl, namespace):
    """A new selector deletes the Deployment and makes it again under its name; the preview says so."""
    program = """
    k8s.apps.v1.Deployment("web", metadata={"name": "web", "namespace": namespace}, spec={
        "replicas": 0, "selector": {"match_labels": {"app": "APP"}},
        "template": {"metadata": {"labels": {"app": "APP"}}, "spec": {"containers": [{"name": "c", "image": "x"}]}},
    }, opts=there)
    """
    box.program(BEGIN + program.replace("APP", "one"))
    box.up()
    before = box.resource("web")["outputs"]["metadata"]["uid"]
    box.program(BEGIN + program.replace("APP", "two"))
    assert box.run("preview").changes == box.up().changes == {"same": 2, "replace": 1}
    after = kubectl("get", "deployment/web", "-n", namespace, "-ojsonpath={.metadata.uid}").stdout
    assert after not in {before, ""}


def test_replicas_are_left_to_an_autoscaler(box, kubectl, namespace):
    """What is ignored keeps the value that somebody else gave it, without a conflict, when another field changes."""
    program = """
    k8s.apps.v1.Deployment("web", metadata={"name": "web", "namespace": namespace, "labels": {"v": "LABEL"},
        "annotations": {"pulumi.com/skipAwait": "true"}}, spec={
        "replicas": 0, "selector": {"match_labels": {"app": "web"}},
        "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "x"}]}},
    }, opts=pulumi.ResourceOptions(provider=cluster, ignore_changes=["spec.replicas"]))
    """
    box.program(BEGIN + program.replace("LABEL", "one"))
    box.up()
    kubectl("scale", "deployment/web", "--replicas=2", "-n", namespace)
    box.program(BEGIN + program.replace("LABEL", "two"))
    assert box.up(preview=True).changes == {"same": 2, "update": 1}
    found = kubectl("get", "deployment/web", "-n", namespace, "-ojsonpath={.spec.replicas} {.metadata.labels.v}").stdout
    assert found == "2 two"


def test_names_are_made_where_none_is_given(box, kubectl, namespace):
    """An object without a name gets one with a random end, and keeps it."""
    box.program(
        BEGIN + '    k8s.core.v1.ConfigMap("auto", metadata={"namespace": namespace}, data={"a": "1"}, opts=there)'
    )
    box.up()
    name = box.resource("auto")["outputs"]["metadata"]["name"]
    assert name.startswith("auto-")
    assert len(name) == len("auto-") + 8
    assert not box.up().has_changes
    assert f"configmap/{name}" in kubectl("get", "configmaps", "-n", namespace, "-oname").stdout
