"""Which parsers of the engine understand a model: rows of `parsers.csv`, by model type and name. Pure.

Rows are tried from the top, the first that fits counts: a name is a pattern to search in what the model is called, an
empty one fits every model of the type. An empty parser is none. `source` is the page or file of vLLM that says so. Only
`load_parsers` reads the file.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files


@dataclass(frozen=True, slots=True)
class ParserRow:
    """One family of models and the names of its parsers; None where it has none."""

    model_types: tuple[str, ...]
    name: str
    tools: str | None
    reasoning: str | None
    source: str

    def fits(self, model_type: str, names: Iterable[str]) -> bool:
        """Tell whether a model of that type, known by any of these names, belongs to the family."""
        if model_type not in self.model_types:
            return False
        return not self.name or any(re.search(self.name, name, re.IGNORECASE) for name in names)


@lru_cache(maxsize=1)
def load_parsers() -> tuple[ParserRow, ...]:
    """Read the table, in its order."""
    with (files("pulumi_plinth.engines") / "parsers.csv").open(encoding="utf-8") as stream:
        return tuple(
            ParserRow(
                tuple(row["model_types"].split()),
                row["name"],
                row["tools"] or None,
                row["reasoning"] or None,
                row["source"],
            )
            for row in csv.DictReader(stream)
        )


def parsers_of(model_type: str, names: Iterable[str]) -> ParserRow | None:
    """Find the family of a model; None when nobody established it."""
    called = tuple(names)
    return next((row for row in load_parsers() if row.fits(model_type, called)), None)
