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

E4M3 = ("fp8", "fp8_e4m3")
FLASHINFER_E4M3: tuple[tuple[Version, Version | None, Capability], ...] = (
    ((0, 12), (0, 23), (7, 5)),
    ((0, 12), None, (8, 0)),
)
"""First and last release in which FlashInfer reads e4m3 caches without hardware for them, and the oldest generation:
the engine chooses it where FlashAttention cannot (`FlashInferBackend.supports_compute_capability`;
vllm-project/vllm#47549). Seen to fail on 0.11 (vllm-project/vllm#26431)."""

ASKED_FLASHINFER: Version = (0, 11)
"""Where it is asked for by name it read them earlier (vllm-project/vllm#24577)."""

FLASHINFER_HEADS = (0, 64, 128, 256, 512)
WITH_SINKS = ("gpt_oss",)

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


def reads_e4m3(found: Capability, version: Version | None, card: ModelCard | None, backend: str = "") -> bool:
    """Tell whether FlashInfer serves an e4m3 cache on a generation that has no such numbers itself."""
    asked = backend.upper().removesuffix("_VLLM_V1") == "FLASHINFER"
    if version is None or (backend and not asked):
        return False
    shapes = card is None or (
        card.head_dim in FLASHINFER_HEADS
        and card.model_type not in WITH_SINKS
        and not any(group.kind == "mla" for group in card.attention)
    )
    return shapes and any(
        (min(first, ASKED_FLASHINFER) if asked else first) <= version
        and (last is None or version[: len(last)] <= last)
        and found >= least
        for first, last, least in FLASHINFER_E4M3
    )


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
    if found < NATIVE_FP8 and (kv_dtype or "").lower() in E4M3 and not reads_e4m3(found, version, card):
        problem = f"an e4m3 cache needs capability 8.9, this GPU has {have}"
        yield Misfit("fp8-cache", problem, "write fp8_e5m2 or leave the cache in 16 bit")
    quantization = card.quantization
    demanded = METHODS.get(quantization.method) if quantization else None
    if demanded and found < demanded and quantization:
        problem = f"{quantization.method} needs capability {demanded[0]}.{demanded[1]}, this GPU has {have}"
        yield Misfit("quantization", problem, "take a newer GPU or a checkpoint in another format")
