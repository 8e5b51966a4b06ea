"""What a folder with a LoRA adapter holds, as far as both sides must agree on it. Pure."""

from __future__ import annotations

from typing import Any

CONFIG_NAME = "adapter_config.json"
WEIGHTS_NAME = "adapter_model.safetensors"
MOST_CONFIG_BYTES = 1 << 20


def highest_rank(config: Any) -> int | None:
    """Give the highest rank in an adapter's configuration: `r`, or more where `rank_pattern` says so."""
    if not isinstance(config, dict):
        return None
    patterns = config.get("rank_pattern")
    named = [config.get("r"), *(patterns.values() if isinstance(patterns, dict) else ())]
    ranks = [rank for rank in named if isinstance(rank, int) and not isinstance(rank, bool) and rank > 0]
    return max(ranks) if len(ranks) == len(named) else None
