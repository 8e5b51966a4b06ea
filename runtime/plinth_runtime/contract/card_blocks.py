"""Layers that differ in their key-value heads: NVIDIA's searched models (`block_configs`) and lists by layer. Pure."""

from __future__ import annotations

from typing import Any

from plinth_runtime.contract.card_config import MAX_LAYERS, Settings
from plinth_runtime.contract.card_files import mapping, whole


def layer_heads(settings: Settings) -> tuple[int, ...] | None:
    """Return the key-value heads of each layer, 0 where nothing is attended to; None where all layers are alike."""
    blocks = settings.text.get("block_configs")
    listed = settings.text.get("num_key_value_heads_per_layer")
    count = settings.layers
    if isinstance(blocks, list) and len(blocks) == count <= MAX_LAYERS:
        heads = settings.count("num_attention_heads") or 0
        return tuple(_block_heads(mapping(block), heads) for block in blocks)
    if isinstance(listed, list) and len(listed) == count <= MAX_LAYERS and all(whole(value) for value in listed):
        return tuple(listed)
    return None


def _block_heads(block: dict[str, Any], heads: int) -> int:
    """Read one block: how many query heads share a key-value head, or that there is no attention."""
    attention = mapping(block.get("attention"))
    if attention.get("no_op") is True or attention.get("replace_with_linear") is True:
        return 0
    said, group = whole(attention.get("num_key_value_heads")), whole(attention.get("n_heads_in_group"))
    return said or (heads // group if group else heads)
