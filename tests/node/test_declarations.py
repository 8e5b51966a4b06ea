"""Reading declarations: places in each other's stead, spellings of the secret, faults, what is another wish."""

import pytest

from plinth_runtime.contract.model_names import ModelKey, ModelKind, entry_manager, is_model_label
from plinth_runtime.node.credentials import environment_for, missing_key
from plinth_runtime.node.declaration import declared_digest, read_declaration

ROOT = "/mnt/models"


def declaration(storage, **metadata):
    """A ClusterBaseModel, read."""
    document = {"metadata": {"name": "llama", **metadata}, "spec": {"storage": storage}}
    return read_declaration(ModelKind.CLUSTER_BASE_MODEL, document, ROOT)


@pytest.mark.parametrize(
    ("storage", "address", "path"),
    [
        ({"storageUri": "hf://a/b"}, "hf://a/b", None),
        ({"storageUri": "hf://a/b", "path": f"{ROOT}/b"}, "hf://a/b", f"{ROOT}/b"),
        ({"storageUri": "hf://a/b", "path": f"{ROOT}/b/"}, "hf://a/b", f"{ROOT}/b"),
        ({"path": "oci://bucket/b"}, "oci://bucket/b", None),
        ({"path": "oci://bucket/b", "storageUri": f"{ROOT}/b"}, "oci://bucket/b", f"{ROOT}/b"),
        ({"storageUri": "/srv/b"}, "local:///srv/b", None),
        ({"path": f"{ROOT}/b"}, f"local://{ROOT}/b", f"{ROOT}/b"),
    ],
)
def test_places(storage, address, path):
    """Source and folder are found wherever people put them; where they are right, nothing is wrong."""
    read = declaration(storage)
    assert (read.address, read.path, read.faults) == (address, path, ())


@pytest.mark.parametrize(
    ("storage", "words"),
    [
        ({}, "storageUri is missing"),
        ({"storageUri": "hf:/a"}, "no scheme"),
        ({"storageUri": "oci://n/ns/b/bucket"}, "oci://n/{namespace}/b/{bucket}/o/{prefix}"),
        ({"storageUri": "hf://a/b", "path": "/mnt/other/b"}, "not below /mnt/models"),
        ({"storageUri": "hf://a/b", "path": "/mnt/models"}, "not below"),
        ({"storageUri": "hf://a/b", "path": "/mnt/models/../x"}, "not below"),
        ({"storageUri": "hf://a/b", "path": "/mnt/models/records/b"}, "agent's own folder"),
        ({"storageUri": "hf://a/b", "path": "/mnt/models/models/cluster.other/x"}, "agent's own folder"),
        ({"storageUri": "hf://a/b", "parameters": {"token": "hf_secret"}}, "plain text"),
    ],
)
def test_faults_say_what_to_write(storage, words):
    """Each fault names the field; a secret is never repeated."""
    faults = " ".join(declaration(storage).faults)
    assert words in faults
    assert "hf_secret" not in faults


def test_all_faults_come_together():
    """Three mistakes, three faults."""
    assert len(declaration({"storageUri": "x", "path": "/etc", "parameters": {"token": "t"}}).faults) == 3


@pytest.mark.parametrize(
    ("change", "another"),
    [
        ({"storageUri": "hf://a/c"}, True),
        ({"path": f"{ROOT}/c"}, True),
        ({"parameters": {"region": "x"}}, True),
        ({"key": "other"}, False),
        ({"nodeSelector": {"a": "b"}}, False),
        ({"downloadPolicy": "ReuseIfExists"}, False),
    ],
)
def test_what_makes_another_wish(change, another):
    """Content is fetched anew for another source, place or setting of the client; not for another node or secret."""
    before = {"storageUri": "hf://a/b"}
    digests = {declared_digest({"spec": {"storage": storage}}) for storage in (before, {**before, **change})}
    assert (len(digests) == 2) is another
    assert declaration(before).digest == declared_digest({"spec": {"storage": before, "maxTokens": 5}})


@pytest.mark.parametrize("spelling", ["key", "storageKey"])
def test_both_spellings_of_the_secret(spelling):
    """The seed's `storageKey` and OME's `key` mean the same."""
    assert declaration({"storageUri": "hf://a/b", spelling: "hf-token"}).secret == "hf-token"


@pytest.mark.parametrize("name", ["ome.io/skip-config-parsing", "ome.oracle.com/skip-config-parsing"])
def test_detection_is_switched_off_by_either_annotation(name):
    """OME documents one name and reads the other."""
    assert not declaration({"storageUri": "hf://a/b"}, annotations={name: "true"}).detect
    assert declaration({"storageUri": "hf://a/b"}, annotations={name: "false"}).detect


@pytest.mark.parametrize(
    ("key", "label"),
    [
        (ModelKey(ModelKind.CLUSTER_BASE_MODEL, "", "llama"), "models.ome.io/clusterbasemodel.llama"),
        (ModelKey(ModelKind.BASE_MODEL, "team", "llama"), "models.ome.io/team.basemodel.llama"),
        (
            ModelKey(ModelKind.CLUSTER_BASE_MODEL, "", "llama-4-maverick-17b-128e-instruct-fp8"),
            "models.ome.io/clusterbasemodel.321a5921-k-17b-128e-instruct-fp8",
        ),
        (
            ModelKey(ModelKind.BASE_MODEL, "team-of-people", "llama-4-maverick-17b-128e-instruct-fp8"),
            "models.ome.io/df60d7d8.basemodel.321a5921-17b-128e-instruct-fp8",
        ),
    ],
)
def test_labels_are_spelled_as_ome_spells_them(key, label):
    """Short names as they are; long ones by digest and end, within 49 characters."""
    assert key.ome_label == label
    assert len(key.ome_label.partition("/")[2]) <= 49
    assert is_model_label(key.ome_label)
    assert is_model_label(key.content_label)


def test_other_labels_are_left_alone():
    """Labels of that domain which are not about models belong to somebody else."""
    assert not is_model_label("models.ome.io/reserve-model-artifact")
    assert not is_model_label("kubernetes.io/hostname")


def test_folders_of_different_declarations_differ():
    """A namespace and a name with dots never collide with another pair, and the longest names fit a file system."""
    keys = [
        ModelKey(ModelKind.BASE_MODEL, "a", "b.c"),
        ModelKey(ModelKind.CLUSTER_BASE_MODEL, "", "a.b.c"),
        ModelKey(ModelKind.CLUSTER_BASE_MODEL, "", "x" * 253),
        ModelKey(ModelKind.BASE_MODEL, "n" * 63, "x" * 253),
    ]
    folders = {key.folder for key in keys}
    assert len(folders) == len(keys)
    assert max(map(len, folders)) < 240


def test_managers_fit_the_api_server():
    """A field manager has at most 128 characters; those of two long node names differ."""
    names = ["n" * 250 + "1", "n" * 250 + "2", "short"]
    managers = {entry_manager(name) for name in names}
    assert len(managers) == 3
    assert max(map(len, managers)) <= 128


@pytest.mark.parametrize(
    ("scheme", "parameters", "secret", "environment"),
    [
        ("hf", {}, {"token": b"t\n"}, {"HF_TOKEN": "t"}),
        ("hf", {"secretKey": "mine"}, {"mine": b"t", "token": b"x"}, {"HF_TOKEN": "t"}),
        ("github", {}, {"token": b"t"}, {"GITHUB_TOKEN": "t"}),
        ("s3", {"region": "r"}, {"AWS_ACCESS_KEY_ID": b"i", "AWS_SECRET_ACCESS_KEY": b"k", "PATH": b"/"},
         {"AWS_ACCESS_KEY_ID": "i", "AWS_SECRET_ACCESS_KEY": "k", "AWS_REGION": "r", "AWS_DEFAULT_REGION": "r"}),
        ("oci", {"region": "r", "auth": "OkeWorkloadIdentity"}, None,
         {"OCI_REGION": "r", "OCI_CLI_AUTH": "oke_workload_identity"}),
        ("hf", {"region": "r", "auth": "x"}, None, {}),
    ],
)  # fmt: skip
def test_credentials(scheme, parameters, secret, environment):
    """A store's client gets what it reads, by its own names, and nothing else of a secret."""
    assert environment_for(scheme, parameters, secret) == environment


@pytest.mark.parametrize(
    ("scheme", "secret", "missing"),
    [
        ("hf", {}, "token"),
        ("hf", {"token": b"t"}, None),
        ("s3", {"AWS_ACCESS_KEY_ID": b"i"}, "AWS_SECRET_ACCESS_KEY"),
        ("oci", {}, None),
    ],
)
def test_missing_keys_are_named(scheme, secret, missing):
    """What a secret lacks is known before a store is asked."""
    assert missing_key(scheme, {}, secret) == missing
