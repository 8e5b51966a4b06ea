"""The servers of a stack as they are now: from the stack's outputs, the management ports and the run directories."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from plinth_runtime.contract.rundir import RunDir
from pulumi_plinth import naming
from pulumi_plinth.deployment import local
from pulumi_plinth.errors import PlinthError
from pulumi_plinth.project import Workspace

FOLLOW_SECONDS = 0.3


def statuses(workspace: Workspace, outputs: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Describe every server, as `plinth status --json` prints it: those in the outputs, and those an interrupted `up`
    has started already.
    """
    endpoints, management = dict(outputs.get(naming.ENDPOINTS) or {}), dict(outputs.get(naming.MANAGEMENT) or {})
    for folder in naming.runs_dir(workspace.root, workspace.stack).glob("*"):
        if launch := local.launch_of(RunDir(folder)):
            endpoints.setdefault(folder.name, launch.endpoint)
            management.setdefault(folder.name, launch.management_url)
    return [_status(workspace, name, endpoints[name], management.get(name, "")) for name in sorted(endpoints)]


def _status(workspace: Workspace, name: str, endpoint: str, management: str) -> dict[str, Any]:
    run_dir = RunDir(naming.run_dir(workspace.root, workspace.stack, name))
    pid = local.holder(run_dir)
    row: dict[str, Any] = {"name": name, "endpoint": endpoint, "management": management, "phase": "stopped", "pid": pid}
    row["target"] = "kubernetes" if not (management or pid) else "local"
    row |= {"enginePid": None, "percent": 0, "phaseSeconds": None, "weights": None, "restarts": 0, "message": ""}
    status = local.fetch_status(management) if pid else None
    if status is not None and status.agent_pid == pid:
        row |= {"phase": str(status.phase), "enginePid": status.engine_pid, "percent": status.percent}
        row |= {"phaseSeconds": status.phase_seconds, "weights": status.weights, "restarts": status.restarts}
        row["message"] = status.message
    elif pid:
        row |= {"phase": "unknown", "message": "the agent lives but does not answer"}
    elif end := local.termination(run_dir):
        row |= {"phase": "failed", "message": f"{end.message}; {end.advice}"}
    elif not management:
        asked = f"kubectl get pods -A -l {naming.INSTANCE_LABEL}={name}"
        row |= {"phase": "in the cluster", "message": f"is not in the stack file any more; ask it: {asked}"}
    else:
        row["message"] = "not running; `plinth up` starts it"
    return row


def pick(names: list[str], wanted: str | None) -> str:
    """Choose a deployment: the one named, or the only one there is."""
    if wanted in names:
        return str(wanted)
    if wanted is None and len(names) == 1:
        return names[0]
    if not names:
        raise PlinthError("nothing is deployed; run `plinth up` first")
    raise PlinthError(f"name one of the deployments: {', '.join(names)}")


def log_lines(path: Path, last: int, *, follow: bool) -> Iterator[str]:
    """Yield the last lines of a log, then with `follow` what is appended, across rotation, until interrupted."""
    if not path.exists():
        raise PlinthError(f"there is no log at {path}; see `plinth status`")
    stream = path.open(errors="replace")
    try:
        yield from stream.readlines()[-last:] if last else []
        while follow:
            if line := stream.readline():
                yield line
            elif _rotated(path, stream.fileno()):
                stream.close()
                stream = path.open(errors="replace")
            else:
                time.sleep(FOLLOW_SECONDS)
    finally:
        stream.close()


def _rotated(path: Path, descriptor: int) -> bool:
    import os

    try:
        return path.stat().st_ino != os.fstat(descriptor).st_ino
    except FileNotFoundError:
        return False
