"""What makes a deployment's pods: replicas wanted, ready and of the newest revision, and what stops it. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pulumi_plinth import naming
from pulumi_plinth.check.place_pod import Taint
from pulumi_plinth.status.objects import Object, about, condition, gpus_asked, metadata, words


@dataclass(frozen=True, slots=True)
class Replicas:
    """Replicas of a deployment: whole groups where one spans nodes."""

    wanted: int = 0
    ready: int = 0
    updated: int = 0

    def plus(self, other: Replicas) -> Replicas:
        """Add those of another workload."""
        return Replicas(self.wanted + other.wanted, self.ready + other.ready, self.updated + other.updated)


@dataclass(frozen=True, slots=True)
class Workload:
    """All workloads of one deployment as one; `names` as kubectl takes them. `gpus` are those of a pod."""

    names: tuple[str, ...] = ()
    replicas: Replicas = Replicas()
    problem: str = ""
    launch: str = ""
    gpus: int = 0
    selector: tuple[tuple[str, str], ...] = ()
    tolerations: tuple[Taint, ...] = ()

    def bears(self, taint: Taint) -> bool:
        """Tell whether its pods may go to nodes with a taint."""
        return any(toleration.tolerates(taint) for toleration in self.tolerations)

    def selects(self, labels: Object) -> bool:
        """Tell whether its pods ask for nodes by labels, and a node has them."""
        return bool(self.selector) and all(labels.get(key) == value for key, value in self.selector)


def workload_of(deployment: str, namespace: str, objects: Iterable[Object], events: tuple[Object, ...]) -> Workload:
    """Read the workloads of a deployment; one without names if there are none."""
    mine = [item for item in objects if _belongs(item, deployment, namespace)]
    replicas = Replicas()
    for item in mine:
        replicas = replicas.plus(_replicas(item))
    problem = next((found for item in mine if (found := _problem(item, events))), "")
    template = _template(mine[0]) if mine else {}
    spec = template.get("spec") or {}
    return Workload(
        names=tuple(sorted(f"{str(item.get('kind')).lower()}/{metadata(item).get('name')}" for item in mine)),
        replicas=replicas,
        problem=problem,
        launch=str((metadata(template).get("annotations") or {}).get(naming.LAUNCH_ANNOTATION, "")),
        gpus=gpus_asked(spec),
        selector=tuple(sorted((spec.get("nodeSelector") or {}).items())),
        tolerations=tuple(_toleration(row) for row in spec.get("tolerations") or ()),
    )


def _belongs(item: Object, deployment: str, namespace: str) -> bool:
    meta = metadata(item)
    return meta.get("namespace") == namespace and (meta.get("labels") or {}).get(naming.INSTANCE_LABEL) == deployment


def _template(item: Object) -> Object:
    spec = item.get("spec") or {}
    found: Object = spec.get("template") or (spec.get("leaderWorkerTemplate") or {}).get("workerTemplate") or {}
    return found


def _replicas(item: Object) -> Replicas:
    """Count; what a controller has not yet seen is not of the newest revision."""
    status, asked = item.get("status") or {}, (item.get("spec") or {}).get("replicas", 1)
    seen = status.get("observedGeneration", 0) >= metadata(item).get("generation", 0)
    # LeaderWorkerSets do not say which generation they looked at.
    updated = status.get("updatedReplicas", 0) if seen or item.get("kind") == "LeaderWorkerSet" else 0
    counts = Replicas(asked, status.get("readyReplicas", 0), updated)
    if naming.GROUP_LABEL not in (metadata(_template(item)).get("labels") or {}):
        return counts
    whole = Replicas(1, int(counts.ready >= asked), int(counts.updated >= asked))
    return whole if asked else Replicas()


def _problem(item: Object, events: tuple[Object, ...]) -> str:
    """Say why no pods are made, or why a rollout was given up."""
    failed, progress = condition(item, "ReplicaFailure"), condition(item, "Progressing")
    if failed.get("status") == "True":
        return words(failed.get("reason") or "", failed.get("message") or "")
    if progress.get("status") == "False":
        return words(progress.get("reason") or "", progress.get("message") or "")
    event = next((row for row in about(events, item) if str(row.get("reason")).startswith("FailedCreate")), {})
    counts = _replicas(item)
    return words(event.get("reason") or "", event.get("message") or "") if counts.ready < counts.wanted else ""


def _toleration(row: Object) -> Taint:
    """Read a toleration: without an operator it compares, without a key it bears everything."""
    exists = row.get("operator") == "Exists"
    return Taint(row.get("key") or "", row.get("value") or "", row.get("effect") or "", exists)
