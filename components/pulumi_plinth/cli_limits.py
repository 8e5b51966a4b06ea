"""What `plinth plan`, `preview` and `up` say about OCI's service limits. Looks, never refuses."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pulumi_plinth.pool.limits import LimitsReport, demands

if TYPE_CHECKING:
    from rich.console import Console

    from pulumi_plinth.planner import StackPlan
    from pulumi_plinth.project import Workspace

STYLES = {"short": "yellow", "not-offered": "yellow"}
MARKS = {"fits": "fits", "perhaps": "perhaps", "short": "too little", "not-offered": "not offered"}
UNCHECKED = "service limits were not checked"


def limits(workspace: Workspace, plan: StackPlan) -> LimitsReport:
    """Ask OCI what it leaves for the stack's pools; where it cannot be asked, the report says why."""
    asked = demands(plan.pools)
    if not asked:
        return LimitsReport(reason="no pool asks anything of them")
    from pulumi_plinth.pool.limits_client import check  # httpx and OCI's library, which few stacks need

    return check(asked, workspace.spec().oci, os.environ)


def show_limits(console: Console, workspace: Workspace, plan: StackPlan) -> None:
    """Print a line for each limit, or the one that says why there is none; nothing where no pool is made."""
    if not demands(plan.pools):
        return
    report = limits(workspace, plan)
    lines = [(STYLES.get(item.verdict, ""), f"{_mark(item.verdict)}: {item.text}") for item in report.findings]
    if report.reason:
        lines.append(("", f"{UNCHECKED}: {report.reason}"))
    console.print()
    for style, line in lines:
        console.print(line, style=style, markup=False, highlight=False)


def _mark(verdict: str) -> str:
    return f"service limit, {MARKS[verdict]}" if verdict in MARKS else UNCHECKED
