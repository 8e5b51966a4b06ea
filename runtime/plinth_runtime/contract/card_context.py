"""How long a context may be, derived the way vLLM derives it (`_get_and_verify_max_len`, release 0.32). Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from plinth_runtime.contract.card_config import Settings
from plinth_runtime.contract.card_files import MAX_NUMBER, mapping, number, whole

KEYS = (
    "max_position_embeddings", "n_positions", "max_seq_len", "seq_length", "model_max_length", "max_target_positions",
    "max_sequence_length", "max_seq_length", "seq_len",
)  # fmt: skip
"""The smallest of those that are there counts; model_max_length beats them all."""

UNKNOWN_CONTEXT = 2048
"""What vLLM assumes when no key is there; it then accepts any wish."""

SCALED_ALREADY = frozenset({"longrope", "llama3", "yarn", "deepseek_yarn", "deepseek_llama_scaling"})
"""Rope types whose max_position_embeddings already is the scaled length."""

LEGACY = {"su": "longrope", "mrope": "default", "telechat3-yarn": "yarn"}

LAYER_TYPES = frozenset({
    "full_attention", "sliding_attention", "chunked_attention", "window_attention", "indexed_attention",
    "compressed_sparse_attention", "heavily_compressed_attention", "minimax_m3_sparse", "conv", "moe", "hybrid",
    "hybrid_sliding", "linear_attention", "sparse", "dense",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Context:
    """`longest` is 0 when no bound is known. `default` is what the engine takes when nobody asks."""

    longest: int
    default: int
    source: str


def read_context(
    settings: Settings, tokenizer: Mapping[str, Any], sentence_limit: int | None, *, pooling: bool
) -> Context:
    """Derive both lengths. `sentence_limit` is sentence-transformers' max_seq_length, `tokenizer` its config."""
    longest, source = _from_keys(settings)
    if pooling and settings.root.get("position_embedding_type") == "absolute":
        limit = number(tokenizer.get("model_max_length"))
        if limit is not None and 0 < limit < longest:
            longest, source = limit, "tokenizer_config.json model_max_length"
    unknown = longest >= MAX_NUMBER
    if unknown:
        longest, source = UNKNOWN_CONTEXT, "no key says it"
    ropes = list(_ropes(settings))
    factor = _factor(ropes) if "gemma3" not in settings.text_type else 1.0
    if factor != 1.0:
        longest, source = longest * factor, f"{source} x rope factor {factor:g}"
    if sentence_limit:
        longest, source, unknown = sentence_limit, "sentence-transformers max_seq_length", False
    default = int(longest)
    if any(kind == "longrope" for kind, _ in ropes):
        default = _trained_length(settings) or default
    return Context(0 if unknown else int(longest), default, source)


def _from_keys(settings: Settings) -> tuple[float, str]:
    found = [(value, key) for key in KEYS if (value := number(settings.text.get(key))) is not None and value > 0]
    own = number(settings.text.get("model_max_length"))
    if own:
        return own, "config.json model_max_length"
    value, key = min(found, default=(float(MAX_NUMBER), ""), key=lambda pair: pair[0])
    return value, f"config.json {key}"


def _ropes(settings: Settings) -> Iterator[tuple[str, Any]]:
    """Yield (type, factor) of each set of rope parameters: one, or one per kind of layer."""
    parameters = mapping(settings.text.get("rope_scaling")) or mapping(settings.text.get("rope_parameters"))
    if not parameters:
        return
    nested = set(parameters) <= LAYER_TYPES
    for each in parameters.values() if nested else (parameters,):
        if isinstance(each, dict) and each:
            named = each.get("rope_type") or each.get("type") or "default"
            kind = LEGACY.get(named, named) if isinstance(named, str) else "default"
            yield kind, each.get("factor", 1.0)


def _factor(ropes: list[tuple[str, Any]]) -> float:
    """Return the last factor that is not in the length already; null counts as 1."""
    scaling = 1.0
    for kind, factor in ropes:
        if kind not in SCALED_ALREADY:
            scaling = number(factor) or 1.0
    return scaling


def _trained_length(settings: Settings) -> int | None:
    """Read where LongRoPE's training ended; Phi-MoE's class believes the rope parameters only."""
    ropes = mapping(settings.text.get("rope_scaling")) or mapping(settings.text.get("rope_parameters"))
    place = ropes if settings.text_type == "phimoe" else settings.text
    own = whole(place.get("original_max_position_embeddings"))
    return own or (4096 if settings.text_type in ("phi3", "phi4_multimodal") else None)
