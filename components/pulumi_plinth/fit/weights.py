"""Weights of a model -> what each GPU of a layout holds, part by part. Pure arithmetic over a card.

Sizes are those of the stored tensors where the card has read them (`bytes_by_part`); where only config.json is known,
parts are derived from its geometry and the rest is what is left. Nothing is added that the files do not hold.
"""

from __future__ import annotations

from dataclasses import dataclass

from plinth_runtime.contract.card import ModelCard
from pulumi_plinth.fit.layout import Layout

HALF = 2
"""Bytes of a bfloat16 or float16 element; vLLM loads float32 checkpoints as one of them (--dtype auto)."""

VOCABULARY_PADDING = 64
"""vLLM rounds the vocabulary up to a multiple of this before it is divided (vocab_parallel_embedding.py, 0.32)."""


@dataclass(frozen=True, slots=True)
class Parts:
    """Bytes in GPU memory of one copy of the model. `sharded` is all that tensor parallelism divides evenly."""

    embedding: int
    head: int
    experts: int
    key_value: int
    replicated: int
    vision: int
    sharded: int
    note: str

    @property
    def total(self) -> int:
        """Sum of all parts."""
        layers = self.experts + self.key_value + self.replicated + self.sharded
        return self.embedding + self.head + self.vision + layers


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of the pipeline: how many of the model's layers it has, and whether it is the first or the last."""

    layers: int
    of: int
    first: bool = True
    last: bool = True


def parts_of(card: ModelCard) -> Parts:
    """Take the model apart."""
    known = card.bytes_by_part
    scale, note = _loaded(card)
    total = round((card.weight_bytes - known.get("draft", 0)) * scale)
    table = card.vocabulary * card.hidden_size * HALF
    embedding = min(round(known.get("embedding", 0) * scale) if known else table, total)
    head = min(
        0 if card.tied_embeddings else round(known.get("head", 0) * scale) if known else table, total - embedding
    )
    vision = round(known.get("vision", 0) * scale)
    left = max(total - embedding - head - vision, 0)
    key_value = min(_key_value(card), left)
    replicated = min(_replicated(card), left - key_value)
    left -= key_value + replicated
    experts = min(round(known.get("experts", 0) * scale) if known else _experts(card), left)
    return Parts(embedding, head, experts, key_value, replicated, vision, left - experts, note)


def stages(layers: int, pipeline: int) -> tuple[Stage, ...]:
    """Divide layers as vLLM does: evenly, what is left over to the stages before the last (get_pp_indices)."""
    if pipeline == 1:
        return (Stage(layers, layers),)
    counts = [layers // pipeline] * pipeline
    for place in range(2, layers % pipeline + 2):
        counts[-place] += 1
    end = pipeline - 1
    return tuple(Stage(count, layers, place == 0, place == end) for place, count in enumerate(counts))


def stage_bytes(card: ModelCard, parts: Parts, layout: Layout, stage: Stage) -> int:
    """Bytes of weights on each GPU of one stage."""
    return sum(stage_parts(card, parts, layout, stage).values())


def stage_parts(card: ModelCard, parts: Parts, layout: Layout, stage: Stage) -> dict[str, int]:
    """Bytes of each part of the weights on each GPU of one stage; tied tables stand on the first and last stage."""
    tensor, own, of = layout.tensor, stage.layers, max(stage.of, 1)
    mixed, all_mixed = expert_layers(card, stage)
    heads = card.kv_heads or 1
    return {
        "embedding": -(-parts.embedding // tensor) if stage.first or (stage.last and not parts.head) else 0,
        "head": -(-parts.head // tensor) if stage.last else 0,
        "vision": -(-parts.vision // tensor) if stage.first else 0,
        "experts": -(-expert_bytes(card, parts, layout) * mixed // all_mixed),
        "key and value projections": -(-parts.key_value * max(heads // tensor, 1) * own // (heads * of)),
        "replicated": -(-parts.replicated * own // of),
        "layers": -(-parts.sharded * own // (tensor * of)),
    }


def expert_bytes(card: ModelCard, parts: Parts, layout: Layout) -> int:
    """Bytes of experts on each GPU: whole experts under expert parallelism, slices of every expert otherwise."""
    if layout.expert > 1 and card.experts:
        return parts.experts * -(-card.experts.count // layout.expert) // card.experts.count
    return -(-parts.experts // layout.tensor)


def expert_layers(card: ModelCard, stage: Stage) -> tuple[int, int]:
    """Layers with experts on a stage, and in all; leading dense layers stand on the first stage."""
    if stage.layers == stage.of:
        return 1, 1
    dense = card.experts.dense_layers if card.experts else 0
    return max(stage.layers - (dense if stage.first else 0), 0), max(stage.of - dense, 1)


def padded_vocabulary(card: ModelCard) -> int:
    """Rows of the embedding as vLLM allocates it."""
    return -(-card.vocabulary // VOCABULARY_PADDING) * VOCABULARY_PADDING


def weight_width(card: ModelCard) -> float:
    """Bytes of one weight of a linear layer, scales of groups included."""
    quantization = card.quantization
    if quantization is None or not quantization.bits:
        return HALF
    scale = 1 / quantization.group_size if quantization.group_size else 0.0
    return quantization.bits / 8 + scale


def _loaded(card: ModelCard) -> tuple[float, str]:
    """Return memory over file: quantised tensors as they are, floats in the 16-bit format the model computes in.

    A row of the catalogue counts a tied head once even where the file holds a copy of it; the copy is not loaded.
    """
    if card.quantization is not None:
        return 1.0, f"{card.quantization.method}, tensors at their stored size"
    if not card.parameters or not card.weight_bytes:
        return 1.0, "stored size"
    scale = HALF * card.parameters / card.weight_bytes
    return min(scale, 1.0), "2 B a parameter" if scale < 0.99 else f"stored size, {card.dtype}"  # noqa: PLR2004 rounding


def _key_value(card: ModelCard) -> int:
    """Projections of keys and values: the part that is copied when there are more GPUs than KV heads."""
    if card.mla is not None:
        return 0
    layers = sum(group.layers for group in card.attention if group.kv_heads) or card.layers
    return round(2 * layers * card.hidden_size * card.kv_heads * card.head_dim * weight_width(card))


def _replicated(card: ModelCard) -> int:
    """Add up what every GPU of a tensor group holds whole: norms, routers, the down-projections of latent attention."""
    each = 2 * card.hidden_size * HALF
    if card.experts:
        each += card.hidden_size * card.experts.count * HALF
    if card.mla is not None:
        each += round(card.hidden_size * (card.mla.latent_dim + (card.mla.q_lora_rank or 0)) * weight_width(card))
    return card.layers * each


def _experts(card: ModelCard) -> int:
    if not card.experts or not card.experts.intermediate_size:
        return 0
    layers = max(card.layers - card.experts.dense_layers, 0)
    one = 3 * card.hidden_size * card.experts.intermediate_size
    return round(layers * card.experts.count * one * weight_width(card))
