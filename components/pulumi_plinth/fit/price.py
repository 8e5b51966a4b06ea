"""What a deployment costs: list prices of nodes times nodes. A price nobody established is None, never a guess."""

from __future__ import annotations

from dataclasses import dataclass

from pulumi_plinth.fit.shapes import Shape

HOURS_PER_MONTH = 730
"""Hours of a mean month, as price lists count."""

PREEMPTIBLE_SHARE = 0.50
UNUSED_RESERVED_SHARE = 0.85
"""Oracle's price page: preemptible instances cost half; reserved capacity that is not used costs 85 %."""

TOKENS_PER_MILLION = 1e6
SECONDS_PER_HOUR = 3600


@dataclass(frozen=True, slots=True)
class Range:
    """Fewest and most replicas of a deployment."""

    least: int = 1
    most: int = 1


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars. `per_hour` and `per_month` are at the fewest and at the most replicas."""

    per_hour: tuple[float, float]
    per_month: tuple[float, float]
    preemptible_per_hour: tuple[float, float] | None
    reserved_unused_per_hour: tuple[float, float] | None
    per_million_tokens: float | None
    source: str
    date: str


ONE = Range()


def price_of(shape: Shape, nodes: int, replicas: Range = ONE, tokens_per_second: float | None = None) -> Price | None:
    """Price replicas of `nodes` nodes each. `tokens_per_second` is what one replica was measured to generate."""
    hourly = shape.usd_per_node_hour
    if hourly is None:
        return None
    each = hourly * nodes
    bounds = (each * replicas.least, each * replicas.most)
    tokens = tokens_per_second * SECONDS_PER_HOUR / TOKENS_PER_MILLION if tokens_per_second else None
    return Price(
        per_hour=_rounded(bounds),
        per_month=_rounded(bounds, HOURS_PER_MONTH),
        preemptible_per_hour=_rounded(bounds, PREEMPTIBLE_SHARE) if "preemptible" in shape.oke_modes else None,
        reserved_unused_per_hour=_rounded(bounds, UNUSED_RESERVED_SHARE) if shape.provider == "oci" else None,
        per_million_tokens=round(each / tokens, 4) if tokens else None,
        source=shape.price_source,
        date=shape.price_date,
    )


def _rounded(bounds: tuple[float, float], factor: float = 1.0) -> tuple[float, float]:
    return round(bounds[0] * factor, 2), round(bounds[1] * factor, 2)
