"""How servers, pods, declared models and GPU nodes look on a terminal, or on a picture of one. Decides nothing."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from pulumi_plinth.status.models import ModelStatus, NodeOfModel
from pulumi_plinth.status.nodes import NodeStatus
from pulumi_plinth.status.report import Report
from pulumi_plinth.status.servers import Age, ServerStatus, is_current

PICTURE_WIDTH = 132
SHOWN_NODES = 3
"""Nodes that are named where several say the same; --json has all."""

SHOWN_PODS = 20
"""Pods of one deployment, the worst first: of one that no node admits there may be hundreds."""

GOOD = frozenset({"ready", "Ready"})
BAD = frozenset({"failed", "lost", "missing", "restarting", "unknown", "unready", "Failed", "UpdateFailed"})
_MINUTE, _HOUR, _DAY = 60, 3600, 86400

Line = tuple[str, str]
"""Whom a sentence below a table is about, and the sentence: it has the terminal's whole width."""


def show_servers(console: Console, servers: list[dict[str, Any]]) -> None:
    """Print one line for each server on this host."""
    table = _table("deployment", "phase", "pid", "for", "weights", "endpoint")
    for server in servers:
        table.add_row(
            server["name"],
            _phase(server["phase"]),
            str(server["pid"] or "-"),
            _duration(server["phaseSeconds"]),
            server["weights"] or "-",
            server["endpoint"],
        )
    console.print(table)
    _say(console, ((server["name"], server["message"]) for server in servers if server["message"]))
    console.print()


def show_report(console: Console, report: Report, age: Age) -> None:
    """Print what was read of the cluster: what is empty is left out."""
    has_pods = any(server.pods for server in report.servers)
    parts: tuple[tuple[Any, Callable[[], Table], Callable[[], Iterable[Line]]], ...] = (
        (report.servers, lambda: _servers(report.servers, age), lambda: _server_lines(report.servers)),
        (has_pods, lambda: _pods(report.servers, age), tuple),
        (report.models, lambda: _models(report.models), lambda: _all_model_lines(report.models)),
        (report.nodes, lambda: _nodes(report.nodes), lambda: _node_lines(report)),
    )
    for rows, table, lines in parts:
        if rows:
            console.print(table())
            _say(console, lines())
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


def _say(console: Console, lines: Iterable[Line]) -> None:
    for name, sentence in lines:
        console.print(Padding(Text.assemble((name, "bold"), ": ", sentence), (0, 0, 0, 2)))


def _servers(servers: Iterable[ServerStatus], age: Age) -> Table:
    table = _table("deployment", "ready", "phase", "for", "namespace", "endpoint")
    for server in servers:
        replicas = server.workload.replicas if server.workload else None
        table.add_row(
            server.wanted.name,
            f"{replicas.ready}/{replicas.wanted}" if replicas else "?",
            _phase(server.phase),
            _duration(server.to_json(age)["phaseSeconds"]),
            server.wanted.namespace,
            server.endpoint or "-",
        )
    return table


def _server_lines(servers: Iterable[ServerStatus]) -> Iterator[Line]:
    return ((server.wanted.name, server.message) for server in servers if server.message)


def _pods(servers: Iterable[ServerStatus], age: Age) -> Table:
    table = _table("pod", "phase", "for", "node", "gpus", "restarts", "reason")
    for server in servers:
        for pod in server.pods[:SHOWN_PODS]:
            old = "" if is_current(pod, server.workload) else "serves an earlier launch"
            table.add_row(
                pod.name,
                _phase(pod.verdict.phase),
                _duration(pod.heard.phase_seconds if pod.heard else age(pod.verdict.since)),
                pod.node or "-",
                str(pod.gpus or "-"),
                str(pod.restarts or "-"),
                Text("; ".join(part for part in (old, pod.verdict.reason) if part)),
            )
        if len(server.pods) > SHOWN_PODS:
            table.add_row(f"and {len(server.pods) - SHOWN_PODS} more of {server.wanted.name}")
    return table


def _models(models: Iterable[ModelStatus]) -> Table:
    table = _table("model", "state", "ready on", "failed on", "kind")
    for model in models:
        name = f"{model.key.namespace}/{model.key.name}".lstrip("/")
        counts = (str(len(model.ready)), str(len(model.failed)))
        table.add_row(name, _phase(model.state), *counts, model.key.kind.kind)
    return table


def _all_model_lines(models: Iterable[ModelStatus]) -> Iterator[Line]:
    for model in models:
        lines = list(_model_lines(model))
        yield from ((model.key.name, line) for line in lines)
        if not lines and model.state not in GOOD:
            yield model.key.name, model.message


def _model_lines(model: ModelStatus) -> Iterator[str]:
    """Say what the nodes say that do not just serve: alike ones once, with some of their names."""

    def alike(row: NodeOfModel) -> tuple[str, str, str]:
        return row.phase, row.reason, row.message

    rows = sorted((row for row in model.nodes if row.phase not in GOOD), key=lambda row: (*alike(row), row.name))
    for (phase, reason, message), group in groupby(rows, key=alike):
        same = list(group)
        names = [row.name + (f" {row.percent} %" if row.percent is not None else "") for row in same]
        said = ": ".join(part for part in (reason, message) if part)
        yield f"{phase} on {_some(names)}" + (f": {said}" if said else "")


def _nodes(nodes: Iterable[NodeStatus]) -> Table:
    table = _table("node", "ready", "gpus", "asked for", "free")
    for node in nodes:
        asked = "?" if node.requested is None else str(node.requested)
        free = "?" if node.requested is None else str(max(0, node.allocatable - node.requested))
        ready = _phase("ready" if node.ready else "unready", "yes" if node.ready else "no")
        table.add_row(node.name, ready, str(node.allocatable), asked, free)
    return table


def _node_lines(report: Report) -> Iterator[Line]:
    """Say what is wrong with nodes, and what keeps deployments out that wait: alike ones once."""
    yield from ((node.name, node.message) for node in report.nodes if node.message)
    waiting = {server.wanted.name for server in report.servers if server.phase not in GOOD}
    kept: dict[tuple[str, str], list[str]] = {}
    for node in report.nodes:
        for barrier in node.barriers:
            for name in barrier.deployments:
                kept.setdefault((name, barrier.what), []).append(node.name)
    for (name, what), nodes in sorted(kept.items()):
        if name in waiting:
            yield name, f"kept out of {_some(nodes)}: {what}"


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN_NODES} more" if len(names) > SHOWN_NODES else ""
    return ", ".join(names[:SHOWN_NODES]) + more


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
