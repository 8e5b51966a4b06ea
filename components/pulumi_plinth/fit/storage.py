"""What disks and buckets cost: unit prices of `storage.csv`, and the sum for one replica's nodes. None is not known."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files

from pulumi_plinth.fit.disk import node_needs
from pulumi_plinth.fit.layout import Reason
from pulumi_plinth.fit.shapes import Shape
from pulumi_plinth.quantities import GIB

BLOCK, PERFORMANCE, BUCKET = "block-volume", "block-performance", "object-storage"


@dataclass(frozen=True, slots=True)
class UnitPrice:
    """US dollars a GiB and month; a provider's gigabyte of a volume or bucket is counted as a GiB."""

    name: str
    provider: str
    usd_per_gib_month: float
    source: str
    date: str


UnitPrices = Mapping[tuple[str, str], UnitPrice]
"""By provider and name."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What is stored: bytes of the weights, and whether they lie in a bucket of the provider."""

    weight_bytes: int
    in_bucket: bool = False


@dataclass(frozen=True, slots=True)
class StorageCost:
    """US dollars a month: boot volumes of the nodes of one replica, and the bucket however many replicas read it."""

    volumes: float
    bucket: float
    reason: Reason


def load_unit_prices() -> UnitPrices:
    """Read the table."""
    with (files("pulumi_plinth.fit") / "storage.csv").open(encoding="utf-8") as stream:
        rows = [
            UnitPrice(row["name"], row["provider"], float(row["usd_per_gib_month"]), row["source"], row["date"])
            for row in csv.DictReader(stream)
        ]
    return {(row.provider, row.name): row for row in rows}


def volume_gib(shape: Shape, weight_bytes: int) -> tuple[int, str]:
    """Size the boot volume of a node; weights go to local disks where the shape is known to have room."""
    if shape.nvme_gb is not None and shape.nvme_gb * 1e9 >= weight_bytes > 0 and shape.nvme_gb:
        return node_needs(0, 1).disk_gib, "weights on the node's NVMe"
    return node_needs(weight_bytes, 1).disk_gib, "weights on the boot volume"


def storage_cost(shape: Shape, nodes: int, kept: Kept, prices: UnitPrices) -> StorageCost | None:
    """Price the storage of one replica; None when the provider's prices are not established."""
    parts = [prices.get((shape.provider, name)) for name in (BLOCK, PERFORMANCE, BUCKET)]
    if None in parts:
        return None
    block, performance, bucket = (part.usd_per_gib_month for part in parts if part)
    size, where = volume_gib(shape, kept.weight_bytes)
    volumes = size * (block + performance) * nodes
    objects = kept.weight_bytes / GIB * bucket if kept.in_bucket else 0.0
    text = f"{nodes} x {size} GiB of boot volume x ${block + performance:.4f} a month ({where}) = ${volumes:.2f}"
    if kept.in_bucket:
        text += f"; bucket {kept.weight_bytes / GIB:.1f} GiB x ${bucket:.4f} = ${objects:.2f}"
    sources = "; ".join(
        dict.fromkeys(part.source for part in parts if part and (kept.in_bucket or part.name != BUCKET))
    )
    return StorageCost(volumes, objects, Reason("storage", f"{text} ({sources})"))
