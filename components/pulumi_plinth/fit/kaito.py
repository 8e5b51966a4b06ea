"""KAITO's estimator, exactly, so that its users can compare: same constants, same rounding, same blind spots.

Source: KAITO 0.12.0 (056b8280b), pkg/workspace/estimator/nodesestimator and configureParallelism. It counts two bytes
per cached element in all layers, ignores windows and fp8 caches, and does not ask whether heads divide. Ours is in
`plan.py`; nothing of this module is used there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from plinth_runtime.contract.card import ModelCard
from pulumi_plinth.quantities import GIB

WEIGHT_EXPANSION = 1.02
"""Weights in memory over weights on disk."""

GPU_UTILIZATION = 0.84
"""Share of a GPU's memory that is planned with; its launcher then runs A10 at 0.82."""

BASE_OVERHEAD_GIB = 2.3
"""0.6 outside torch (CUDA context, NCCL) and 1.7 for activations and graphs of a small model."""

OVERHEAD_PER_WEIGHT = 0.05
"""What activations and graphs add, as a share of the weights on the GPU."""

DEFAULT_CONTEXT = 2048
"""Tokens assumed when the workspace says no max-model-len."""

ELEMENT_BYTES = 2
DISK_EXTRA_GIB = 80
STARTUP_BASE_SECONDS = 15 * 60
STARTUP_SECONDS_PER_GIB = 18
STARTUP_BOUNDS_SECONDS = (30 * 60, 180 * 60)


@dataclass(frozen=True, slots=True)
class KaitoModel:
    """What KAITO's catalogue says of a model. `weights` is its size as printed: GiB with two decimals."""

    weights: str
    bytes_per_token: int

    @property
    def gib(self) -> float:
        """The printed size."""
        return float(self.weights)

    @property
    def size(self) -> int:
        """The printed size in bytes; Kubernetes rounds a fraction of a byte up."""
        hundredths = round(self.gib * 100)
        return -(-hundredths * GIB // 100)


@dataclass(frozen=True, slots=True)
class KaitoNodes:
    """One node of the instance type; a MIG slice is a node with one GPU that cannot be joined with others."""

    gpus: int
    gpu_memory_bytes: int
    mig: bool = False


@dataclass(frozen=True, slots=True)
class KaitoPlan:
    """What KAITO would ask for."""

    nodes: int
    min_gpus: int
    disk_gib: int
    startup_seconds: int
    tensor: int
    pipeline: int
    data: int


class KaitoRefusalError(ValueError):
    """KAITO refuses the workspace; needed and available are GiB on one GPU."""

    def __init__(self, message: str, needed_gib: float, available_gib: float) -> None:
        super().__init__(message)
        self.needed_gib = needed_gib
        self.available_gib = available_gib


def kaito_model(card: ModelCard, file_bytes: int | None = None) -> KaitoModel:
    """Describe a model as KAITO's generator does; `file_bytes` is the sum of the weight files where it is known."""
    return KaitoModel(f"{(file_bytes or card.weight_bytes) / GIB:.2f}", bytes_per_token(card))


def bytes_per_token(card: ModelCard) -> int:
    """Bytes of one cached token: latent and rotary part once for MLA, else keys and values of every layer."""
    if card.mla is not None:
        return card.mla.latent_dim * card.layers * ELEMENT_BYTES
    return 2 * card.kv_heads * card.head_dim * card.layers * ELEMENT_BYTES


def estimate(model: KaitoModel, nodes: KaitoNodes, context: int | None = None) -> KaitoPlan:
    """Estimate as KAITO does. Raises KaitoRefusalError when a GPU is too small for anything, or a slice for the model.

    W = 1.02 S; usable = 0.84 M; reserve = 2.3 GiB + C B / g; room = (usable - reserve) / 1.05;
    GPUs = floor(W / room) + 1; nodes = ceil(GPUs / g).
    """
    weights = model.size * WEIGHT_EXPANSION
    usable = nodes.gpu_memory_bytes * GPU_UTILIZATION
    cache = (context or DEFAULT_CONTEXT) * model.bytes_per_token / nodes.gpus
    reserve = BASE_OVERHEAD_GIB * GIB + cache
    if usable <= reserve:
        raise KaitoRefusalError(_too_small(nodes, reserve, cache), reserve / GIB, usable / GIB)
    room = (usable - reserve) / (1 + OVERHEAD_PER_WEIGHT)
    gpus = int(weights / room) + 1
    count = -(-gpus // nodes.gpus)
    if nodes.mig and count > 1:
        raise _slice_refusal(nodes, weights, reserve)
    tensor, pipeline, data = _parallel(model, nodes, count)
    return KaitoPlan(
        nodes=count,
        min_gpus=gpus,
        disk_gib=int(model.gib + DISK_EXTRA_GIB),
        startup_seconds=startup_seconds(model.gib),
        tensor=tensor,
        pipeline=pipeline,
        data=data,
    )


def startup_seconds(gib: float) -> int:
    """Budget of the startup probe, chosen for about 60 MB/s: 15 min and 18 s per GiB, between 30 and 180 min."""
    lowest, highest = STARTUP_BOUNDS_SECONDS
    return math.floor(min(max(STARTUP_BASE_SECONDS + STARTUP_SECONDS_PER_GIB * gib, lowest), highest))


def _parallel(model: KaitoModel, nodes: KaitoNodes, count: int) -> tuple[int, int, int]:
    """Tensor, pipeline and data parallel size: replicas when twice the copies fit a node, else the whole node."""
    if count > 1:
        return nodes.gpus, count, 1
    if nodes.gpus > 1 and model.size * nodes.gpus * 2 < nodes.gpu_memory_bytes * nodes.gpus:
        return 1, 1, nodes.gpus
    return nodes.gpus, 1, 1


def _too_small(nodes: KaitoNodes, reserve: float, cache: float) -> str:
    return (
        f"GPU memory {nodes.gpu_memory_bytes / GIB:.1f} GiB is too small, needs at least {reserve / GIB:.1f} GiB "
        f"overhead (base {BASE_OVERHEAD_GIB} GiB + KV cache {cache / GIB:.1f} GiB)"
    )


def _slice_refusal(nodes: KaitoNodes, weights: float, reserve: float) -> KaitoRefusalError:
    overhead = reserve + OVERHEAD_PER_WEIGHT * weights
    needed, usable = (weights + overhead) / GIB, nodes.gpu_memory_bytes * GPU_UTILIZATION / GIB
    message = (
        f"model needs {needed:.1f} GiB (weights {weights / GIB:.1f} GiB + overhead {overhead / GIB:.1f} GiB) but the "
        f"MIG slice has {nodes.gpu_memory_bytes / GIB:.0f} GiB ({usable:.1f} GiB available)"
    )
    return KaitoRefusalError(message, needed, usable)
