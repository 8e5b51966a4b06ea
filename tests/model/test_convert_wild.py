"""Documents as people really have them: quirks are read, remarked on, or refused where they cannot be meant."""

import json

import pytest

from pulumi_plinth.model.convert import convert
from pulumi_plinth.model.formats import VersionedName

WILD = ["ome-swapped.yaml", "ome-from-cluster.yaml", "kaito-mixed.yaml", "oumi-recipes.yaml", "Modelfile"]


@pytest.mark.parametrize("name", WILD)
def test_it_converts_without_an_error(document, converted, name):
    """Quirks of real files are no reason to stop."""
    result = converted(document(f"wild/{name}"), name=name)
    assert result.errors == ()
    assert result.models


def test_address_and_folder_in_each_others_place_are_put_right(document, converted):
    """OME's own catalogue once had them swapped; the configuration inside stays as it is."""
    result = converted(document("wild/ome-swapped.yaml"))
    spec = result.models[0].spec
    assert spec.storage.uri == "oci://n/examplens/b/model-store/o/acme/3-2-90b-vision"
    assert spec.storage.path == "/mnt/data/models/acme/3-2-90b-vision"
    assert (spec.lifecycle.category, spec.lifecycle.internal, spec.lifecycle.phase) == ("MEDIUM", True, "ACTIVE")
    assert spec.configuration["rms_norm_eps"] == 1e-05
    assert spec.configuration["quantization_config"] is None
    assert spec.annotations == {"models.ome.io/runtime": "vllm-vision"}
    assert [finding.path for finding in result.warnings] == ["spec.storage.path"]


def test_what_kubectl_prints_is_read(document, converted):
    """A List with what the cluster added, a name with a dot, storageKey, and JSON as text."""
    result = converted(document("wild/ome-from-cluster.yaml"))
    model = result.models[0]
    assert model.name == "embedder-2-5-large"
    assert model.spec.configuration == {"hidden_size": 1024, "sliding_window": None}
    assert (model.spec.storage.key, model.spec.serves_as) == ("hf-token", "embed")
    assert {finding.path for finding in result.warnings} == {
        "items[0].status",
        "items[0].metadata.name",
        "items[0].spec.storage.storageKey",
        "items[1]",
    }


def test_objects_of_other_kinds_are_passed_over(document, converted):
    """A Secret and a ConfigMap beside a Workspace are no models, and nothing of them is shown."""
    result = converted(document("wild/kaito-mixed.yaml"))
    assert [model.name for model in result.models] == [
        "workspace-acme-70b",
        "workspace-phi-adapter",
        "phi-4-mini",
        "workspace-tuning-falcon",
        "phi-4-mini-mig",
    ]
    said = [finding.message for finding in result.warnings if "passed over" in finding.message]
    assert len(said) == 3
    specs = [model.spec for model in result.models]
    assert specs[0].storage.key == "hf-token"
    assert (specs[1].adapters[0].name, specs[1].adapters[0].strength) == ("phi-3-adapter", 1.0)
    assert (specs[2].serving.replicas, specs[2].placement.partition.profile) == (2, "2g.24gb")
    assert (specs[3].tuning.method, specs[3].preset.name) == ("qlora", "falcon-7b")
    assert specs[4].storage is None


def test_recipes_of_one_model_get_names_of_their_own(document, converted):
    """A training and an evaluation recipe name the same model; the second gets a number."""
    result = converted(document("wild/oumi-recipes.yaml"))
    assert [model.name for model in result.models] == [
        "r1-distill-llama-70b",
        "llama-3-2-3b-instruct-gguf",
        "r1-distill-llama-70b-2",
        "r1",
        "q4-k-m",
    ]
    specs = [model.spec for model in result.models]
    assert (specs[0].peft.q_lora, specs[0].peft.bnb_4bit_quant_storage) == (True, "bfloat16")
    assert specs[1].storage.uri == "hf://bartowski/Llama-3.2-3B-Instruct-GGUF@abc123"
    assert (specs[2].parameters.model_max_length, specs[2].parameters.shard_for_eval) == (131072, True)
    assert (specs[3].external.endpoint, specs[3].external.api_key) == ("https://api.together.xyz/v1", "r1-api-key")
    lost = {finding.path for finding in result.warnings if "not carried over" in finding.message}
    assert {"data", "training", "peft.use_dora", "generation", "tasks"} <= lost


def test_a_modelfile_with_windows_lines_and_a_mark_is_read(document, converted):
    """BOM, CRLF, lower-case instructions, quotes over several lines, a retired parameter."""
    result = converted(document("wild/Modelfile"), "modelfile", "Modelfile")
    part = result.models[0].spec.modelfile
    assert part.base == "hf.co/acme/Tiny-GGUF:Q4_K_M"
    assert part.system == '\nYou are "Tiny".\n'
    assert part.parameters == {"stop": ["<|im_start|>", "<|im_end|>"], "temperature": 0.0, "num_gpu": 99}
    assert [message.role for message in part.messages] == ["user", "assistant"]
    assert "mirostat" in result.warnings[0].path


OME = """apiVersion: ome.io/v1beta1
kind: ClusterBaseModel
metadata: {{name: m}}
spec:
  storage: {{storageUri: hf://org/m}}
  {0}
"""


@pytest.mark.parametrize(
    ("line", "field", "value"),
    [
        ("maxTokens: '4096'", "max_tokens", 4096),
        ("maxTokens: 4096.0", "max_tokens", 4096),
        ("version: 1.0", "version", "1.0"),
        ("version: 2", "version", "2"),
        ("modelParameterSize: 7b", "parameter_size", "7B"),
        ("modelCapabilities: text-to-text", "capabilities", ("TEXT_TO_TEXT",)),
        ("modelCapabilities: [Chat, vision]", "capabilities", ("CHAT", "VISION")),
        ("vendor: ~", "vendor", None),
        ("vendor: ''", "vendor", None),
        ("modelFormat: safetensors", "format", VersionedName(name="safetensors")),
        ("modelType: !!str 12", "model_type", "12"),
        ("displayName: 2025-06-30", "display_name", "2025-06-30"),
        ("displayName: 1:30", "display_name", "1:30"),
        ("modelConfiguration: {a: &x [1], b: *x}", "configuration", {"a": [1], "b": [1]}),
        ("modelConfiguration: {<<: {a: 1, b: 2}, b: 3}", "configuration", {"a": 1, "b": 3}),
    ],
)
def test_values_are_read_as_they_are_meant(converted, line, field, value):
    """Numbers and booleans as text, one item for a list, nulls, anchors, merges, dates."""
    result = converted(OME.format(line))
    assert result.errors == ()
    assert getattr(result.models[0].spec, field) == value


@pytest.mark.parametrize(
    ("line", "path", "value", "message"),
    [
        ("maxTokens: REPLICATION", "spec.maxTokens", "REPLICATION", "is not a whole number"),
        ("maxTokens: true", "spec.maxTokens", True, "is not a whole number"),
        ("maxTokens: 1.5", "spec.maxTokens", 1.5, "is not a whole number"),
        ("maxTokens: 0", "spec.maxTokens", 0, "is too small"),
        ("disabled: maybe", "spec.disabled", "maybe", "is not true or false"),
        ("modelCapabilities: [FLYING]", "spec.modelCapabilities[0]", "FLYING", "is not a known capability"),
        ("displayName: [a]", "spec.displayName", ["a"], "is not text"),
        ("displayName: <NAME>", "spec.displayName", "<NAME>", "is a placeholder"),
        ("deprecationTime: later", "spec.deprecationTime", "later", "is not a time"),
        ("modelParameterSize: big", "spec.modelParameterSize", "big", "is not a number of parameters"),
        ("modelConfiguration: '{'", "spec.modelConfiguration", "{", "is not JSON"),
        ("servingMode: [Sometimes]", "spec.servingMode[0]", "Sometimes", "is not known here"),
        ("surprise: 1", "spec.surprise", None, "is not carried over"),
    ],
)
def test_values_that_cannot_be_meant_are_named(converted, line, path, value, message):
    """Each is answered at its place, with its value and line."""
    result = converted(OME.format(line))
    found = [finding for finding in (*result.errors, *result.warnings) if finding.path == path]
    assert found, (result.errors, result.warnings)
    assert message in found[0].message
    assert found[0].line == 6
    if "carried" not in message:
        assert found[0].value == value


BROKEN = [
    ("a: 1\na: 2\n", "has the key 'a' twice, in lines 1 and 2", 2),
    ('{"apiVersion": 1,\n "apiVersion": 2}', "has the key 'apiVersion' twice", 2),
    ("a:\n\tb: 1\n", "is not YAML", 2),
    ("a: [1, 2\n", "is not YAML", 2),
    ("a: *nowhere\n", "refers to the anchor 'nowhere'", 1),
    ("a: &x [*x]\n", "refers to the anchor 'x'", 1),
    ("? [a]\n: 1\n", "has a mapping or list as a key", 1),
    ("a: !!python/object:os.system {}\n", "has the tag", 1),
    ("a: !Ref b\n", "has the tag", 1),
    ("[" * 200 + "]" * 200, "is nested deeper than 100 levels", 1),
    ('{"a":' * 5000 + "1" + "}" * 5000, "is nested", 1),
    ("a: \x01\n", "is not YAML", None),
    ('{"a": 1', "is not JSON", 1),
    ("just words\n", "is no document known here", 1),
    ("- 1\n- two\n", "is no document known here", 1),
    ("", "holds no model", None),
    ("# only a comment\n", "holds no model", None),
    ("---\n---\n", "holds no model", None),
    ("null\n", "holds no model", None),
    ("name: job\nresources: {cloud: gcp}\n", "is no document known here", 1),
]


@pytest.mark.parametrize(("text", "message", "line"), BROKEN, ids=range(len(BROKEN)))
def test_text_that_is_no_document_is_refused_with_its_line(converted, text, message, line):
    """Syntax, duplicates, unsafe tags, depth: one error each, never a crash."""
    result = converted(text)
    assert message in result.errors[0].message
    assert line is None or result.errors[0].line in (line, line + 1)


def test_a_document_that_grows_through_aliases_is_refused(converted):
    """Nine levels of nine aliases stand for a billion values."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10)]
    result = converted("\n".join(lines))
    assert "once its aliases are written out" in result.errors[0].message


def test_one_broken_document_does_not_hide_the_others(converted):
    """The good ones convert; the broken one is named with its line in the file."""
    text = f"{OME.format('version: 1')}---\na: 1\na: 2\n---\n{OME.format('version: 2').replace('name: m', 'name: n')}"
    result = converted(text)
    assert [model.name for model in result.models] == ["m", "n"]
    assert [error.line for error in result.errors] == [9]


@pytest.mark.parametrize("end", ["\r\n", "\n"])
@pytest.mark.parametrize("start", ["\ufeff", "", "%YAML 1.1\n---\n", "# note\n---  # first\n"])
def test_marks_directives_and_line_ends_do_not_matter(converted, start, end):
    """BOM, %YAML, comments behind `---`, Windows line ends."""
    result = converted((start + OME.format("version: 1")).replace("\n", end))
    assert result.errors == ()
    assert result.models[0].spec.version == "1"


def test_json_documents_one_behind_the_other_and_with_tabs(converted):
    """JSON is read as JSON, tabs and escapes included."""
    document = {
        "apiVersion": "ome.io/v1beta1",
        "kind": "BaseModel",
        "metadata": {"name": "a", "namespace": "ns"},
        "spec": {"storage": {"storageUri": "hf://o/m"}, "displayName": "caf\u00e9 \U0001f600 \ud800/"},
    }
    text = json.dumps(document, indent="\t").replace("/", "\\/") + json.dumps(document).replace('"a"', '"b"')
    result = converted(text.replace('"displayName"', '"displayName"', 1))
    assert [model.name for model in result.models] == ["a", "b"] or "displayName" in result.errors[0].path


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "model_source: s3://bucket/adapters/mine/\nmodel_name: mine-v1\nmodel_type: adapter\nbase_model: org/base",
            {
                "name": "mine-v1",
                "storage": {"uri": "hf://org/base"},
                "adapters": [{"name": "mine", "uri": "s3://bucket/adapters/mine/"}],
            },
        ),
        ("model_source: org/full\nhardware: {count: 1}\n", {"name": "full", "storage": {"uri": "hf://org/full"}}),
        (
            "model: {model_name: claude}\nengine: ANTHROPIC\n",
            {"name": "claude", "kind": "external", "external": {"provider": "anthropic", "model": "claude"}},
        ),
        (
            "model: {model_name: x}\nengine: REMOTE\nremote_params: {api_url: http://127.0.0.1:8000/v1/chat/completions}\n",
            {
                "name": "x",
                "kind": "external",
                "external": {"provider": "compatible", "model": "x", "endpoint": "http://127.0.0.1:8000/v1"},
            },
        ),
        (
            "model: {model_name: o/m}\nengine: REMOTE_VLLM\nremote_params: {api_url: http://h/v1}\n",
            {"name": "m", "storage": {"uri": "hf://o/m"}},
        ),
    ],
)
def test_oumis_other_configs_are_read(converted, text, expected):
    """Deployments, providers and remote servers."""
    result = converted(text)
    assert result.errors == ()
    assert result.to_json()["models"] == [expected]


def test_a_provider_without_a_known_address_is_refused(converted):
    """The engine's name alone does not tell where to ask."""
    result = converted("model: {model_name: a/b}\nengine: NEWROUTER\n")
    assert "whose address is not known" in result.errors[0].message


def test_numbers_with_units_in_node_affinity_are_remarked_on(converted):
    """OME's own example compares 200Gi; it is kept and explained."""
    terms = "nodeSelectorTerms: [{matchExpressions: [{key: disk, operator: Gt, values: [200Gi]}]}]"
    affinity = f"nodeAffinity: {{requiredDuringSchedulingIgnoredDuringExecution: {{{terms}}}}}"
    result = converted(OME.format("x: 1").replace("hf://org/m", f"hf://org/m, {affinity}"))
    assert result.errors == ()
    assert any("is compared as text by Gt" in finding.message for finding in result.warnings)


def test_two_declared_models_of_one_name_are_both_named():
    """A name that two files declare is refused, with both places."""
    text = OME.format("version: 1")
    result = convert([("one.yaml", text), ("two.yaml", text)])
    assert len(result.models) == 1
    assert "'m' in two.yaml:1 and 'm' in one.yaml:1" in result.errors[0].message


def test_two_models_of_one_display_name_are_both_named():
    """Display names are unique as well."""
    text = OME.format("displayName: Same")
    result = convert([("one.yaml", text), ("two.yaml", text.replace("name: m", "name: n"))])
    assert "is also the displayName of 'm'" in result.errors[0].message


def test_an_unknown_target_is_refused():
    """A caller's mistake, not a document's."""
    with pytest.raises(ValueError, match="'xml' is no dialect"):
        convert([], "xml")


def test_documents_are_found_in_the_fences_of_a_page(converted):
    """A documentation page converts as it stands; other fences on it are no faults."""
    page = f"# Title\n\n```bash\nmake\n```\n\n```yaml\n{OME.format('maxTokens: X')}```\ntext\n\n"
    page += "```\nmodel_name: a/b\n```\n"
    page += "```yaml\nunrelated: 1\n```\n"
    result = converted(page)
    assert [model.name for model in result.models] == ["b"]
    assert [(error.path, error.line) for error in result.errors] == [("spec.maxTokens", 13)]


def test_two_spellings_of_one_field_may_not_contradict(converted):
    """`key` wins over `storageKey`, and the loser is named."""
    text = OME.format("x: 1").replace("hf://org/m", "hf://org/m, key: one, storageKey: two")
    result = converted(text)
    assert result.models[0].spec.storage.key == "one"
    assert any("spec.storage.key says otherwise" in finding.message for finding in result.warnings)


def test_fences_inside_a_document_do_not_make_it_a_page(converted):
    """A template may show code."""
    result = converted("technic_name: m\npath: m\ntemplate: |\n  ```\n  {{ .Prompt }}\n  ```\n")
    assert result.models[0].spec.modelfile.template == "```\n{{ .Prompt }}\n```\n"


def test_objects_without_indentation_between_prose_are_explained(converted, document):
    """A page copied as plain text is answered at each of its objects."""
    flat = document("seeds/nstream-megamodel-flattened.yaml")
    result = converted(f"Models\nOverview: two\n- a: b\n{flat}| Key |\n{flat}")
    assert [error.line for error in result.errors] == [4, 18]
    assert "has lost the indentation of its MegaModel" in result.errors[0].message
