"""How steps, servers and outputs look on a terminal. Reads values, prints, decides nothing. Plans: rendering_plan."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.markup import escape

from pulumi_plinth.embedded.events import Diagnostic, Event, StepFinished
from pulumi_plinth.errors import without_traceback
from pulumi_plinth.naming import TOTALS

ROOT_TYPE = "pulumi:pulumi:Stack"
_MARKS = {
    "create": "+",
    "update": "~",
    "replace": "+-",
    "delete": "-",
    "delete-replaced": "-",
    "refresh": "?",
    "read": ">",
    "import": "=",
}
_STYLES = {"error": "bold red", "warning": "yellow"}


def show_event(console: Console, event: Event, *, verbose: bool = False) -> None:
    """Print one line for a step that ended or a message; steps that change nothing are quiet.

    What went wrong with a resource is not printed here: the error that ends the run says it once.
    """
    if isinstance(event, Diagnostic):
        if (event.severity != "debug" or verbose) and not (event.severity == "error" and event.urn):
            style = _STYLES.get(event.severity, "")
            console.print(f"  {without_traceback(event.message)}", style=style, markup=False, highlight=False)
    elif isinstance(event, StepFinished) and event.type != ROOT_TYPE and (event.op != "same" or event.error):
        what = ", ".join(event.keys)
        tail = f"  ({what})" if what else ""
        time = "" if event.preview else f"  {event.seconds:.1f} s"
        verdict = "[red]failed[/]" if event.error else ("planned" if event.preview else "done")
        mark = escape(_MARKS.get(event.op, " "))
        console.print(f"  {mark:2} {escape(event.type):40} {escape(event.name):32} {event.op} {verdict}{time}{tail}")


def show_outputs(console: Console, outputs: Mapping[str, Any]) -> None:
    """Print the outputs, maps flattened to `name.key`; the totals are shown by the plan."""
    console.print("Outputs:")
    for name, value in sorted(outputs.items()):
        if name == TOTALS:
            continue
        rows = {f"{name}.{key}": item for key, item in value.items()} if isinstance(value, dict) else {name: value}
        for key, item in sorted(rows.items()):
            console.print(f"  {key:32} {item}", markup=False, highlight=False, soft_wrap=True)
