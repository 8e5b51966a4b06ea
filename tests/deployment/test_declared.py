"""Models of a stack as objects of the cluster, and the agents that bring them to nodes."""

import pytest
from fakes.pulumi_monitor import Cloud, run
from support.pods import IMAGE, planned, pods
from support.provider_types import argument_faults

from pulumi_plinth.deployment.kubernetes.declared import object_key
from pulumi_plinth.platform import Platform
from pulumi_plinth.rendering_files import files_of

MODELS = {
    "small": {"storage": {"uri": "hf://Qwen/Qwen3-0.6B", "key": "hub"}, "namespace": "team"},
    "large": {"storage": {"uri": "oci://n/acme/b/models/o/large"}},
    "disk": {"store": "disk", "path": "x"},
}
STORES = {"disk": {"path": "models"}}


def plan(**cluster):
    """A stack with three models and agents; other fields of the cluster."""
    return planned(pods(models=MODELS, stores=STORES, kubernetes={"nodeAgent": {"image": IMAGE}, **cluster}))


def test_models_become_objects_and_agents_may_read_their_secrets():
    """Namespaced and cluster-wide; a model on a folder of this host is left out with the reason."""
    found = plan().declared
    kinds = {(item["kind"], item["metadata"].get("namespace"), item["metadata"]["name"]) for item in found.objects}
    assert {("BaseModel", "team", "small"), ("ClusterBaseModel", None, "large")} <= kinds
    assert ("Role", "team", "plinth-node-agent") in kinds
    assert [text.split()[0] for text in found.left_out] == ["disk", "qwen"]
    (small,) = [item for item in found.objects if item["kind"] == "BaseModel"]
    assert small["spec"]["storage"]["storageUri"] == "hf://Qwen/Qwen3-0.6B"


def test_without_agents_nothing_is_declared():
    """Definitions that nobody reads would only be in the way of others."""
    assert planned(pods(models=MODELS, stores=STORES)).declared.objects == ()


def test_definitions_of_others_are_left_alone():
    """`existing` makes everything but the definitions."""
    kinds = {item["kind"] for item in plan(crds="existing").declared.objects}
    assert "CustomResourceDefinition" not in kinds
    assert {"DaemonSet", "ClusterBaseModel"} <= kinds


@pytest.mark.slow
@pytest.mark.parametrize("preview", [False, True])
def test_every_object_is_a_resource_of_its_own_name(preview):
    """Definitions come before the models, and every property is one that the provider takes."""
    found = plan()
    monitor = run(lambda: Platform("p", found) and None, Cloud(preview=preview))
    made = {item.name: item for item in monitor.all() if item.name.startswith("p-models-")}
    assert set(made) == {f"p-models-{object_key(item)}" for item in found.declared.objects}
    ours = [item for item in made.values() if not item.type.startswith("kubernetes:ome.io/")]
    faults = [fault for item in ours for fault in argument_faults(item.type, item.inputs)]
    assert [fault for fault in faults if "x-kubernetes-" not in fault] == []  # Python's types spell those with _
    model = made["p-models-clusterbasemodel-large"]
    assert "p-models-customresourcedefinition-clusterbasemodels-ome-io" in model.dependencies


def test_files_have_a_folder_of_their_own():
    """One object a file, roles of two namespaces apart."""
    names = [name for name in files_of(plan()) if name.startswith("plinth-models/")]
    assert len(names) == len(plan().declared.objects)
    assert "plinth-models/12-role-team-plinth-node-agent.yaml" in names
