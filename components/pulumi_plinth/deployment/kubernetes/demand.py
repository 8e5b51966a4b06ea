"""What one replica takes of a cluster: from a plan on GPUs, or by the bill of an engine on processors. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from pulumi_plinth.deployment.engine_reasons import Served, engine_faults, engine_reasons
from pulumi_plinth.deployment.gpu_case import GpuCase, card_of
from pulumi_plinth.deployment.gpu_plan import GpuPlan
from pulumi_plinth.deployment.kubernetes.case import Demand, ServerCase
from pulumi_plinth.deployment.lifecycle import lifecycle_faults, lifecycle_reasons
from pulumi_plinth.deployment.outline import Outline
from pulumi_plinth.deployment.plan import STARTUP_BASE_SECONDS, STARTUP_BYTES_PER_SECOND, length_faults
from pulumi_plinth.deployment.spec import OWNED_ARGUMENTS
from pulumi_plinth.engines.environments import check_stack
from pulumi_plinth.errors import Fault
from pulumi_plinth.fit.layout import Layout, Reason
from pulumi_plinth.fit.market import HOME, Market
from pulumi_plinth.fit.memory import HostServing, MemoryPlan, engine_memory
from pulumi_plinth.fit.price import Range
from pulumi_plinth.quantities import GIB, human_gib

INSTANCE_TYPE = "node.kubernetes.io/instance-type"
GPU_RESOURCES = {"nvidia": "nvidia.com/gpu", "amd": "amd.com/gpu"}
CLOUDS = frozenset({HOME, "aws", "azure", "gcp"})
"""Providers whose nodes carry the shape's name as instance type, and an autoscaler knows it before there is a node."""

PROCESSOR_SHARED_BYTES = GIB
"""Shared memory of an engine on processors: its processes speak by sockets and small queues."""


def demand_of_gpus(case: ServerCase, plan: GpuPlan, faults: list[Fault]) -> Demand | None:
    """Take over what was planned for GPUs."""
    card, fitted, needs, shape = case.facts.card, plan.told.fitted, plan.told.needs, plan.shape
    if card is None:
        return None
    nodes, layout = fitted.nodes, fitted.layout
    faults.extend(_uneven(case, layout, nodes))
    labels = ((INSTANCE_TYPE, shape.name),) if shape.provider in CLOUDS and not case.spec.pod.node_selector else ()
    resource = GPU_RESOURCES.get(shape.vendor, GPU_RESOURCES["nvidia"])
    pool = plan.pool
    return Demand(
        device="cuda",
        card=card,
        nodes=nodes,
        gpus=-(-layout.gpus // nodes),
        ranks=layout.gpus_per_copy,
        gpu_resource=resource,
        memory_bytes=needs.memory_bytes,
        shared_bytes=needs.shared_bytes,
        startup_seconds=plan.startup_seconds,
        max_model_len=fitted.max_model_len,
        max_num_seqs=fitted.batch.sequences,
        kv_cache_bytes=None,
        arguments=plan.arguments,
        replicas=plan.replicas,
        labels=pool.selector if pool else labels,
        capacity=_capacity(case, plan),
        taints=tuple(taint for taint in pool.taints if taint.partition("=")[0] != resource) if pool else (),
    )


def _capacity(case: ServerCase, plan: GpuPlan) -> int | None:
    """Return the GPUs that there are for this deployment; what others share is nobody's to count on."""
    stated, pool = case.spec.node, plan.pool
    if pool:
        return pool.most * plan.shape.gpus if pool.most is not None and case.alone else None
    return stated.gpus * stated.count if stated and stated.count else None


def _uneven(case: ServerCase, layout: Layout, nodes: int) -> Iterator[Fault]:
    """Refuse layouts that vLLM cannot deal to nodes evenly, or only by cutting a tensor group."""
    each, rest = divmod(layout.gpus, nodes)
    if nodes > 1 and (rest or (each % layout.tensor and layout.tensor % each)):
        problem = f"{layout} is {layout.gpus} GPUs, which {nodes} nodes do not share in whole tensor groups"
        remedy = f"write parallel: {{pipeline: {nodes}}}, or another number of nodes"
        yield Fault(f"{case.path}.parallel", None, problem, remedy)


def demand_of_processors(case: ServerCase, faults: list[Fault]) -> tuple[Demand, Outline] | None:
    """Bill an engine on processors, as on this host."""
    spec, declared = case.spec, case.declared
    faults.extend(lifecycle_faults(f"{case.path}.model", spec.model, declared.lifecycle))
    checked = check_stack("vllm-cpu", spec.engine_args, tuple(spec.environment), case.path, OWNED_ARGUMENTS)
    faults.extend(checked.faults)
    card = card_of(GpuCase(case.path, case.name, spec, declared, case.facts, Market()), faults)
    if card is None:
        return None
    served = Served(spec.model, declared, card, "vllm-cpu")
    faults.extend(engine_faults(case.path, served, checked))
    length = spec.max_model_len or declared.max_tokens or card.max_context
    memory = engine_memory(card, spec.kv_cache_memory, HostServing(length, spec.max_num_seqs, spec.dtype))
    faults.extend(length_faults(case.path, spec, card, memory, length))
    startup = spec.startup_timeout or STARTUP_BASE_SECONDS + card.weight_bytes / STARTUP_BYTES_PER_SECOND
    demand = Demand(
        device="cpu",
        card=card,
        nodes=1,
        gpus=0,
        ranks=1,
        gpu_resource="",
        memory_bytes=memory.total + PROCESSOR_SHARED_BYTES,
        shared_bytes=PROCESSOR_SHARED_BYTES,
        startup_seconds=math.ceil(startup),
        max_model_len=length,
        max_num_seqs=spec.max_num_seqs,
        kv_cache_bytes=spec.kv_cache_memory,
        arguments=spec.engine_args,
        replicas=Range(spec.replicas.min, spec.replicas.most),
    )
    return demand, _outline(case, demand, memory, engine_reasons(served, checked))


def _outline(case: ServerCase, demand: Demand, memory: MemoryPlan, said: Iterable[Reason]) -> Outline:
    """Put a server on processors in the terms that all targets share; it is offered what it asks for."""
    card, length = demand.card, demand.max_model_len
    return Outline(
        name=case.name,
        model=case.spec.model,
        target="kubernetes",
        place="processors",
        gpus=0,
        nodes=1,
        parallel=Layout(),
        memory=memory,
        offered_bytes=case.spec.pod.memory or memory.total,
        max_model_len=length,
        disk_gib=math.ceil(card.weight_bytes / GIB),
        startup_seconds=demand.startup_seconds,
        reasons=(
            Reason("card", f"{case.facts.origin}: {card.parameters:,} parameters, {card.architecture}"),
            *lifecycle_reasons(case.declared.lifecycle),
            *(Reason(f"memory: {line.part}", f"{human_gib(line.size)}: {line.formula}") for line in memory.lines),
            Reason("context", f"{length:,} tokens; the cache holds {memory.kv_tokens:,}"),
            Reason("start", f"{demand.startup_seconds} s, for the engine without fetching its weights"),
            *said,
        ),
        replicas=demand.replicas,
    )
