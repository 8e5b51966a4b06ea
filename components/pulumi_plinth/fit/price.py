"""What a deployment costs: list prices of nodes times nodes. A price nobody established is None, never a guess."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pulumi_plinth.fit.shapes import STATED, Shape
from pulumi_plinth.fit.storage import StorageCost

HOURS_PER_MONTH = 730
"""Hours of a mean month, as price lists count."""

PREEMPTIBLE_SHARE = 0.50
UNUSED_RESERVED_SHARE = 0.85
"""Oracle's price page: preemptible instances cost half; reserved capacity that is not used costs 85 %."""

TOKENS_PER_MILLION = 1e6
SECONDS_PER_HOUR = 3600

Capacity = Literal["on-demand", "preemptible", "reserved"]


@dataclass(frozen=True, slots=True)
class Range:
    """Fewest and most replicas of a deployment."""

    least: int = 1
    most: int = 1


ONE = Range()


@dataclass(frozen=True, slots=True)
class Terms:
    """How it is run: replicas, the kind of capacity, and the tokens a second of one replica with who measured them."""

    replicas: Range = ONE
    capacity: Capacity = "on-demand"
    tokens_per_second: float | None = None
    tokens_source: str = "the stated throughput"


ONCE = Terms()


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars. `per_hour` and `per_month` are those of the nodes at the fewest and at the most replicas.

    `storage_per_month` holds boot volumes and the weights' bucket, `bucket_per_month` the latter alone.
    """

    per_hour: tuple[float, float]
    per_month: tuple[float, float]
    capacity: Capacity
    preemptible_per_hour: tuple[float, float] | None
    reserved_unused_per_hour: tuple[float, float] | None
    storage_per_month: tuple[float, float] | None
    bucket_per_month: float | None
    per_million_tokens: float | None
    source: str
    date: str


def hourly(shape: Shape, nodes: int, terms: Terms = ONCE) -> tuple[float, float] | None:
    """Price replicas of `nodes` nodes each, by the hour. Capacity that is reserved is kept for the most replicas."""
    node = shape.usd_per_node_hour
    if node is None or capacity_misfit(shape, terms.capacity):
        return None
    each, least, most = node * nodes, terms.replicas.least, terms.replicas.most
    if terms.capacity == "on-demand" or shape.provider in STATED:
        return each * least, each * most
    if terms.capacity == "preemptible":
        return each * least * PREEMPTIBLE_SHARE, each * most * PREEMPTIBLE_SHARE
    return each * (least + UNUSED_RESERVED_SHARE * (most - least)), each * most


def capacity_misfit(shape: Shape, capacity: Capacity) -> str | None:
    """Say why a shape cannot be had or priced that way; None when it can. A stated price holds for any capacity."""
    if capacity == "on-demand" or shape.provider in STATED:
        return None
    if shape.provider != "oci":
        return f"what {capacity} capacity of {shape.provider} costs is not established"
    if capacity == "preemptible" and "preemptible" not in shape.oke_modes:
        return "preemptible capacity is not offered for this shape"
    return None


def price_of(shape: Shape, nodes: int, terms: Terms = ONCE, storage: StorageCost | None = None) -> Price | None:
    """Price a deployment whose replicas take `nodes` nodes each; None when no list price is established."""
    bounds, node = hourly(shape, nodes, terms), shape.usd_per_node_hour
    if bounds is None or node is None:
        return None
    least, most = terms.replicas.least, terms.replicas.most
    listed = (node * nodes * least, node * nodes * most)
    tokens = terms.tokens_per_second
    million = tokens * SECONDS_PER_HOUR / TOKENS_PER_MILLION if tokens else None
    return Price(
        per_hour=_rounded(bounds),
        per_month=_rounded(bounds, HOURS_PER_MONTH),
        capacity=terms.capacity,
        preemptible_per_hour=_rounded(listed, PREEMPTIBLE_SHARE) if "preemptible" in shape.oke_modes else None,
        reserved_unused_per_hour=_rounded(listed, UNUSED_RESERVED_SHARE) if shape.provider == "oci" else None,
        storage_per_month=_stored(storage, terms.replicas) if storage else None,
        bucket_per_month=round(storage.bucket, 2) if storage else None,
        per_million_tokens=round(bounds[1] / most / million, 4) if million else None,
        source=shape.price_source,
        date=shape.price_date,
    )


def _stored(storage: StorageCost, replicas: Range) -> tuple[float, float]:
    bounds = (storage.volumes * replicas.least, storage.volumes * replicas.most)
    return round(bounds[0] + storage.bucket, 2), round(bounds[1] + storage.bucket, 2)


def _rounded(bounds: tuple[float, float], factor: float = 1.0) -> tuple[float, float]:
    return round(bounds[0] * factor, 2), round(bounds[1] * factor, 2)
