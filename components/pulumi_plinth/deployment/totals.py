"""What all deployments of a stack need and cost together. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pulumi_plinth.deployment.outline import Outline
from pulumi_plinth.fit.price import Price

Bounds = tuple[float, float]
"""At the fewest and at the most replicas."""


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over the deployments on nodes that are bought; US dollars.

    `per_hour` and `per_month` are those of the nodes. `unpriced` are the deployments without an established price,
    whose nodes are counted and whose dollars are not.
    """

    gpus: tuple[int, int]
    nodes: Mapping[str, tuple[int, int]]
    per_hour: Bounds
    per_month: Bounds
    storage_per_month: Bounds
    unpriced: tuple[str, ...]

    def kept(self) -> dict[str, Any]:
        """Return what a later deployment is compared with: nodes and dollars, as plain values."""
        nodes = {shape: list(count) for shape, count in self.nodes.items()}
        return {"nodes": nodes, "perMonth": list(self.per_month)}


def change(kept: Mapping[str, Any], after: Totals) -> tuple[str, ...]:
    """Say what is added (+) and taken away (-) since totals were kept, at the fewest replicas; empty when nothing is.

    Totals kept by another release count as far as they are understood.
    """
    before = kept.get("nodes") or {}
    now = after.nodes
    counts = {shape: now.get(shape, (0, 0))[0] - int(_least(before.get(shape))) for shape in {*before, *now}}
    dollars = after.per_month[0] - _least(kept.get("perMonth"))
    nodes = tuple(f"{count:+d} x {shape}" for shape, count in sorted(counts.items()) if count)
    priced = (f"{'-' if dollars < 0 else '+'}${abs(dollars):,.2f} a month",) if round(dollars, 2) else ()
    return (*nodes, *priced)


def _least(pair: Any) -> float:
    """Return the first of two bounds; nothing was kept: nothing was there."""
    return float(pair[0]) if isinstance(pair, list | tuple) and pair else 0.0


@dataclass(frozen=True, slots=True)
class Nodes:
    """Nodes that are paid for: `count` of `gpus` GPUs each, at the fewest and at the most."""

    name: str
    shape: str
    gpus: tuple[int, int]
    count: tuple[int, int]
    price: Price | None


def totals(outlines: Iterable[Outline], pools: Iterable[Nodes] = ()) -> Totals:
    """Add up: pools as a whole, and the nodes of deployments that are on none."""
    outlines = [outline for outline in outlines if outline.gpus and outline.pool is None]
    bought = [*map(_nodes, outlines), *(pools := list(pools))]
    prices = [item.price for item in bought if item.price]
    nodes: dict[str, tuple[int, int]] = {}
    buckets: set[str] = set()
    for item in bought:
        least, most = nodes.get(item.shape, (0, 0))
        nodes[item.shape] = (least + item.count[0], most + item.count[1])
    volumes = [item.price.storage_per_month for item in pools if item.price and item.price.storage_per_month]
    return Totals(
        gpus=(sum(item.gpus[0] for item in bought), sum(item.gpus[1] for item in bought)),
        nodes=dict(sorted(nodes.items())),
        per_hour=_sum(price.per_hour for price in prices),
        per_month=_sum(price.per_month for price in prices),
        storage_per_month=_sum([*(_storage(outline, buckets) for outline in outlines), *volumes]),
        unpriced=tuple(item.name for item in bought if item.price is None),
    )


def _nodes(outline: Outline) -> Nodes:
    replicas = outline.replicas
    gpus = (outline.gpus * replicas.least, outline.gpus * replicas.most)
    count = (outline.nodes * replicas.least, outline.nodes * replicas.most)
    return Nodes(outline.name, outline.place, gpus, count, outline.price)


def _storage(outline: Outline, buckets: set[str]) -> Bounds:
    """Return what a deployment's storage costs; a model's bucket is paid once, so later ones leave it out."""
    if outline.price is None or outline.price.storage_per_month is None:
        return 0.0, 0.0
    paid = (outline.price.bucket_per_month or 0.0) if outline.model in buckets else 0.0
    buckets.add(outline.model)
    least, most = outline.price.storage_per_month
    return least - paid, most - paid


def _sum(bounds: Iterable[Bounds]) -> Bounds:
    pairs = list(bounds)
    return round(sum(pair[0] for pair in pairs), 2), round(sum(pair[1] for pair in pairs), 2)
