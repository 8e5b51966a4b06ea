"""What an engine takes of a GPU beside weights and cache: activations, graphs, what torch does not see, adapters.

These are the planner's only estimates. Each constant names where its number is from; docs/planner.md compares them
with what engines were seen to log.
"""

from __future__ import annotations

from dataclasses import dataclass

from plinth_runtime.contract.card import ModelCard
from pulumi_plinth.fit.layout import Batch, Layout
from pulumi_plinth.fit.weights import HALF, padded_vocabulary
from pulumi_plinth.quantities import GIB

NON_TORCH_BYTES = round(0.6 * GIB)
"""CUDA context, NCCL and library workspaces, as KAITO measured them on vLLM 0.25 (nodesestimator)."""

GRAPH_BYTES_PER_LAYER = 8 << 20
"""CUDA graphs of one layer over all captured sizes. vLLM's own estimates range from 0.14 to 0.36 GiB an engine for
models of 16 to 48 layers (gpustack/runner#251, vllm 0.21 and later count them inside gpu-memory-utilization)."""

LOGIT_COPIES = 3
"""Float32 copies of the logits while the sampler warms up: as computed, scaled, sorted (vLLM, gpu_model_runner)."""

FLOAT = 4
ADAPTED_WIDTHS = 7
"""Projections of a layer that a LoRA adapter may change: query, key, value, output, gate, up, down."""


@dataclass(frozen=True, slots=True)
class Adapters:
    """LoRA adapters kept on the GPU at once, and the highest rank among them."""

    count: int = 0
    rank: int = 16


NO_ADAPTERS = Adapters()


@dataclass(frozen=True, slots=True)
class Overhead:
    """Bytes on one GPU."""

    activations: int
    graphs: int
    non_torch: int
    adapters: int

    @property
    def total(self) -> int:
        """Sum of all parts."""
        return self.activations + self.graphs + self.non_torch + self.adapters


def overhead_of(card: ModelCard, layout: Layout, batch: Batch, adapters: Adapters) -> Overhead:
    """Estimate what one GPU of a layout needs beside weights and cache."""
    stage_layers = -(-card.layers // layout.pipeline)
    return Overhead(
        activations=activation_bytes(card, layout, batch),
        graphs=GRAPH_BYTES_PER_LAYER * stage_layers,
        non_torch=NON_TORCH_BYTES,
        adapters=adapter_bytes(card, layout, adapters),
    )


def activation_bytes(card: ModelCard, layout: Layout, batch: Batch) -> int:
    """Peak of the profile run: the widest layer over a full batch, then the logits of every sequence.

    tokens x 2 B x (2 hidden + widest) + 3 x sequences x vocabulary x 4 B, where the widest is gate, up and their
    product (3 x intermediate / TP), or with experts 3 x active x max(expert intermediate / TP, hidden / 2).
    """
    hidden_states = 2 * card.hidden_size + widest_layer(card, layout)
    logits = padded_vocabulary(card) * batch.sequences * FLOAT * LOGIT_COPIES if card.kind == "generate" else 0
    return batch.tokens * HALF * hidden_states + logits


def adapter_bytes(card: ModelCard, layout: Layout, adapters: Adapters) -> int:
    """Buffers for adapters: rank x (input + output widths) of seven projections, 16 bit, split like the weights."""
    inner = card.intermediate_size or 4 * card.hidden_size
    widths = ADAPTED_WIDTHS * card.hidden_size + 3 * inner
    return -(-adapters.count * adapters.rank * widths * card.layers * HALF // layout.gpus_per_copy)


def widest_layer(card: ModelCard, layout: Layout) -> int:
    """Elements that the widest layer holds of one token beside its hidden states."""
    dense = 3 * -(-(card.intermediate_size or 4 * card.hidden_size) // layout.tensor)
    if not card.experts or not card.experts.intermediate_size:
        return dense
    slice_ = card.experts.intermediate_size if layout.expert > 1 else card.experts.intermediate_size // layout.tensor
    return max(dense, 3 * card.experts.active * max(slice_, card.hidden_size // 2))
