"""KAITO's declarations as people keep them: later and earlier spellings, and what stands beside models."""

import pytest
import yaml

WORKSPACE = """apiVersion: {group}/v1beta1
kind: Workspace
metadata: {{name: w}}
resource: {{instanceType: a, labelSelector: {{matchLabels: {{apps: w}}}}}}
{part}
"""
CLAIM = "{persistentVolumeClaim: {claimName: data}}"


def workspace(part, group="kaito.sh"):
    """A workspace with this part."""
    return WORKSPACE.format(group=group, part=part)


@pytest.mark.parametrize("key", ["volume", "volumeSource"])
def test_volumes_are_read_in_both_spellings_and_written_in_the_later(converted, key):
    """Data, results and adapters on volumes."""
    tuning = f"tuning: {{preset: {{name: falcon-7b}}, input: {{{key}: {CLAIM}}}, output: {{{key}: {CLAIM}}}}}"
    result = converted(workspace(tuning), "kaito")
    assert (result.errors, result.warnings) == ((), ())
    assert result.models[0].spec.tuning.input.volume == yaml.safe_load(CLAIM)
    assert set(yaml.safe_load(result.outputs[0][1])["tuning"]["output"]) == {"volumeSource"}
    served = f"inference: {{preset: {{name: falcon-7b}}, adapters: [{{source: {{name: a, {key}: {CLAIM}}}}}]}}"
    result = converted(workspace(served), "kaito")
    assert (result.errors, result.warnings) == ((), ())
    document = yaml.safe_load(result.outputs[0][1])
    assert document["inference"]["adapters"] == [{"source": {"name": "a", "volumeSource": yaml.safe_load(CLAIM)}}]


def test_weights_on_a_claim_are_carried(converted):
    """Claim and folder go in and out."""
    options = "{presetOptions: {modelWeightsPVC: weights, modelWeightsSubPath: r1}, name: org/m}"
    result = converted(workspace(f"inference: {{preset: {options}}}"), "kaito")
    preset = result.models[0].spec.preset
    assert (result.warnings, preset.weights_claim, preset.weights_path) == ((), "weights", "r1")
    written = yaml.safe_load(result.outputs[0][1])["inference"]["preset"]["presetOptions"]
    assert written == {"modelWeightsPVC": "weights", "modelWeightsSubPath": "r1"}


def test_the_groups_first_name_is_read(converted):
    """Workspaces from before the project was renamed."""
    result = converted(workspace("inference: {preset: {name: llama2-70b}}", "kdm.io"))
    assert result.models[0].spec.storage.uri == "hf://meta-llama/Llama-2-70b-hf"
    assert [finding.path for finding in result.warnings] == ["apiVersion"]


@pytest.mark.parametrize(
    ("adapters", "path", "value"),
    [
        ("[{source: {name: a, image: <YOUR_IMAGE>}}]", "inference.adapters[0].source.image", "<YOUR_IMAGE>"),
        (
            "[{source: {name: a, image: r/a:1}}, {source: {name: b, image: r/b:1}, strength: much}]",
            "inference.adapters[1].strength",
            "much",
        ),
        ("[{source: {name: a, urls: [u]}}]", "inference.adapters[0].source", "(a mapping of 2)"),
        ("...", "inference.adapters", "..."),
    ],
)
def test_faults_of_adapters_show_their_place(converted, adapters, path, value):
    """Not the whole list, but what is wrong in it."""
    error = converted(workspace(f"inference: {{preset: {{name: falcon-7b}}, adapters: {adapters}}}")).errors[0]
    assert (error.path, error.value) == (path, value)


@pytest.mark.parametrize(
    ("group", "kind", "hint"),
    [
        ("kaito.sh", "RAGEngine", "embedding model"),
        ("kaito.sh", "MultiRoleInference", "write an InferenceSet"),
        ("kaito.sh", "Workspaces", "did you mean 'Workspace'?"),
        ("ome.io", "FineTunedWeight", "`adapters:` of its base model"),
        ("ome.io", "ClusterServingRuntime", "`plinth runtimes` reads it"),
        ("ome.io", "InferenceService", "`plinth check` reads it"),
        ("v1", "Secret", "keep it where it is"),
    ],
)
def test_what_stands_beside_models_is_passed_over_with_advice(converted, group, kind, hint):
    """Each kind says what can be done with it."""
    result = converted(f"apiVersion: {group}/v1\nkind: {kind}\nmetadata: {{name: x}}\n")
    assert "not a model; it is passed over" in result.warnings[0].message
    assert hint in result.warnings[0].hint
