"""How long a pod may take to start and to end, and how often it is asked. Pure arithmetic, checked."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from plinth_runtime.contract.launch import LaunchLifecycle
from pulumi_plinth.deployment.kubernetes.case import Demand, ServerCase
from pulumi_plinth.deployment.kubernetes.weights import WeightsPlan
from pulumi_plinth.errors import Fault
from pulumi_plinth.fit.disk import SOURCE_BYTES_PER_SECOND
from pulumi_plinth.fit.layout import Reason

STARTUP_PERIOD = 10
NODE_SECONDS = 900
"""A node with GPUs that is made for a pod: 410 s were measured on a cloud (kaito-project/kaito#2325), twice that is
slow and not dead."""

PULL_SECONDS = 600
"""An image of 24 GiB by a registry's 40 MB/s."""

MARGIN_SECONDS = 10.0
"""After the engine's own end: the agent's, and the container's."""

KILL_AFTER_SECONDS = LaunchLifecycle().kill_after_seconds
JOIN_SECONDS = 1800
"""Members of a group wait for each other so long: a node may have to come first."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds. `startup` is the container's, without init containers; `progress` is the rollout's deadline."""

    startup: int
    progress: int
    drain_delay: int
    grace: int
    reasons: tuple[Reason, ...]

    @property
    def startup_failures(self) -> int:
        """Failed startup probes that are borne."""
        return math.ceil(self.startup / STARTUP_PERIOD)


def plan_timing(case: ServerCase, demand: Demand, weights: WeightsPlan, faults: list[Fault]) -> Timing:
    """Decide; a grace that is too short is a fault."""
    checking = math.ceil(demand.card.weight_bytes / SOURCE_BYTES_PER_SECOND)
    joining = JOIN_SECONDS if demand.nodes > 1 else 0
    startup = demand.startup_seconds + checking + joining
    making = NODE_SECONDS if demand.gpus else 0
    progress = making + PULL_SECONDS + weights.seconds + startup
    delay, shutdown = case.spec.pod.drain_delay, case.spec.shutdown_timeout
    need = math.ceil(delay + shutdown + KILL_AFTER_SECONDS + MARGIN_SECONDS)
    grace = case.spec.pod.grace
    text = (
        f"{delay:g} s delay + {shutdown:g} s shutdown + {KILL_AFTER_SECONDS:g} s engine + {MARGIN_SECONDS:g} s margin"
    )
    faults.extend(_short(case, grace, need, text))
    joined = f" + {joining} s for all members to come" if joining else ""
    arriving = f"{making} s node + {PULL_SECONDS} s image" if making else f"{PULL_SECONDS} s image"
    told = f"{demand.startup_seconds} s engine + {checking} s to check the weights{joined} = {startup} s"
    return Timing(
        startup=startup,
        progress=progress,
        drain_delay=math.ceil(delay),
        grace=math.ceil(grace or need),
        reasons=(
            Reason("startup probe", told),
            Reason("rollout limit", f"{progress} s: {arriving} + {weights.seconds} s weights + {startup} s"),
            Reason("grace", f"{math.ceil(grace or need)} s: {text} = {need} s"),
        ),
    )


def _short(case: ServerCase, grace: float | None, need: int, text: str) -> Iterator[Fault]:
    if grace is not None and grace < need:
        problem = f"is too short: {text} = {need} s, then the kubelet kills what is still answering"
        yield Fault(f"{case.path}.pod.grace", grace, problem, f"write at least {need}s, or a shorter shutdownTimeout")
