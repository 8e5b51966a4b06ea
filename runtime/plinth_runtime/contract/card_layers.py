"""Settings -> what each layer keeps in the cache: pattern, groups, latent ranks, recurrent states, experts.

The rules per model type are tables. Sources: transformers' configuration classes (patterns) and vLLM's
`mamba_utils` (state shapes) and `model_arch_config_convertor` (which types use latent attention).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from plinth_runtime.contract.card_blocks import layer_heads
from plinth_runtime.contract.card_config import ATTENTION_FREE, MAX_LAYERS, Settings
from plinth_runtime.contract.card_files import mapping, whole
from plinth_runtime.contract.card_types import Experts, LayerGroup, LayerKind, MlaRanks

MLA_TYPES = frozenset({
    "axk1", "bailing_hybrid", "deepseek_mtp", "deepseek_v2", "deepseek_v3", "deepseek_v32", "dots3_note",
    "glm4_moe_lite", "glm5_next", "glm5_next_text", "glm_moe_dsa", "hy_v4", "kimi_k2", "kimi_linear", "longcat_flash",
    "mistral4", "pangu_ultra_moe",
})  # fmt: skip

KINDS: Mapping[str, LayerKind] = {
    "full_attention": "full", "attention": "full", "indexed_attention": "full", "deepseek_sparse_attention": "full",
    "sliding_attention": "sliding", "chunked_attention": "chunked", "linear_attention": "linear", "mamba": "mamba",
    "mamba2": "mamba", "conv": "conv", "short_conv": "conv", "moe": "none", "mlp": "none", "hybrid": "full",
    "recurrent": "linear",
}  # fmt: skip
"""What config.json calls a layer -> what it keeps."""

LETTERS: Mapping[str, LayerKind] = {"M": "mamba", "*": "full", "-": "none", "E": "none"}
"""Nemotron-H's hybrid_override_pattern."""

MAMBA_TYPES = frozenset({"bamba", "falcon_h1", "falcon_mamba", "granitemoehybrid", "jamba", "mamba", "mamba2",
                         "nemotron_h", "zamba2"})  # fmt: skip

EVERY: Mapping[str, tuple[str, int]] = {
    "gemma2": ("", 2), "gpt_oss": ("", 2), "gemma3_text": ("sliding_window_pattern", 6), "gemma3n_text": ("", 5),
    "gemma4_text": ("", 6), "cohere2": ("sliding_window_pattern", 4), "exaone4": ("sliding_window_pattern", 4),
    "olmo3": ("", 4), "afmoe": ("global_attn_every_n_layers", 4),
}  # fmt: skip
"""Type -> (key that may change it, n): every n-th layer sees everything, the others a window."""

INTERVAL = frozenset({"qwen3_next", "qwen3_5_text", "qwen3_5_moe_text"})
OPT_IN = frozenset({"qwen2", "qwen2_moe", "qwen3", "qwen3_moe", "qwen2_vl_text", "qwen2_5_vl_text", "smollm3"})
"""Types whose window counts only when use_sliding_window says so."""

GEMMA4_GLOBAL_DIM = 512
"""Head size of Gemma 4's layers without a window, where nobody says."""


@dataclass(frozen=True, slots=True)
class Layers:
    """Everything the cache depends on."""

    pattern: tuple[LayerKind, ...]
    groups: tuple[LayerGroup, ...]
    mla: MlaRanks | None
    window: int | None
    kv_heads: int
    head_dim: int


def read_layers(settings: Settings) -> Layers:
    """Work out pattern and groups. Total: a key of the wrong type counts as absent."""
    mla = mla_ranks(settings)
    heads, dim = _heads(settings), _head_dim(settings, mla)
    window = sliding_window(settings)
    pattern = _pattern(settings, window)
    if mla is not None:
        pattern = tuple("mla" if kind == "full" else kind for kind in pattern)
    groups = () if settings.encoder_only else _groups(settings, pattern, (heads, dim), window)
    return Layers(pattern, groups, mla, window if "sliding" in pattern else None, heads, dim)


def mla_ranks(settings: Settings) -> MlaRanks | None:
    """Read the ranks of latent attention; None for ordinary attention."""
    rank = settings.count("kv_lora_rank")
    if rank is None or settings.text_type not in MLA_TYPES:
        return None
    return MlaRanks(
        kv_lora_rank=rank,
        qk_rope_head_dim=_said(settings, "qk_rope_head_dim", 64),
        qk_nope_head_dim=_said(settings, "qk_nope_head_dim", 128),
        v_head_dim=_said(settings, "v_head_dim", 128),
        q_lora_rank=settings.count("q_lora_rank"),
    )


def _said(settings: Settings, key: str, default: int) -> int:
    """Return a size that may be zero; GLM-5's keys have no rotary part."""
    found = whole(settings.text.get(key))
    return default if found is None else found


def sliding_window(settings: Settings) -> int | None:
    """Return the window that counts: opted in where the type asks for that, never zero."""
    wanted = settings.text.get("use_sliding_window")
    if wanted is False or (settings.text_type in OPT_IN and wanted is not True):
        return None
    return settings.count("sliding_window", "local_attention")


def read_experts(settings: Settings) -> Experts | None:
    """Read the mixture; None for dense models."""
    feed_forward = mapping(settings.text.get("ffn_config"))
    count = settings.count("num_experts", "moe_num_experts", "n_routed_experts", "num_local_experts")
    count = count or whole(feed_forward.get("moe_num_experts"))
    keys = ("num_experts_per_tok", "num_experts_per_token", "top_k_experts", "moe_topk", "moe_top_k", "moe_k")
    active = settings.count(*keys, "experts_per_token") or whole(feed_forward.get("moe_top_k"))
    if not count or count == 1:
        return None
    shared = settings.count("n_shared_experts", "num_shared_experts", "moe_num_shared_experts") or 0
    if not shared and settings.count("shared_expert_intermediate_size", "shared_intermediate_size"):
        shared = 1
    return Experts(
        count=count,
        active=min(active or 1, count),
        shared=shared,
        intermediate_size=settings.count("moe_intermediate_size", "expert_ffn_hidden_size", "intermediate_size"),
        dense_layers=settings.count("first_k_dense_replace", "num_dense_layers") or 0,
    )


def _heads(settings: Settings) -> int:
    if settings.text_type.lower() in ("falcon", "refinedweb", "refinedwebmodel"):
        new = settings.text.get("new_decoder_architecture") is True
        if not new and settings.text.get("multi_query", True) is True:
            return 1
    own = next((heads for heads in layer_heads(settings) or () if heads), None)
    return own or settings.count("num_key_value_heads") or settings.count("num_attention_heads") or 0


def _head_dim(settings: Settings, mla: MlaRanks | None) -> int:
    if mla is not None:
        return mla.latent_dim
    nope = settings.count("qk_nope_head_dim")
    if settings.count("kv_lora_rank") and nope:
        # MiniCPM3 has latent weights but keeps whole keys.
        return nope + (settings.count("qk_rope_head_dim") or 0)
    heads = settings.count("num_attention_heads") or 0
    width = (settings.count("hidden_size") or 0) * (2 if settings.text_type == "zamba2" else 1)
    return settings.count("head_dim") or (width // heads if heads else 0)


def _pattern(settings: Settings, window: int | None) -> tuple[LayerKind, ...]:
    count = min(settings.layers, MAX_LAYERS)
    for reader in (_absent, _listed, _lettered, _numbered, _spaced):
        found = reader(settings, window)
        if found is not None and len(found) == count:
            return found
    kind: LayerKind = "sliding" if window else "full"
    return ("mamba" if settings.text_type in ATTENTION_FREE else kind,) * count


def _absent(settings: Settings, _window: int | None) -> tuple[LayerKind, ...] | None:
    """Read which layers attend to nothing at all."""
    heads = layer_heads(settings)
    return tuple("full" if count else "none" for count in heads) if heads and not all(heads) else None


def _listed(settings: Settings, _window: int | None) -> tuple[LayerKind, ...] | None:
    """Read one name a layer."""
    names = settings.text.get("layer_types") or settings.text.get("layers_block_type")
    if not isinstance(names, list) or len(names) > MAX_LAYERS:
        return None
    kinds = [KINDS.get(name) if isinstance(name, str) else None for name in names]
    if any(kind is None for kind in kinds):
        return None
    recurrent = settings.text_type in MAMBA_TYPES
    return tuple("mamba" if recurrent and kind == "linear" else kind for kind in kinds if kind is not None)


def _lettered(settings: Settings, _window: int | None) -> tuple[LayerKind, ...] | None:
    letters = settings.text.get("hybrid_override_pattern")
    if not isinstance(letters, str) or len(letters) > MAX_LAYERS:
        return None
    return tuple(LETTERS.get(letter, "full") for letter in letters)


def _numbered(settings: Settings, _window: int | None) -> tuple[LayerKind, ...] | None:
    """Read lists of layer numbers: Llama vision's cross attention, Kimi Linear, LFM2, MiniMax."""
    count = min(settings.layers, MAX_LAYERS)
    linear = mapping(settings.text.get("linear_attn_config"))
    tables: tuple[tuple[Any, int, LayerKind, LayerKind], ...] = (
        (settings.text.get("cross_attention_layers"), 0, "cross", "full"),
        (linear.get("kda_layers"), 1, "linear", "full"),
        (settings.text.get("full_attn_idxs"), 0, "full", "conv"),
    )
    for numbers, base, kind, other in tables:
        if isinstance(numbers, list) and numbers and len(numbers) <= MAX_LAYERS:
            chosen = {value - base for value in numbers if type(value) is int}
            return tuple(kind if layer in chosen else other for layer in range(count))
    return None


Rule = Callable[[int], LayerKind]


def _spaced(settings: Settings, window: int | None) -> tuple[LayerKind, ...] | None:
    """Read patterns given by a period."""
    rule = _window_rule(settings, window) or _interval_rule(settings)
    return tuple(rule(layer) for layer in range(min(settings.layers, MAX_LAYERS))) if rule else None


def _window_rule(settings: Settings, window: int | None) -> Rule | None:
    kind = settings.text_type
    if not window:
        return None
    if kind in EVERY:
        key, default = EVERY[kind]
        return _last_of(settings.count(key) or default, "sliding")
    if kind in OPT_IN:
        first = settings.count("max_window_layers") or 28
        return lambda layer: "sliding" if layer >= first else "full"
    return None


def _interval_rule(settings: Settings) -> Rule | None:
    kind = settings.text_type
    if kind in INTERVAL:
        return _last_of(settings.count("full_attention_interval") or 4, "linear")
    if kind == "llama4_text" and settings.count("attention_chunk_size"):
        return _last_of(settings.count("no_rope_layer_interval") or 4, "chunked")
    if kind == "modernbert":
        every = settings.count("global_attn_every_n_layers") or 3
        return lambda layer: "sliding" if layer % every else "full"
    if kind == "jamba":
        period, offset = settings.count("attn_layer_period") or 8, whole(settings.text.get("attn_layer_offset"))
        return lambda layer: "full" if layer % period == (4 if offset is None else offset) else "mamba"
    return None


def _last_of(every: int, other: LayerKind) -> Rule:
    """Every n-th layer sees everything."""
    return lambda layer: other if (layer + 1) % every else "full"


def _groups(
    settings: Settings, pattern: tuple[LayerKind, ...], shape: tuple[int, int], window: int | None
) -> tuple[LayerGroup, ...]:
    """Count layers by kind. Layers that read another layer's cache (Gemma 3n and 4) keep nothing."""
    shared = settings.count("num_kv_shared_layers") or 0
    own = pattern[: len(pattern) - shared] if shared < len(pattern) else pattern
    heads = layer_heads(settings)
    if heads and set(pattern) <= {"full", "none"}:
        return tuple(_group(settings, "full", heads.count(n), (n, shape[1]), window) for n in dict.fromkeys(heads) if n)
    groups = [_group(settings, kind, own.count(kind), shape, window) for kind in dict.fromkeys(own) if kind != "none"]
    if settings.text_type == "zamba2":  # hybrid layers have both
        groups = [group for group in groups if group.kind != "mamba"]
    if settings.text_type in ("falcon_h1", "zamba2"):
        groups.append(_group(settings, "mamba", len(own), shape, window))
    return tuple(groups)


def _group(settings: Settings, kind: LayerKind, layers: int, shape: tuple[int, int], window: int | None) -> LayerGroup:
    heads, dim = shape
    if kind in ("linear", "mamba", "conv"):
        conv, recurrent = _state(settings, kind)
        return LayerGroup(kind=kind, layers=layers, conv_state=conv, recurrent_state=recurrent)
    if kind == "mla":
        return LayerGroup(kind=kind, layers=layers, kv_heads=1, head_dim=dim)
    if kind == "full" and (settings.text_type == "gemma4_text" or settings.count("global_head_dim")):
        if settings.text.get("attention_k_eq_v") is True:
            heads = settings.count("num_global_key_value_heads") or heads
        dim = settings.count("global_head_dim") or GEMMA4_GLOBAL_DIM
    limits = {"sliding": window, "chunked": settings.count("attention_chunk_size")}
    return LayerGroup(kind=kind, layers=layers, kv_heads=heads, head_dim=dim, window=limits.get(kind))


def _state(settings: Settings, kind: LayerKind) -> tuple[int, int]:
    """Elements of convolution and recurrent state of one sequence in one layer, before any sharding."""
    hidden = settings.count("hidden_size") or 0
    if kind == "conv":
        return hidden * ((settings.count("conv_L_cache") or 3) - 1), 0
    if kind == "linear":
        return _linear_state(settings)
    state = settings.count("ssm_state_size", "mamba_d_state", "state_size") or 16
    kernel = (settings.count("conv_kernel", "mamba_d_conv") or 4) - 1
    heads = settings.count("mamba_num_heads", "mamba_n_heads")
    dim = settings.count("mamba_head_dim", "mamba_d_head")
    if heads and dim:
        groups = settings.count("n_groups", "mamba_n_groups") or 1
        return (heads * dim + 2 * groups * state) * kernel, heads * dim * state
    inner = settings.count("mamba_intermediate_size") or hidden * (settings.count("mamba_expand", "expand") or 2)
    return inner * kernel, inner * state


def _linear_state(settings: Settings) -> tuple[int, int]:
    """Gated delta nets (Qwen), Kimi delta attention, else plain linear attention."""
    kda = mapping(settings.text.get("linear_attn_config"))
    heads, dim = whole(kda.get("num_heads")), whole(kda.get("head_dim"))
    if heads and dim:
        return 3 * heads * dim * ((whole(kda.get("short_conv_kernel_size")) or 4) - 1), heads * dim * dim
    if settings.text_type in INTERVAL or settings.count("linear_num_value_heads"):
        key_heads, value_heads = (
            settings.count("linear_num_key_heads") or 16,
            settings.count("linear_num_value_heads") or 32,
        )
        key_dim, value_dim = (
            settings.count("linear_key_head_dim") or 128,
            settings.count("linear_value_head_dim") or 128,
        )
        kernel = (settings.count("linear_conv_kernel_dim") or 4) - 1
        return (2 * key_heads * key_dim + value_heads * value_dim) * kernel, value_heads * key_dim * value_dim
    heads = settings.count("num_attention_heads") or 0
    dim = settings.count("head_dim") or 0
    return 0, heads * dim * dim
