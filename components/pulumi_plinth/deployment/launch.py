"""A decided deployment -> LaunchConfig. Pure, and the only place where one is made."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from plinth_runtime.contract.launch import (
    LaunchApi,
    LaunchConfig,
    LaunchEngine,
    LaunchLifecycle,
    LaunchManagement,
    LaunchModel,
    LaunchSource,
    ModelKind,
)
from plinth_runtime.contract.rundir import RunDir
from pulumi_plinth.deployment.adapters import AdapterPlan
from pulumi_plinth.deployment.facts import ModelFacts
from pulumi_plinth.deployment.spec import DeploymentSpec


@dataclass(frozen=True, slots=True)
class Decisions:
    """What the plan decided beyond the spec."""

    served_name: str
    engine_python: Path
    max_model_len: int
    startup_timeout_seconds: float
    compiled: Path
    kind: ModelKind = "generate"
    chat_template: str | None = None
    adapters: AdapterPlan = field(default_factory=AdapterPlan)


def launch_config(
    name: str, spec: DeploymentSpec, model: ModelFacts, decided: Decisions, run_dir: RunDir
) -> LaunchConfig:
    """Write down how one deployment is started on this host."""
    port, management_port = spec.ports
    source = LaunchSource(uri=model.fetch.uri, cache=str(model.fetch.cache)) if model.fetch else None
    return LaunchConfig(
        deployment=name,
        model=LaunchModel(
            served_name=decided.served_name,
            kind=decided.kind,
            folder=str(run_dir.model if source else model.folder),
            source=source,
            manifest_digest=model.manifest_digest,
            max_model_len=decided.max_model_len,
            dtype=spec.dtype,
            chat_template=decided.chat_template,
            adapters=decided.adapters.listed,
            adapter_folders=decided.adapters.folders,
        ),
        engine=LaunchEngine(
            python=str(decided.engine_python),
            kv_cache_bytes=spec.kv_cache_memory,
            max_num_seqs=spec.max_num_seqs,
            enforce_eager=spec.enforce_eager,
            cache=str(decided.compiled) if spec.keep_compiled else None,
            max_adapter_rank=decided.adapters.rank,
            max_active_adapters=decided.adapters.active,
            extra_args=spec.engine_args,
            environment=spec.environment,
        ),
        api=LaunchApi(
            host=spec.host,
            port=port,
            keys_file=None if spec.open else str(run_dir.keys),
            generate=bool(spec.generate),
            max_queued_requests=spec.max_queued_requests,
            max_body_bytes=spec.max_body_size,
        ),
        management=LaunchManagement(port=management_port),
        lifecycle=LaunchLifecycle(
            startup_timeout_seconds=decided.startup_timeout_seconds,
            shutdown_timeout_seconds=spec.shutdown_timeout,
            max_restarts=spec.max_restarts,
            stall_seconds=spec.stall_timeout,
            hang_seconds=spec.hang_timeout,
            step_seconds=spec.step_timeout,
            probe_seconds=spec.probe_interval,
            warm_up=spec.warm_up,
        ),
    )
