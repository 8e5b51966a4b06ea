"""What readers of facts may look things up in. Values only; loaded by whoever asks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from pulumi_plinth.check.facts_place_words import normal
from pulumi_plinth.engines.table import EngineTable
from pulumi_plinth.fit.shapes import Shape
from pulumi_plinth.model.catalogue import Catalogue


@dataclass(frozen=True)
class Known:
    """Models by name, shapes of nodes, and what the pinned engine release takes."""

    catalogue: Catalogue
    shapes: Mapping[str, Shape]
    table: EngineTable

    @cached_property
    def flags(self) -> Mapping[str, str]:
        """Flags of the release without dashes in front, by their one spelling as keys of facts."""
        names = (name.removeprefix("--") for name in self.table.spellings if name.startswith("--"))
        return {normal(name): name for name in names}
