"""A model, nodes and a wish -> the layout that is taken, or a refusal with needed and available GiB.

The rules, in order: what is asked for explicitly is taken and checked; else the smallest tensor-parallel size inside a
node that serves the wanted context, with as many copies as there is room for; else pipeline stages, over nodes if need
be. Without a wanted context the model's own is wanted, and the longest that fits is taken when that does not fit.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pulumi_plinth.fit.capability import capability_misfits
from pulumi_plinth.fit.layout import WHOLE_PROMPTS, Batch, Layout, Misfit, default_batch
from pulumi_plinth.fit.parallel import (
    NOTHING_ASKED,
    Asked,
    Nodes,
    expert_size,
    misfits,
    nodes_needed,
    spread,
)
from pulumi_plinth.fit.sizing import SMALL_BATCH, UNBOUNDED_CONTEXT, Need, Sizer
from pulumi_plinth.quantities import GIB

UTILIZATION = 0.90
"""Share of a GPU the engine may take (--gpu-memory-utilization): below vLLM's 0.92, room for what comes late."""

SMALLEST_CONTEXT = 2048
"""A deployment that cannot serve so many tokens is refused; also what KAITO plans for when nobody says."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What is wanted of the deployment. None and empty are left to the planner."""

    context: int | None = None
    asked: Asked = NOTHING_ASKED
    batch: Batch | None = None
    utilization: float = UTILIZATION


@dataclass(frozen=True, slots=True)
class Fitted:
    """A layout that works: `budget` bytes a GPU, `cache_bytes` of them for the cache, `kv_tokens` in each copy."""

    layout: Layout
    nodes: int
    batch: Batch
    budget: int
    need: Need
    cache_bytes: int
    max_model_len: int
    kv_tokens: int

    @property
    def sequences(self) -> float:
        """Requests of full length that one copy serves at once."""
        return self.kv_tokens / self.max_model_len if self.max_model_len else 0.0

    @property
    def headroom(self) -> float:
        """Share of the budget that is cache: room for more requests."""
        return self.cache_bytes / self.budget if self.budget else 0.0


@dataclass(frozen=True, slots=True)
class Refused:
    """Nothing works. Needed and available are GiB on one GPU, of the roomiest layout that was tried."""

    misfits: tuple[Misfit, ...]
    needed_gib: float
    available_gib: float


@dataclass(frozen=True, slots=True)
class Case:
    """One question with what follows from it: bytes a GPU offers, batch limits in the order they are tried, tokens
    aimed at, and tokens below which nothing is accepted.
    """

    sizer: Sizer
    nodes: Nodes
    wish: Wish
    budget: int
    batches: tuple[Batch, ...]
    wanted: int
    least: int


def fit(sizer: Sizer, nodes: Nodes, wish: Wish) -> Fitted | Refused:
    """Decide. Answers are remembered: many shapes have the same GPUs."""
    shape = nodes.shape
    key = (shape.gpus, shape.usable_bytes, shape.capability, "a100" in shape.gpu.lower(), nodes.count, nodes.mig, wish)
    if wish.asked.anything:
        return _decided(sizer, nodes, wish)
    found = sizer.answers.get(key)
    if found is None:
        found = sizer.answers[key] = _decided(sizer, nodes, wish)
    return found


def _decided(sizer: Sizer, nodes: Nodes, wish: Wish) -> Fitted | Refused:
    limit = sizer.card.max_context
    if wish.context and limit and wish.context > limit:
        problem = f"{wish.context:,} tokens are longer than the {limit:,} the model was made for"
        return Refused((Misfit("context", problem, f"write at most {limit}"),), 0.0, 0.0)
    if unfit := tuple(capability_misfits(sizer.card, nodes.shape.capability, sizer.kv_dtype)):
        return Refused(unfit, 0.0, 0.0)
    case = Case(
        sizer,
        nodes,
        wish,
        budget=int(nodes.shape.usable_bytes * wish.utilization),
        batches=_batches(sizer, nodes, wish),
        wanted=wanted_context(sizer, wish),
        least=wish.context or min(SMALLEST_CONTEXT, limit or SMALLEST_CONTEXT),
    )
    return _checked(case) if wish.asked.anything else _chosen(case)


def wanted_context(sizer: Sizer, wish: Wish) -> int:
    """Tokens that are aimed at."""
    return wish.context or sizer.card.max_context or UNBOUNDED_CONTEXT


def _batches(sizer: Sizer, nodes: Nodes, wish: Wish) -> tuple[Batch, ...]:
    """List batch limits as they are tried: the asked ones only, else the engine's defaults, then the small ones.

    Where prompts are not cut, a step holds the longest.
    """
    if wish.batch:
        return (wish.batch,)
    usual = default_batch(nodes.shape.usable_bytes, nodes.shape.gpu)
    least = wanted_context(sizer, wish) if sizer.card.model_type in WHOLE_PROMPTS else 0
    limits = (Batch(max(batch.tokens, least), batch.sequences) for batch in (usual, SMALL_BATCH))
    return tuple(dict.fromkeys(limits))


def _checked(case: Case) -> Fitted | Refused:
    layout = _as_asked(case)
    broken = tuple(misfits(case.sizer.card, layout, case.nodes))
    if broken:
        return Refused(broken, 0.0, case.budget / GIB)
    return _fitted(case, layout) if _batch_for(case, layout) else _too_small(case, [layout])


def _as_asked(case: Case) -> Layout:
    asked = case.wish.asked
    tensor, pipeline = asked.tensor or 1, asked.pipeline or 1
    filled = spread(case.sizer.card, case.nodes, tensor, pipeline)
    expert = asked.expert if asked.expert is not None else filled.expert
    return Layout(tensor, pipeline, asked.data or filled.data, expert)


def _chosen(case: Case) -> Fitted | Refused:
    sizes = case.sizer.legal(case.nodes.shape.gpus, mig=case.nodes.mig)
    card = case.sizer.card
    tried = [Layout(tensor, expert=expert_size(card, tensor)) for tensor in sizes]
    for layout in tried:
        if _fits(case, layout, case.wanted):
            return _filled(case, layout)
    if case.wanted > case.least and (best := _roomiest(case, tried)):
        return _filled(case, best)
    for layout in _staged(case, sizes[-1]):
        tried.append(layout)
        if _fits(case, layout, case.least):
            return _filled(case, layout)
    return _too_small(case, tried)


def _staged(case: Case, tensor: int) -> Iterator[Layout]:
    """Yield pipelines of growing depth, the largest tensor group a stage."""
    if case.nodes.mig:
        return
    card, per_node = case.sizer.card, max(case.nodes.shape.gpus // tensor, 1)
    for pipeline in range(2, min(per_node * case.nodes.most, max(card.layers, 1)) + 1):
        yield Layout(tensor, pipeline, expert=expert_size(card, tensor))


def _roomiest(case: Case, layouts: list[Layout]) -> Layout | None:
    """Return the layout with the longest context among those that serve the least one; the smaller one on a tie."""
    found: tuple[int, Layout] | None = None
    for layout in layouts:
        batch = _batch_for(case, layout)
        longest = case.sizer.longest(layout, batch, case.budget) if batch else 0
        if longest >= case.least and (found is None or longest > found[0]):
            found = (longest, layout)
    return found[1] if found else None


def _batch_for(case: Case, layout: Layout) -> Batch | None:
    """Return the first batch limits that leave room for the wanted context, else for the least one."""
    contexts = (case.wanted,) if case.wanted == case.least else (case.wanted, case.least)
    for context in contexts:
        for batch in case.batches:
            if case.sizer.required(layout, batch, context) <= case.budget:
                return batch
    return None


def _fits(case: Case, layout: Layout, context: int) -> bool:
    """Tell whether the smallest batch limits leave room; larger ones need more."""
    return case.sizer.required(layout, case.batches[-1], context) <= case.budget


def _filled(case: Case, layout: Layout) -> Fitted:
    return _fitted(case, spread(case.sizer.card, case.nodes, layout.tensor, layout.pipeline))


def _fitted(case: Case, layout: Layout) -> Fitted:
    sizer, budget = case.sizer, case.budget
    batch = _batch_for(case, layout) or case.batches[-1]
    if case.wish.context or sizer.required(layout, batch, case.wanted) <= budget:
        length = case.wanted
    else:
        length = sizer.longest(layout, batch, budget)
    need = sizer.worst(layout, batch, length)
    tokens = min(other.cache.tokens(budget - other.fixed, length) for other in sizer.needs(layout, batch))
    used = max(nodes_needed(layout, case.nodes.shape.gpus), 1)
    return Fitted(layout, used, batch, budget, need, budget - need.fixed, length, tokens)


def _too_small(case: Case, tried: list[Layout]) -> Refused:
    sizer, shape, smallest = case.sizer, case.nodes.shape, case.batches[-1]
    best = min(tried, key=lambda layout: sizer.required(layout, smallest, case.least))
    needed = sizer.required(best, smallest, case.least) / GIB
    available = case.budget / GIB
    problem = (
        f"{needed:.2f} GiB are needed on each GPU for {case.least:,} tokens with {best}, {available:.2f} GiB are "
        f"available ({case.wish.utilization:.2f} of {shape.usable_bytes / GIB:.2f} GiB)"
    )
    remedy = "take GPUs with more memory, more of them, a shorter context or a quantised model"
    return Refused((Misfit("memory", problem, remedy),), needed, available)
