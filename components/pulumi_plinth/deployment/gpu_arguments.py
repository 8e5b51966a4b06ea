"""The engine's arguments that follow from a plan on GPUs, in the spelling of vLLM 0.32. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from pulumi_plinth.deployment.spec import DeploymentSpec
from pulumi_plinth.fit.overhead import Adapters
from pulumi_plinth.fit.plan import Fitted


def engine_arguments(spec: DeploymentSpec, served: str, fitted: Fitted, adapters: Adapters) -> Iterator[str]:
    """Yield them, one word each; the user's own come last."""
    layout = fitted.layout
    yield f"--served-model-name={served}"
    yield f"--max-model-len={fitted.max_model_len}"
    yield f"--gpu-memory-utilization={spec.gpu_memory_utilization:g}"
    yield f"--max-num-batched-tokens={fitted.batch.tokens}"
    yield f"--max-num-seqs={fitted.batch.sequences}"
    for name, size in (("tensor", layout.tensor), ("pipeline", layout.pipeline), ("data", layout.data)):
        if size > 1:
            yield f"--{name}-parallel-size={size}"
    if layout.expert > 1:
        yield "--enable-expert-parallel"
    if spec.dtype != "auto":
        yield f"--dtype={spec.dtype}"
    if spec.kv_cache_dtype != "auto":
        yield f"--kv-cache-dtype={spec.kv_cache_dtype}"
    if adapters.count:
        yield from ("--enable-lora", f"--max-loras={adapters.count}", f"--max-lora-rank={adapters.rank}")
    yield from spec.engine_args
