"""Arguments and environment of an engine -> faults and cautions, by the table of its release. Pure.

A fault is what the engine itself refuses, most of it late and in the middle of a log; a caution is what it lets pass
although it does nothing, or will soon do nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from pulumi_plinth.engines.renamed import VARIABLES
from pulumi_plinth.engines.table import EngineTable
from pulumi_plinth.engines.values import PLUGINS, wrong_value
from pulumi_plinth.engines.words import Argument, Misread, read_words
from pulumi_plinth.errors import Fault, nearest
from pulumi_plinth.model.findings import hide

TYPO = 0.85
"""From this likeness on (0 to 1), an unknown variable is a known one misspelt; below, it may be somebody's own."""

NEEDS: Mapping[str, str] = {
    "--enable-auto-tool-choice": "--tool-call-parser",
    "--enable-log-outputs": "--enable-log-requests",
}
"""Switches that the server refuses to start with alone (`validate_parsed_serve_args`)."""


@dataclass(frozen=True, slots=True)
class Checked:
    """Arguments as they were read, what is wrong with them, and what deserves a second look."""

    arguments: tuple[Argument, ...]
    faults: tuple[Fault, ...]
    cautions: tuple[str, ...] = ()


def check_arguments(words: Sequence[str], table: EngineTable, path: str = "engineArgs") -> Checked:
    """Check a whole command line, without the program's name. Faults stand at `path`, with the word they are about."""
    read = list(read_words(words, table))
    arguments = tuple(item for item in read if isinstance(item, Argument))
    used = {argument.flag.name for argument in arguments}
    faults = []
    for item in read:
        if isinstance(item, Misread):
            faults.append(Fault(path, hide(item.word), item.problem, item.remedy))
        elif wrong := wrong_value(item, table, used & set(PLUGINS.values())):
            faults.append(Fault(path, _shown(item), *wrong))
    faults.extend(_missing(arguments, path))
    faults.extend(_deprecated_quantization(arguments, table, path))
    return Checked(arguments, tuple(faults), tuple(_cautions(arguments, table)))


def environment_faults(names: Sequence[str], table: EngineTable, path: str = "environment") -> Iterator[Fault]:
    """Find variables that are misspelt or of the past; the engine reads none of them and says so only in its log."""
    for name in _unknown(names, table):
        near = get_close_matches(name, table.environment, n=1, cutoff=TYPO)
        if name in VARIABLES:
            problem, remedy = f"is not a variable of {table} any more", f"write the argument {VARIABLES[name]}"
            yield Fault(f"{path}.{name}", None, problem, remedy)
        elif near:
            yield Fault(f"{path}.{name}", None, f"is not a variable of {table}", f"did you mean '{near[0]}'?")


def environment_cautions(names: Sequence[str], table: EngineTable) -> Iterator[str]:
    """Name variables that look like the engine's, are unknown to it and near to none: a plug-in may read them."""
    misspelt = {fault.path.rpartition(".")[2] for fault in environment_faults(names, table)}
    for name in _unknown(names, table):
        if name not in misspelt:
            yield f"{name} is not a variable of {table}; without a plug-in that reads it, it does nothing"


def metric_fault(name: str, table: EngineTable, path: str) -> Fault | None:
    """Find a metric that the release does not publish, as a dashboard, an alert or a scaler would ask for it."""
    if name in table.metric_names:
        return None
    remedy = nearest(name, table.metric_names) or f"take one of the {len(table.metrics)} metrics of {table}"
    return Fault(path, name, f"is not a metric of {table}", remedy)


def _unknown(names: Sequence[str], table: EngineTable) -> list[str]:
    return [name for name in names if name.startswith("VLLM_") and name not in table.environment]


def _shown(argument: Argument) -> str:
    separator = " " if "=" not in argument.word else ""
    values = "" if separator == "" else " ".join(argument.values)
    return hide(f"{argument.word}{separator}{values}".strip())


def _missing(arguments: Sequence[Argument], path: str) -> Iterator[Fault]:
    last = {argument.flag.name: argument for argument in arguments}
    on = {name for name, argument in last.items() if not argument.negated}
    for name, needed in NEEDS.items():
        if name in on and needed not in on:
            value = " and a parser" if needed.endswith("parser") else ""
            yield Fault(path, last[name].word, f"does not work without {needed}", f"add {needed}{value}")


def _deprecated_quantization(arguments: Sequence[Argument], table: EngineTable, path: str) -> Iterator[Fault]:
    allowed = any(argument.flag.name == "--allow-deprecated-quantization" for argument in arguments)
    for argument in arguments:
        method = table.quantizations.get("".join(argument.values)) if argument.flag.name == "--quantization" else None
        if method and method.deprecated and not allowed:
            remedy = "take another method, or add --allow-deprecated-quantization"
            yield Fault(path, _shown(argument), "is deprecated and refused", remedy)


def _cautions(arguments: Sequence[Argument], table: EngineTable) -> Iterator[str]:
    for argument in arguments:
        if argument.flag.deprecated:
            yield f"{argument.flag.name} is deprecated in {table} and goes with one of the next releases"
    if any(argument.flag.name == "--config" for argument in arguments):
        yield "what stands in the file of --config is not checked"
    uses = Counter(argument.flag.name for argument in arguments if not argument.flag.repeats and not argument.key)
    for name, count in uses.items():
        if count > 1:
            yield f"{name} is given {count} times; the last one counts"
