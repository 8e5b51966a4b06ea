"""A decided server on Kubernetes -> its LaunchConfig, the same for every pod of it. Pure."""

from __future__ import annotations

from typing import get_args

from plinth_runtime.contract.group import LaunchGroup
from plinth_runtime.contract.launch import (
    MOST_ADAPTERS,
    AdapterRank,
    LaunchAdapter,
    LaunchApi,
    LaunchConfig,
    LaunchEngine,
    LaunchLifecycle,
    LaunchManagement,
    LaunchModel,
    launch_kind,
)
from pulumi_plinth import naming
from pulumi_plinth.deployment.kubernetes.case import Demand, ServerCase
from pulumi_plinth.deployment.kubernetes.paths import EVERYWHERE, GENERATE_PORT, KEYS_FILE
from pulumi_plinth.deployment.kubernetes.timing import JOIN_SECONDS
from pulumi_plinth.deployment.kubernetes.weights import WeightsPlan
from pulumi_plinth.deployment.kubernetes.workload import Workload
from pulumi_plinth.model.names import served_name

LAUNCHED = frozenset({
    "--served-model-name", "--max-model-len", "--max-num-seqs", "--dtype", "--enable-lora", "--max-loras",
    "--max-lora-rank",
})  # fmt: skip
"""Planned arguments that the runtime writes itself, from the launch's own fields."""


def ports_of(case: ServerCase) -> tuple[int, int]:
    """Return the ports of API and management inside the pod."""
    spec = case.spec
    port = GENERATE_PORT if case.generate and "port" not in spec.model_fields_set else spec.port
    return port, spec.management_port or port + 1000


def launch_of(case: ServerCase, demand: Demand, weights: WeightsPlan, workload: Workload) -> LaunchConfig:
    """Write down how every pod of the server is started."""
    spec, (port, management) = case.spec, ports_of(case)
    return LaunchConfig(
        deployment=case.name,
        model=_model(case, demand, weights),
        engine=_engine(case, demand, weights),
        api=LaunchApi(
            host=EVERYWHERE,
            port=port,
            keys_file=None if spec.open else KEYS_FILE,
            max_queued_requests=spec.max_queued_requests,
            generate=case.generate,
            max_body_bytes=spec.max_body_size,
        ),
        management=LaunchManagement(host=EVERYWHERE, port=management),
        lifecycle=LaunchLifecycle(
            startup_timeout_seconds=demand.startup_seconds,
            shutdown_timeout_seconds=spec.shutdown_timeout,
            max_restarts=spec.max_restarts,
            stall_seconds=spec.stall_timeout,
            hang_seconds=spec.hang_timeout,
            step_seconds=spec.step_timeout,
            probe_seconds=spec.probe_interval,
            warm_up=spec.warm_up,
        ),
        group=_group(case, workload),
    )


def _model(case: ServerCase, demand: Demand, weights: WeightsPlan) -> LaunchModel:
    return LaunchModel(
        served_name=served_name(case.spec.model, case.declared),
        kind=launch_kind(demand.card.kind),
        folder=weights.folder,
        max_model_len=demand.max_model_len,
        dtype=case.spec.dtype,
        chat_template=case.chat_template,
        adapters=tuple(LaunchAdapter(name=item.name, folder=item.folder, rank=item.rank) for item in weights.adapters),
    )


def _engine(case: ServerCase, demand: Demand, weights: WeightsPlan) -> LaunchEngine:
    spec = case.spec
    highest = max((item.rank for item in weights.adapters), default=1)
    rank: AdapterRank = next((item for item in get_args(AdapterRank) if item >= max(highest, 16)), 512)
    wished = spec.adapters.count if spec.adapters else len(weights.adapters)
    return LaunchEngine(
        python=case.cluster.engine_python,
        device=demand.device,
        kv_cache_bytes=demand.kv_cache_bytes,
        max_num_seqs=demand.max_num_seqs,
        enforce_eager=spec.enforce_eager if demand.device == "cpu" else False,
        max_adapter_rank=rank,
        max_active_adapters=min(max(wished, 1), MOST_ADAPTERS),
        extra_args=tuple(word for word in demand.arguments if word.split("=")[0] not in LAUNCHED),
        environment=spec.environment,
    )


def _group(case: ServerCase, workload: Workload) -> LaunchGroup | None:
    if not workload.grouped:
        return None
    if workload.kind == "leader-worker-set":
        return LaunchGroup(nodes=workload.size, join_seconds=JOIN_SECONDS)
    service = naming.group_service(case.name)
    return LaunchGroup(nodes=workload.size, seat="stateful-set", service=service, join_seconds=JOIN_SECONDS)
