"""A deployment on the cluster as one row: the phase of the pod that is furthest from serving, and why. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pulumi_plinth.status.pods import PodStatus
from pulumi_plinth.status.wanted import WantedServer
from pulumi_plinth.status.workloads import Workload

Age = Callable[[str], float | None]
"""Seconds since a time as Kubernetes writes it; None for what is no time."""

ORDER = (
    *("lost", "restarting", "unready", "pending", "creating", "fetching", "verifying", "joining"),
    *("starting", "loading", "warming", "failed", "draining", "stopped", "ready"),
)
"""Phases of pods, the worst first: the row of a deployment speaks of the worst. A pod that failed has a successor by
now, which matters more.
"""

MISSING, UNKNOWN, UPDATING, STOPPED, READY, PENDING = "missing", "unknown", "updating", "stopped", "ready", "pending"


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """One deployment. `workload` is None where the cluster did not tell."""

    wanted: WantedServer
    endpoint: str
    workload: Workload | None
    pods: tuple[PodStatus, ...]
    phase: str
    message: str
    since: str

    def to_json(self, age: Age) -> dict[str, Any]:
        """Render for `plinth status --json`: the keys of a server on this host, and those of pods."""
        replicas = self.workload.replicas if self.workload else None
        heard = self.pods[0].heard if self.pods and self.pods[0].verdict.phase == self.phase else None
        return {
            "name": self.wanted.name,
            "endpoint": self.endpoint,
            "management": "",
            "phase": self.phase,
            "pid": None,
            "enginePid": None,
            "percent": 100 if self.phase == READY else heard.percent if heard else 0,
            "phaseSeconds": heard.phase_seconds if heard else age(self.since),
            "weights": heard.weights if heard else None,
            "restarts": sum(pod.restarts for pod in self.pods),
            "message": self.message,
            "target": "kubernetes",
            "model": self.wanted.model,
            "namespace": self.wanted.namespace,
            "workloads": list(self.workload.names) if self.workload else [],
            "replicas": {"wanted": replicas.wanted, "ready": replicas.ready, "updated": replicas.updated}
            if replicas
            else None,
            "pods": [_pod_json(pod, self.workload, age) for pod in self.pods],
        }


def server_status(
    wanted: WantedServer, workload: Workload, pods: tuple[PodStatus, ...], service: str = ""
) -> ServerStatus:
    """Describe a deployment by what was read of it. `service` is its address in the cluster."""
    mine = tuple(sorted((pod for pod in pods if pod.deployment == wanted.name), key=_badness))
    phase, message, since = _judge(workload, mine)
    return ServerStatus(wanted, wanted.endpoint or service, workload, mine, phase, message, since)


def untold(wanted: WantedServer, why: str) -> ServerStatus:
    """Describe a deployment of which nothing could be read."""
    return ServerStatus(wanted, wanted.endpoint, None, (), UNKNOWN, why, "")


def is_current(pod: PodStatus, workload: Workload | None) -> bool:
    """Tell whether a pod serves the newest launch."""
    return workload is None or not workload.launch or pod.launch == workload.launch


def _judge(workload: Workload, pods: tuple[PodStatus, ...]) -> tuple[str, str, str]:
    """Return phase, message and since when."""
    replicas = workload.replicas
    if not workload.names and not pods:
        return MISSING, "is not in the cluster; `plinth up` or `kubectl apply` of what was rendered makes it", ""
    if not replicas.wanted and all(pod.verdict.phase == "draining" for pod in pods):
        return STOPPED, "no replicas are asked for", ""
    worst = next((pod for pod in pods if pod.verdict.phase != READY), None)
    why = "; ".join(part for part in (workload.problem, _said(worst) if worst else "") if part)
    if replicas.ready >= replicas.wanted:
        if replicas.updated >= replicas.wanted:
            ready = next((pod for pod in pods if pod.verdict.phase == READY), None)
            return READY, workload.problem, ready.verdict.since if ready else ""
        told = f"{replicas.updated} of {replicas.wanted} replicas are of the newest revision"
        return UPDATING, "; ".join(part for part in (told, why) if part), worst.verdict.since if worst else ""
    if worst is None:
        return PENDING, why or "no pod was made yet", ""
    return worst.verdict.phase, why, worst.verdict.since


def _said(pod: PodStatus) -> str:
    said = ": ".join(part for part in (pod.verdict.reason, pod.verdict.message) if part)
    return f"{pod.name}: {said}" if said else ""


def _badness(pod: PodStatus) -> tuple[int, str]:
    return ORDER.index(pod.verdict.phase), pod.name


def _pod_json(pod: PodStatus, workload: Workload | None, age: Age) -> dict[str, Any]:
    return {
        "name": pod.name,
        "phase": pod.verdict.phase,
        "reason": pod.verdict.reason,
        "message": pod.verdict.message,
        "phaseSeconds": pod.heard.phase_seconds if pod.heard else age(pod.verdict.since),
        "percent": pod.heard.percent if pod.heard else None,
        "node": pod.node or None,
        "gpus": pod.gpus,
        "restarts": pod.restarts,
        "current": is_current(pod, workload),
    }


def service_addresses(services: tuple[Mapping[str, Any], ...]) -> dict[tuple[str, str], str]:
    """Return the base URL of each Service with an API port, by namespace and name."""
    found = {}
    for item in services:
        name, namespace = item["metadata"].get("name"), item["metadata"].get("namespace")
        for port in (item.get("spec") or {}).get("ports") or ():
            if port.get("name") == "api":
                found[namespace, name] = f"http://{name}.{namespace}.svc:{port.get('port')}/v1"
    return found
