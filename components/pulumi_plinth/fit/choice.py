"""Which shape: every candidate is planned, what fits is ranked by price and headroom; who loses learns why."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from pulumi_plinth.fit.parallel import Nodes
from pulumi_plinth.fit.plan import Fitted, Refused, Wish, fit
from pulumi_plinth.fit.shapes import Shape
from pulumi_plinth.fit.sizing import Sizer


@dataclass(frozen=True, slots=True)
class Limits:
    """What narrows the choice: dollars an hour, nodes of a shape, names of allowed shapes (empty: all)."""

    usd_per_hour: float | None = None
    nodes: int | None = None
    allowed: frozenset[str] = frozenset()


ANY = Limits()


@dataclass(frozen=True, slots=True)
class Option:
    """One shape, what was planned on it, its price an hour for one replica, and why it stands where it does."""

    shape: Shape
    outcome: Fitted | Refused
    usd_per_hour: float | None
    reason: str
    affordable: bool = True

    @property
    def fits(self) -> bool:
        """Whether it can be taken."""
        return isinstance(self.outcome, Fitted) and self.affordable


def rank(sizer: Sizer, shapes: Iterable[Shape], wish: Wish, limits: Limits = ANY) -> tuple[Option, ...]:
    """Rank what fits: copies inside a node or over RDMA first, then by price (unknown last), nodes, headroom, name."""
    options = [_option(sizer, shape, wish, limits) for shape in shapes if _allowed(shape, limits)]
    options.sort(key=_order)
    if not options or not options[0].fits:
        return tuple(options)
    return (options[0], *(_compared(option, options[0]) for option in options[1:]))


def _allowed(shape: Shape, limits: Limits) -> bool:
    return not limits.allowed or shape.name in limits.allowed


def _option(sizer: Sizer, shape: Shape, wish: Wish, limits: Limits) -> Option:
    outcome = fit(sizer, Nodes(shape, limits.nodes), wish)
    if isinstance(outcome, Refused):
        return Option(shape, outcome, None, str(outcome.misfits[0]))
    node = shape.usd_per_node_hour
    price = None if node is None else node * outcome.nodes
    if price is not None and limits.usd_per_hour is not None and price > limits.usd_per_hour:
        text = f"over the budget: ${price:.2f} an hour of ${limits.usd_per_hour:.2f}"
        return Option(shape, outcome, price, text, affordable=False)
    return Option(
        shape, outcome, price, "cheapest of what fits" if price is not None else "fits, no price is established"
    )


def _slow(option: Option) -> bool:
    """Whether a copy is spread over nodes that are not known to have RDMA."""
    outcome, shape = option.outcome, option.shape
    return isinstance(outcome, Fitted) and outcome.layout.gpus_per_copy > shape.gpus and shape.rdma is not True


def _order(option: Option) -> tuple[bool, bool, bool, float, int, float, str]:
    nodes = option.outcome.nodes if isinstance(option.outcome, Fitted) else 0
    headroom = option.outcome.headroom if isinstance(option.outcome, Fitted) else 0.0
    price = option.usd_per_hour
    return not option.fits, _slow(option), price is None, price or 0.0, nodes, -headroom, option.shape.name


def _compared(option: Option, first: Option) -> Option:
    if not option.fits or option.usd_per_hour is None or first.usd_per_hour is None:
        return option
    more = option.usd_per_hour - first.usd_per_hour
    dearer = f"${abs(more):.2f} an hour {'more' if more > 0 else 'less'} than {first.shape.name}"
    text = dearer if more else f"costs what {first.shape.name} costs"
    if _slow(option) and isinstance(option.outcome, Fitted):
        text += f", a copy spread over {option.outcome.nodes} nodes without established RDMA"
    return replace(option, reason=text)
