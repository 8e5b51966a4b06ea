"""The definitions: made from the specs, committed as made, structural, and no narrower than OME's documents."""

import json

import pytest
import yaml

from plinth_runtime.contract.model_names import ModelKey, ModelKind
from pulumi_plinth.model.crds import crd_faults, crd_objects
from pulumi_plinth.model.crds.__main__ import text
from pulumi_plinth.model.dialects import paths
from pulumi_plinth.model.dialects.ome import PLACES, SPEC
from pulumi_plinth.model.objects import model_object, model_of
from pulumi_plinth.model.spec import ModelSpec

OME_FIELDS = (
    "modelFormat.name", "modelFormat.version", "modelFormat.operator", "modelFormat.weight", "modelFramework.name",
    "modelFramework.version", "modelFramework.operator", "modelFramework.weight", "modelType", "modelArchitecture",
    "quantization", "modelParameterSize", "modelCapabilities", "apiCapabilities", "modelConfiguration", "servingMode",
    "maxTokens", "additionalMetadata", "displayName", "version", "disabled", "vendor", "compartmentID",
    "storage.storageUri", "storage.path", "storage.schemaPath", "storage.parameters", "storage.key",
    "storage.nodeSelector", "storage.nodeAffinity", "storage.downloadPolicy", "diffusionPipeline.className",
    "diffusionPipeline.scheduler.library", "diffusionPipeline.textEncoder.type", "diffusionPipeline.tokenizer",
    "diffusionPipeline.transformer", "diffusionPipeline.vae", "diffusionPipeline.additionalComponents",
)  # fmt: skip
SEED_FIELDS = (
    "isLongTermSupported", "deprecationTime", "storage.storageKey",
)  # fmt: skip


def schema(index=0):
    """The schema of one definition."""
    return crd_objects()[index]["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]


def walk(part, path=""):
    """Every schema below one, with its path."""
    yield path, part
    for name, item in part.get("properties", {}).items():
        yield from walk(item, f"{path}.{name}")
    for name in ("items", "additionalProperties"):
        if isinstance(part.get(name), dict):
            yield from walk(part[name], f"{path}[]")


def test_the_committed_file_is_what_the_specs_say(project_root):
    """`make docs` writes it; a change of a spec without that is noticed here."""
    assert (project_root / "components/pulumi_plinth/model/crds/crds.yaml").read_text() == text()
    assert tuple(yaml.safe_load_all(text())) == crd_objects()


@pytest.mark.slow
@pytest.mark.parametrize("field", [*OME_FIELDS, *SEED_FIELDS])
def test_every_field_of_ome_and_of_the_seed_has_a_place(field):
    """Nothing that people have written is refused as unknown."""
    part = schema()["spec"]
    for key in field.split("."):
        part = part["properties"][key]
    assert "description" in part or "properties" in part


def test_every_place_that_the_dialect_reads_is_there_and_nothing_else():
    """What the API server takes is what `plinth convert` understands."""
    rows = [place for row in (*SPEC, *PLACES) for place in (row.theirs, *row.also) if place.startswith("spec.")]
    tops = {paths.split(place)[1] for place in rows}
    assert set(schema()["spec"]["properties"]) == tops


def test_schemas_are_structural_and_strict():
    """Every value has one type, but for the model's own configuration; unknown keys have a place nowhere else."""
    free = [path for path, part in walk(schema()["spec"]) if part.get("x-kubernetes-preserve-unknown-fields")]
    assert free == [".modelConfiguration"]
    for path, part in [*walk(schema()["spec"]), *walk(schema()["status"])]:
        assert path in free or part["type"] in ("object", "array", "string", "integer", "boolean"), path
        assert not {"anyOf", "$ref", "default", "title", "const"} & part.keys(), path


def test_lists_of_the_status_can_be_written_side_by_side():
    """Sets and maps: each item has an owner of its own."""
    status = schema()["status"]["properties"]
    kinds = {name: part.get("x-kubernetes-list-type") for name, part in status.items()}
    assert kinds == {
        "state": None, "lifecycle": None, "nodesReady": "set", "nodesFailed": "set", "nodes": "map",
        "conditions": "map",
    }  # fmt: skip
    assert status["state"]["enum"] == ["Creating", "Importing", "In_Transit", "In_Training", "Ready", "Failed"]


def test_one_schema_two_scopes():
    """BaseModel is namespaced, ClusterBaseModel is not; they say the same."""
    first, second = (item["spec"] for item in crd_objects())
    assert (first["scope"], second["scope"]) == ("Namespaced", "Cluster")
    assert schema(0)["spec"] == schema(1)["spec"]


PLAIN = {"metadata": {"name": "basemodels.ome.io"}}
OURS = {"metadata": {"labels": {"app.kubernetes.io/managed-by": "plinth"}}}
HELM = {"metadata": {"labels": {"app.kubernetes.io/managed-by": "Helm"}}, "spec": {"versions": [{"name": "v1beta1"}]}}


@pytest.mark.parametrize(
    ("policy", "found", "words"),
    [
        ("manage", None, None),
        ("manage", OURS, None),
        ("manage", PLAIN, "belongs to somebody else"),
        ("manage", HELM, "belongs to Helm"),
        ("existing", None, "finds no basemodels.ome.io"),
        ("existing", HELM, "no lists that nodes can write side by side"),
        ("existing", crd_objects()[0], None),
    ],
)
def test_others_definitions_are_never_overwritten(policy, found, words):
    """Manage touches what is ours only; existing wants what the agents can work with."""
    faults = crd_faults(policy, "basemodels.ome.io", found, "kubernetes.crds")
    assert [words in str(fault) for fault in faults] == ([True] if words else [])


SPECS = [
    {"storage": {"uri": "hf://acme/llama", "key": "hf-token", "downloadPolicy": "ReuseIfExists"}},
    {"storage": {"uri": "s3://bucket/llama"}, "scope": "cluster", "capabilities": ["CHAT"], "maxTokens": 4096},
    {"storage": {"uri": "hf://a/b"}, "namespace": "team", "lifecycle": {"phase": "DEPRECATED", "disabled": True}},
]


@pytest.mark.parametrize("data", SPECS)
def test_models_become_objects_and_come_back(data):
    """A round trip through the cluster's form loses nothing."""
    spec = ModelSpec.model_validate(data)
    document = model_object("llama", spec)
    document["status"] = {"state": "Ready"}
    document["metadata"] |= {"uid": "u", "resourceVersion": "7", "managedFields": []}
    model, findings = model_of(json.loads(json.dumps(document)))
    assert model is not None
    assert [finding.path for finding in findings] == ["status"]
    implied = {"scope": "cluster" if document["kind"] == "ClusterBaseModel" else "namespaced"}
    assert model.spec.model_dump() == spec.model_copy(update=implied).model_dump()


def test_a_model_in_a_store_gets_its_address_and_namespace():
    """Where the store keeps it is written as its source."""
    spec = ModelSpec.model_validate({"store": "bucket", "path": "llama", "scope": "namespaced"})
    document = model_object("llama", spec, "oci://n/ns/b/models/o/llama", "team")
    assert document["spec"]["storage"]["storageUri"] == "oci://n/ns/b/models/o/llama"
    assert (document["kind"], document["metadata"]["namespace"]) == ("BaseModel", "team")


def test_kinds_and_names_agree_with_the_contract():
    """What the agents ask for is what the definitions define."""
    for item, kind in zip(crd_objects(), ModelKind, strict=True):
        assert item["metadata"]["name"] == f"{kind.value}.ome.io"
        assert item["spec"]["names"]["kind"] == kind.kind == type(ModelKey(kind, "", "x").kind)(kind.value).kind
