"""OME's serving runtimes are read from what is found in the wild."""

import copy

import pytest
import yaml

from pulumi_plinth.engines.choice import choose
from pulumi_plinth.engines.ome_runtime import is_runtime, read_runtime
from pulumi_plinth.engines.runtime import Accelerator, Candidate, Override
from pulumi_plinth.model.formats import VersionedName


@pytest.fixture(scope="module")
def documents(project_root):
    """The three documents."""
    return list(yaml.safe_load_all((project_root / "tests" / "engines" / "documents" / "runtimes.yaml").read_text()))


def test_a_cluster_runtime_of_the_first_generation(documents):
    """The engine is in a container of a pod, started by a script; what differs by accelerator is kept."""
    runtime, findings = read_runtime(documents[0])
    assert findings == ()
    assert (runtime.name, runtime.namespaced, runtime.disabled) == ("llama-70b", False, False)
    assert (runtime.least, runtime.most) == (60_000_000_000, 75_000_000_000)
    assert (runtime.engine, runtime.version, runtime.gpus) == ("vllm", "0.6.4", 4)
    assert runtime.arguments == (
        "--port=8080", "--model=$MODEL_PATH", "--tensor-parallel-size=4", "--max-model-len=131072",
    )  # fmt: skip
    assert runtime.environment == {"VLLM_LOGGING_LEVEL": "INFO"}
    assert runtime.accelerators == ("nvidia-h100-80gb", "nvidia-a100-80gb")
    assert runtime.protocols == ("openAI",)
    (served,) = runtime.formats
    assert served.format == VersionedName(name="safetensors", version="1")
    assert (served.architecture, served.auto_select, served.priority) == ("LlamaForCausalLM", True, 1)
    assert served.overrides["nvidia-h100-80gb"] == Override(
        ("--max-model-len", "65536", "--enable-prefix-caching"), {"VLLM_LOGGING_LEVEL": "DEBUG"}, tensor=2, data=2
    )


def test_a_teams_runtime_of_the_second_generation(documents):
    """A list of words, one format without its list, text for booleans and numbers, an open size range."""
    runtime, findings = read_runtime(documents[1])
    assert findings == ()
    assert (runtime.namespaced, runtime.disabled, runtime.least, runtime.most) == (True, False, None, 8_000_000_000)
    assert (runtime.engine, runtime.version, runtime.gpus) == ("vllm", "0.18.0", 1)
    assert runtime.arguments == ("$(MODEL_PATH)", "--tensor-parallel-size", "1", "--seed", "7")
    (served,) = runtime.formats
    assert (served.format.name, served.quantization, served.auto_select, served.priority) == (
        "safetensors", "fp8", True, 2,
    )  # fmt: skip


def test_what_does_not_fit_is_said_and_the_rest_is_read(documents):
    """With the place of each; nothing of it stops the reading."""
    runtime, findings = read_runtime(documents[2], "runtimes.yaml")
    assert (runtime.engine, runtime.version, runtime.arguments) == ("sglang", "0.4.6", ("--tp", "8"))
    assert [(finding.path, finding.value, finding.message) for finding in findings] == [
        ("spec.supportedModelFormats[0].modelFormat", "(a mapping of 1)", "has no name"),
        ("spec.supportedModelFormats[0].autoSelect", "perhaps", "is not true or false"),
        ("spec.supportedModelFormats[1]", "just text", "is not a mapping"),
        ("spec.modelSizeRange.min", "small", "is not a number of parameters"),
    ]
    assert all(finding.hint.startswith("write ") for finding in findings)


@pytest.mark.parametrize(
    "document",
    [None, [], {}, {"apiVersion": "ome.io/v1beta1", "kind": "ClusterBaseModel", "metadata": {"name": "x"}}, {
        "apiVersion": "ome.io/v1beta1", "kind": "ServingRuntime", "metadata": {},
    }],
)  # fmt: skip
def test_other_documents_are_refused_with_the_reason(document):
    """No runtime, one finding."""
    runtime, findings = read_runtime(document)
    assert runtime is None
    assert "is not a named serving runtime" in str(findings[0])


def test_a_runtime_with_nothing_in_it_is_still_one():
    """It can serve nothing, which choosing will say."""
    document = {"apiVersion": "ome.io/v1alpha1", "kind": "ClusterServingRuntime", "metadata": {"name": "empty"}}
    assert is_runtime(document)
    runtime, findings = read_runtime(document)
    assert (runtime.formats, runtime.arguments, runtime.engine, findings) == ((), (), None, ())


JUNK = [None, "", 0, -1, 1.5, True, [], {}, "x", [1], [None], {"a": None}, [[]], {"name": []}, float("nan"), 10**400]


def places(value, place=()):
    """Every place in a document."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield (*place, key)
        yield from places(item, (*place, key))


@pytest.mark.slow
@pytest.mark.parametrize("number", [0, 1])
def test_no_document_is_too_odd_to_be_read(documents, number):
    """Junk at every place in turn: read or remarked on, never a traceback; what is read can be chosen from."""
    model = Candidate(VersionedName(name="safetensors", version="1"), parameters=70 * 10**9)
    for place in places(documents[number]):
        for junk in JUNK:
            document = copy.deepcopy(documents[number])
            *parents, last = place
            inside = document
            for key in parents:
                inside = inside[key]
            inside[last] = junk
            runtime, findings = read_runtime(document)
            assert all(str(finding) for finding in findings)
            assert runtime is None or choose([runtime], model, Accelerator("nvidia-h100-80gb")).reasons
