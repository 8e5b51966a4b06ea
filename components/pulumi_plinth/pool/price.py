"""What a pool costs: nodes at the fewest and the most there may be, and their boot volumes. Pure."""

from __future__ import annotations

from pulumi_plinth.fit.layout import Reason
from pulumi_plinth.fit.price import HOURS_PER_MONTH, Capacity, Price, Range, Terms, price_of
from pulumi_plinth.fit.storage import BLOCK, PERFORMANCE, StorageCost
from pulumi_plinth.pool.case import PoolCase
from pulumi_plinth.pool.disk import boot_gib


def pool_price(case: PoolCase) -> tuple[Price | None, tuple[Reason, ...]]:
    """Price the nodes by the list; where no price is established say so."""
    spec = case.spec
    storage = _volumes(case)
    price = price_of(case.shape, 1, Terms(Range(spec.least, spec.most), capacity_of(case)), storage)
    if price is None:
        return None, (Reason("price", f"no list price of {case.shape.name} is established"),)
    low, high = price.per_hour
    bounds = f"${low:.2f}" if low == high else f"${low:.2f} to ${high:.2f}"
    months = f"from ${price.per_month[0]:,.2f} a month of {HOURS_PER_MONTH} h"
    text = f"{bounds} an hour, {months}, {price.capacity} ({price.source}, {price.date})"
    return price, (Reason("price", text), *((storage.reason,) if storage else ()))


def capacity_of(case: PoolCase) -> Capacity:
    """Return how the nodes are bought."""
    if case.spec.preemptible:
        return "preemptible"
    reserved = [case.spec.capacity_reservation_id, *(item.capacity_reservation_id for item in case.spec.placements)]
    return "reserved" if any(reserved) else "on-demand"


def _volumes(case: PoolCase) -> StorageCost | None:
    parts = [case.storage.get((case.shape.provider, name)) for name in (BLOCK, PERFORMANCE)]
    if None in parts:
        return None
    unit = sum(part.usd_per_gib_month for part in parts if part)
    size = boot_gib(case)
    sources = "; ".join(dict.fromkeys(part.source for part in parts if part))
    text = f"each node's boot volume {size} GiB x ${unit:.4f} = ${size * unit:.2f} a month ({sources})"
    return StorageCost(size * unit, 0.0, Reason("storage", text))
