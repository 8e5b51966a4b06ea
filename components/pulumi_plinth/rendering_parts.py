"""A memory bill as it is drawn: lines gathered into a few parts that fill what a GPU has. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pulumi_plinth.deployment.outline import Outline

FREE = "free"


@dataclass(frozen=True, slots=True)
class Look:
    """How a part is drawn: colours of the terminal and of the page (light, dark), and a letter where there are none."""

    style: str
    light: str
    dark: str
    letter: str


LOOKS = {
    "weights": Look("blue", "#2f6fb3", "#5b9bd8", "W"),
    "kv cache": Look("green", "#2e8b57", "#55b383", "K"),
    "activations": Look("yellow", "#c98a12", "#e0b04a", "A"),
    "graphs": Look("magenta", "#8b4fa8", "#b583cc", "G"),
    "outside torch": Look("red", "#b5443c", "#dd7a72", "O"),
    "adapters": Look("cyan", "#1f8a94", "#4fbac4", "L"),
    "engine": Look("red", "#b5443c", "#dd7a72", "E"),
    FREE: Look("bright_black", "#d5d8dc", "#444b53", "."),
}
"""Every part that a bill may have, by the word before its colon."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of the bar."""

    part: str
    size: int

    @property
    def look(self) -> Look:
        """How it is drawn."""
        return LOOKS[self.part]


def segments(outline: Outline) -> tuple[Segment, ...]:
    """Gather the bill's lines by part; what is left of the GPU (or host) is the last part."""
    sizes: dict[str, int] = {}
    for line in outline.memory.lines:
        part = line.part.partition(":")[0]
        sizes[part] = sizes.get(part, 0) + line.size
    used = sum(sizes.values())
    # A bill's own "free" is room nothing is kept in; both are memory that nobody uses.
    left = sizes.pop(FREE, 0) + max(outline.offered_bytes - used, 0)
    return (*(Segment(part, size) for part, size in sizes.items()), Segment(FREE, left))


def cells(parts: Sequence[Segment], width: int) -> tuple[int, ...]:
    """Deal `width` cells to the parts by size; the largest remainders get what rounding leaves."""
    total = sum(part.size for part in parts) or 1
    exact = [part.size * width / total for part in parts]
    dealt = [int(share) for share in exact]
    by_rest = sorted(range(len(parts)), key=lambda index: (dealt[index] - exact[index], index))
    for index in by_rest[: width - sum(dealt)]:
        dealt[index] += 1
    return tuple(dealt)
