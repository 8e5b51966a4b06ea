"""Generations of GPUs: what each cannot compute, by rule."""

import pytest

from plinth_runtime.contract.card_types import Quantization
from pulumi_plinth.fit.capability import capability_misfits, reads_e4m3
from pulumi_plinth.fit.plan import Fitted, Refused


@pytest.mark.parametrize(
    ("name", "found", "kv", "rules"),
    [
        ("llama-3.1-8b-instruct", (7, 0), None, ["gpu-generation"]),
        ("llama-3.1-8b-instruct", (6, 0), None, ["gpu-generation"]),
        ("llama-3.1-8b-instruct", (7, 5), None, []),  # bfloat16 is computed in float16
        ("gemma-2-9b-it", (7, 5), None, ["bfloat16"]),
        ("gemma-2-9b-it", (8, 0), None, []),
        ("llama-3.1-8b-instruct", (8, 6), "fp8", []),  # FlashInfer reads it
        ("llama-3.1-8b-instruct", (7, 5), "fp8", ["fp8-cache"]),
        ("gpt-oss-20b", (8, 0), "fp8", ["fp8-cache"]),
        ("deepseek-v2-lite-chat", (8, 0), "fp8", ["fp8-cache"]),
        ("llama-3.1-8b-instruct", (8, 6), "fp8_e5m2", []),
        ("llama-3.1-8b-instruct", (8, 9), "fp8", []),
        ("gpt-oss-20b", (7, 5), None, ["quantization"]),
        ("deepseek-v3-0324", (8, 0), None, []),
        ("deepseek-v3-0324", None, "fp8", []),
    ],
)
def test_generations(cards, name, found, kv, rules):
    """Volta has no kernels, Turing no bfloat16, Ampere no e4m3 of its own; what is unknown is not refused."""
    assert [misfit.rule for misfit in capability_misfits(cards[name], found, kv)] == rules


@pytest.mark.parametrize(
    ("found", "version", "backend", "reads"),
    [
        ((8, 0), (0, 11, 0), "", False),
        ((8, 0), (0, 11, 0), "FLASHINFER", True),
        ((8, 0), (0, 12, 0), "", True),
        ((8, 0), (0, 32, 0), "TRITON_ATTN", False),
        ((7, 5), (0, 23, 0), "", True),
        ((7, 5), (0, 24, 0), "FLASHINFER", False),
        ((8, 6), None, "", False),
    ],
)
def test_e4m3_caches_without_hardware_for_them(found, version, backend, reads):
    """FlashInfer reads them from one release on, on Turing until another; asked for by name earlier."""
    assert reads_e4m3(found, version, None, backend) is reads


def test_methods_name_their_generation(cards):
    """ModelOpt's fp8 on a T4."""
    card = cards["qwen3-8b"].model_copy(update={"quantization": Quantization(method="modelopt", bits=8)})
    (misfit,) = capability_misfits(card, (7, 5), None)
    assert "modelopt needs capability 8.0, this GPU has 7.5" in str(misfit)


def test_a_v100_is_refused_whatever_its_memory(plan):
    """Also where the weights would fit many times."""
    refused = plan("qwen3-0.6b", "BM.GPU3.8")
    assert isinstance(refused, Refused)
    assert "have no kernels for it" in str(refused.misfits[0])


def test_amd_is_not_judged_by_nvidias_numbers(plan):
    """No capability, no rule."""
    assert isinstance(plan("gemma-3-27b-it", "BM.GPU.MI300X.8"), Fitted)
