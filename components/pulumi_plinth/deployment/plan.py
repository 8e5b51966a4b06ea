"""One deployment's wish and the world as it was seen -> a DeploymentPlan with reasons, or every fault. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from plinth_runtime.contract.card import ModelCard
from plinth_runtime.contract.launch import LaunchConfig, launch_kind
from plinth_runtime.contract.rundir import RunDir
from pulumi_plinth.deployment.adapters import plan_adapters
from pulumi_plinth.deployment.engine_reasons import Served, engine_faults, engine_reasons
from pulumi_plinth.deployment.facts import HostFacts, ModelFacts
from pulumi_plinth.deployment.fetching import fetch_reason
from pulumi_plinth.deployment.launch import Decisions, launch_config
from pulumi_plinth.deployment.lifecycle import lifecycle_faults, lifecycle_reasons
from pulumi_plinth.deployment.outline import Outline
from pulumi_plinth.deployment.spec import OWNED_ARGUMENTS, DeploymentSpec
from pulumi_plinth.engines.environments import check_stack
from pulumi_plinth.errors import Fault
from pulumi_plinth.fit.layout import Layout, Reason
from pulumi_plinth.fit.memory import HostServing, MemoryPlan, engine_memory
from pulumi_plinth.model.describe import described
from pulumi_plinth.model.names import served_name
from pulumi_plinth.model.spec import ModelSpec
from pulumi_plinth.quantities import GIB, human_bytes, human_gib

STARTUP_BASE_SECONDS = 240.0
"""Start of an engine without its weights: 30 s on an idle machine, 85 s with cold caches, times three."""

STARTUP_BYTES_PER_SECOND = 20e6
"""Slowest reading of weights that is still a start and not a hang: a cold network disk."""


@dataclass(frozen=True, slots=True)
class DeploymentCase:
    """One deployment to decide on. `path` is where its spec stands in the stack file."""

    path: str
    name: str
    spec: DeploymentSpec
    declared: ModelSpec
    model: ModelFacts
    host: HostFacts
    run_dir: Path
    chat_template: str | None = None
    adapter_folders: tuple[Path, ...] = ()
    compiled: Path = Path()


@dataclass(frozen=True, slots=True)
class DeploymentPlan:
    """Everything decided about one deployment: what is launched, where, and why so."""

    name: str
    model: str
    store: str
    launch: LaunchConfig
    run_dir: RunDir
    memory: MemoryPlan
    reasons: tuple[Reason, ...]
    disk_bytes: int
    host_bytes: int
    fetched_from: str = ""
    """Address that the server fetches from; empty for a model in a folder store."""

    def outline(self) -> Outline:
        """Put it in the terms that all targets share: no GPUs, one host, nothing to pay."""
        return Outline(
            name=self.name,
            model=self.model,
            target="local",
            place=self.launch.endpoint,
            gpus=0,
            nodes=1,
            parallel=Layout(),
            memory=self.memory,
            offered_bytes=self.host_bytes,
            max_model_len=self.launch.model.max_model_len,
            disk_gib=math.ceil(self.disk_bytes / GIB),
            startup_seconds=math.ceil(self.launch.lifecycle.startup_timeout_seconds),
            reasons=self.reasons,
        )


def plan_deployment(case: DeploymentCase, faults: list[Fault]) -> DeploymentPlan | None:
    """Decide one deployment; every fault found is added to `faults`. None: the model itself cannot be described."""
    faults.extend(_port_faults(case))
    faults.extend(lifecycle_faults(f"{case.path}.model", case.spec.model, case.declared.lifecycle))
    python = case.host.engines.get(case.spec.environment_name)
    if python is None:
        remedy = f"run `make engine ENGINE={case.spec.environment_name}`"
        faults.append(Fault(f"{case.path}.engine", case.spec.environment_name, "is not installed on this host", remedy))
    checked = check_stack(
        case.spec.environment_name, case.spec.engine_args, tuple(case.spec.environment), case.path, OWNED_ARGUMENTS
    )
    faults.extend(checked.faults)
    card = case.model.card
    if card is None:
        return None
    served = Served(case.spec.model, case.declared, card, case.spec.environment_name)
    faults.extend(engine_faults(case.path, served, checked))
    length = case.spec.max_model_len or case.declared.max_tokens or card.max_context
    serving = HostServing(length, case.spec.max_num_seqs, case.spec.dtype)
    memory = engine_memory(card, case.spec.kv_cache_memory, serving)
    startup = case.spec.startup_timeout or round(STARTUP_BASE_SECONDS + card.weight_bytes / STARTUP_BYTES_PER_SECOND)
    adapters = plan_adapters(case.spec, case.model, case.adapter_folders)
    decided = Decisions(
        served_name=served_name(case.spec.model, case.declared),
        engine_python=python or Path("python"),
        max_model_len=length,
        startup_timeout_seconds=startup,
        compiled=case.compiled,
        kind=launch_kind(described(case.declared, card).serves_as),
        chat_template=case.chat_template,
        adapters=adapters,
    )
    faults.extend(length_faults(case.path, case.spec, card, memory, decided.max_model_len))
    run_dir = RunDir(case.run_dir)
    launch = launch_config(case.name, case.spec, case.model, decided, run_dir)
    return DeploymentPlan(
        name=case.name,
        model=case.spec.model,
        store=case.declared.store or "",
        launch=launch,
        run_dir=run_dir,
        memory=memory,
        reasons=(*_reasons(case, card, memory, launch), *adapters.reasons(), *engine_reasons(served, checked)),
        disk_bytes=case.model.total_bytes,
        host_bytes=case.host.memory_bytes,
        fetched_from=case.model.fetch.uri if case.model.fetch else "",
    )


def _port_faults(case: DeploymentCase) -> Iterator[Fault]:
    for field, port in zip(("port", "managementPort"), case.spec.ports, strict=True):
        if port in case.host.ports_taken:
            problem = f"is in use on this host ({case.host.ports_taken[port]})"
            yield Fault(f"{case.path}.{field}", port, problem, "stop that process or write another port")


def length_faults(
    deployment: str, spec: DeploymentSpec, card: ModelCard, memory: MemoryPlan, wanted: int
) -> Iterator[Fault]:
    """Find what is wrong with context and cache of an engine on processors."""
    path = f"{deployment}.maxModelLen"
    if card.max_context and wanted > card.max_context:
        problem = f"is longer than the {card.max_context} tokens the model was made for"
        yield Fault(path, wanted, problem, f"write at most {card.max_context}")
    if spec.kv_cache_memory % GIB:
        whole = max(1, round(spec.kv_cache_memory / GIB))
        problem = f"is {human_gib(spec.kv_cache_memory)}; this engine takes whole GiB"
        yield Fault(f"{deployment}.kvCacheMemory", spec.kv_cache_memory, problem, f"write '{whole}Gi'")
    keeps = memory.kv_bytes_per_token > 0  # what only embeds or ranks may keep nothing
    if keeps and wanted > memory.kv_tokens:
        need = -(-wanted * memory.kv_bytes_per_token // GIB)
        problem = (
            f"needs {wanted:,} x {memory.kv_bytes_per_token} B = {human_gib(wanted * memory.kv_bytes_per_token)} of KV "
            f"cache for one request, {human_gib(spec.kv_cache_memory)} hold {memory.kv_tokens:,} tokens"
        )
        yield Fault(path, wanted, problem, f"write at most {memory.kv_tokens} or kvCacheMemory: {need}Gi")


def _reasons(case: DeploymentCase, card: ModelCard, memory: MemoryPlan, launch: LaunchConfig) -> Iterator[Reason]:
    yield from lifecycle_reasons(case.declared.lifecycle)
    yield Reason("weights", _weights_reason(case.model, card))
    for line in memory.lines:
        yield Reason(f"memory: {line.part}", f"{human_gib(line.size)}: {line.formula}")
    yield Reason("memory: total", f"{human_gib(memory.total)} of the host's {human_gib(case.host.memory_bytes)}")
    length = launch.model.max_model_len
    asked, declared = case.spec.max_model_len, case.declared.max_tokens
    source = "as asked" if asked else "the model's maxTokens" if declared else "what the model was made for"
    room = f"the cache holds {memory.kv_tokens:,}, so {memory.kv_tokens // length} full-length requests"
    yield Reason("context", f"{length:,} tokens, {source}; {room if memory.kv_bytes_per_token else 'no cache is kept'}")
    if case.chat_template is not None:
        yield Reason("chat template", f"as the model says, {len(case.chat_template)} characters, rendered and checked")
    yield Reason("api", f"{launch.api.host}:{launch.api.port}, {'open to all' if case.spec.open else 'key required'}")
    yield Reason("management", f"{launch.management.host}:{launch.management.port}")
    timeout = launch.lifecycle.startup_timeout_seconds
    arithmetic = (
        "as asked"
        if case.spec.startup_timeout
        else f"{STARTUP_BASE_SECONDS:.0f} s + {human_bytes(card.weight_bytes)} at 20 MB/s"
    )
    yield Reason("startup limit", f"{timeout:.0f} s: {arithmetic}")


def _weights_reason(model: ModelFacts, card: ModelCard) -> str:
    if model.fetch is not None:
        return fetch_reason(model, model.fetch)
    text = f"{human_bytes(model.total_bytes)} in {model.folder}, {card.architecture}"
    if model.manifest_digest is None:
        return f"{text}; UNVERIFIED: no manifest, write one with `plinth-runtime manifest {model.folder}`"
    checked = "every digest checked" if model.digests_checked else "sizes checked, digests left to the runtime"
    return f"{text}; {checked} against manifest {model.manifest_digest[:12]}"
