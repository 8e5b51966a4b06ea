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
    yield from _quantization(card, asked.get(QUANTIZATION))
    if card.kind == "generate":
        row = parsers_of(card.model_type, names)
        yield from _parser("tools", TOOLS, row, asked)
        yield from _parser("reasoning", REASONING, row, asked)


def model_misfits(card: ModelCard, arguments: Sequence[Argument], table: EngineTable) -> Iterator[tuple[str, str]]:
    """Yield what the engine refuses in the model itself (problem, remedy), unless arguments make it another one."""
    used = {argument.flag.name for argument in arguments}
    name, method = card.architecture, card.quantization.method if card.quantization else None
    if name and table.runs(name) is False and not used & {"--hf-overrides", "--model-impl", "--model-class-overrides"}:
        last = table.removed.get(name)
        problem = f"is a {name}, which {table} cannot run" + (f" ({table.engine} {last} was the last)" if last else "")
        yield problem, "serve another model; `plinth engine --json` lists architectures"
    if method and method not in table.quantizations and "--hf-overrides" not in used:
        yield f"is quantised by {method}, which {table} does not know", "take a checkpoint in another format"


def _architecture(card: ModelCard, table: EngineTable) -> Iterator[Derived]:
    name = card.architecture
    if name in table.general and name not in table.architectures:
        yield Derived("architecture", f"{name} runs by the code of Transformers, {table} has none of its own")
    elif name and table.runs(name) is None:
        yield Derived("architecture", f"WARNING: whether {table} can run {name} is not established")


def _quantization(card: ModelCard, asked: str | None) -> Iterator[Derived]:
    found = card.quantization.method if card.quantization else None
    if found:
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
