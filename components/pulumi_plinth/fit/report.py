"""A planned fit as it is told: reasons in order and the JSON that scripts read. No decision is made here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from pulumi_plinth.fit.cautions import cautions
from pulumi_plinth.fit.choice import Option, source_rate
from pulumi_plinth.fit.disk import NodeNeeds, node_needs
from pulumi_plinth.fit.kaito import KaitoPlan
from pulumi_plinth.fit.layout import Layout, Reason, default_batch
from pulumi_plinth.fit.memory import MemoryPlan, gpu_memory
from pulumi_plinth.fit.parallel import Nodes, needs_rdma
from pulumi_plinth.fit.plan import Fitted, Wish, fit, wanted_context
from pulumi_plinth.fit.price import HOURS_PER_MONTH, ONCE, UNUSED_RESERVED_SHARE, Price, Terms, price_of
from pulumi_plinth.fit.sizing import Sizer
from pulumi_plinth.fit.storage import StorageCost
from pulumi_plinth.quantities import human_gib


@dataclass(frozen=True, slots=True)
class Told:
    """Everything to be said about one fit."""

    nodes: Nodes
    fitted: Fitted
    memory: MemoryPlan
    needs: NodeNeeds
    price: Price | None
    reasons: tuple[Reason, ...]
    alternatives: tuple[Option, ...] = ()


@dataclass(frozen=True, slots=True)
class Bill:
    """What is paid for: the terms, and what its storage costs where that is known."""

    terms: Terms = ONCE
    storage: StorageCost | None = None


NODES_ONLY = Bill()


def tell(sizer: Sizer, nodes: Nodes, wish: Wish, fitted: Fitted, bill: Bill = NODES_ONLY) -> Told:
    """Collect memory, needs, price and reasons; alternatives are added with `dataclasses.replace`."""
    gpus = min(fitted.layout.gpus, nodes.shape.gpus)
    needs = node_needs(sizer.card.weight_bytes, gpus, source_rate(nodes.shape))
    price = price_of(nodes.shape, fitted.nodes, bill.terms, bill.storage)
    reasons = (
        *_reasons(sizer, nodes, wish, fitted),
        *needs.reasons,
        _price_reason(nodes, fitted, price, bill.terms),
        *((bill.storage.reason,) if bill.storage else ()),
        *cautions(sizer.card, nodes, fitted),
    )
    return Told(nodes, fitted, gpu_memory(sizer, fitted), needs, price, reasons)


def as_json(told: Told) -> dict[str, Any]:
    """Return what `--json` prints; sizes are bytes unless the key names a unit."""
    fitted, layout = told.fitted, told.fitted.layout
    sizes = {"tensor": layout.tensor, "pipeline": layout.pipeline, "data": layout.data, "expert": layout.expert}
    return {
        "fits": True,
        "estimator": "plinth",
        "shape": told.nodes.shape.name,
        "gpus": layout.gpus,
        "min_gpus": layout.gpus_per_copy,
        "nodes": fitted.nodes,
        "parallel": sizes,
        "memory": [{"part": line.part, "bytes": line.size, "formula": line.formula} for line in told.memory.lines],
        "memory_bytes": told.memory.total,
        "kv_tokens": fitted.kv_tokens,
        "kv_bytes_per_token": told.memory.kv_bytes_per_token,
        "max_model_len": fitted.max_model_len,
        "concurrent_sequences": round(fitted.sequences, 2),
        "max_num_batched_tokens": fitted.batch.tokens,
        "max_num_seqs": fitted.batch.sequences,
        "disk_gib": told.needs.disk_gib,
        "startup_seconds": told.needs.startup_seconds,
        "host_memory_bytes": told.needs.memory_bytes,
        "shared_memory_bytes": told.needs.shared_bytes,
        "rdma": needs_rdma(layout, told.nodes.shape.gpus),
        "price": asdict(told.price) if told.price else None,
        "alternatives": [option_json(option) for option in told.alternatives],
        "reasons": [asdict(reason) for reason in told.reasons],
    }


def option_json(option: Option) -> dict[str, Any]:
    """Describe one alternative."""
    outcome = option.outcome
    said: dict[str, Any] = {"shape": option.shape.name, "fits": option.fits, "usd_per_hour": option.usd_per_hour}
    said["startup_seconds"] = option.startup_seconds or None
    if isinstance(outcome, Fitted):
        layout = outcome.layout
        said |= {"gpus": layout.gpus, "nodes": outcome.nodes, "max_model_len": outcome.max_model_len}
        said |= {"tensor": layout.tensor, "pipeline": layout.pipeline, "data": layout.data}
    return said | {"reason": option.reason}


def kaito_json(plan: KaitoPlan) -> dict[str, Any]:
    """Return what `--estimator kaito --json` prints."""
    return {
        "estimator": "kaito",
        "nodes": plan.nodes,
        "min_gpus": plan.min_gpus,
        "disk_gib": plan.disk_gib,
        "startup_seconds": plan.startup_seconds,
        "parallel": {"tensor": plan.tensor, "pipeline": plan.pipeline, "data": plan.data},
    }


def _reasons(sizer: Sizer, nodes: Nodes, wish: Wish, fitted: Fitted) -> Iterator[Reason]:
    layout, need, shape = fitted.layout, fitted.need, nodes.shape
    yield Reason("layout", _layout_text(sizer, nodes, wish, fitted))
    if layout.expert > 1 and sizer.card.experts:
        yield Reason("experts", _expert_text(sizer.card.experts.count, layout))
    budget = f"{wish.utilization:.2f} x {human_gib(shape.usable_bytes)} = {human_gib(fitted.budget)}"
    parts = f"{human_gib(need.weights)} weights, {human_gib(need.overhead.total)} beside"
    yield Reason("memory", f"{budget} on each GPU: {parts}, {human_gib(fitted.cache_bytes)} left")
    if fitted.batch != default_batch(shape.usable_bytes, shape.gpu) and not wish.batch:
        batch = f"--max-num-batched-tokens {fitted.batch.tokens} --max-num-seqs {fitted.batch.sequences}"
        yield Reason("batch", f"{batch}: the engine's own defaults for this GPU leave no room")
    yield Reason("context", _context_text(sizer, wish, fitted))
    if need.cache.rows:
        each = f"{fitted.kv_tokens:,} tokens, {fitted.sequences:.1f} requests of full length"
        yield Reason("cache", f"{each} in each of {layout.data} copies; {need.cache.token_bytes} B a token and GPU")
    if fitted.nodes > 1 and layout.gpus_per_copy > shape.gpus:
        yield Reason("network", _network_text(nodes, layout.pipeline))


def _layout_text(sizer: Sizer, nodes: Nodes, wish: Wish, fitted: Fitted) -> str:
    layout, gpus = fitted.layout, nodes.shape.gpus
    where = f"{layout} on {fitted.nodes} x {nodes.shape.name}"
    if wish.asked.anything:
        return f"{where}, as asked"
    if layout.pipeline > 1:
        return f"{where}: no tensor-parallel size inside {gpus} GPUs has room, so layers are staged"
    if layout.tensor == 1:
        return f"{where}: one GPU holds a copy" + (", the others hold more copies" if layout.data > 1 else "")
    least = fit(sizer, nodes, wish)
    if isinstance(least, Fitted) and least.layout.tensor < layout.tensor:
        return f"{where}: TP{least.layout.tensor} has room too, and serves fewer requests at once"
    return f"{where}: the smallest legal tensor-parallel size that has room"


def _expert_text(experts: int, layout: Layout) -> str:
    each = -(-experts // layout.expert)
    return f"{experts} experts over {layout.expert} GPUs: {each} whole ones each (--enable-expert-parallel)"


def _context_text(sizer: Sizer, wish: Wish, fitted: Fitted) -> str:
    if wish.context:
        return f"{fitted.max_model_len:,} tokens, as asked"
    wanted = wanted_context(sizer, wish)
    if fitted.max_model_len >= wanted:
        return f"{fitted.max_model_len:,} tokens, what the model was made for"
    return f"{fitted.max_model_len:,} tokens, the longest that fits; the model was made for {wanted:,}"


def _network_text(nodes: Nodes, pipeline: int) -> str:
    text = f"{pipeline} stages hand hidden states on at every step"
    if nodes.shape.rdma is None:
        return f"{text}; whether {nodes.shape.name} has RDMA is not established"
    return f"{text}, over RDMA" if nodes.shape.rdma else f"{text}; {nodes.shape.name} has no RDMA, expect slow answers"


def _price_reason(nodes: Nodes, fitted: Fitted, price: Price | None, terms: Terms) -> Reason:
    if price is None:
        return Reason("price", f"no list price of {nodes.shape.name} is established")
    low, high = price.per_hour
    bounds = f"${low:.2f}" if low == high else f"${low:.2f} to ${high:.2f}"
    each = f"{fitted.nodes} x ${nodes.shape.usd_per_node_hour:.2f} a replica"
    if terms.capacity == "preemptible":
        each += ", half of it as preemptible capacity"
    elif terms.capacity == "reserved":
        each += f", reserved for {terms.replicas.most}, unused at {UNUSED_RESERVED_SHARE:.0%}"
    text = f"{bounds} an hour: {each}; from ${price.per_month[0]:,.2f} a month of {HOURS_PER_MONTH} h"
    if price.per_million_tokens is not None:
        rate = f"{terms.tokens_per_second:g} tokens a second of a replica ({terms.tokens_source})"
        text += f"; ${price.per_million_tokens:.2f} a million tokens at {rate}"
    return Reason("price", f"{text} ({price.source}, {price.date})")
