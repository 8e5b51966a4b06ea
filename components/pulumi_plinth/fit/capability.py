"""What a GPU's generation can compute: rules by NVIDIA's compute capability and vLLM's release, not by memory.

Each rule was broken by somebody who learned it after the node was bought; the sources are in docs/planner.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from plinth_runtime.contract.card import ModelCard
from pulumi_plinth.fit.layout import Misfit

Capability = tuple[int, int]
Version = tuple[int, ...]

PINNED: Version = (0, 32)
"""The release that plans are made for."""

OLDEST: tuple[tuple[Version, Capability], ...] = (((), (7, 0)), ((0, 9), (7, 5)))
"""First release -> oldest generation that its published CUDA builds carry kernels for: 7.0 from the beginning
(vllm-project/vllm#1284), 7.5 since 0.9 (vllm-project/production-stack#973)."""

BFLOAT16: Capability = (8, 0)
"""Below, vLLM computes bfloat16 models in float16 (--dtype auto)."""

NATIVE_FP8: Capability = (8, 9)
"""e4m3 in hardware; caches in e4m3 need it. Weights in fp8 do not (Marlin, 7.5)."""

METHODS: Mapping[str, Capability] = {
    "mxfp4": (8, 0), "modelopt": (8, 0), "modelopt_mxfp8": (8, 0), "fbgemm_fp8": (8, 0), "experts_int8": (8, 0),
    "fp_quant": (10, 0),
}  # fmt: skip
"""Methods that need more than the oldest generation (`get_min_capability` of each)."""

FLOAT16_REFUSED = ("gemma2", "gemma3", "gemma3_text", "glm4")
"""Types that vLLM refuses to compute in float16 because numbers overflow (`_FLOAT16_NOT_SUPPORTED_MODELS`)."""


def oldest(version: Version | None) -> Capability:
    """Return the oldest generation a release has kernels for; where the release is not known, that of the mildest."""
    return max(least for first, least in OLDEST if first <= (version or ()))


def capability_misfits(
    card: ModelCard, found: Capability | None, kv_dtype: str | None, version: Version | None = PINNED
) -> Iterator[Misfit]:
    """Yield what a GPU of that generation cannot do for this model; nothing when the generation is not known."""
    if found is None:
        return
    have = f"{found[0]}.{found[1]}"
    if found < (least := oldest(version)):
        needed = f"{least[0]}.{least[1]}"
        problem = f"compute capability {have} is below {needed}, the engine's builds have no kernels for it"
        yield Misfit("gpu-generation", problem, "take a T4, A10, A100 or newer")
        return
    if found < BFLOAT16 and card.dtype == "bfloat16" and card.model_type in FLOAT16_REFUSED:
        problem = f"{card.model_type} cannot be computed in float16, and capability {have} has no bfloat16"
        yield Misfit("bfloat16", problem, "take capability 8.0 or newer")
    if found < NATIVE_FP8 and (kv_dtype or "").lower() in ("fp8", "fp8_e4m3"):
        problem = f"an e4m3 cache needs capability 8.9, this GPU has {have}"
        yield Misfit("fp8-cache", problem, "write fp8_e5m2 or leave the cache in 16 bit")
    quantization = card.quantization
    demanded = METHODS.get(quantization.method) if quantization else None
    if demanded and found < demanded and quantization:
        problem = f"{quantization.method} needs capability {demanded[0]}.{demanded[1]}, this GPU has {have}"
        yield Misfit("quantization", problem, "take a newer GPU or a checkpoint in another format")
