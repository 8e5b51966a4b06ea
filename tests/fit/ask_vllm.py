"""Runs inside the engine environment: what vLLM's own cache code says of layers described on stdin. No engine starts.

Reads a JSON list of cases {pattern: [[kind, kv_heads, head_dim, window, state_bytes], ...], length, in_flight, bytes,
limit}; writes a list of {tokens, longest}.
"""

import json
import sys
from types import SimpleNamespace

import torch
from vllm.v1.core import kv_cache_utils
from vllm.v1.kv_cache_interface import (
    ChunkedLocalAttentionSpec,
    FullAttentionSpec,
    MambaSpec,
    MLAAttentionSpec,
    SlidingWindowSpec,
)
from vllm.v1.kv_cache_layout import KVCacheLayout

BLOCK = 16


def spec(kind, heads, dim, window, state):
    """One layer as vLLM describes it."""
    own = {"block_size": BLOCK, "num_kv_heads": heads, "head_size": dim, "dtype": torch.bfloat16}
    if kind == "mla":
        return MLAAttentionSpec(**{**own, "num_kv_heads": 1})
    if kind == "sliding":
        return SlidingWindowSpec(**own, sliding_window=window)
    if kind == "chunked":
        return ChunkedLocalAttentionSpec(**own, attention_chunk_size=window)
    if kind in ("linear", "mamba", "conv"):
        return MambaSpec(block_size=BLOCK, shapes=((state,),), dtypes=(torch.uint8,), mamba_cache_mode="align")
    return FullAttentionSpec(**own)


def aligned(specs):
    """As the platform does before: attention blocks grow until a page holds a state, states are padded to it."""
    states = [one.page_size_bytes for one in specs.values() if isinstance(one, MambaSpec)]
    attention = [one for one in specs.values() if not isinstance(one, MambaSpec)]
    if not states or not attention:
        return specs
    from dataclasses import replace

    widest = max(one.page_size_bytes for one in attention)
    block = BLOCK * -(-max(states) // widest)
    page = widest * block // BLOCK
    return {
        name: replace(one, page_size_padded=page) if isinstance(one, MambaSpec) else replace(one, block_size=block)
        for name, one in specs.items()
    }


def answer(case):
    """Ask for one model."""
    config = SimpleNamespace(
        model_config=SimpleNamespace(max_model_len=case["length"]),
        parallel_config=SimpleNamespace(decode_context_parallel_size=1, prefill_context_parallel_size=1),
        scheduler_config=SimpleNamespace(disable_hybrid_kv_cache_manager=False),
        cache_config=SimpleNamespace(
            get_resolved_kv_cache_layout=lambda: KVCacheLayout.LBNHC,
            num_gpu_blocks_override=None,
            mamba_cache_mode="align",
            prefix_cache_retention_interval=None,
        ),
        attention_config=SimpleNamespace(hisparse_config=None),
        speculative_config=None,
        max_in_flight_tokens=case["in_flight"],
    )
    specs = aligned({f"layers.{number}": spec(*layer) for number, layer in enumerate(case["pattern"])})
    groups = kv_cache_utils.get_kv_cache_groups(config, specs)
    found = kv_cache_utils.get_kv_cache_config_from_groups(config, groups, case["bytes"])
    tokens, _ = kv_cache_utils.get_kv_cache_capacity(config, found)
    config.model_config.max_model_len = case["limit"]
    longest = kv_cache_utils._estimate_max_model_len_from_groups(config, groups, case["bytes"])
    return {"tokens": tokens, "longest": longest}


if __name__ == "__main__":
    json.dump([answer(case) for case in json.load(sys.stdin)], sys.stdout)
