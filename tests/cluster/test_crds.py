"""Our definitions on a real API server: what it takes, what it refuses in which words, two writers of one list."""

import json

import pytest
import yaml
from cluster.models import BASE_MODEL, install_crds

pytestmark = pytest.mark.cluster


@pytest.fixture
def crds(kubectl):
    """Both definitions, established; they stay for the tests that follow."""
    install_crds(kubectl)


def model(namespace, spec, name="llama"):
    """A BaseModel as text."""
    return json.dumps({**BASE_MODEL, "metadata": {"name": name, "namespace": namespace}, "spec": spec})


def refused(kubectl, text, *verb):
    """What the API server says against a document; empty if it takes it."""
    done = kubectl(*(verb or ("create", "--dry-run=server")), "--validate=strict", "-f", "-", text=text, check=False)
    return done.stderr if done.returncode else ""


def test_seeds_and_documents_of_ome_are_taken_unchanged(kubectl, crds, namespace, project_root):
    """The seed's own example, which has its address in `path`, and documents from the wild are valid objects."""
    taken = 0
    for path in sorted((project_root / "tests/model/documents").rglob("*.yaml")):
        documents = [item for item in yaml.safe_load_all(path.read_text()) if isinstance(item, dict)]
        for document in documents:
            if document.get("apiVersion") != "ome.io/v1beta1" or not document.get("spec"):
                continue
            document["metadata"].pop("namespace", None)
            text = json.dumps(document)
            done = kubectl(
                "create", "--dry-run=server", "--validate=strict", "-n", namespace, "-f", "-", text=text, check=False
            )
            assert not done.returncode, f"{path}: {done.stderr}"
            taken += 1
    assert taken >= 1


MISTAKES = [
    ({"storage": {"storageUri": "hf://a/b"}, "modelArchitectur": "X"}, 'unknown field "spec.modelArchitectur"'),
    ({"storage": {"storageUri": "hf://a/b", "paramters": {}}}, 'unknown field "spec.storage.paramters"'),
    ({"storage": {"storageUri": "hf://a/b", "nodeAffinity": {"required": {}}}}, "nodeAffinity.required"),
    ({}, "spec.storage: Required value"),
    ({"storage": {}}, "storageUri is missing"),
    ({"storage": {"storageUri": "ftp://a/b"}}, "unknown scheme"),
    ({"storage": {"storageUri": "HF://a/b"}}, "unknown scheme"),
    ({"storage": {"storageUri": "oci://n/ns/b/bucket"}}, "lacks the markers"),
    ({"storage": {"storageUri": "hf://a/b/c"}}, "write hf://{model}[@{revision}]"),
    ({"storage": {"storageUri": "pvc://claim"}}, "write pvc://"),
    ({"storage": {"storageUri": "s3://bucket/../other"}}, "steps out of its folder"),
    ({"storage": {"storageUri": "hf://a/b", "path": "models/b"}}, "not an absolute folder"),
    ({"storage": {"storageUri": "hf://a/b", "path": "/mnt/../etc"}}, "steps out of its folder"),
    ({"storage": {"storageUri": "hf://a/b", "path": "oci://b/c"}}, "holds an address beside storageUri"),
    ({"storage": {"storageUri": "hf://a/b", "key": "one", "storageKey": "two"}}, "name different secrets"),
    ({"storage": {"storageUri": "hf://a/b", "parameters": {"token": "hf_secret"}}}, "secret in plain text"),
    ({"storage": {"storageUri": "hf://a/b"}, "modelCapabilities": ["TEXT_GENERATON"]}, "Unsupported value"),
    ({"storage": {"storageUri": "hf://a/b"}, "servingMode": ["Ondemand"]}, "Unsupported value"),
    ({"storage": {"storageUri": "hf://a/b"}, "maxTokens": "many"}, "must be of type integer"),
    ({"storage": {"storageUri": "hf://a/b"}, "maxTokens": 0}, "greater than or equal to 1"),
    ({"storage": {"storageUri": "hf://a/b"}, "modelFormat": {"version": "1"}}, "modelFormat.name: Required"),
    ({"storage": {"storageUri": "hf://a/b"}, "modelParameterSize": "seven"}, "modelParameterSize"),
]
"""Specs, and words of the refusal."""

SOURCES = [
    {"storageUri": "oci://n/ns/b/bucket/o/llama"},
    {"storageUri": "oci://ns@us-phoenix-1/bucket/llama"},
    {"storageUri": "oci://bucket/llama"},
    {"storageUri": "hf://meta-llama/Llama-3.1-8B@main", "key": "hf-token", "path": "/raid/models/llama"},
    {"storageUri": "hf://a/b", "storageKey": "hf-token", "parameters": {"secretKey": "mine"}},
    {"storageUri": "pvc://team:claim/llama"},
    {"storageUri": "local:///mnt/models/llama"},
    {"storageUri": "vendor://acme/models/llama"},
    {"storageUri": "s3://bucket@us-east-1/llama"},
    {"storageUri": "az://account/container/llama"},
    {"storageUri": "gs://bucket/llama"},
    {"storageUri": "github://acme/llama@v1"},
    {"storageUri": "https://models.example/llama"},
    {"storageUri": "/mnt/models/llama"},
    {"storageUri": "hf://a/b", "nodeSelector": {"gpu": "h100"}, "nodeAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
            {"matchExpressions": [{"key": "memory", "operator": "Gt", "values": ["500"]}]}]}}},
]  # fmt: skip
"""Storages that are right."""


def test_mistakes_are_refused_with_words_that_help(kubectl, crds, namespace):
    """Typos, bad addresses, contradictions and plain secrets never become objects."""
    said = [(refused(kubectl, model(namespace, spec)), words) for spec, words in MISTAKES]
    assert [row for row in said if row[1] not in row[0]] == []
    assert not any("hf_secret" in text for text, _ in said)


def test_every_way_to_write_a_source_is_taken(kubectl, crds, namespace):
    """All schemes of the grammar, both spellings of the secret, selectors and affinity."""
    names = [f"m{index}" for index in range(len(SOURCES))]
    texts = [model(namespace, {"storage": storage}, name) for name, storage in zip(names, SOURCES, strict=True)]
    assert not refused(kubectl, "\n---\n".join(texts))


def test_the_folder_of_a_model_cannot_be_changed(kubectl, crds, namespace):
    """Pods mount it: it may be set once; the source may change any time."""
    apply = ("apply", "--server-side")
    for storage, words in (
        ({"storageUri": "hf://a/b"}, ""),
        ({"storageUri": "hf://a/b", "path": "/mnt/models/b"}, ""),
        ({"storageUri": "hf://a/b@v2", "path": "/mnt/models/b"}, ""),
        ({"storageUri": "hf://a/b@v2", "path": "/mnt/models/c"}, "cannot be changed"),
        ({"storageUri": "hf://a/b@v2"}, "cannot be changed"),
    ):
        said = refused(kubectl, model(namespace, {"storage": storage}), *apply)
        assert words in said
        assert bool(said) is bool(words)


def test_columns_show_what_people_ask_for(kubectl, crds, namespace):
    """State, size, vendor, nodes and age are in the list."""
    kubectl("create", "-f", "-", text=model(namespace, {"storage": {"storageUri": "hf://a/b"}, "vendor": "acme"}))
    status = {"state": "Ready", "nodesReady": ["node-1"]}
    patch = json.dumps({"status": status})
    kubectl("patch", "basemodel", "llama", "-n", namespace, "--subresource=status", "--type=merge", "-p", patch)
    header, row = kubectl("get", "basemodels", "-n", namespace).stdout.splitlines()
    assert header.split("   ")[0] == "NAME"
    assert [word for word in ("STATE", "SIZE", "VENDOR", "NODES READY", "AGE") if word not in header] == []
    assert "Ready" in row
    assert '["node-1"]' in row


def test_two_nodes_write_one_status_and_neither_is_lost(kubectl, crds, namespace):
    """Each applies its own items with its own manager; withdrawing one's own leaves the other's alone."""
    kubectl("create", "-f", "-", text=model(namespace, {"storage": {"storageUri": "hf://a/b"}}))

    def apply(node, status):
        text = json.dumps({**BASE_MODEL, "metadata": {"name": "llama", "namespace": namespace}, "status": status})
        manager = f"--field-manager=plinth-node-{node}"
        kubectl("apply", "--server-side", "--subresource=status", manager, "-f", "-", text=text)

    def entry(node, phase, names):
        return {"nodes": [{"name": node, "phase": phase}], names: [node]}

    for node in ("a", "b"):
        apply(node, entry(node, "Ready", "nodesReady"))
    apply("b", entry("b", "Failed", "nodesFailed"))
    found = json.loads(kubectl("get", "basemodel", "llama", "-n", namespace, "-ojson").stdout)["status"]
    assert (found["nodesReady"], found["nodesFailed"]) == (["a"], ["b"])
    apply("a", {})
    found = json.loads(kubectl("get", "basemodel", "llama", "-n", namespace, "-ojson").stdout)["status"]
    assert found.get("nodesReady", []) == []
    assert [row["name"] for row in found["nodes"]] == ["b"]
