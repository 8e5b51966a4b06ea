"""What each GPU of a layout needs, as numbers only: weights, overhead and cache, remembered per layout.

Planning asks the same of one model for dozens of shapes, so answers are kept in the Sizer. Formulas in words are made
from these numbers in `memory.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from plinth_runtime.contract.card import ModelCard
from pulumi_plinth.fit.kv import Cache, cache_of, element_bytes
from pulumi_plinth.fit.layout import Batch, Layout
from pulumi_plinth.fit.overhead import NO_ADAPTERS, Adapters, Overhead, overhead_of
from pulumi_plinth.fit.parallel import legal_tensor_sizes
from pulumi_plinth.fit.weights import Parts, Stage, parts_of, stage_bytes, stages

SMALL_BATCH = Batch(2048, 256)
"""vLLM's defaults on GPUs below 70 GiB; taken on larger ones when the larger defaults leave no room."""

ASYNC_BATCHES = 1
"""Steps in flight beside those of the pipeline's stages (asynchronous scheduling, on by default in 0.32)."""

UNBOUNDED_CONTEXT = 1 << 20
"""Longest context considered for models that name no bound: a million tokens."""


@dataclass(frozen=True, slots=True)
class Need:
    """Bytes on each GPU of one stage before any cache, and how its cache is cut."""

    stage: Stage
    weights: int
    overhead: Overhead
    cache: Cache

    @property
    def fixed(self) -> int:
        """Bytes taken whatever is served."""
        return self.weights + self.overhead.total

    def bytes_for(self, context: int) -> int:
        """Bytes without which the engine does not start for requests of that length."""
        return self.fixed + self.cache.least_bytes(context)


@dataclass(frozen=True, eq=False)
class Sizer:
    """One model, ready to be sized. `kv_dtype` and `adapters` hold for all questions asked."""

    card: ModelCard
    adapters: Adapters = NO_ADAPTERS
    kv_dtype: str | None = None
    parts: Parts = field(init=False)
    answers: dict[tuple[Any, ...], Any] = field(init=False, default_factory=dict)
    _legal: dict[int, tuple[int, ...]] = field(init=False, default_factory=dict)
    _known: dict[tuple[int, int, int, Batch], tuple[Need, ...]] = field(init=False, default_factory=dict)
    _requests: dict[tuple[int, int, int, Batch, int], int] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "parts", parts_of(self.card))

    def legal(self, gpus: int, *, mig: bool) -> tuple[int, ...]:
        """List the tensor-parallel sizes inside a node of that many GPUs that break no rule, smallest first."""
        key = 1 if mig else gpus
        found = self._legal.get(key)
        if found is None:
            found = self._legal[key] = legal_tensor_sizes(self.card, key)
        return found

    def needs(self, layout: Layout, batch: Batch) -> tuple[Need, ...]:
        """Size every stage that differs from the others."""
        key = (layout.tensor, layout.pipeline, layout.expert, batch)
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = self._sized(layout, batch)
        return found

    def worst(self, layout: Layout, batch: Batch, context: int) -> Need:
        """Return the stage whose GPUs need most for one request of that length."""
        return max(self.needs(layout, batch), key=lambda need: need.bytes_for(context))

    def required(self, layout: Layout, batch: Batch, context: int) -> int:
        """Bytes that a GPU must offer for one request of that length."""
        key = (layout.tensor, layout.pipeline, layout.expert, batch, context)
        found = self._requests.get(key)
        if found is None:
            found = self._requests[key] = self.worst(layout, batch, context).bytes_for(context)
        return found

    def longest(self, layout: Layout, batch: Batch, budget: int) -> int:
        """Longest context that all stages can serve within `budget` bytes; 0 when none."""
        limit = self.card.max_context or UNBOUNDED_CONTEXT
        return min(need.cache.longest(budget - need.fixed, limit) for need in self.needs(layout, batch))

    def _sized(self, layout: Layout, batch: Batch) -> tuple[Need, ...]:
        overhead = overhead_of(self.card, layout, batch, self.adapters)
        in_flight = batch.tokens * (layout.pipeline + ASYNC_BATCHES)
        sizes = (element_bytes(self.card, self.kv_dtype), in_flight)
        different = dict.fromkeys(stages(self.card.layers, layout.pipeline))
        return tuple(
            Need(
                stage,
                stage_bytes(self.card, self.parts, layout, stage),
                overhead,
                cache_of(self.card, layout.tensor, (stage.layers, stage.of), sizes),
            )
            for stage in different
        )
