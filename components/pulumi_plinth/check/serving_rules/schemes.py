"""Rules about schemes of compressed-tensors and 4-bit floats: the method's name alone does not tell its kernels."""

from __future__ import annotations

from collections.abc import Iterator

from pulumi_plinth.check.core import Verdict, refuse
from pulumi_plinth.check.serving_rules import values
from pulumi_plinth.check.serving_rules.releases import (
    EXPERTS_WITHOUT_INT8,
    HOPPER_W4A8,
    PACKED_FROM_AMPERE,
    SMALL_FLOATS_FROM_AMPERE,
)
from pulumi_plinth.check.subject import Subject

FLAG = "--quantization"
PACKED = "compressed-tensors"
TURING, AMPERE = (7, 5), (8, 0)
PACKED_BITS, BYTE_BITS = 4, 8
HOPPER = 9
WITH_EXPERTS = ("deepseek_v2", "deepseek_v3", "mixtral", "qwen2_moe", "qwen3_moe", "olmoe", "granitemoe", "phimoe")


def packed(subject: Subject) -> Iterator[Verdict]:
    """Hold that packed weights are computed by Marlin, which began with Ampere and came to Turing later."""
    serving, found = subject.serving, values.capability(subject.serving)
    made = serving.card.quantization if serving.card else None
    method = values.method(subject)
    if found is None or made is None:
        return
    small = "fp4" in method and not method.startswith("mxfp4")
    integers = method == PACKED and made.bits == PACKED_BITS and made.format is None
    early = (small and SMALL_FLOATS_FROM_AMPERE.holds(serving.version)) or (
        integers and PACKED_FROM_AMPERE.holds(serving.version)
    )
    least = AMPERE if early else TURING
    if (small or integers) and found < least:
        problem = f"{method} of 4 bits needs capability {least[0]}.{least[1]}, this GPU has {found[0]}.{found[1]}"
        yield refuse("quantization", FLAG, problem, "take a newer GPU, a newer release or another format")


def hopper_only(subject: Subject) -> Iterator[Verdict]:
    """Hold that 4-bit weights with 8-bit activations are computed on Hopper only."""
    serving, found = subject.serving, values.capability(subject.serving)
    made = serving.card.quantization if serving.card else None
    if found and made and made.format == "w4a8" and found[0] != HOPPER and HOPPER_W4A8.holds(serving.version):
        problem = f"W4A8 has kernels for capability 9.0 only, this GPU has {found[0]}.{found[1]}"
        yield refuse("quantization", FLAG, problem, "take W4A16, FP8 or NVFP4, or a Hopper GPU")


def experts(subject: Subject) -> Iterator[Verdict]:
    """Hold that experts in 8-bit integers came late."""
    serving = subject.serving
    made = serving.card.quantization if serving.card else None
    mixed = values.model_type(serving) in WITH_EXPERTS
    integers = made is not None and made.method == PACKED and made.bits == BYTE_BITS and made.format is None
    if mixed and integers and EXPERTS_WITHOUT_INT8.holds(serving.version):
        problem = "experts in 8-bit integers are not read by this release"
        yield refuse("quantization", FLAG, problem, "take release 0.8 or later, or an FP8 checkpoint")
