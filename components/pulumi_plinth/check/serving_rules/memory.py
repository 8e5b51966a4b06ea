"""Rules about memory: weights against GPUs, the promised context against the cache, what is too close to call."""

from __future__ import annotations

from collections.abc import Iterator

from plinth_runtime.contract.card import ModelCard
from pulumi_plinth.check.core import Verdict, refuse, warn
from pulumi_plinth.check.serving import Serving
from pulumi_plinth.check.serving_rules import values
from pulumi_plinth.check.serving_rules.context import longest
from pulumi_plinth.check.serving_rules.releases import CONNECTOR_KEEPS_WINDOWS, release
from pulumi_plinth.check.subject import Subject
from pulumi_plinth.fit.layout import Batch, Layout, default_batch
from pulumi_plinth.fit.overhead import Adapters
from pulumi_plinth.fit.sizing import SMALL_BATCH, Sizer
from pulumi_plinth.quantities import GIB, human_gib

MARGIN = 0.05
"""Share of the budget by which estimates have been off (docs/planner.md)."""

TIGHT = 0.75
"""Weights above this share of the budget leave too little for a long prefill, graphs and the sampler's warm-up: 66.6 GB
on two GPUs of 48 did not start (vllm-project/vllm#4429)."""

PREFILL_BYTES = 16 * GIB
"""With so much beside the weights a long prefill has room whatever the share."""

FULL = 0.98
SWAP_SHARE = 0.7
"""Share of host memory above which swap space is refused (vLLM, CacheConfig)."""

LEAST_BESIDE = round(1.2 * GIB)
"""CUDA's context and the smallest activations and cache: below that no engine starts."""


def weights_fit(subject: Subject) -> Iterator[Verdict]:
    """Hold that the weights alone must have room."""
    serving = subject.serving
    budget, weights = _budget(serving), _weights(serving)
    if not budget or not weights:
        return
    gpus = values.gpus_used(serving)
    each = weights / gpus - values.offloaded(serving)
    if each + LEAST_BESIDE > budget:
        spread = "1 GPU" if gpus == 1 else f"{gpus} GPUs"
        problem = (
            f"{human_gib(weights)} of weights on {spread} are {human_gib(each)} each, {human_gib(budget)} are "
            "available for them, activations and cache"
        )
        yield refuse("memory", "gpu", problem, "take more or larger GPUs, or a quantised model")


def context_fits(subject: Subject) -> Iterator[Verdict]:
    """Hold that one request of the promised length must have room; nobody's wish is the model's own length."""
    serving = subject.serving
    budget, card = _budget(serving), serving.card
    context = values.length(serving, longest(serving))
    if not budget or card is None or not context or not _complete(card) or values.offloaded(serving):
        return
    layout = _layout(serving)
    sizer = Sizer(_sized(serving, card), _adapters(serving), serving.arguments.get("kv-cache-dtype"))
    small = sizer.required(layout, _batch(serving, SMALL_BATCH), context)
    usual = sizer.required(layout, _batch(serving, default_batch(_memory(serving), serving.gpu.name or "")), context)
    weights = sizer.worst(layout, SMALL_BATCH, context).weights
    text = f"{human_gib(small)} are needed on each GPU for {context:,} tokens, {human_gib(budget)} are available"
    if weights + LEAST_BESIDE <= budget < small / (1 + MARGIN):
        yield refuse("memory", "--max-model-len", text, "write a shorter length, or take more or larger GPUs")
    elif weights <= budget < max(usual, small * (1 + MARGIN)):
        yield warn("memory-margin", "--max-model-len", f"{text}: closer than estimates are", "leave more room")


def weights_leave_room(subject: Subject) -> Iterator[Verdict]:
    """Hold that weights which fill most of the budget may leave too little, where a model's geometry is not known."""
    serving = subject.serving
    budget, weights = _budget(serving), _weights(serving)
    each = weights / values.gpus_used(serving) - values.offloaded(serving)
    derived = serving.card is not None and _complete(serving.card)
    tight = TIGHT * budget < each <= budget - LEAST_BESIDE and budget - each < PREFILL_BYTES
    if budget and weights and tight and not derived:
        share = each / budget
        problem = f"weights take {share:.0%} of the {human_gib(budget)} that each GPU offers"
        remedy = "bound --max-num-seqs, --max-num-batched-tokens and --max-model-len, or take larger GPUs"
        yield warn("memory-margin", "gpu", problem, remedy)


def reported_cache(subject: Subject) -> Iterator[Verdict]:
    """Hold that a cache that an engine reported must hold one request of the promised length."""
    cache, serving = subject.serving.cache, subject.serving
    blocks = cache.blocks * cache.block_tokens if cache.blocks and cache.block_tokens else None
    tokens, context = cache.tokens or blocks, values.length(serving, longest(serving))
    if tokens and context and tokens < context:
        problem = f"the cache holds {tokens:,} tokens, a request may have {context:,}"
        yield refuse("kv-cache", "--max-model-len", problem, f"write at most {tokens}, or leave the cache more room")


def other_release(subject: Subject) -> Iterator[Verdict]:
    """Hold that what fitted one release need not fit the next: the overhead is the release's."""
    before, now = subject.serving.upgraded_from, subject.serving.version
    if before and now and now > before:
        problem = f"it fitted on {release(before)}; the fixed overhead of {release(now)} is another"
        yield warn("overhead-by-release", "image", problem, "leave a margin, and try the new release before all move")


def share_is_a_share(subject: Subject) -> Iterator[Verdict]:
    """Hold that the engine takes a share above 0 and up to 1, and that 1 leaves nothing for what comes late."""
    share, path = values.fraction(subject.serving, "gpu-memory-utilization"), "--gpu-memory-utilization"
    text = subject.serving.arguments.get("gpu-memory-utilization")
    if text and share is None:
        yield refuse("utilization", path, f"'{text}' is no number", "write 0.9 for nine tenths of each GPU")
    elif share is not None and not 0 < share <= 1:
        yield refuse("utilization", path, f"{share:g} is no share", "write 0.9 for nine tenths of each GPU")
    elif share is not None and share >= FULL:
        problem = f"{share:g} leaves nothing for NCCL, graphs and other processes"
        yield warn("utilization", path, problem, "write 0.9 to 0.95")


def others_took_it(subject: Subject) -> Iterator[Verdict]:
    """Hold that the share must be free when the engine starts."""
    free, budget = subject.serving.gpu.free_bytes, _budget(subject.serving)
    if free is not None and budget and free < budget:
        problem = f"{human_gib(free)} are free, the engine takes {human_gib(budget)}"
        yield refuse("memory-free", "--gpu-memory-utilization", problem, "write a smaller share, or free the GPU")


def stated_need(subject: Subject) -> Iterator[Verdict]:
    """Hold that a cache needs what it needs, where somebody has measured both sides."""
    cache = subject.serving.cache
    if cache.needed_bytes and cache.available_bytes is not None and cache.needed_bytes > cache.available_bytes:
        problem = f"{human_gib(cache.needed_bytes)} of cache are needed, {human_gib(cache.available_bytes)} are there"
        yield refuse("kv-cache", "--max-model-len", problem, "write a shorter length, or leave the cache more room")


def whole_windows(subject: Subject) -> Iterator[Verdict]:
    """Hold that sliding layers save nothing where the allocator keeps all of their tokens."""
    serving = subject.serving
    connected = "kv-transfer-config" in serving.arguments and CONNECTOR_KEEPS_WINDOWS.holds(serving.version)
    kept = connected or serving.cache.whole_windows or values.switched(serving, "disable-hybrid-kv-cache-manager")
    slides = serving.card is not None and any(group.kind == "sliding" for group in serving.card.attention)
    if kept and (slides or serving.cache.whole_windows):
        problem = "sliding layers keep every token with this allocator, the cache is as large as with full attention"
        yield warn("sliding-pages", "--disable-hybrid-kv-cache-manager", problem, "leave the hybrid allocator on")


def states(subject: Subject) -> Iterator[Verdict]:
    """Hold that every running request needs a state of its own."""
    serving = subject.serving
    found, usual = serving.cache.states, default_batch(_memory(serving), serving.gpu.name or "").sequences
    requests = values.whole(serving, "max-num-seqs") or (usual if serving.gpu.memory_bytes else None)
    if found and requests and requests > found:
        problem = f"{requests} requests need a state each, the cache holds {found}"
        yield refuse("state-cache", "--max-num-seqs", problem, f"write at most {found}")


def estimates(subject: Subject) -> Iterator[Verdict]:
    """Hold that an estimate below what was measured lets through what will not fit."""
    cache = subject.serving.cache
    if cache.estimated_bytes and cache.measured_bytes and cache.estimated_bytes < (1 - MARGIN) * cache.measured_bytes:
        problem = f"{human_gib(cache.estimated_bytes)} are counted, {human_gib(cache.measured_bytes)} were measured"
        yield warn("estimate-too-low", "estimate", problem, "count what the engine's allocator reserves")


def swap(subject: Subject) -> Iterator[Verdict]:
    """Hold that swap space, given for each GPU, is host memory that must be there."""
    serving, host = subject.serving, subject.place.node.memory_bytes
    each = values.fraction(serving, "swap-space")
    taken = (each or 0.0) * GIB * values.tensor(serving)
    if host and taken > SWAP_SHARE * host:
        problem = f"{each:g} GiB of swap on each of {values.tensor(serving)} GPUs are {human_gib(taken)} of host memory"
        yield refuse("swap-space", "--swap-space", f"{problem}, {human_gib(host)} are there", "write less, or 0")


def _memory(serving: Serving) -> int:
    return serving.gpu.memory_bytes or 0


def _budget(serving: Serving) -> int:
    """Bytes of each GPU that the engine may take; 0 where nobody says how large it is."""
    return int(_memory(serving) * values.utilization(serving))


def _weights(serving: Serving) -> int:
    return serving.weights.bytes or (serving.card.weight_bytes if serving.card else 0)


def _complete(card: ModelCard) -> bool:
    return bool(card.layers and card.hidden_size and card.vocabulary and card.weight_bytes)


def _sized(serving: Serving, card: ModelCard) -> ModelCard:
    return card.model_copy(update={"weight_bytes": _weights(serving)})


def _layout(serving: Serving) -> Layout:
    """Take what is asked for; where nothing is, all GPUs share every layer, the mildest guess."""
    if values.sizes_known(serving):
        return Layout(values.tensor(serving), values.pipeline(serving))
    return Layout(values.gpus_used(serving))


def _batch(serving: Serving, usual: Batch) -> Batch:
    tokens, sequences = (values.whole(serving, f"max-num-{name}") for name in ("batched-tokens", "seqs"))
    return Batch(tokens or usual.tokens, sequences or usual.sequences)


def _adapters(serving: Serving) -> Adapters:
    if not values.switched(serving, "enable-lora"):
        return Adapters()
    rank = values.whole(serving, "max-lora-rank") or serving.adapter.rank or 16
    return Adapters(values.whole(serving, "max-loras") or 1, rank)
