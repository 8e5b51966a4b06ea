"""Who changes the number of replicas, by which of the engine's metrics, how fast. Pure.

Two signals (facts: serving 5): what waits adds replicas; one is taken away only when few are computed as well, because
a long answer waits for nobody and would be cut off.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from pulumi_plinth.deployment.kubernetes.case import Demand, ServerCase
from pulumi_plinth.engines.environments import table_of
from pulumi_plinth.errors import Fault
from pulumi_plinth.fit.layout import Reason

WAITING, RUNNING = "vllm:num_requests_waiting", "vllm:num_requests_running"
BUSY_SHARE = 0.75


@dataclass(frozen=True, slots=True)
class Scaling:
    """An autoscaler, decided. Windows are seconds; thresholds are requests a replica."""

    by: Literal["hpa", "keda"]
    least: int
    most: int
    waiting: float
    running: float
    up_window: int
    down_window: int
    step: int
    prometheus: str = ""

    @property
    def metrics(self) -> tuple[tuple[str, float], ...]:
        """The engine's metrics and how much of each a replica bears."""
        return ((WAITING, self.waiting), (RUNNING, self.running))

    def reasons(self) -> Iterator[Reason]:
        """Say it."""
        yield Reason(
            "autoscaling",
            f"{self.by}, {self.least} to {self.most}: more where over {self.waiting:g} requests a replica wait, fewer "
            f"only where below {self.running:g} are computed as well, for {self.down_window} s",
        )


def plan_scaling(case: ServerCase, demand: Demand, faults: list[Fault]) -> Scaling | None:
    """Decide; bounds and settings that cannot work are faults."""
    written = case.spec.autoscaling
    if written is None:
        return None
    faults.extend(_faults(case, demand))
    monitoring = case.cluster.monitoring
    return Scaling(
        by=written.by,
        least=demand.replicas.least,
        most=demand.replicas.most,
        waiting=written.waiting,
        running=written.running or max(1, math.floor(BUSY_SHARE * demand.max_num_seqs)),
        up_window=math.ceil(written.up_window),
        down_window=math.ceil(written.down_window),
        step=written.step,
        prometheus=monitoring.prometheus or "" if monitoring else "",
    )


def _faults(case: ServerCase, demand: Demand) -> Iterator[Fault]:
    path, least, most = f"{case.path}.autoscaling", demand.replicas.least, demand.replicas.most
    if least == most:
        problem = f"stands beside replicas that do not vary ({least}): two would decide about one number"
        yield Fault(path, None, problem, "write replicas: {min: 1, max: 3}, or remove autoscaling")
    if least == 0:
        problem = "cannot wake what has no pods: the engine's metrics vanish with them"
        yield Fault(f"{case.path}.replicas.min", 0, problem, "write 1, or remove autoscaling")
    known = table_of(case.spec.environment_name).metrics
    for metric in (WAITING, RUNNING):
        if metric not in known:
            yield Fault(path, None, f"needs {metric}, which this release does not publish", "take another release")
    monitoring = case.cluster.monitoring
    if monitoring is None:
        yield Fault(path, None, "needs metrics that nobody collects", "add `kubernetes: {monitoring: {}}`")
    elif case.spec.autoscaling and case.spec.autoscaling.by == "keda" and not monitoring.prometheus:
        problem = "is keda, which asks Prometheus, and nobody says where that is"
        yield Fault(f"{path}.by", "keda", problem, "add kubernetes.monitoring.prometheus")
