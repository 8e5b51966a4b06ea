"""Which shape: every candidate is planned, what fits is ranked by price and headroom; who loses learns why."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from pulumi_plinth.fit.concurrency import fit_many, in_flight, wish_on
from pulumi_plinth.fit.disk import SOURCE_BYTES_PER_SECOND, node_needs
from pulumi_plinth.fit.parallel import Nodes
from pulumi_plinth.fit.plan import Fitted, Refused, Wish
from pulumi_plinth.fit.price import ONCE, Terms, capacity_misfit, hourly
from pulumi_plinth.fit.shapes import STATED, Shape
from pulumi_plinth.fit.sizing import Sizer
from pulumi_plinth.quantities import GIB


@dataclass(frozen=True, slots=True)
class Limits:
    """What narrows the choice.

    Dollars an hour at the most replicas, nodes of a shape, names of allowed shapes (empty: all), requests of full
    length that one replica serves at once, sequences the engine computes at once (None: its own default), and terms.
    """

    usd_per_hour: float | None = None
    nodes: int | None = None
    allowed: frozenset[str] = frozenset()
    requests: int | None = None
    sequences: int | None = None
    terms: Terms = ONCE


ANY = Limits()


@dataclass(frozen=True, slots=True)
class Option:
    """One shape, what was planned on it, its price an hour at the most replicas, and why it stands where it does.

    `rule` names what speaks against it; it is empty when the shape can be taken.
    """

    shape: Shape
    outcome: Fitted | Refused
    usd_per_hour: float | None
    reason: str
    rule: str = ""
    startup_seconds: int = 0

    @property
    def fits(self) -> bool:
        """Whether it can be taken."""
        return not self.rule


def rank(sizer: Sizer, shapes: Iterable[Shape], wish: Wish, limits: Limits = ANY) -> tuple[Option, ...]:
    """Rank what fits: copies inside a node or over RDMA first, then by price (unknown last), headroom, start, name."""
    options = [weigh(sizer, shape, wish, limits) for shape in shapes if _allowed(shape, limits)]
    options.sort(key=_order)
    if not options or not options[0].fits:
        return tuple(options)
    return (options[0], *(_compared(option, options[0]) for option in options[1:]))


def weigh(sizer: Sizer, shape: Shape, wish: Wish, limits: Limits = ANY) -> Option:
    """Plan one shape and say whether it can be taken."""
    nodes = Nodes(shape, limits.nodes)
    outcome = fit_many(sizer, nodes, wish_on(shape, wish, limits.sequences), limits.requests)
    if isinstance(outcome, Refused):
        return Option(shape, outcome, None, str(outcome.misfits[0]), outcome.misfits[0].rule)
    bounds = hourly(shape, outcome.nodes, limits.terms)
    price = bounds[1] if bounds else None
    start = startup_seconds(sizer.card.weight_bytes, shape)
    found = next(_objections(sizer, Taken(shape, outcome, price), limits), None)
    if found is not None:
        return Option(shape, outcome, price, found[1], found[0], start)
    reason = "cheapest of what fits" if price is not None else "fits, no price is established"
    return Option(shape, outcome, price, reason, startup_seconds=start)


def source_rate(shape: Shape) -> float:
    """Bytes a second at which weights arrive: what one reader was seen to reach, or the shape's network if slower."""
    return min(SOURCE_BYTES_PER_SECOND, shape.network_gbps * 1e9 / 8 if shape.network_gbps else SOURCE_BYTES_PER_SECOND)


def startup_seconds(weight_bytes: int, shape: Shape) -> int:
    """Seconds that a start on this shape is given."""
    return node_needs(weight_bytes, 1, source_rate(shape)).startup_seconds


def _allowed(shape: Shape, limits: Limits) -> bool:
    return not limits.allowed or shape.name in limits.allowed


@dataclass(frozen=True, slots=True)
class Taken:
    """A shape whose GPUs have room, as it would be taken."""

    shape: Shape
    fitted: Fitted
    price: float | None


def _objections(sizer: Sizer, taken: Taken, limits: Limits) -> Iterator[tuple[str, str]]:
    """Yield what speaks against a shape whose GPUs have room: the rule's name and a sentence."""
    shape, fitted, price, budget = taken.shape, taken.fitted, taken.price, limits.usd_per_hour
    if said := capacity_misfit(shape, limits.terms.capacity):
        yield "capacity", said
    host = node_needs(sizer.card.weight_bytes, min(fitted.layout.gpus, shape.gpus)).memory_bytes
    if shape.ram_gb is not None and host > shape.ram_gb * 1e9:
        yield "host-memory", f"{host / GIB:.1f} GiB of host memory are needed on a node, it has {shape.ram_gb:g} GB"
    if limits.requests and (served := in_flight(fitted)) < limits.requests:
        length = f"{fitted.max_model_len:,} tokens"
        yield "concurrency", f"serves {served} requests of {length} at once in a replica, {limits.requests} are wanted"
    if budget is not None and price is not None and price > budget:
        yield "budget", f"over the budget: ${price:.2f} an hour of ${budget:.2f}"
    if budget is not None and price is None and shape.provider not in STATED:
        yield "budget", f"no price is established, so nobody knows whether ${budget:.2f} an hour is enough"


def _slow(option: Option) -> bool:
    """Whether a copy is spread over nodes that are not known to have RDMA."""
    outcome, shape = option.outcome, option.shape
    return isinstance(outcome, Fitted) and outcome.layout.gpus_per_copy > shape.gpus and shape.rdma is not True


def _order(option: Option) -> tuple[bool, bool, bool, float, float, int, str]:
    headroom = option.outcome.headroom if isinstance(option.outcome, Fitted) else 0.0
    price = option.usd_per_hour
    unknown = price is None
    return not option.fits, _slow(option), unknown, price or 0.0, -headroom, option.startup_seconds, option.shape.name


def _compared(option: Option, first: Option) -> Option:
    if not option.fits or option.usd_per_hour is None or first.usd_per_hour is None:
        return option
    more = option.usd_per_hour - first.usd_per_hour
    dearer = f"${abs(more):.2f} an hour {'more' if more > 0 else 'less'} than {first.shape.name}"
    text = dearer if more else f"costs what {first.shape.name} costs"
    if _slow(option) and isinstance(option.outcome, Fitted):
        text += f", a copy spread over {option.outcome.nodes} nodes without established RDMA"
    return replace(option, reason=text)
