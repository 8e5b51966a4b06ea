"""A model, nodes and a wish -> the layout that is taken, or a refusal with needed and available GiB.

The rules, in order: what is asked for explicitly is taken and checked; else the smallest tensor-parallel size inside a
node that serves the wanted context, with as many copies as there is room for; else pipeline stages, over nodes if need
be. Without a wanted context the model's own is wanted, and the longest that fits is taken when that does not fit.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pulumi_plinth.fit.layout import Batch, Layout, Misfit, default_batch
from pulumi_plinth.fit.parallel import (
    NOTHING_ASKED,
    Asked,
    Nodes,
    expert_size,
    legal_tensor_sizes,
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


def fit(sizer: Sizer, nodes: Nodes, wish: Wish) -> Fitted | Refused:
    """Decide."""
    limit = sizer.card.max_context
    if wish.context and limit and wish.context > limit:
        problem = f"{wish.context:,} tokens are longer than the {limit:,} the model was made for"
        return Refused((Misfit("context", problem, f"write at most {limit}"),), 0.0, 0.0)
    if wish.asked.anything:
        return _checked(sizer, nodes, wish)
    return _chosen(sizer, nodes, wish)


def wanted_context(sizer: Sizer, wish: Wish) -> int:
    """Tokens that are aimed at."""
    return wish.context or sizer.card.max_context or UNBOUNDED_CONTEXT


def least_context(sizer: Sizer, wish: Wish) -> int:
    """Tokens below which nothing is accepted."""
    return wish.context or min(SMALLEST_CONTEXT, sizer.card.max_context or SMALLEST_CONTEXT)


def budget_of(nodes: Nodes, wish: Wish) -> int:
    """Bytes of one GPU that the engine may take."""
    return int(nodes.shape.usable_bytes * wish.utilization)


def _checked(sizer: Sizer, nodes: Nodes, wish: Wish) -> Fitted | Refused:
    layout = _as_asked(sizer, nodes, wish.asked)
    broken = tuple(misfits(sizer.card, layout, nodes))
    budget, least = budget_of(nodes, wish), least_context(sizer, wish)
    if broken:
        return Refused(broken, 0.0, budget / GIB)
    batch = _batch_for(sizer, nodes, wish, layout)
    return _fitted(sizer, nodes, wish, layout) if batch else _too_small(sizer, nodes, wish, [layout], least)


def _as_asked(sizer: Sizer, nodes: Nodes, asked: Asked) -> Layout:
    tensor, pipeline = asked.tensor or 1, asked.pipeline or 1
    filled = spread(sizer.card, nodes, tensor, pipeline)
    data = asked.data or filled.data
    expert = asked.expert if asked.expert is not None else filled.expert
    return Layout(tensor, pipeline, data, expert)


def _chosen(sizer: Sizer, nodes: Nodes, wish: Wish) -> Fitted | Refused:
    gpus = nodes.shape.gpus
    sizes = legal_tensor_sizes(sizer.card, gpus, mig=nodes.mig)
    inside = [Layout(tensor, expert=expert_size(sizer.card, tensor)) for tensor in sizes]
    wanted, least = wanted_context(sizer, wish), least_context(sizer, wish)
    for layout in inside:
        if _fits(sizer, nodes, wish, (layout, wanted)):
            return _filled(sizer, nodes, wish, layout)
    if wanted > least and (best := _roomiest(sizer, nodes, wish, inside)):
        return _filled(sizer, nodes, wish, best)
    tried = list(inside)
    for layout in _staged(sizer, nodes, sizes[-1]):
        tried.append(layout)
        if _fits(sizer, nodes, wish, (layout, least)):
            return _filled(sizer, nodes, wish, layout)
    return _too_small(sizer, nodes, wish, tried, least)


def _staged(sizer: Sizer, nodes: Nodes, tensor: int) -> Iterator[Layout]:
    """Yield pipelines of growing depth, the largest tensor group a stage."""
    if nodes.mig:
        return
    per_node = max(nodes.shape.gpus // tensor, 1)
    for pipeline in range(2, min(per_node * nodes.most, max(sizer.card.layers, 1)) + 1):
        yield Layout(tensor, pipeline, expert=expert_size(sizer.card, tensor))


def _roomiest(sizer: Sizer, nodes: Nodes, wish: Wish, layouts: list[Layout]) -> Layout | None:
    """Return the layout with the longest context among those that serve the least one; the smaller one on a tie."""
    budget, least = budget_of(nodes, wish), least_context(sizer, wish)
    found: tuple[int, Layout] | None = None
    for layout in layouts:
        batch = _batch_for(sizer, nodes, wish, layout)
        longest = sizer.longest(layout, batch, budget) if batch else 0
        if longest >= least and (found is None or longest > found[0]):
            found = (longest, layout)
    return found[1] if found else None


def _batches(nodes: Nodes, wish: Wish) -> tuple[Batch, ...]:
    """List batch limits as they are tried: the asked ones only, else the engine's defaults, then the small ones."""
    if wish.batch:
        return (wish.batch,)
    usual = default_batch(nodes.shape.usable_bytes, nodes.shape.gpu)
    return (usual,) if usual == SMALL_BATCH else (usual, SMALL_BATCH)


def _batch_for(sizer: Sizer, nodes: Nodes, wish: Wish, layout: Layout) -> Batch | None:
    """Return the first batch limits that leave room for the wanted context, else for the least one."""
    budget = budget_of(nodes, wish)
    for context in dict.fromkeys((wanted_context(sizer, wish), least_context(sizer, wish))):
        for batch in _batches(nodes, wish):
            if sizer.required(layout, batch, context) <= budget:
                return batch
    return None


def _fits(sizer: Sizer, nodes: Nodes, wish: Wish, case: tuple[Layout, int]) -> bool:
    budget = budget_of(nodes, wish)
    return any(sizer.required(case[0], batch, case[1]) <= budget for batch in _batches(nodes, wish))


def _filled(sizer: Sizer, nodes: Nodes, wish: Wish, layout: Layout) -> Fitted:
    return _fitted(sizer, nodes, wish, spread(sizer.card, nodes, layout.tensor, layout.pipeline))


def _fitted(sizer: Sizer, nodes: Nodes, wish: Wish, layout: Layout) -> Fitted:
    budget = budget_of(nodes, wish)
    batch = _batch_for(sizer, nodes, wish, layout) or SMALL_BATCH
    length = wish.context or sizer.longest(layout, batch, budget)
    need = sizer.worst(layout, batch, length)
    room = budget - need.fixed
    tokens = min(other.cache.tokens(budget - other.fixed, length) for other in sizer.needs(layout, batch))
    used = max(nodes_needed(layout, nodes.shape.gpus), 1)
    return Fitted(layout, used, batch, budget, need, room, length, tokens)


def _too_small(sizer: Sizer, nodes: Nodes, wish: Wish, tried: list[Layout], least: int) -> Refused:
    budget = budget_of(nodes, wish)
    smallest = _batches(nodes, wish)[-1]
    best = min(tried, key=lambda layout: sizer.required(layout, smallest, least))
    needed = sizer.required(best, smallest, least)
    shape = nodes.shape
    problem = (
        f"{needed / GIB:.2f} GiB are needed on each GPU for {least:,} tokens with {best}, {budget / GIB:.2f} GiB are "
        f"available ({wish.utilization:.2f} of {shape.usable_bytes / GIB:.2f} GiB)"
    )
    remedy = "take GPUs with more memory, more of them, a shorter context or a quantised model"
    return Refused((Misfit("memory", problem, remedy),), needed / GIB, budget / GIB)
