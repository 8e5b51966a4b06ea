"""One deployment on Kubernetes: everything decided, with reasons, or every fault. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from plinth_runtime.contract.launch import LaunchConfig
from pulumi_plinth import naming
from pulumi_plinth.deployment.gpu_plan import GpuPlan
from pulumi_plinth.deployment.kubernetes.case import Demand, ServerCase
from pulumi_plinth.deployment.kubernetes.credentials import CLIENTS
from pulumi_plinth.deployment.kubernetes.demand import demand_of_gpus, demand_of_processors
from pulumi_plinth.deployment.kubernetes.launch import launch_of
from pulumi_plinth.deployment.kubernetes.paths import GENERATE_SERVICE_PORT
from pulumi_plinth.deployment.kubernetes.placement import Placement, plan_placement
from pulumi_plinth.deployment.kubernetes.scaling import Scaling, plan_scaling
from pulumi_plinth.deployment.kubernetes.secrets import SecretNeed, keys_need, pull_need, store_need
from pulumi_plinth.deployment.kubernetes.spec import MonitoringSpec
from pulumi_plinth.deployment.kubernetes.timing import Timing, plan_timing
from pulumi_plinth.deployment.kubernetes.weights import WeightsPlan, plan_weights
from pulumi_plinth.deployment.kubernetes.workload import Workload, plan_workload
from pulumi_plinth.deployment.outline import Outline
from pulumi_plinth.deployment.pod_spec import PodSpec
from pulumi_plinth.errors import Fault
from pulumi_plinth.fit.layout import Reason


@dataclass(frozen=True, slots=True)
class ServerPlan:
    """Everything decided about one deployment's pods. `pod` holds what is taken over as written."""

    name: str
    model: str
    namespace: str
    launch: LaunchConfig
    demand: Demand
    workload: Workload
    weights: WeightsPlan
    placement: Placement
    timing: Timing
    scaling: Scaling | None
    monitoring: MonitoringSpec | None
    pod: PodSpec
    user: int
    node_networks: tuple[str, ...]
    service_port: int
    keys_secret: str | None
    outline: Outline

    @property
    def endpoint(self) -> str:
        """Base URL of the OpenAI API, as clients in the cluster (or outside, by a gateway) write it."""
        inside = f"http://{self.name}.{self.namespace}.svc:{self.service_port}"
        return f"{(self.pod.public_url or inside)}/v1"

    def secrets(self) -> Iterator[SecretNeed]:
        """Yield the Secrets that must be there before the pods."""
        if self.keys_secret:
            yield keys_need(self.keys_secret, self.namespace)
        yield from (pull_need(name, self.namespace) for name in self.placement.pull_secrets)
        stores = {fetch.secret: CLIENTS[fetch.uri.scheme].entries for fetch in self.weights.fetches if fetch.secret}
        yield from (store_need(name, self.namespace, entries) for name, entries in sorted(stores.items()))

    def to_json(self) -> dict[str, Any]:
        """Render what pods add to the plan: plain values."""
        return {
            "namespace": self.namespace,
            "workload": self.workload.kind,
            "image": self.placement.image,
            "endpoint": self.endpoint,
            "launchDigest": self.launch.digest(),
            "launch": self.launch.model_dump(mode="json"),
            "secrets": [need.name for need in self.secrets()],
        }


def plan_server(case: ServerCase, gpus: GpuPlan | None, faults: list[Fault]) -> ServerPlan | None:
    """Decide one deployment; every fault found is added. `gpus` is its plan, where it runs on them."""
    faults.extend(_name_faults(case))
    found = _demand(case, gpus, faults)
    if found is None:
        return None
    demand, outline = found
    weights = plan_weights(case, demand.card.weight_bytes, faults)
    workload = plan_workload(case, demand, faults)
    placement = plan_placement(case, demand, faults)
    scaling = plan_scaling(case, demand, faults)
    if weights is None:
        return None
    timing = plan_timing(case, demand, weights, faults)
    launch = launch_of(case, demand, weights, workload)
    spec = case.spec
    plan = ServerPlan(
        name=case.name,
        model=spec.model,
        namespace=case.namespace,
        launch=launch,
        demand=demand,
        workload=workload,
        weights=weights,
        placement=placement,
        timing=timing,
        scaling=scaling,
        monitoring=case.cluster.monitoring,
        pod=spec.pod,
        user=case.cluster.user,
        node_networks=case.cluster.node_networks,
        service_port=spec.pod.service_port or (GENERATE_SERVICE_PORT if case.generate else launch.api.port),
        keys_secret=None if spec.open else spec.pod.keys_secret or naming.keys_secret(case.name),
        outline=outline,
    )
    return _told(plan)


def name_clashes(plans: Iterable[ServerPlan], path: str) -> Iterator[Fault]:
    """Find deployments whose objects would have the name of another's, in the same namespace."""
    owner: dict[tuple[str, str], str] = {}
    for plan in plans:
        groups = plan.workload.replicas or 1 if plan.workload.kind == "stateful-set" else 1
        derived = {naming.group_service(plan.name), *(naming.group_set(plan.name, number) for number in range(groups))}
        for name in sorted({plan.name, *derived}):
            first = owner.setdefault((plan.namespace, name), plan.name)
            if first != plan.name:
                problem = f"has an object called {name} in namespace {plan.namespace}, as {first} has"
                yield Fault(f"{path}.{plan.name}", None, problem, "name one of them otherwise")


def _told(plan: ServerPlan) -> ServerPlan:
    """Add the reasons for pods to those for the engine."""
    scaling = plan.scaling.reasons() if plan.scaling else ()
    reasons = (
        *plan.outline.reasons,
        *plan.workload.reasons,
        *plan.weights.reasons(),
        *plan.placement.reasons,
        *plan.timing.reasons,
        *scaling,
        *(
            Reason("secret", f"{need.name}: {need.purpose}; must be there, made by: {need.command}")
            for need in plan.secrets()
        ),
        Reason("endpoint", plan.endpoint),
    )
    return replace(plan, outline=replace(plan.outline, reasons=reasons))


def _demand(case: ServerCase, gpus: GpuPlan | None, faults: list[Fault]) -> tuple[Demand, Outline] | None:
    if not case.spec.on_gpus:
        return demand_of_processors(case, faults)
    demand = demand_of_gpus(case, gpus, faults) if gpus else None
    return (demand, gpus.outline()) if demand and gpus else None


def _name_faults(case: ServerCase) -> Iterator[Fault]:
    """Judge the name: a Service's begins with a letter, and names of pods are made from the deployment's."""
    if not re.match(r"[a-z]", case.name):
        yield Fault(case.path, case.name, "begins with a digit, which a Service's name may not", "begin with a letter")
    if len(case.name) > naming.LONGEST_DEPLOYMENT:
        problem = f"has {len(case.name)} characters; names of its pods leave room for {naming.LONGEST_DEPLOYMENT}"
        yield Fault(case.path, case.name, problem, "write a shorter name")
