"""Which kind of object runs the pods, and how they are replaced. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from pulumi_plinth.deployment.kubernetes.case import Demand, ServerCase
from pulumi_plinth.errors import Fault
from pulumi_plinth.fit.layout import Reason

Kind = Literal["deployment", "stateful-set", "leader-worker-set"]
Strategy = Literal["surge", "in-place", "recreate"]

KINDS = {"deployment": "Deployment", "stateful-set": "StatefulSet", "leader-worker-set": "LeaderWorkerSet"}


@dataclass(frozen=True, slots=True)
class Workload:
    """The object's kind, pods of one replica, and the rollout. `replicas` is None where an autoscaler owns it."""

    kind: Kind
    size: int
    replicas: int | None
    strategy: Strategy
    reasons: tuple[Reason, ...]

    @property
    def grouped(self) -> bool:
        """Whether several pods are one replica."""
        return self.size > 1


def plan_workload(case: ServerCase, demand: Demand, faults: list[Fault]) -> Workload:
    """Decide; a kind that cannot run this is a fault."""
    kind, why = _kind(case, demand)
    faults.extend(_kind_faults(case, demand, kind))
    strategy, because = _strategy(case, demand, kind)
    faults.extend(_strategy_faults(case, demand, kind))
    replicas = None if case.spec.autoscaling else demand.replicas.least
    reasons = [Reason("workload", f"{KINDS[kind]}: {why}"), Reason("rollout", f"{strategy}: {because}")]
    if not case.spec.autoscaling and demand.replicas.most > demand.replicas.least:
        text = f"WARNING: {demand.replicas.least} run; the most, {demand.replicas.most}, needs `autoscaling:`"
        reasons.append(Reason("replicas", text))
    return Workload(kind, demand.nodes, replicas, strategy, tuple(reasons))


def _kind(case: ServerCase, demand: Demand) -> tuple[Kind, str]:
    asked, preset = case.spec.workload, case.preset
    if asked != "auto":
        return asked, "as asked"
    if preset and preset.workload != "auto" and demand.nodes == 1:
        served = "distributed" if preset.distributed else "on one GPU"
        return preset.workload, f"what KAITO makes for {_preset_name(case)}, {served}"
    if demand.nodes == 1:
        return "deployment", "one node serves a replica"
    if preset is None and case.cluster.leader_worker_set:
        return "leader-worker-set", f"{demand.nodes} nodes serve a replica, and the cluster has the CRD"
    return "stateful-set", f"{demand.nodes} nodes serve a replica"


def _preset_name(case: ServerCase) -> str:
    return case.declared.preset.name if case.declared.preset else ""


def _kind_faults(case: ServerCase, demand: Demand, kind: Kind) -> Iterator[Fault]:
    path, preset = f"{case.path}.workload", case.preset
    if preset and kind != preset.workload and not (preset.distributed and demand.nodes > 1):
        problem = f"is not what KAITO makes for {_preset_name(case)}"
        yield Fault(path, case.spec.workload, problem, f"write {preset.workload}, or leave it out")
    if preset and demand.ranks < preset.gpus:
        problem = f"puts {_preset_name(case)} on {demand.ranks} GPUs; it is served distributed over {preset.gpus}"
        remedy = f"write parallel: {{tensor: {preset.gpus}}}, or leave it out"
        yield Fault(f"{case.path}.parallel", None, problem, remedy)
    if kind == "deployment" and demand.nodes > 1:
        problem = f"cannot run a replica of {demand.nodes} nodes: its pods do not know each other"
        yield Fault(path, case.spec.workload, problem, "write stateful-set or leader-worker-set, or leave it out")
    if kind == "leader-worker-set" and not case.cluster.leader_worker_set:
        problem = "needs a CRD that the cluster is not said to have"
        yield Fault(path, case.spec.workload, problem, "install LeaderWorkerSet and write kubernetes.leaderWorkerSet")
    if kind == "leader-worker-set" and demand.nodes == 1:
        yield Fault(path, case.spec.workload, "is for replicas of several nodes, and this is one", "write deployment")
    if kind == "stateful-set" and demand.nodes > 1 and case.spec.autoscaling:
        problem = "cannot be scaled: each StatefulSet is one replica of several nodes"
        yield Fault(f"{case.path}.autoscaling", None, problem, "write kubernetes.leaderWorkerSet: true, or remove it")


def _spare(case: ServerCase, demand: Demand) -> int | None:
    """Return the GPUs that are free while all replicas run; None where nobody knows."""
    if case.spec.rollout.spare_gpus is not None:
        return case.spec.rollout.spare_gpus
    if demand.capacity is None:
        return None
    return max(0, demand.capacity - demand.replicas.most * demand.all_gpus)


def _strategy(case: ServerCase, demand: Demand, kind: Kind) -> tuple[Strategy, str]:
    asked, need, spare = case.spec.rollout.strategy, demand.all_gpus, _spare(case, demand)
    if asked != "auto":
        return asked, "as asked"
    if kind == "stateful-set":
        return "in-place", "a StatefulSet ends a pod before it starts the next of that name" + _of_group(demand)
    if not need:
        return "surge", "no GPUs are needed for one more"
    if spare is not None and spare >= need:
        return "surge", f"{spare} GPUs are free, one more replica takes {need}"
    free = "how many GPUs are free is not known" if spare is None else f"{spare} GPUs are free, {need} would be needed"
    if demand.replicas.least > 1:
        return "in-place", f"{free}, so one old replica ends first; {demand.replicas.least - 1} go on answering"
    strategy: Strategy = "recreate" if kind == "deployment" else "in-place"
    return strategy, f"{free}, so the old replica ends first: nobody answers meanwhile"


def _of_group(demand: Demand) -> str:
    """Say what becomes of a group meanwhile: members of two revisions do not work together."""
    return "; a group answers again when its last pod is replaced" if demand.nodes > 1 else ""


def _strategy_faults(case: ServerCase, demand: Demand, kind: Kind) -> Iterator[Fault]:
    asked, spare, path = case.spec.rollout.strategy, _spare(case, demand), f"{case.path}.rollout.strategy"
    if asked == "surge" and kind == "stateful-set":
        yield Fault(path, asked, "is not what a StatefulSet can do", "write in-place, or leave it out")
    elif asked == "surge" and spare is not None and spare < demand.all_gpus:
        problem = (
            f"needs {demand.all_gpus} GPUs for one more replica, {spare} are free: the rollout would wait for ever"
        )
        yield Fault(path, asked, problem, "write in-place or recreate, or leave it out")
    elif asked == "recreate" and kind != "deployment":
        yield Fault(path, asked, f"is not what a {KINDS[kind]} can do", "write in-place, or leave it out")
