"""A run as people read it on a terminal: throughput, and for each wait its percentiles and its distribution. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from plinth_runtime.bench.figures import PERCENTS, Figures, Wait, load_of

BLOCKS = " ▁▂▃▄▅▆▇█"
COLUMNS = 32
ERRORS_SHOWN = 5


def lines_of(figures: Figures) -> Iterator[str]:
    """Give the lines."""
    failed = f", {figures.failed} failed" if figures.failed else ""
    yield f"{figures.wish.model}: {figures.succeeded} answers in {figures.seconds:.1f} s{failed}; {load_of(figures)}"
    for error, times in figures.errors[:ERRORS_SHOWN]:
        yield f"  failed {times} x: {error}"
    if not figures.succeeded:
        return
    yield (
        f"{figures.output_tokens_per_second:.1f} generated tokens a second, {figures.total_tokens_per_second:.1f} "
        f"with prompts, {figures.requests_per_second:.2f} requests a second"
    )
    yield ""
    yield f"{'milliseconds':<15}" + "".join(f"{f'p{percent}':>10}" for percent in PERCENTS) + "   how often, from … to"
    yield from (_row(wait) for wait in figures.waits if wait.values)


def _row(wait: Wait) -> str:
    numbers = "".join(f"{wait.percentile(percent):>10.1f}" for percent in PERCENTS)
    return f"{wait.name:<15}{numbers}   {histogram(wait.values)} {wait.values[0]:.1f} … {wait.values[-1]:.1f}"


def histogram(values: Sequence[float]) -> str:
    """Draw how the values lie between the least and the greatest; whatever occurs at all is seen."""
    low, high = min(values), max(values)
    width = (high - low) / COLUMNS or 1.0
    counts = [0] * COLUMNS
    for value in values:
        counts[min(int((value - low) / width), COLUMNS - 1)] += 1
    tallest = max(counts)
    return "".join(BLOCKS[-(-count * (len(BLOCKS) - 1) // tallest)] for count in counts)
