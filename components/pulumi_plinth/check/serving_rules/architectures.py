"""Rules about the model's class and what the release's class of that name can do. They need the release's table."""

from __future__ import annotations

from collections.abc import Iterator

from pulumi_plinth.check.core import Rule, Verdict, refuse
from pulumi_plinth.check.serving import Serving
from pulumi_plinth.check.serving_rules import values
from pulumi_plinth.check.subject import Subject
from pulumi_plinth.engines.table import EngineTable


def architecture_rules(table: EngineTable) -> tuple[Rule, ...]:
    """Return the rules that ask a release's table what a class can do."""

    def abilities(subject: Subject) -> Iterator[Verdict]:
        serving = subject.serving
        known = table.abilities(_architecture(serving)) if speaks_for(table, serving) else None
        if not known:
            return
        name = _architecture(serving)
        if values.pipeline(serving) > 1 and "pipeline" not in known:
            problem = f"{name} cannot be cut into {values.pipeline(serving)} stages in {table}"
            yield refuse("pipeline-support", "--pipeline-parallel-size", problem, "use tensor parallelism alone")
        if values.switched(serving, "enable-lora") and "lora" not in known:
            yield refuse("lora-support", "--enable-lora", f"{name} takes no adapters in {table}", "merge the adapter")

    return (abilities,)


def speaks_for(table: EngineTable, serving: Serving) -> bool:
    """Tell whether a table holds: the release is the table's or later, or nobody says which it is."""
    pinned = tuple(int(part) for part in table.version.split("."))
    return serving.version is None or serving.version >= pinned[: len(serving.version)]


def _architecture(serving: Serving) -> str:
    return serving.card.architecture if serving.card else ""
