"""Which fields of a deployment belong to which target, and what a field in the wrong place is told. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pulumi_plinth.errors import Fault

if TYPE_CHECKING:
    from pulumi_plinth.deployment.spec import DeploymentSpec

LOCAL_ONLY = {
    "engine": "nodes with GPUs run vLLM's CUDA build",
    "host": "a pod has an address of its own",
    "port": "a pod has ports of its own",
    "management_port": "a pod has ports of its own",
    "open": "this release plans GPUs and does not yet guard an API there",
    "generate": "this release plans GPUs and does not yet serve an API there",
    "max_queued_requests": "this release plans GPUs and does not yet guard an API there",
    "max_body_size": "this release plans GPUs and does not yet guard an API there",
    "kv_cache_memory": "on GPUs the cache is what gpuMemoryUtilization leaves",
    "enforce_eager": "on GPUs the compiled path is the planned one",
    "shutdown_timeout": "this release plans GPUs and runs nothing there yet",
    "max_restarts": "the cluster restarts pods",
    "stall_timeout": "this release plans GPUs and runs nothing there yet",
    "hang_timeout": "this release plans GPUs and runs nothing there yet",
    "probe_interval": "this release plans GPUs and runs nothing there yet",
}
"""Fields that a process on this host has and a pod has not, with the reason."""

GPU_ONLY = frozenset({
    "shape", "node", "shapes", "region", "budget", "concurrency", "parallel", "replicas", "kv_cache_dtype", "adapters",
    "capacity", "tokens_per_second", "gpu_memory_utilization", "card",
})  # fmt: skip
"""Fields that a process on this host has no use for."""

PLANNED_ARGUMENTS = frozenset({
    "--tensor-parallel-size", "-tp", "--pipeline-parallel-size", "-pp", "--data-parallel-size", "-dp",
    "--enable-expert-parallel", "-ep", "--gpu-memory-utilization", "--max-num-batched-tokens", "--kv-cache-dtype",
    "--enable-lora", "--max-loras", "--max-lora-rank",
})  # fmt: skip
"""Engine arguments that follow from the plan on GPUs."""


def misplaced(path: str, spec: DeploymentSpec) -> Iterator[Fault]:
    """Find fields that the deployment's target cannot use, and arguments that would contradict its plan."""
    written = sorted(spec.model_fields_set)
    if spec.target == "local":
        for field in written:
            if field in GPU_ONLY:
                remedy = "remove it, or write `target: kubernetes`"
                yield Fault(f"{path}.{alias(spec, field)}", None, "has no meaning for the target local", remedy)
        return
    for field in written:
        if field in LOCAL_ONLY:
            problem = f"has no meaning for the target kubernetes: {LOCAL_ONLY[field]}"
            yield Fault(f"{path}.{alias(spec, field)}", None, problem, "remove it, or write `target: local`")
    if spec.dtype == "float32":
        problem = "is planned for on CPUs only; weights on GPUs are counted with two bytes"
        yield Fault(f"{path}.dtype", spec.dtype, problem, "write auto, bfloat16 or float16")
    ways = [alias(spec, field) for field in ("shape", "node", "shapes") if field in written]
    if len(ways) > 1:
        problem = f"stands beside {' and '.join(ways[1:])}"
        yield Fault(f"{path}.{ways[0]}", None, problem, "say one of shape, node and shapes")
    for argument in spec.engine_args:
        if argument.split("=")[0].replace("_", "-") in PLANNED_ARGUMENTS:
            remedy = "use parallel, gpuMemoryUtilization, maxNumSeqs, kvCacheDtype or adapters instead"
            yield Fault(f"{path}.engineArgs", argument, "contradicts the plan", remedy)


def alias(spec: DeploymentSpec, field: str) -> str:
    """Return the field's name as people write it."""
    return type(spec).model_fields[field].alias or field
