"""What readers of facts may look things up in. Values only; loaded by whoever asks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from pulumi_plinth.check.facts_place_words import normal
from pulumi_plinth.engines.history import EngineHistory
from pulumi_plinth.engines.table import EngineTable
from pulumi_plinth.fit.shapes import Shape
from pulumi_plinth.model.catalogue import Catalogue


@dataclass(frozen=True)
class Known:
    """Models by name, shapes of nodes, what the pinned engine release takes, and what older ones took."""

    catalogue: Catalogue
    shapes: Mapping[str, Shape]
    table: EngineTable
    history: EngineHistory

    def variable(self, name: str) -> bool:
        """Tell whether any release of the engine reads an environment variable."""
        return name in self.table.environment or self.history.ever("environment", name)

    @cached_property
    def flags(self) -> Mapping[str, str]:
        """Flags of the release without dashes in front, by their one spelling as keys of facts."""
        names = (name.removeprefix("--") for name in self.table.spellings if name.startswith("--"))
        return {normal(name): name for name in names}
