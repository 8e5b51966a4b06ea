"""Which fields of a deployment belong to which target, and what a field in the wrong place is told. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pulumi_plinth.errors import Fault

if TYPE_CHECKING:
    from pulumi_plinth.deployment.spec import DeploymentSpec

HOST_ONLY = {
    "host": "a pod has an address of its own",
    "keep_compiled": "a pod starts with an empty disk",
    "adapter_folders": "a pod has the adapters that its model declares",
}
"""Fields that a process on this host has and a pod has not, with the reason."""

PROCESSORS_ONLY = {
    "kv_cache_memory": "on GPUs the cache is what gpuMemoryUtilization leaves",
    "enforce_eager": "on GPUs the compiled path is the planned one",
}
"""Fields of an engine on processors, with the reason why one on GPUs has them not."""

GPU_ONLY = frozenset({
    "shape", "node", "shapes", "pool", "region", "budget", "concurrency", "parallel", "kv_cache_dtype",
    "capacity", "tokens_per_second", "gpu_memory_utilization",
})  # fmt: skip
"""Fields that an engine on processors has no use for."""

POD_ONLY = frozenset({"autoscaling", "rollout", "workload", "weights", "pod"})
"""Fields that need a cluster which the stack file describes."""

CLUSTER_ONLY = POD_ONLY | {"card", "replicas"}
"""Fields that a process on this host has no use for, GPUs or not."""

SERVING = frozenset({
    "port", "management_port", "open", "generate", "max_queued_requests", "max_body_size", "shutdown_timeout",
    "max_restarts", "stall_timeout", "hang_timeout", "step_timeout", "probe_interval", "warm_up",
})  # fmt: skip
"""Fields of the running server: without a described cluster nothing runs."""

PLANNED_ARGUMENTS = frozenset({
    "--tensor-parallel-size", "-tp", "--pipeline-parallel-size", "-pp", "--data-parallel-size", "-dp",
    "--enable-expert-parallel", "-ep", "--gpu-memory-utilization", "--max-num-batched-tokens", "--kv-cache-dtype",
    "--enable-lora", "--max-loras", "--max-lora-rank",
})  # fmt: skip
"""Engine arguments that follow from the plan on GPUs."""


def misplaced(path: str, spec: DeploymentSpec, *, described: bool = False) -> Iterator[Fault]:
    """Find fields that the deployment's target cannot use, and arguments that would contradict its plan.

    `described`: the stack file has a part `kubernetes`, so that pods can be made and not only planned.
    """
    for field in sorted(spec.model_fields_set):
        if said := _misplaced(spec, field, described=described):
            yield Fault(f"{path}.{alias(spec, field)}", None, *said)
    if spec.target == "local" and spec.environment_name == "vllm-cuda":
        yield Fault(f"{path}.engine", spec.engine, "needs GPUs, which the target local does not use", "write vllm-cpu")
    if spec.target == "kubernetes" and not spec.on_gpus and not described:
        problem = "runs in pods, and the stack describes no cluster for them"
        yield Fault(f"{path}.engine", spec.engine, problem, "add `kubernetes:` to the stack")
    if spec.on_gpus:
        yield from _contradictions(path, spec)


def _misplaced(spec: DeploymentSpec, field: str, *, described: bool) -> tuple[str, str] | None:
    """Return what is wrong with a field that stands there, and what to do."""
    if spec.target == "local":
        misplaced_here = field in GPU_ONLY | CLUSTER_ONLY
        said = ("has no meaning for the target local", "remove it, or write `target: kubernetes`")
        return said if misplaced_here else None
    nothing = "has no meaning for the target kubernetes"
    if field in HOST_ONLY:
        return f"{nothing}: {HOST_ONLY[field]}", "remove it, or write `target: local`"
    if field in PROCESSORS_ONLY and spec.on_gpus:
        return f"{nothing}: {PROCESSORS_ONLY[field]}", "remove it, or write `engine: vllm-cpu`"
    if field in GPU_ONLY and not spec.on_gpus:
        return "speaks of GPUs, and the engine vllm-cpu uses none", "remove it, or write `engine: vllm-cuda`"
    undescribed = field in POD_ONLY | SERVING and not described
    said = ("says how pods run, and the stack describes no cluster for them", "add `kubernetes:` to the stack")
    return said if undescribed else None


def _contradictions(path: str, spec: DeploymentSpec) -> Iterator[Fault]:
    if spec.dtype == "float32":
        problem = "is planned for on CPUs only; weights on GPUs are counted with two bytes"
        yield Fault(f"{path}.dtype", spec.dtype, problem, "write auto, bfloat16 or float16")
    ways = [alias(spec, field) for field in ("shape", "node", "shapes", "pool") if field in spec.model_fields_set]
    if len(ways) > 1:
        problem = f"stands beside {' and '.join(ways[1:])}"
        yield Fault(f"{path}.{ways[0]}", None, problem, "say one of shape, node, shapes and pool")
    if spec.pool and "capacity" in spec.model_fields_set:
        problem = "stands beside pool, which says how its nodes are bought"
        yield Fault(f"{path}.capacity", spec.capacity, problem, "remove it, and write it as the pool's own")
    for argument in spec.engine_args:
        if argument.split("=")[0].replace("_", "-") in PLANNED_ARGUMENTS:
            remedy = "use parallel, gpuMemoryUtilization, maxNumSeqs, kvCacheDtype or adapters instead"
            yield Fault(f"{path}.engineArgs", argument, "contradicts the plan", remedy)


def alias(spec: DeploymentSpec, field: str) -> str:
    """Return the field's name as people write it."""
    return type(spec).model_fields[field].alias or field
