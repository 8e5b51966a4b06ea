"""Containers of a pod: those that fetch weights first, then the server with its probes. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from pulumi_plinth.deployment.kubernetes.credentials import CLIENTS
from pulumi_plinth.deployment.kubernetes.objects.common import API, MANAGEMENT, Manifest, environment, quantity
from pulumi_plinth.deployment.kubernetes.objects.volumes import fetch_mounts, server_mounts
from pulumi_plinth.deployment.kubernetes.paths import CACHE, LAUNCH_FILE, RUN, RUNTIME
from pulumi_plinth.deployment.kubernetes.plan import ServerPlan
from pulumi_plinth.deployment.kubernetes.timing import STARTUP_PERIOD
from pulumi_plinth.deployment.kubernetes.weights import Fetch

FETCH_CPU, FETCH_MEMORY = "1", 512 << 20
WORKING_BYTES = 2 << 30
"""Reserved for caches and scratch, which most models fill by some hundred MB."""

FETCH_LIMIT = 2 << 30
"""A fetch has some streams of 1 MiB each, and clients of clouds; what it writes counts as the page cache's."""

CLOSED = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}
"""What `restricted` asks of each container, and a root that nobody writes to."""

HOME = {
    "HOME": CACHE,
    "VLLM_CACHE_ROOT": f"{CACHE}/vllm",
    "XDG_CACHE_HOME": CACHE,
}
"""The only folder that libraries may keep things in."""


def server(plan: ServerPlan) -> Manifest:
    """Return the server's container."""
    launch = plan.launch
    return {
        "name": "server",
        "image": plan.placement.image,
        "imagePullPolicy": "IfNotPresent",
        "command": [RUNTIME],
        "args": ["serve", "--config", LAUNCH_FILE, "--run-dir", RUN],
        "env": environment(HOME),
        "ports": [
            {"name": API, "containerPort": launch.api.port, "protocol": "TCP"},
            {"name": MANAGEMENT, "containerPort": launch.management.port, "protocol": "TCP"},
        ],
        "resources": _resources(plan),
        "volumeMounts": list(server_mounts(plan)),
        "securityContext": dict(CLOSED),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        **probes(plan),
    }


def probes(plan: ServerPlan) -> Manifest:
    """Return probes and the hook before the end: all ask the management port, which tells the truth in every phase.

    One failed readiness probe is enough, because the agent judges slowly itself; liveness asks for the agent only,
    which restarts engines without the kubelet's help. Members of a group that a StatefulSet replaces one by one are
    ready as soon as they live: each would wait in vain for a leader of its own revision, which comes last.
    """
    delay = plan.timing.drain_delay
    one_by_one = plan.workload.grouped and plan.workload.kind == "stateful-set"
    started, ready = ("/memberz", "/memberz") if one_by_one else ("/startupz", "/readyz")
    hook = {"lifecycle": {"preStop": {"sleep": {"seconds": delay}}}} if delay else {}
    return {
        "startupProbe": _probe(started, period=STARTUP_PERIOD, failures=plan.timing.startup_failures),
        "readinessProbe": _probe(ready, period=5, failures=1),
        "livenessProbe": _probe("/livez", period=10, failures=3),
        **hook,
    }


def _probe(path: str, *, period: int, failures: int) -> Manifest:
    asked = {"path": path, "port": MANAGEMENT, "scheme": "HTTP"}
    return {"httpGet": asked, "periodSeconds": period, "failureThreshold": failures, "timeoutSeconds": 4}


def _resources(plan: ServerPlan) -> Manifest:
    demand, placement = plan.demand, plan.placement
    gpus = {demand.gpu_resource: str(demand.gpus)} if demand.gpus else {}
    memory = quantity(placement.memory)
    disk = {"ephemeral-storage": quantity(plan.weights.disk_bytes + WORKING_BYTES)}
    return {
        "limits": {"memory": memory, **gpus},
        "requests": {"cpu": placement.cpu, "memory": memory, **disk, **gpus},
    }


def fetches(plan: ServerPlan) -> Iterator[Manifest]:
    """Yield a container for each thing that is fetched before the server starts."""
    for number, fetch in enumerate(plan.weights.fetches):
        yield {
            "name": f"fetch-{number}",
            "image": plan.placement.image,
            "imagePullPolicy": "IfNotPresent",
            "command": [RUNTIME],
            "args": ["fetch", str(fetch.uri), "--to", fetch.folder, "--progress", "json"],
            "env": [*environment({**HOME, **_settings(fetch)}), *_credentials(fetch)],
            "resources": {
                "limits": {"memory": quantity(FETCH_LIMIT)},
                "requests": {"cpu": FETCH_CPU, "memory": quantity(FETCH_MEMORY)},
            },
            "volumeMounts": list(fetch_mounts(number, fetch)),
            "securityContext": dict(CLOSED),
            "terminationMessagePolicy": "FallbackToLogsOnError",
        }


def _settings(fetch: Fetch) -> dict[str, str]:
    points = CLIENTS[fetch.uri.scheme].points if fetch.secret else None
    return {**dict(fetch.settings), **(points or {})}


def _credentials(fetch: Fetch) -> Iterator[Manifest]:
    if fetch.secret:
        for name, entry in CLIENTS[fetch.uri.scheme].variables.items():
            yield {"name": name, "valueFrom": {"secretKeyRef": {"name": fetch.secret, "key": entry}}}
