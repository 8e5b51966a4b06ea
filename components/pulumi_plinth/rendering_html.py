"""`plinth plan --html`: the planned stack as one self-contained page. Everything that comes from outside is escaped.

No scripts, no fonts, no pictures from elsewhere: styles and drawings are in the page, for light and dark screens.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from html import escape
from importlib.resources import files

from pulumi_plinth.deployment.outline import Outline
from pulumi_plinth.deployment.totals import Totals
from pulumi_plinth.planner import StackPlan
from pulumi_plinth.pool.plan import PoolPlan
from pulumi_plinth.quantities import human_gib
from pulumi_plinth.rendering_parts import LOOKS, Segment, segments
from pulumi_plinth.rendering_plan import bounds, owner, title, total_lines

WIDTH, BAR, ROW = 900, 34, 30
"""Drawing units: width of every drawing, height of a memory bar, height of a row of the cost chart."""

LABEL = 200
"""Drawing units kept for names and for prices, on either side of the cost chart."""


def page(stack: str, plan: StackPlan) -> str:
    """Write the whole page."""
    outlines = plan.outlines()
    arguments = {item.name: " ".join(item.arguments) for item in plan.kubernetes}
    style = (files("pulumi_plinth") / "page.css").read_text(encoding="utf-8")
    lines = [
        "<!DOCTYPE html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>Plan of {escape(stack)}</title>",
        f"<style>{style}{_fills()}</style></head><body>",
        f"<h1>Plan of stack {escape(stack)}</h1>",
        f'<p class="quiet">{len(outlines)} deployments, as <code>plinth plan</code> decided them.</p>',
        *_totals(outlines, plan.totals()),
        *(line for outline in outlines for line in _deployment(outline, arguments.get(outline.name, ""))),
        *(line for pool in plan.pools for line in _pool(pool)),
        "</body></html>",
    ]
    return "\n".join(lines) + "\n"


def _filled(part: Segment) -> str:
    """Name the colour twice: readers without styles in drawings take the attribute, others the class."""
    return f'class="{_name(part.part)}" fill="{part.look.light}"'


def _fills() -> str:
    """Give every part its colour, for light and dark."""
    light = "".join(f".{_name(part)} {{ fill: {look.light}; }} " for part, look in LOOKS.items())
    dark = "".join(f".{_name(part)} {{ fill: {look.dark}; }} " for part, look in LOOKS.items())
    return f"{light}\n@media (prefers-color-scheme: dark) {{ {dark}}}\n"


def _name(part: str) -> str:
    return "part-" + part.replace(" ", "-")


def _totals(outlines: tuple[Outline, ...], total: Totals) -> Iterator[str]:
    if not total.gpus[1]:
        yield '<p class="quiet">Nothing is bought: no deployment needs GPUs.</p>'
        return
    yield "<section><h2>Total</h2>"
    yield from _table((), total_lines(total))
    priced = [outline for outline in outlines if outline.price]
    if priced:
        yield "<h3>Dollars an hour</h3>"
        yield from _cost_chart(priced)
        yield '<p class="quiet">Strong: at the fewest replicas. Pale: what the most replicas add. List prices.</p>'
    yield "</section>"


def _cost_chart(outlines: list[Outline]) -> Iterator[str]:
    prices = [(outline.name, outline.price.per_hour) for outline in outlines if outline.price]
    most = max(high for _, (_, high) in prices) or 1.0
    room = WIDTH - 2 * LABEL
    yield _drawing(ROW * len(prices), "Cost of each deployment in dollars an hour")
    for number, (name, (low, high)) in enumerate(prices):
        top, least, wide = number * ROW, room * low / most, room * high / most
        yield f'<text fill="currentColor" x="0" y="{top + 20}">{escape(_cut(name))}</text>'
        yield f'<rect x="{LABEL}" y="{top + 5}" width="{wide:.1f}" height="{ROW - 10}" class="most" fill="#a9c8e8"/>'
        yield f'<rect x="{LABEL}" y="{top + 5}" width="{least:.1f}" height="{ROW - 10}" class="least" fill="#2f6fb3"/>'
        price = escape(bounds((low, high)))
        yield f'<text fill="currentColor" x="{LABEL + wide + 8:.1f}" y="{top + 20}">{price}</text>'
    yield "</svg>"


def _drawing(height: int, label: str) -> str:
    return f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(label)}">'


def _cut(name: str, limit: int = 26) -> str:
    return name if len(name) <= limit else name[: limit - 1] + "…"


def _deployment(outline: Outline, arguments: str) -> Iterator[str]:
    yield f'<section id="{escape(outline.name)}"><h2>{escape(outline.name)}</h2>'
    where = title(outline).replace("  ", ", ")
    yield f'<p class="quiet">{escape(outline.model)} on {escape(outline.target)}: {escape(where)}</p>'
    yield f"<h3>Memory of {owner(outline)}</h3>"
    yield from _memory_bar(outline)
    numbers = (
        ("longest context", f"{outline.max_model_len:,} tokens"),
        ("tokens in the cache", f"{outline.memory.kv_tokens:,}"),
        ("disk of a node", f"{outline.disk_gib} GiB"),
        ("start within", f"{outline.startup_seconds} s"),
    )
    yield from _table((), numbers)
    yield "<details><summary>Every part of the memory</summary>"
    rows = ((line.part, human_gib(line.size), line.formula) for line in outline.memory.lines)
    yield from _table(("part", "size", "formula"), rows)
    yield "</details><h3>Reasons, in order</h3>"
    yield from _table((), ((reason.subject, reason.text) for reason in outline.reasons))
    if arguments:
        yield f"<h3>Arguments of the engine</h3><p><code>{escape(arguments)}</code></p>"
    yield from _alternatives(outline)
    yield "</section>"


def _pool(pool: PoolPlan) -> Iterator[str]:
    yield f'<section id="pool-{escape(pool.name)}"><h2>{escape(pool.summary())}</h2>'
    yield from _table((), ((reason.subject, reason.text) for reason in pool.reasons))
    yield "</section>"


def _memory_bar(outline: Outline) -> Iterator[str]:
    parts = segments(outline)
    total = sum(part.size for part in parts) or 1
    used = f"{human_gib(outline.memory.total)} of {human_gib(outline.offered_bytes)}"
    yield _drawing(BAR, f"{used} are taken")
    left = 0.0
    for part in parts:
        wide = WIDTH * part.size / total
        hint = f"<title>{escape(_legend(part))}</title>"
        yield f'<rect {_filled(part)} x="{left:.2f}" y="0" width="{wide:.2f}" height="{BAR}">{hint}</rect>'
        left += wide
    yield "</svg>"
    yield '<ul class="legend">'
    for part in parts:
        mark = f'<rect {_filled(part)} width="10" height="10"/>'
        yield f'<li><svg viewBox="0 0 10 10" aria-hidden="true">{mark}</svg>{escape(_legend(part))}</li>'
    yield "</ul>"


def _legend(part: Segment) -> str:
    return f"{part.part} {human_gib(part.size)}"


def _alternatives(outline: Outline) -> Iterator[str]:
    if not outline.alternatives:
        return
    fitting = sum(option.fits for option in outline.alternatives)
    yield f"<details><summary>{len(outline.alternatives)} other shapes, {fitting} of them can be taken</summary>"
    rows = (
        (
            option.shape.name,
            "-" if option.usd_per_hour is None else f"${option.usd_per_hour:,.2f}",
            f"{'' if option.fits else 'no: '}{option.reason}",
        )
        for option in outline.alternatives
    )
    yield from _table(("shape", "an hour", "why it was not taken"), rows)
    yield "</details>"


def _table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    """Yield a table; the middle one of three columns holds numbers."""
    yield '<div class="scroll"><table>'
    if heads:
        yield "<tr>" + "".join(f'<th scope="col">{escape(head)}</th>' for head in heads) + "</tr>"
    for first, *others in rows:
        cells = [f'<th scope="row">{escape(first)}</th>']
        for number, text in enumerate(others):
            kind = ' class="number"' if heads and number == 0 else ""
            cells.append(f"<td{kind}>{escape(text)}</td>")
        yield "<tr>" + "".join(cells) + "</tr>"
    yield "</table></div>"
