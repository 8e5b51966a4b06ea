"""How servers, pods, declared models and GPU nodes look on a terminal, or on a picture of one. Decides nothing."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pulumi_plinth.status.models import ModelStatus, NodeOfModel
from pulumi_plinth.status.nodes import NodeStatus
from pulumi_plinth.status.report import Report
from pulumi_plinth.status.servers import Age, ServerStatus, is_current

PICTURE_WIDTH = 132
SHOWN_NODES = 3
"""Nodes that are named where several say the same; --json has all."""

GOOD = frozenset({"ready", "Ready"})
BAD = frozenset({"failed", "lost", "missing", "restarting", "unknown", "unready", "Failed", "UpdateFailed"})
_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def show_servers(console: Console, servers: list[dict[str, Any]]) -> None:
    """Print one line for each server on this host."""
    table = _table("deployment", "phase", "pid", "for", "weights", "endpoint", "message")
    for server in servers:
        table.add_row(
            server["name"],
            _phase(server["phase"]),
            str(server["pid"] or "-"),
            _duration(server["phaseSeconds"]),
            server["weights"] or "-",
            server["endpoint"],
            Text(server["message"]),
        )
    console.print(table)


def show_report(console: Console, report: Report, age: Age) -> None:
    """Print what was read of the cluster: what is empty is left out."""
    parts: tuple[tuple[Iterable[Any], Callable[[], Table]], ...] = (
        (report.servers, lambda: _servers(report.servers, age)),
        ([pod for server in report.servers for pod in server.pods], lambda: _pods(report.servers, age)),
        (report.models, lambda: _models(report.models)),
        (report.nodes, lambda: _nodes(report.nodes)),
    )
    for rows, table in parts:
        if rows:
            console.print(table())
            console.print()


def picture(show: Callable[[Console], None], title: str) -> str:
    """Draw what `show` prints as an SVG of a terminal; it refers to nothing outside itself."""
    console = Console(
        record=True, width=PICTURE_WIDTH, file=io.StringIO(), force_terminal=True, color_system="truecolor"
    )
    show(console)
    drawn = console.export_svg(title=title, unique_id="plinth")
    # rich loads a font from somebody's server; a reader's own monospaced font does.
    return re.sub(r"@font-face \{.*?\}\s*", "", drawn, flags=re.DOTALL)


def _servers(servers: Iterable[ServerStatus], age: Age) -> Table:
    table = _table("deployment", "namespace", "ready", "phase", "for", "endpoint", "message")
    for server in servers:
        replicas = server.workload.replicas if server.workload else None
        table.add_row(
            server.wanted.name,
            server.wanted.namespace,
            f"{replicas.ready}/{replicas.wanted}" if replicas else "?",
            _phase(server.phase),
            _duration(age(server.since)),
            server.endpoint or "-",
            Text(server.message),
        )
    return table


def _pods(servers: Iterable[ServerStatus], age: Age) -> Table:
    table = _table("pod", "phase", "for", "node", "gpus", "restarts", "reason")
    for server in servers:
        for pod in server.pods:
            old = "" if is_current(pod, server.workload) else "serves an earlier launch"
            table.add_row(
                pod.name,
                _phase(pod.verdict.phase),
                _duration(age(pod.verdict.since)),
                pod.node or "-",
                str(pod.gpus or "-"),
                str(pod.restarts or "-"),
                Text("; ".join(part for part in (old, pod.verdict.reason) if part)),
            )
    return table


def _models(models: Iterable[ModelStatus]) -> Table:
    table = _table("model", "kind", "state", "nodes ready", "failed", "message")
    for model in models:
        table.add_row(
            f"{model.key.namespace}/{model.key.name}".lstrip("/"),
            model.key.kind.kind,
            _phase(model.state),
            str(len(model.ready)),
            str(len(model.failed)),
            Text("\n".join(_model_lines(model)) or ("" if model.state in GOOD else model.message)),
        )
    return table


def _model_lines(model: ModelStatus) -> Iterator[str]:
    """Say what the nodes say that do not just serve: alike ones once, with some of their names."""

    def alike(row: NodeOfModel) -> tuple[str, str, str]:
        return row.phase, row.reason, row.message

    rows = sorted((row for row in model.nodes if row.phase not in GOOD), key=lambda row: (*alike(row), row.name))
    for (phase, reason, message), group in groupby(rows, key=alike):
        same = list(group)
        names = [row.name + (f" {row.percent} %" if row.percent is not None else "") for row in same[:SHOWN_NODES]]
        more = f" and {len(same) - SHOWN_NODES} more" if len(same) > SHOWN_NODES else ""
        said = ": ".join(part for part in (reason, message) if part)
        yield f"{phase} on {', '.join(names)}{more}" + (f": {said}" if said else "")


def _nodes(nodes: Iterable[NodeStatus]) -> Table:
    table = _table("node", "ready", "gpus", "asked", "free", "keeps out", "message")
    for node in nodes:
        asked = node.requested
        table.add_row(
            node.name,
            _phase("ready" if node.ready else "unready", "yes" if node.ready else "no"),
            str(node.allocatable),
            "?" if asked is None else str(asked),
            "?" if asked is None else str(max(0, node.allocatable - asked)),
            Text("\n".join(f"{', '.join(names)}: {taint}" for taint, names in node.keeps_out) or "-"),
            Text(node.message),
        )
    return table


def _table(*columns: str) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _phase(phase: str, shown: str = "") -> Text:
    style = "green" if phase in GOOD else "red" if phase in BAD else "yellow"
    return Text(shown or phase, style="" if phase == "stopped" else style)


def _duration(seconds: float | None) -> str:
    """Write how long: seconds, minutes, hours, days, whole ones."""
    if seconds is None:
        return "-"
    for unit, size in (("d", _DAY), ("h", _HOUR), ("min", _MINUTE)):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{seconds:.0f} s"
