"""What depends on the engine's release: spans with first and last release, and tables keyed by them. Values only.

Read from vLLM 0.32 itself, from its release notes and from the threads that are named. Where a first release is not
sure, the earliest plausible one stands here, so that nothing is refused wrongly.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pulumi_plinth.check.serving import Version


@dataclass(frozen=True, slots=True)
class Span:
    """Releases from `first` to `last`, both included; () and None are open ends."""

    first: Version = ()
    last: Version | None = None

    def holds(self, version: Version | None, *, unknown: bool = False) -> bool:
        """Whether the release is inside; `unknown` is the answer where nobody says which it is."""
        if version is None:
            return unknown
        return version >= self.first and (self.last is None or version[: len(self.last)] <= self.last)


def release(version: Version) -> str:
    """Write a release as people do."""
    return ".".join(map(str, version))


BFLOAT16_REFUSED = Span(last=(0, 8))
"""--dtype auto did not fall back to float16 on old GPUs (vllm-project/vllm#17265, merged after 0.8.5)."""

AWQ_FLOAT16_ONLY = Span(last=(0, 31))
"""An explicit awq or gptq ran kernels for float16 only; 0.32 picks the kernel itself (auto_awq)."""

FP8_BLOCKS_NATIVE = Span(last=(0, 8))
"""Block-wise fp8 had no weight-only fallback below capability 8.9 (vllm-project/vllm#17581)."""

ONLINE_BLOCKS_UNPADDED = Span(last=(0, 23))
"""Per-block fp8 made at load did not pad experts (vllm-project/vllm#44763, merged between 0.23 and 0.24)."""

AMD64_ONLY = Span(last=(0, 8))
"""vllm/vllm-openai had no arm64 build."""

VISIBLE_BY_NUMBER = Span(last=(0, 31))
"""CUDA_VISIBLE_DEVICES had to be numbers (vllm-project/vllm#41848); 0.32 looks identifiers up."""

VOCABULARY_UNPADDED = Span(last=(0, 1))
"""The embedding was divided without padding it to 64 rows."""

CHUNKED_BY_DEFAULT = Span(first=(0, 8))
"""Chunked prefill is on unless it is switched off (engine V1)."""

DYNAMIC_ROPE_IGNORED = Span(last=(0, 2))
"""Dynamic rope scaling did not lengthen the context (vllm-project/vllm#2518)."""

GGUF_SHARDS_REFUSED = Span(last=(0, 5, 4))
GGUF_SHARDS_WRONG = Span(first=(0, 5, 5), last=(0, 5))
"""GGUF over several GPUs: refused (vllm-project/vllm#7662), then garbage (#7880, seen on 0.5.5)."""

BITSANDBYTES_SHARDS_REFUSED = Span(last=(0, 7))
"""Checkpoints of bitsandbytes were not divided by tensor parallelism (vllm-project/vllm#13122, seen on 0.7.3)."""

MEDIA_LIMIT_JSON = Span(first=(0, 10))
"""`image=4` was read until 0.9 (vllm-project/vllm#21615)."""

TOOLS_WITHOUT_REASONING = Span(last=(0, 7))
"""--enable-reasoning with --enable-auto-tool-choice (vllm-project/vllm#14429, seen on 0.7.3)."""

CHUNKED_WITHOUT_PREFIXES = Span(last=(0, 5, 4))
"""Chunked prefill with prefix caching (kubeai-project/kubeai#119, seen on 0.5.3)."""

PORT_TAKEN_FIRST = Span(last=(0, 6))
"""The engine took VLLM_PORT before the server bound its own (vllm-project/vllm#5867, seen on 0.5.0)."""

LMCACHE_ON_FLASH_ATTENTION = Span(last=(0, 8))
"""LMCache's connector of that time (LMCache/LMCache#412, seen on 0.8.0)."""

COMPATIBILITY_ASKED = Span(first=(0, 17))
"""Images use CUDA's forward compatibility only where VLLM_ENABLE_CUDA_COMPATIBILITY says so (read in 0.18, not in
0.16)."""

CONSUMER_FP4 = (0, 10, 1)
"""First release that computes NVFP4 on capability 12 (vllm-project/vllm#21274, llm-compressor#1643)."""

MEDIA_LIMIT_REFUSED = Span(last=(0, 10))
"""--limit-mm-per-prompt stopped a model of text (zai-org/GLM-V#15); 0.32 does not look."""

EXPANDABLE_SEGMENTS_FAIL = Span(last=(0, 10))
"""expandable_segments:True crashed several GPUs (kaito-project/kaito#1077); on 0.11.1 two ran (vllm#28228)."""

CONNECTOR_KEEPS_WINDOWS = Span(last=(0, 11))
"""A KV connector switched the hybrid allocator off (vllm-project/vllm#30166)."""

ADAPTERS_MISSING: Mapping[str, Span] = {
    "deepseek_v2": Span(last=(0, 10)), "deepseek_v3": Span(last=(0, 10)), "gpt_oss": Span(last=(0, 10)),
    "gemma": Span(last=(0, 3, 2)),
}  # fmt: skip
"""Model types that took no adapters (vllm-project/vllm#12891, #3044)."""

RANK_LIMITS: tuple[tuple[Version, int], ...] = (((), 64), ((0, 5, 4), 256), ((0, 8), 512))
"""First release -> highest rank of an adapter (vllm-project/vllm#2847; the earliest that can be)."""

GGUF_UNREAD = Span(last=(0, 5, 3))
"""Before there was a loader for GGUF (vllm-project/vllm#5011; 0.5.4 is the earliest that can have it)."""

GGUF_IN_TREE = Span(last=(0, 31))
"""Releases with a loader for GGUF; 0.32 leaves it to a plug-in (its list of load formats)."""

GGUF_COLON_UNKNOWN = Span(last=(0, 11))
"""repository:quantization was not split (vllm-project/vllm#29137)."""

RAY_STAGES_FAIL = Span()
RAY_STAGES = 3
"""More stages than this fail over Ray (vllm-project/vllm#30128, kaito-project/kaito#2121); no release is known good."""

NODES_ARE_SAID = Span(first=(0, 11, 1))
"""More GPUs than a node has are found on others only where Ray or --nnodes is written (NVIDIA-NeMo/Skills#1059)."""

FLASH_ATTENTION_4 = Span(first=(0, 22))
"""FlashAttention reads fp8 caches on Blackwell (vllm-project/vllm#42569, merged after 0.21)."""

NO_PIPELINE: Mapping[str, Span] = {
    "deepseek_v4": Span(last=(0, 31)),
    "gemma3n": Span(),
    "gemma3n_text": Span(),
    "mamba2": Span(),
    "whisper": Span(),
    "zamba2": Span(),
}
"""Model types whose class lacks SupportsPP (0.32 read; deepseek_v4 of before: vllm-project/vllm#52761)."""

TEMPLATE_MISSING: Mapping[str, Span] = {"deepseek_v32": Span(last=(0, 11))}
"""Chat models that bring no template, and the releases without a renderer of their own for them."""

PARSERS_SINCE: Mapping[str, Version] = {
    "hermes": (0, 5, 5), "mistral": (0, 5, 5), "internlm": (0, 6, 3), "llama3_json": (0, 6, 3), "granite": (0, 6, 4),
    "granite-20b-fc": (0, 6, 4), "jamba": (0, 6, 4), "pythonic": (0, 6, 5), "deepseek_r1": (0, 7),
}  # fmt: skip
"""Parsers of before the first release whose sources were read (engines/history.py); the earliest that can be
(vllm-project/vllm#9312)."""

PACKED_FROM_AMPERE = Span(last=(0, 11))
"""4-bit weights in compressed-tensors needed capability 8.0 (vllm-project/vllm#25022, #29732), later 7.5."""

SMALL_FLOATS_FROM_AMPERE = Span(last=(0, 14))
"""4-bit floats as weights alone needed capability 8.0 (vllm-project/vllm#32838), later 7.5 (#45375)."""

HOPPER_W4A8 = Span(last=(0, 15))
"""4-bit weights with 8-bit activations have kernels for Hopper only (vllm-project/vllm#35439)."""

EXPERTS_WITHOUT_INT8 = Span(last=(0, 6))
"""Experts in 8-bit integers of compressed-tensors were not read (vllm-project/llm-compressor#859)."""

METHODS: tuple[tuple[str, Span, tuple[int, int]], ...] = (
    ("awq", Span(last=(0, 2, 0)), (8, 0)),
    ("awq", Span(first=(0, 2, 1)), (7, 5)),
    ("awq_marlin", Span(last=(0, 31)), (8, 0)),
    ("gptq_marlin", Span(last=(0, 31)), (8, 0)),
    ("marlin", Span(last=(0, 31)), (8, 0)),
    ("fp8", Span(last=(0, 4)), (8, 9)),
    ("fp8", Span(first=(0, 5), last=(0, 9)), (8, 0)),
    ("fp8", Span(first=(0, 10)), (7, 5)),
    ("mxfp4", Span(last=(0, 10, 1)), (9, 0)),
    ("mxfp4", Span(first=(0, 10, 2)), (8, 0)),
    ("bitsandbytes", Span(), (7, 0)),
)
"""Quantization method, releases, least compute capability (`get_min_capability`); the rest is in fit/capability.py."""

NEWEST: tuple[tuple[tuple[int, int], Version], ...] = (((8, 9), (0, 2)), ((9, 0), (0, 2)), ((10, 0), (0, 9)))
"""Compute capability -> first release whose published builds carry kernels for it and later ones (CUDA 12.8 for
Blackwell came with 0.9, vllm-project/vllm#18813)."""

SINCE: Mapping[str, Version] = {
    "cohere": (0, 4), "cohere2": (0, 6, 4), "dbrx": (0, 4), "deepseek_v2": (0, 5, 1), "deepseek_v3": (0, 6, 6),
    "deepseek_v32": (0, 11), "deepseek_v4": (0, 22), "ernie4_5": (0, 9, 2), "ernie4_5_moe": (0, 9, 2),
    "exaone": (0, 6), "exaone4": (0, 10), "falcon_h1": (0, 9), "gemma": (0, 3, 2), "gemma2": (0, 5, 1),
    "gemma3": (0, 8), "gemma3_text": (0, 8), "gemma3n": (0, 9, 2), "gemma4": (0, 18), "glm4": (0, 8, 3),
    "glm4_moe": (0, 10), "glm4v": (0, 9, 2), "glm4v_moe": (0, 10), "gpt_oss": (0, 10, 1), "granite": (0, 5, 5),
    "granitemoe": (0, 6, 2), "kimi_vl": (0, 8, 5), "kimi_linear": (0, 11, 1), "llama4": (0, 8, 3),
    "minimax_m2": (0, 11, 1), "minimax_m3": (0, 24), "mistral3": (0, 8), "mixtral": (0, 2, 4), "mllama": (0, 6, 2),
    "modernbert": (0, 8, 5), "nemotron_h": (0, 8, 3), "olmo2": (0, 6, 4), "olmo3": (0, 10, 2), "olmoe": (0, 6, 1),
    "paligemma": (0, 5, 1), "phi3": (0, 4, 1), "phi4mm": (0, 7, 4), "phimoe": (0, 6, 1), "pixtral": (0, 6, 1),
    "qwen2": (0, 3), "qwen2_5_omni": (0, 8, 5), "qwen2_5_vl": (0, 7, 2), "qwen2_moe": (0, 4), "qwen2_vl": (0, 6, 1),
    "qwen3": (0, 8, 4), "qwen3_5": (0, 16), "qwen3_5_moe": (0, 16), "qwen3_moe": (0, 8, 4), "qwen3_next": (0, 10, 2),
    "qwen3_omni_moe": (0, 11), "qwen3_vl": (0, 11), "qwen3_vl_moe": (0, 11), "seed_oss": (0, 10, 1),
    "smollm3": (0, 9, 2), "starcoder2": (0, 3, 3),
}  # fmt: skip
"""Model type -> first release that knows it (vLLM's release notes)."""

UNTIL: Mapping[str, Version] = {
    "aquila": (0, 24), "baichuan": (0, 23), "bamba": (0, 23), "chameleon": (0, 28), "dots1": (0, 23), "fuyu": (0, 25),
    "grok-1": (0, 24), "internlm": (0, 23), "jais": (0, 22), "minimax_m1": (0, 23), "minimax_text_01": (0, 23),
    "mllama": (0, 10, 2), "persimmon": (0, 25), "phi3small": (0, 9, 2), "phi4flash": (0, 10, 2), "plamo2": (0, 26),
    "qwen": (0, 23), "telechat": (0, 25), "xverse": (0, 23),
}  # fmt: skip
"""Model type -> last release that knows it (`_PREVIOUSLY_SUPPORTED_MODELS` of 0.32)."""
