"""What people write about engines, models and GPUs, and what it means."""

import pytest

from pulumi_plinth.check.facts import load_known, subject_of_facts, with_given
from pulumi_plinth.check.facts_serving.hardware import gpu_of
from pulumi_plinth.check.facts_serving.names import (
    card_of_name,
    parameters_of_name,
    quantization_of_name,
    type_of_architecture,
    type_of_name,
)
from pulumi_plinth.check.facts_serving.words import capability_of, online_method, release_of, rope_of
from pulumi_plinth.check.serving import Serving
from pulumi_plinth.quantities import GIB


@pytest.fixture(scope="module")
def known():
    """Catalogue, shapes and the engine's table."""
    return load_known()


@pytest.mark.parametrize(
    ("text", "release"),
    [
        ("0.9.1", (0, 9, 1)),
        ("v0.6.3.post1", (0, 6, 3)),
        ("0.9 or later", (0, 9)),
        ("before 0.9", (0, 8, 999)),
        ("older than 0.12.0", (0, 11, 999)),
        ("before the syntax existed", (0,)),
        ("vllm 0.5.0 (CUDA 12.4 base)", (0, 5, 0)),
        ("CUDA 12.4", None),
        ("main", None),
    ],
)
def test_releases(text, release):
    """A release, the one just below, or older than all; CUDA's number is none."""
    assert release_of(text) == release


@pytest.mark.parametrize(
    ("text", "capability"),
    [("8.9", (8, 9)), ("8.0 or more", (8, 0)), ("sm_75", (7, 5)), ("75", (7, 5)), ("12.0", (12, 0)), ("new", None)],
)
def test_capabilities(text, capability):
    """As a number, an architecture or in a sentence."""
    assert capability_of(text) == capability


@pytest.mark.parametrize(
    ("value", "rope"),
    [
        ("absent", {}),
        ("dynamic, factor 2", {"rope_type": "dynamic", "factor": 2.0}),
        ("yarn factor 4 over 32768", {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768}),
        ({"type": "su", "factor": 8}, {"type": "su", "rope_type": "longrope", "factor": 8}),
    ],
)
def test_rope_scaling(value, rope):
    """A mapping, or words."""
    assert rope_of(value) == rope


@pytest.mark.parametrize(
    ("text", "method"),
    [
        ("online fp8 per block", "fp8_per_block"),
        ("FP8 per-tensor at load", "fp8_per_tensor"),
        ("awq", "awq"),
        ("the awq_marlin kernel", "awq_marlin"),
        ("int8 per channel", "int8_per_channel"),
    ],
)
def test_methods(text, method):
    """The engine's word for what people describe."""
    assert online_method(text) == method


@pytest.mark.parametrize(
    ("text", "name", "capability", "gib"),
    [
        ("NVIDIA-A100-SXM4-40GB", "A100 40GB", (8, 0), 39.4),
        ("A100", "A100 80GB", (8, 0), 78.8),
        ("2x RTX 3090 24GB", "3090 24GB", (8, 6), 23.52),
        ("Tesla T4", "T4 16GB", (7, 5), 14.72),
        ("L40S", "L40S 48GB", (8, 9), 44.16),
        ("L40 48GB", "L40 48GB", (8, 9), 44.16),
        ("A10G", "A10G 24GB", (8, 6), 22.08),
        ("H100 80GB MIG 2g.20gb", "H100 20GB", (9, 0), 19.7),
        ("GeForce RTX 2080 Ti", "2080 TI 11GB", (7, 5), 10.78),
        ("16GB", None, None, 14.72),
        ("something new", None, None, None),
    ],
)
def test_gpus(text, name, capability, gib):
    """Name to generation and to the memory a process sees; the largest card that is sold where the size is not said."""
    gpu = gpu_of(text)
    assert (gpu.name, gpu.capability) == (name, capability)
    assert gib is None or gpu.memory_bytes == pytest.approx(gib * GIB)
    assert gpu.mig is ("MIG" in text)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("Qwen/Qwen3-8B", "qwen3"),
        ("Qwen3-235B-A22B", "qwen3_moe"),
        ("Qwen2.5-VL-7B-Instruct", "qwen2_5_vl"),
        ("Gemma 4", "gemma4"),
        ("gemma-2-9b-it", "gemma2"),
        ("deepseek-ai/DeepSeek-V3.2", "deepseek_v32"),
        ("DeepSeek-R1-Distill-Llama-8B", ""),
        ("openai/whisper-large-v3", "whisper"),
        ("own-model-7b", ""),
    ],
)
def test_types(name, kind):
    """A family's name tells the model type; nothing is guessed about others."""
    assert type_of_name(name) == kind


def test_types_of_classes():
    """A class is the type in another spelling."""
    assert type_of_architecture("Qwen3MoeForCausalLM") == "qwen3_moe"
    assert type_of_architecture("Gemma3ForConditionalGeneration") == "gemma3"


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("google/gemma-3-27b-it", "gemma3"),
        ("Gemma-3-27B", "gemma3"),
        ("Llama-4-Maverick-17B-128E FP8", "llama4"),
        ("Qwen/Qwen3-235B-A22B-GPTQ-Int4", "qwen3_moe"),
        ("deepseek-ai/DeepSeek-R1", "deepseek_v3"),
        ("7B llama fine-tune, fp16", None),
        ("Qwen2.5-VL", None),
    ],
)
def test_names_in_the_catalogue(name, found, known):
    """All words that tell models apart must agree."""
    card = card_of_name(name, known.catalogue)
    assert (card.model_type if card else None) == found


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("deepseek-coder-33b", 33e9),
        ("Qwen3-0.6B", 0.6e9),
        ("SmolLM2-135M", 135e6),
        ("Mixtral-8x7B", 46.48e9),
        ("Llama-4-Maverick-17B-128E", None),
        ("gemma", None),
    ],
)
def test_sizes_of_names(name, parameters):
    """Billions and millions; names that count something else are left alone."""
    assert parameters_of_name(name) == (None if parameters is None else pytest.approx(parameters))


@pytest.mark.parametrize(
    ("name", "method", "bits"),
    [("x-AWQ", "awq", 4), ("x-GPTQ-Int8", "gptq", 8), ("x-FP8", "fp8", 8), ("x-w4a16", "gptq", 4), ("x", None, None)],
)
def test_quantization_of_names(name, method, bits):
    """Makers say in the name what they did."""
    made = quantization_of_name(name)
    assert (made.method, made.bits) == (method, bits) if made else method is None


def test_a_name_that_says_fp8_halves_the_catalogue(known):
    """The catalogue's 16-bit row and the quantised repository differ in bytes."""
    plain, small = (
        subject_of_facts({"model": name}, known).subject.serving.weights.bytes
        for name in ("Qwen/Qwen3-32B", "Qwen/Qwen3-32B-FP8")
    )
    assert small == pytest.approx(plain / 2, rel=0.01)


def test_flags_in_any_spelling(known):
    """Fields, short names and keys that are spelled like a flag."""
    facts = {"tp": 2, "maxModelLen": "8192 tokens", "kv_cache_dtype": "fp8", "enable_prefix_caching": True}
    arguments = subject_of_facts(facts, known).subject.serving.arguments
    assert arguments == {
        "tensor-parallel-size": "2", "max-model-len": "8192", "kv-cache-dtype": "fp8", "enable-prefix-caching": "true",
    }  # fmt: skip


def test_what_nobody_understands_is_told(known):
    """A key that neither side reads is named as it was written; keys about the facts are not."""
    read = subject_of_facts({"phaseOfTheMoon": "full", "gpu": "T4", "from_memory": ["gpu"]}, known)
    assert read.unread == ("phaseOfTheMoon",)


def test_a_flag_in_two_places(known):
    """A field and the command line that differ are a double; both are kept."""
    facts = {"max_model_len": 4096, "args": "--max-model-len 8192"}
    (double,) = subject_of_facts(facts, known).subject.serving.doubles
    assert (double.first[1], double.second[1]) == ("4096", "8192")


def test_a_shape_brings_its_gpus(known):
    """Count, memory and generation of one node."""
    gpu = subject_of_facts({"shape": "BM.GPU.A10.4"}, known).subject.serving.gpu
    assert (gpu.count, gpu.capability) == (4, (8, 6))


def test_facts_beside_a_manifest(known):
    """What was read elsewhere wins; the card is looked up by the name that was read."""
    read = Serving(model="Qwen/Qwen2.5-7B-Instruct", arguments={"tensor-parallel-size": "2"})
    serving = with_given(read, {"model": "gpt-oss-20b", "shape": "BM.GPU.A10.4", "engine_version": "0.9.1"}, known)
    assert (serving.card.attention_heads, serving.gpu.count, serving.version) == (28, 4, (0, 9, 1))
    assert serving.arguments == {"tensor-parallel-size": "2"}
