"""Engine flags that follow from the model, with the reason for each, whether they are written or left out. Pure.

Nothing is launched differently for it: what the runtime writes anyway is explained, what it leaves to the user is shown
as the words to add to `engineArgs`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from plinth_runtime.contract.card import ModelCard
from pulumi_plinth.engines.parsers import ParserRow, parsers_of
from pulumi_plinth.engines.table import EngineTable
from pulumi_plinth.engines.words import Argument

TOOLS, REASONING, QUANTIZATION = "--tool-call-parser", "--reasoning-parser", "--quantization"


@dataclass(frozen=True, slots=True)
class Derived:
    """One decision: what it is about, and why so. `words` are what to add where the user has to ask for it."""

    subject: str
    text: str
    words: tuple[str, ...] = ()


def derive(
    card: ModelCard, names: Iterable[str], arguments: Sequence[Argument], table: EngineTable
) -> Iterator[Derived]:
    """Yield what follows for a model that is known by these names, given the arguments that the user wrote."""
    asked = {argument.flag.name: argument.values[-1] for argument in arguments if argument.values and not argument.key}
    yield from _architecture(card, table)
    yield from _quantization(card, asked.get(QUANTIZATION), table)
    if card.kind == "generate":
        row = parsers_of(card.model_type, names)
        yield from _parser("tools", TOOLS, row, asked)
        yield from _parser("reasoning", REASONING, row, asked)


def _architecture(card: ModelCard, table: EngineTable) -> Iterator[Derived]:
    name = card.architecture
    if name in table.removed:
        last = table.removed[name]
        yield Derived("architecture", f"WARNING: {table} has {name} no more, {table.engine} {last} was the last")
    elif name and name not in table.architectures:
        yield Derived("architecture", f"WARNING: {table} has no {name} of its own; transformers' is tried, and slower")


def _quantization(card: ModelCard, asked: str | None, table: EngineTable) -> Iterator[Derived]:
    found = card.quantization.method if card.quantization else None
    if found and found not in table.quantizations:
        yield Derived("quantization", f"WARNING: the checkpoint says {found}, which {table} does not know")
    elif found:
        yield Derived("quantization", f"{found}, as the checkpoint says; {QUANTIZATION} is left out")
    elif asked:
        yield Derived("quantization", f"{asked}, made while loading, as asked")


def _parser(subject: str, flag: str, row: ParserRow | None, asked: dict[str, str]) -> Iterator[Derived]:
    """Say which parser is the model's, and whether the user has it."""
    known = getattr(row, subject, None)
    if flag in asked and known and asked[flag] != known:
        yield Derived(subject, f"WARNING: {flag} {asked[flag]}, as asked; models of this family are read by {known}")
    elif flag in asked:
        yield Derived(subject, f"{flag} {asked[flag]}, as asked")
    elif known:
        switch = ("--enable-auto-tool-choice",) if subject == "tools" else ()
        words = (*switch, f"{flag}={known}")
        said = " ".join(words)
        yield Derived(subject, f"not parsed; for models of this family add engineArgs: {said}", words)
