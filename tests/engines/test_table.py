"""The table of a release ships with the components and holds what plans ask for."""

import re

import pytest

from pulumi_plinth.engines.table import load_table
from pulumi_plinth.errors import PlinthError

TABLE = load_table("vllm", "0.32.0")


def test_the_table_knows_what_kind_of_values_flags_take():
    """One flag of each kind."""
    kinds = {name: (TABLE.flags[name].values, TABLE.flags[name].kind) for name in (
        "--enforce-eager", "--model", "--seed", "--gpu-memory-utilization", "--speculative-config", "--lora-modules",
        "--hf-token",
    )}  # fmt: skip
    assert kinds == {
        "--enforce-eager": ("none", "text"),
        "--model": ("one", "text"),
        "--seed": ("one", "integer"),
        "--gpu-memory-utilization": ("one", "number"),
        "--speculative-config": ("one", "json"),
        "--lora-modules": ("many", "text"),
        "--hf-token": ("optional", "text"),
    }


def test_other_spellings_lead_to_the_flag():
    """Short ones, synonyms and the --no- form."""
    found = {word: TABLE.spellings[word].name for word in ("-tp", "--device-memory-utilization", "--no-enforce-eager")}
    assert found == {
        "-tp": "--tensor-parallel-size",
        "--device-memory-utilization": "--gpu-memory-utilization",
        "--no-enforce-eager": "--enforce-eager",
    }


@pytest.mark.parametrize(
    ("architecture", "abilities"),
    [
        ("LlamaForCausalLM", {"generate", "pipeline", "lora"}),
        ("WhisperForConditionalGeneration", {"generate", "multimodal", "transcription", "lora"}),
        ("BertModel", {"pooling", "lora"}),
        ("MambaForCausalLM", {"generate", "pipeline", "attention-free"}),
        ("EagleLlamaForCausalLM", {"draft", "generate", "lora"}),
        ("Terratorch", None),
        ("NobodysForCausalLM", None),
    ],
)
def test_architectures_say_what_they_can_do(architecture, abilities):
    """None where the release does not know it, or could not be asked."""
    assert TABLE.abilities(architecture) == abilities


def test_the_lists_are_there():
    """The names that plans and checks look up; and what was removed names its last release."""
    assert {"hermes", "llama3_json", "mistral"} <= set(TABLE.tool_parsers)
    assert {"deepseek_r1", "qwen3"} <= set(TABLE.reasoning_parsers)
    assert {"safetensors", "auto"} <= set(TABLE.load_formats)
    assert {"auto", "fp8"} <= set(TABLE.kv_cache_dtypes)
    assert {"FLASH_ATTN", "FLASHINFER"} <= set(TABLE.attention_backends)
    assert TABLE.quantizations["fp_quant"].capability == (10, 0)
    assert TABLE.quantizations["fp_quant"].deprecated
    assert {"gemma2", "glm4"} <= TABLE.float16_refused
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in TABLE.removed.values())
    assert set(TABLE.removed).isdisjoint(TABLE.architectures)


def test_what_stands_elsewhere_agrees_with_the_table():
    """The memory planner keeps its own short list of methods and types."""
    from pulumi_plinth.fit.capability import FLOAT16_REFUSED, METHODS

    assert set(FLOAT16_REFUSED) == set(TABLE.float16_refused)
    assert {name: TABLE.quantizations[name].capability for name in METHODS} == dict(METHODS)


def test_a_release_without_a_table_is_refused_with_the_command_to_run():
    """Nothing is guessed from another release."""
    with pytest.raises(PlinthError, match=r"no table of vllm 0\.1\.0 is there; .* run `make engine-table`"):
        load_table("vllm", "0.1.0")
