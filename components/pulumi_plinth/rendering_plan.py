"""How a planned stack looks on a terminal: memory bars, reasons, alternatives, totals. Prints, decides nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from pulumi_plinth.deployment.outline import Outline
from pulumi_plinth.deployment.totals import Bounds, Totals, change
from pulumi_plinth.fit.layout import Reason
from pulumi_plinth.planner import StackPlan
from pulumi_plinth.quantities import human_gib
from pulumi_plinth.rendering_parts import cells, segments
from pulumi_plinth.stack import StackSpec

BAR_WIDTH = 72
ALTERNATIVES = 5
"""Alternatives that are printed; --json has all."""


def show_plan(console: Console, spec: StackSpec, plan: StackPlan) -> None:
    """Print the stack with every decision's reason."""
    counts = ((spec.stores, "store"), (spec.models, "model"), (spec.deployments, "deployment"))
    console.print("plan: " + ", ".join(f"{len(part)} {noun}{'s' * (len(part) != 1)}" for part, noun in counts))
    for name, model in plan.models.items():
        facts = (model.architecture, model.parameter_size, model.quantization, model.license)
        console.print(f"[bold]{name}[/]  {escape(', '.join(fact for fact in facts if fact) or 'as declared')}")
    digests = {item.name: f"  launch {item.launch.digest()[:12]}" for item in plan.deployments}
    for outline in plan.outlines():
        show_outline(console, outline, digests.get(outline.name, ""))
    if plan.oke is not None:
        console.print()
        console.print(f"[bold]{escape(plan.oke.name)}[/]  OKE cluster")
        show_reasons(console, plan.oke.reasons)
    for store in plan.stores:
        if store.path is None:
            console.print()
            console.print(f"[bold]{escape(store.name)}[/]  {escape(store.location)}")
            show_reasons(console, (*store.reasons, *(Reason("statement", text) for text in store.shown())))
    for pool in plan.pools:
        console.print()
        console.print(f"[bold]{escape(pool.summary())}[/]")
        show_reasons(console, pool.reasons)
    show_totals(console, plan.totals())


def show_outline(console: Console, outline: Outline, tail: str = "") -> None:
    """Print one deployment: where it runs, the bar of one GPU, why so, what else there is."""
    console.print()
    console.print(f"[bold]{outline.name}[/]  {escape(title(outline))}{tail}")
    show_bar(console, outline)
    show_reasons(console, outline.reasons)
    for line in alternative_lines(outline):
        console.print(line, markup=False, highlight=False)


def show_reasons(console: Console, reasons: Iterable[Reason]) -> None:
    """Print each decision with its arithmetic."""
    table = Table(box=None, show_header=False, padding=(0, 2))
    for reason in reasons:
        table.add_row(escape(reason.subject), escape(reason.text))
    console.print(table)


def title(outline: Outline) -> str:
    """Say where a deployment runs and what it costs."""
    if not outline.gpus:
        return outline.place
    replicas = outline.replicas
    times = f"{replicas.least} to {replicas.most} replicas" if replicas.least != replicas.most else ""
    times = times or (f"{replicas.most} replicas" if replicas.most != 1 else "")
    said = (f"{outline.nodes} x {outline.place}", str(outline.parallel), times)
    price = f"{bounds(outline.price.per_hour)}/h" if outline.price else "no price established"
    return "  ".join([*(part for part in said if part), price])


def show_bar(console: Console, outline: Outline) -> None:
    """Print what fills one GPU (the host, for a local server), with the legend."""
    parts = segments(outline)
    plain = console.color_system is None
    width = max(min(BAR_WIDTH, console.width - 4), len(parts))
    console.print(f"  {owner(outline)}: {human_gib(outline.memory.total)} of {human_gib(outline.offered_bytes)}")
    bar, legend, line = Text("  "), [], Text("  ")
    for part, count in zip(parts, cells(parts, width), strict=True):
        bar.append((part.look.letter if plain else "█") * count, style=part.look.style)
        mark, said = part.look.letter if plain else "■", f"{part.part} {human_gib(part.size)}"
        if len(line) + len(said) > width:
            legend.append(line)
            line = Text("  ")
        line.append(f"{mark} ", style=part.look.style).append(f"{said}   ")
    for text in (bar, *legend, line):
        console.print(text)


def owner(outline: Outline) -> str:
    """Name whose memory a bill is about."""
    if not outline.gpus:
        return "this host" if outline.target == "local" else "a pod"
    if outline.gpus == 1:
        return "the GPU"
    return f"each of {outline.gpus} GPUs" + (", in the fullest stage" if outline.parallel.pipeline > 1 else "")


def alternative_lines(outline: Outline) -> Iterator[str]:
    """Yield the first alternatives that fit, with prices, and a count of the others."""
    fitting = [option for option in outline.alternatives if option.fits]
    for option in fitting[:ALTERNATIVES]:
        price = "-" if option.usd_per_hour is None else f"${option.usd_per_hour:.2f}/h"
        yield f"  or {option.shape.name:<22} {price:>10}  {option.reason}"
    lost = len(outline.alternatives) - len(fitting)
    if outline.alternatives:
        yield f"  of the other shapes {len(fitting)} can be taken, {lost} cannot; --json has all with reasons"


def show_totals(console: Console, total: Totals) -> None:
    """Print the sums; nothing where nothing is bought."""
    if total.gpus[1]:
        console.print()
        console.print("[bold]total[/]")
        for subject, text in total_lines(total):
            console.print(f"  {subject:<12}{text}", markup=False, highlight=False)


def show_change(console: Console, before: Mapping[str, Any], total: Totals) -> None:
    """Print what a deployment adds and takes away; nothing where nothing is bought before or after."""
    said = change(before, total)
    if said:
        console.print(f"since the last deployment: {', '.join(said)}", markup=False, highlight=False)


def total_lines(total: Totals) -> Iterator[tuple[str, str]]:
    """Yield what the stack needs and costs, as (subject, text)."""
    yield "GPUs", span(total.gpus)
    yield "nodes", ", ".join(f"{span(count)} x {shape}" for shape, count in total.nodes.items())
    yield "nodes cost", f"{bounds(total.per_hour)} an hour, {bounds(total.per_month)} a month"
    if any(total.storage_per_month):
        yield "storage", f"{bounds(total.storage_per_month)} a month"
    if total.unpriced:
        yield "not counted", f"{', '.join(total.unpriced)}: no price is established"


def bounds(pair: Bounds) -> str:
    """Write dollars at the fewest and at the most replicas."""
    low, high = (f"${value:,.2f}" for value in pair)
    return low if low == high else f"{low} to {high}"


def span(pair: tuple[int, int]) -> str:
    """Write a count at the fewest and at the most replicas."""
    return str(pair[0]) if pair[0] == pair[1] else f"{pair[0]} to {pair[1]}"
