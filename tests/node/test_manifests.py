"""The agent's objects: no right that it does not need, one folder of the node, every field with an effect."""

import json

import pytest
import yaml

from plinth_runtime.contract.model_names import ModelKey, ModelKind
from pulumi_plinth.errors import SpecError
from pulumi_plinth.model.crds import crd_objects
from pulumi_plinth.model.spec import ModelSpec
from pulumi_plinth.node_agent import NodeAgentSpec, SecretName, node_agent_objects, secrets_of
from pulumi_plinth.node_agent.__main__ import rendered

IMAGE = "registry.example/plinth-runtime@sha256:" + "a" * 64
SECRETS = (SecretName("team", "hf-token"), SecretName("plinth-system", "s3-keys"), SecretName("team", "other"))


def objects(secrets=SECRETS, **fields):
    """The objects by kind and name."""
    made = node_agent_objects(NodeAgentSpec.model_validate({"image": IMAGE, **fields}), secrets)
    return {(item["kind"], item["metadata"].get("namespace"), item["metadata"]["name"]): item for item in made}


def pod(**fields):
    """The pod's spec."""
    return objects(**fields)["DaemonSet", fields.get("namespace", "plinth-system"), "plinth-node-agent"]["spec"][
        "template"
    ]["spec"]


def test_rights_are_exactly_these():
    """Declarations and nodes are read and applied to, statuses applied to, named secrets read: each verb is used."""
    made = objects()
    rules = made["ClusterRole", None, "plinth-node-agent"]["rules"]
    verbs = {
        (group, kind): set(rule["verbs"]) for rule in rules for group in rule["apiGroups"] for kind in rule["resources"]
    }
    reading = {"get", "list", "watch", "patch"}
    assert verbs == {
        ("ome.io", "basemodels"): reading,
        ("ome.io", "clusterbasemodels"): reading,
        ("ome.io", "basemodels/status"): {"patch"},
        ("ome.io", "clusterbasemodels/status"): {"patch"},
        ("", "nodes"): reading,
    }
    roles = {namespace: item["rules"] for (kind, namespace, _), item in made.items() if kind == "Role"}
    assert {space: rules[0]["resourceNames"] for space, rules in roles.items()} == {
        "plinth-system": ["s3-keys"],
        "team": ["hf-token", "other"],
    }
    assert all(rule["verbs"] == ["get"] for rules in roles.values() for rule in rules)


def test_no_secret_is_readable_unless_it_is_named():
    """Without models that name secrets there is no role about secrets at all."""
    assert "secrets" not in json.dumps(list(objects(secrets=()).values()))


def test_every_binding_binds_what_exists():
    """Roles and accounts that bindings name are among the objects."""
    made = objects()
    for (kind, namespace, _), item in made.items():
        if kind.endswith("RoleBinding"):
            role = item["roleRef"]
            assert (role["kind"], None if role["kind"] == "ClusterRole" else namespace, role["name"]) in made
            (subject,) = item["subjects"]
            assert (subject["kind"], subject["namespace"], subject["name"]) in made


def test_the_pod_has_no_right_on_its_node_but_one_folder():
    """One folder of the node, no capability, no host namespace, nothing written outside volumes, memory bounded."""
    spec = pod(root="/raid/models")
    (container,) = spec["containers"]
    security = container["securityContext"]
    assert (security["allowPrivilegeEscalation"], security["readOnlyRootFilesystem"]) == (False, True)
    assert security["capabilities"] == {"drop": ["ALL"]}
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys()
    assert [volume["hostPath"]["path"] for volume in spec["volumes"] if "hostPath" in volume] == ["/raid/models"]
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert mounts.keys() == {volume["name"] for volume in spec["volumes"]}
    assert mounts["models"] == "/raid/models"
    assert container["resources"]["limits"]["memory"] == "1Gi"


def test_the_selector_selects_the_pods():
    """What the DaemonSet selects its pods have."""
    spec = objects()["DaemonSet", "plinth-system", "plinth-node-agent"]["spec"]
    assert spec["selector"]["matchLabels"].items() <= spec["template"]["metadata"]["labels"].items()


def test_the_arguments_are_understood_by_the_program():
    """The program's own parser takes the arguments as rendered."""
    from plinth_runtime.cli_node import node

    arguments = pod()["containers"][0]["args"]
    assert arguments[0] == "node"
    node.make_context("node", [word.replace("$(NODE_NAME)", "a") for word in arguments[1:]])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("image", IMAGE.replace("a" * 64, "b" * 64)),
        ("namespace", "elsewhere"),
        ("manageNamespace", False),
        ("root", "/raid/models"),
        ("nodeSelector", {"gpu": "yes"}),
        ("tolerations", [{"key": "nvidia.com/gpu"}]),
        ("imagePullSecrets", ["registry"]),
        ("priorityClass", "system-node-critical"),
        ("memory", "2Gi"),
        ("fetches", 4),
        ("sweep", "1m"),
        ("port", 9000),
        ("environment", {"HF_ENDPOINT": "https://hub.example"}),
    ],
)
def test_every_field_changes_something(field, value):
    """A field that changed nothing would be a promise that is not kept."""
    assert list(objects(**{field: value}).values()) != list(objects().values())


def test_the_table_above_is_complete():
    """Each field of the spec has a row."""
    (mark,) = test_every_field_changes_something.pytestmark
    assert {row[0] for row in mark.args[1]} == {
        field.alias or name for name, field in NodeAgentSpec.model_fields.items()
    }


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"root": "/etc"}, "no folder for models"),
        ({"root": "/mnt/../etc"}, "no folder for models"),
        ({"root": "models"}, "match pattern"),
        ({"fetches": 0}, "greater than or equal to 1"),
        ({"tolerations": [{"operator": "Equal", "key": "a"}]}, "without a value"),
        ({"tolerations": [{"value": "a", "key": "a"}]}, "with a value"),
        ({"tolerations": [{"operator": "Equal", "value": "a"}]}, "without a key"),
        ({"rot": "/x"}, "Extra inputs"),
    ],
)
def test_what_cannot_be_meant_is_refused(fields, words):
    """Folders of the system, impossible numbers and tolerations that the API server would refuse."""
    with pytest.raises(ValueError, match=words):
        NodeAgentSpec.model_validate({"image": IMAGE, **fields})


def test_secrets_of_models_are_those_the_agents_need():
    """Of a namespaced model in its namespace, of a cluster-wide one in the agents'; none for what is not fetched."""
    spec = NodeAgentSpec.model_validate({"image": IMAGE})
    models = [
        (ModelKey(ModelKind.BASE_MODEL, "team", "a"), {"uri": "hf://a/b", "key": "one"}),
        (ModelKey(ModelKind.CLUSTER_BASE_MODEL, "", "b"), {"uri": "hf://a/b", "key": "two"}),
        (ModelKey(ModelKind.BASE_MODEL, "team", "c"), {"uri": "pvc://claim/b", "key": "three"}),
        (ModelKey(ModelKind.BASE_MODEL, "team", "d"), {"uri": "hf://a/b"}),
    ]
    found = secrets_of([(key, ModelSpec.model_validate({"storage": storage})) for key, storage in models], spec)
    assert found == (SecretName("plinth-system", "two"), SecretName("team", "one"))


def test_the_objects_are_printed_from_a_file():
    """Definitions first, then everything of the agents, as YAML that reads back the same."""
    text = rendered(f"image: {IMAGE}\nroot: /raid/models\n", ["team/hf-token"])
    found = list(yaml.safe_load_all(text))
    spec = NodeAgentSpec.model_validate({"image": IMAGE, "root": "/raid/models"})
    assert found == [*crd_objects(), *node_agent_objects(spec, [SecretName("team", "hf-token")])]


@pytest.mark.parametrize(
    ("text", "secrets", "words"),
    [
        ("root: /etc\n", [], ("agent.image: is missing", "agent.root")),
        ("", [], ("is not one YAML document",)),
        (f"image: {IMAGE}\n", ["hf-token"], ("write NAMESPACE/NAME",)),
    ],
)
def test_faults_of_the_file_are_told_together(text, secrets, words):
    """All at once, each with its place."""
    with pytest.raises(SpecError) as told:
        rendered(text, secrets)
    assert [word for word in words if word not in str(told.value)] == []
