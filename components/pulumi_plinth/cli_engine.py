"""`plinth engine`: what the engine's release knows, from its table. No engine is installed or started for it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from pulumi_plinth.errors import PlinthError, nearest

if TYPE_CHECKING:
    from pulumi_plinth.engines.table import EngineTable, Flag

WIDTH = 20
"""Columns of the left side."""


@click.command()
@click.option("--engine", "name", default="vllm-cpu", show_default=True, help="An engine environment.")
@click.option("--flag", "flag_name", help="Only this flag, in any spelling.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout.")
def engine(name: str, flag_name: str | None, as_json: bool) -> None:
    """Print what the engine's release knows: flags, parsers, quantization, metrics, architectures.

    \b
    Examples:
      plinth engine
      plinth engine --flag max-model-len
      plinth engine --json | jq .tool_parsers
    """
    from pulumi_plinth.engines.environments import RELEASES, table_of

    if name not in RELEASES:
        known = nearest(name, RELEASES) or f"there are {', '.join(RELEASES)}"
        raise PlinthError(f"no engine is called {name}; {known}")
    table = table_of(name)
    if flag_name is not None:
        found = _find(flag_name, table)
        click.echo(json.dumps(asdict(found), indent=2) if as_json else "\n".join(_lines(_flag_rows(found))))
    else:
        click.echo(json.dumps(_document(table), indent=2) if as_json else "\n".join(_lines(_table_rows(table))))


def _find(written: str, table: EngineTable) -> Flag:
    """Look a flag up; dashes in front may be left out, underscores count as dashes."""
    dashed = written.replace("_", "-")
    for spelling in (dashed, f"--{dashed.lstrip('-')}", f"-{dashed.lstrip('-')}"):
        if spelling in table.spellings:
            return table.spellings[spelling]
    hint = nearest(f"--{dashed.lstrip('-')}", table.spellings) or "see `plinth engine --json`"
    raise PlinthError(f"{written} is not a flag of {table}; {hint}")


def _flag_rows(flag: Flag) -> Iterator[tuple[str, str]]:
    bounds = {"at least": flag.least, "more than": flag.above, "at most": flag.most, "less than": flag.below}
    yield "flag", ", ".join(flag.names)
    yield "takes", {"none": "no value", "optional": "at most one value", "many": "values"}.get(flag.values, "one value")
    if flag.values != "none":
        scaled = ", such as 32k" if flag.scaled else ""
        yield "kind", f"{flag.kind}{scaled}"
    yield "bounds", ", ".join(f"{word} {bound:g}" for word, bound in bounds.items() if bound is not None)
    yield "one of", ", ".join(flag.choices)
    yield "also", ", ".join(flag.words)
    yield "keys", ", ".join(flag.keys) or ("any" if flag.mapping else "")
    yield "default", "" if flag.default is None else str(flag.default)
    yield "deprecated", "yes" if flag.deprecated else ""


def _table_rows(table: EngineTable) -> Iterator[tuple[str, str]]:
    yield "release", f"{table}, described on {table.described_on}"
    yield "tool parsers", ", ".join(table.tool_parsers)
    yield "reasoning parsers", ", ".join(table.reasoning_parsers)
    yield "quantization", ", ".join(name for name, method in table.quantizations.items() if not method.deprecated)
    yield "load formats", ", ".join(table.load_formats)
    yield "kv cache dtypes", ", ".join(table.kv_cache_dtypes)
    yield "attention backends", ", ".join(table.attention_backends)
    yield "flags", f"{len(table.flags)}, see --flag NAME or --json"
    yield "metrics", f"{len(table.metrics)}, see --json"
    yield "architectures", f"{len(table.architectures)}, see --json"
    yield "variables", f"{len(table.environment)}, see --json"


def _lines(rows: Iterator[tuple[str, str]]) -> Iterator[str]:
    yield from (f"{name:<{WIDTH}}{text}" for name, text in rows if text)


def _document(table: EngineTable) -> dict[str, Any]:
    """Render the table with sets in order."""
    plain = asdict(table)
    return {name: sorted(item) if isinstance(item, frozenset) else item for name, item in plain.items()}
