"""A pod as it is now: one phase, why, and since when, in the words that servers on this host have too. Pure.

The phases: pending (no node), creating (image, volumes), fetching (weights), starting, ready, unready (was ready),
restarting, draining, stopped, failed, lost (its node is silent); where the server itself was heard, its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from plinth_runtime.contract.status import StartupStatus, Termination
from pulumi_plinth import naming
from pulumi_plinth.status.objects import Object, PodPort, about, condition, gpus_asked, metadata, words

SPEAKER = "plinth-runtime: "
"""How the last lines of our programs begin, which the kubelet takes as the message of an end."""

USUAL = frozenset({"ContainerCreating", "PodInitializing", ""})
"""Reasons of waiting that every pod has for a moment; where it lasts, an event says why."""

AFTERTHOUGHTS = (" no new claims to deallocate,", " preemption:")
"""Where the scheduler, having said why no node will do, goes on to say why no pod was evicted for it."""

BACK_OFF = "CrashLoopBackOff"
SERVER, MANAGEMENT = "server", "management"
"""Names of the container and of its port that says how it is."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a pod does. `reason` is one word or none, `since` a time as Kubernetes writes it or none."""

    phase: str
    reason: str = ""
    message: str = ""
    since: str = ""


@dataclass(frozen=True, slots=True)
class Around:
    """What is known beside a pod: warnings, nodes that do not report, what servers said of themselves."""

    events: tuple[Object, ...] = ()
    silent: frozenset[str] = frozenset()
    heard: Mapping[PodPort, StartupStatus] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PodStatus:
    """One pod of a deployment. `launch` is the digest of what it serves; `heard` is what the server said itself."""

    name: str
    deployment: str
    verdict: Verdict
    node: str
    gpus: int
    restarts: int
    launch: str
    heard: StartupStatus | None = None


def pod_status(pod: Object, around: Around) -> PodStatus:
    """Describe a pod."""
    meta, spec = metadata(pod), pod.get("spec") or {}
    node, port = str(spec.get("nodeName") or ""), starting_port(pod)
    heard = around.heard.get(port) if port else None
    return PodStatus(
        name=str(meta.get("name")),
        deployment=str((meta.get("labels") or {}).get(naming.INSTANCE_LABEL, "")),
        verdict=_told(_heard(heard) if heard else _judge(pod, node in around.silent), pod, around.events),
        node=node,
        gpus=gpus_asked(spec),
        restarts=sum(int(row.get("restartCount") or 0) for row in _containers(pod)),
        launch=str((meta.get("annotations") or {}).get(naming.LAUNCH_ANNOTATION, "")),
        heard=heard,
    )


def starting_port(pod: Object) -> PodPort | None:
    """Return where a server that runs and is not ready can be asked; None if there is nothing to ask."""
    if metadata(pod).get("deletionTimestamp") or condition(pod, "Ready").get("status") == "True":
        return None
    rows = {row.get("name"): row for row in (pod.get("status") or {}).get("containerStatuses") or ()}
    containers = {item.get("name"): item for item in (pod.get("spec") or {}).get("containers") or ()}
    if "running" not in ((rows.get(SERVER) or {}).get("state") or {}):
        return None
    ports = (containers.get(SERVER) or {}).get("ports") or ()
    found = next((item["containerPort"] for item in ports if item.get("name") == MANAGEMENT), None)
    meta = metadata(pod)
    return PodPort(str(meta.get("namespace")), str(meta.get("name")), found) if found else None


def last_words(message: str) -> str:
    """Read the message of an end: the contract's document, our programs' fault and advice, else the log's last line."""
    try:
        end = Termination.model_validate_json(message)
    except ValueError:
        lines = [line.strip() for line in message.strip().splitlines()]
        starts = [number for number, line in enumerate(lines) if line.startswith(SPEAKER)]
        said = lines[starts[-1] :][:2] if starts else lines[-1:]
        return "; ".join(said).removeprefix(SPEAKER)
    return f"{end.message}; {end.advice}"


def _heard(status: StartupStatus) -> Verdict:
    left = f"about {status.eta_seconds:.0f} s left" if status.eta_seconds else ""
    return Verdict(str(status.phase), "", "; ".join(filter(None, (f"{status.percent:.0f} %", left, status.message))))


def _judge(pod: Object, is_silent: bool) -> Verdict:  # noqa: FBT001 what is known of its node
    status = pod.get("status") or {}
    phase = status.get("phase")
    if is_silent:
        return Verdict("lost", "NodeSilent", "its node does not report")
    if metadata(pod).get("deletionTimestamp"):
        return Verdict("draining", "Deleted", "it ends")
    if phase == "Failed":
        ended = next((row for row in map(_end, _containers(pod)) if row), {})
        reason = status.get("reason") or ended.get("reason") or ""
        return Verdict("failed", reason, status.get("message") or _farewell(ended), ended.get("finishedAt") or "")
    if phase == "Succeeded":
        return Verdict("stopped", "", "its programs ended")
    return _unplaced(pod) or _before_serving(pod) or _serving(pod)


def _unplaced(pod: Object) -> Verdict | None:
    if (pod.get("spec") or {}).get("nodeName"):
        return None
    placed = condition(pod, "PodScheduled")
    since = metadata(pod).get("creationTimestamp") or ""
    message = placed.get("message") or "the scheduler has not looked at it yet"
    for afterthought in AFTERTHOUGHTS:
        message = message.partition(afterthought)[0]
    return Verdict("pending", placed.get("reason") or "", message, since)


def _before_serving(pod: Object) -> Verdict | None:
    """Judge what runs before the server; sidecars that started stay, and hold nothing up."""
    for row in (pod.get("status") or {}).get("initContainerStatuses") or ():
        state = row.get("state") or {}
        done = (state.get("terminated") or {}).get("exitCode") == 0
        if not done and not (row.get("started") and "running" in state and row.get("ready")):
            return _container(row, "fetching", pod)
    return None


def _serving(pod: Object) -> Verdict:
    rows = {row.get("name"): row for row in (pod.get("status") or {}).get("containerStatuses") or ()}
    ready = condition(pod, "Ready")
    if ready.get("status") == "True":
        return Verdict("ready", "", "", ready.get("lastTransitionTime") or "")
    server = rows.get(SERVER)
    if server is None:
        since = metadata(pod).get("creationTimestamp") or ""
        return Verdict("creating", "", "its node has not taken it up yet", since)
    if not server.get("ready"):
        was_ready = bool(server.get("started"))
        return _container(server, "unready" if was_ready else "starting", pod)
    others = (_container(row, "unready", pod) for row in rows.values() if not row.get("ready"))
    return next(others, Verdict("unready", ready.get("reason") or "", ready.get("message") or ""))


def _container(row: Object, running: str, pod: Object) -> Verdict:
    """Judge a container that is not done or not ready; `running` is the phase it stands for while it runs."""
    state, ended = row.get("state") or {}, _end(row)
    if waiting := state.get("waiting"):
        reason = waiting.get("reason") or ""
        if reason == BACK_OFF or (ended and reason in USUAL):
            return Verdict("restarting", reason or BACK_OFF, _farewell(ended), ended.get("finishedAt") or "")
        since = metadata(pod).get("creationTimestamp") or ""
        return Verdict("creating", "" if reason in USUAL else reason, waiting.get("message") or "", since)
    if "running" in state:
        again = f"before this: {_farewell(ended)}" if ended else ""
        return Verdict(running, "", again, state["running"].get("startedAt") or "")
    return Verdict("restarting", ended.get("reason") or "", _farewell(ended), ended.get("finishedAt") or "")


def _end(row: Object) -> Object:
    """Return how a container ended, now or the last time; empty if it never did."""
    now, before = row.get("state") or {}, row.get("lastState") or {}
    found: Object = now.get("terminated") or before.get("terminated") or {}
    return found


def _farewell(ended: Object) -> str:
    if not ended:
        return ""
    how = f"exit code {ended.get('exitCode')}"
    reason = ended.get("reason") or ""
    how += f" ({reason})" if reason not in ("", "Error", "Completed") else ""
    return ": ".join(part for part in (how, last_words(ended.get("message") or "")) if part)


def _told(verdict: Verdict, pod: Object, events: tuple[Object, ...]) -> Verdict:
    """Add what an event says to a wait without a reason; make all of it fit to be shown."""
    reason, message = verdict.reason, verdict.message
    if verdict.phase == "creating" and not reason:
        event = next(about(events, pod), {})
        reason, message = event.get("reason") or reason, event.get("message") or message
    return replace(verdict, reason=words(reason), message=words(message))


def _containers(pod: Object) -> Iterator[Object]:
    status = pod.get("status") or {}
    yield from status.get("initContainerStatuses") or ()
    yield from status.get("containerStatuses") or ()
