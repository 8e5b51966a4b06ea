"""Which layouts are legal, and which one is taken: rules with names, so that a refusal says which one was broken.

vLLM's own tests stand behind most rules (ModelConfig.verify_with_parallel_config, QKVParallelLinear, 0.32). Whether a
layout fits into memory is not decided here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from plinth_runtime.contract.card import ModelCard
from pulumi_plinth.fit.layout import Layout, Misfit
from pulumi_plinth.fit.shapes import Shape
from pulumi_plinth.fit.weights import padded_vocabulary

MAX_NODES = 16
"""Nodes that one engine may be spread over when nobody says how many there are."""

FP8_BLOCK = 128
"""Rows and columns that share a scale in block-wise fp8 checkpoints (DeepSeek, Qwen); their config names fmt e4m3."""

PADDED_METHODS = frozenset({"mxfp4", "bitsandbytes", "gguf"})
"""Methods whose shards the engine pads or packs freely, so groups need not divide."""

ATTENTION_METHODS = frozenset({"fp8", "gptq", "awq", "auto_gptq", "auto_awq"})
"""Methods whose checkpoints quantise the attention's projections too; others name exceptions that no card carries."""


@dataclass(frozen=True, slots=True)
class Nodes:
    """The machines there are: `count` of one shape, or as many as needed. A MIG slice is one GPU of a node."""

    shape: Shape
    count: int | None = None
    mig: bool = False

    @property
    def most(self) -> int:
        """Nodes that may be used."""
        return self.count or MAX_NODES


@dataclass(frozen=True, slots=True)
class Asked:
    """What a user asks for explicitly; None is left to the planner."""

    tensor: int | None = None
    pipeline: int | None = None
    data: int | None = None
    expert: int | None = None

    @property
    def anything(self) -> bool:
        """Whether the user asks for something at all."""
        return any(value is not None for value in (self.tensor, self.pipeline, self.data, self.expert))


NOTHING_ASKED = Asked()


def misfits(card: ModelCard, layout: Layout, nodes: Nodes) -> Iterator[Misfit]:
    """Yield every rule the layout breaks on these nodes."""
    yield from tensor_misfits(card, layout.tensor, split_experts=layout.expert == 1)
    yield from _pipeline_misfits(card, layout)
    yield from _expert_misfits(card, layout)
    yield from _node_misfits(layout, nodes)


def tensor_misfits(card: ModelCard, tensor: int, *, split_experts: bool) -> Iterator[Misfit]:
    """Yield the rules that a tensor-parallel size breaks for this model."""
    heads, keys = card.attention_heads, card.kv_heads
    if heads and heads % tensor:
        yield _indivisible("heads", "attention heads", heads, tensor)
    if card.mla is None and keys and keys % tensor and tensor % keys:
        problem = f"{keys} KV heads can neither be divided by nor copied to {tensor} GPUs"
        yield Misfit("kv-heads", problem, f"write a divisor or a multiple of {keys}")
    if padded_vocabulary(card) % tensor:
        yield _indivisible("vocabulary", "rows of the embedding", padded_vocabulary(card), tensor)
    for name, size in _sliced(card, split_experts=split_experts):
        if size % tensor:
            yield _indivisible("intermediate", name, size, tensor)
        elif (group := _group(card)) and tensor > 1 and size // tensor % group:
            yield _cut_group(name, size, tensor, group)
    yield from _attention_misfits(card, tensor)


def nodes_needed(layout: Layout, gpus_per_node: int) -> int:
    """Nodes that all copies take: whole copies side by side in a node, else whole tensor groups per node."""
    per_copy = layout.gpus_per_copy
    if per_copy <= gpus_per_node:
        return -(-layout.data // (gpus_per_node // per_copy))
    if layout.tensor > gpus_per_node:
        return -(-per_copy // gpus_per_node) * layout.data
    return -(-layout.pipeline // (gpus_per_node // layout.tensor)) * layout.data


def spread(card: ModelCard, nodes: Nodes, tensor: int, pipeline: int) -> Layout:
    """Fill the nodes: as many copies as there is room for, experts over the GPUs of a copy's tensor group."""
    gpus = nodes.shape.gpus
    if tensor * pipeline <= gpus:
        data = gpus // (tensor * pipeline) * (nodes.count or 1)
    else:
        data = max((nodes.count or 0) // nodes_needed(Layout(tensor, pipeline), gpus), 1)
    return Layout(tensor, pipeline, data, expert_size(card, tensor))


def expert_size(card: ModelCard, tensor: int) -> int:
    """GPUs that whole experts are dealt to: the tensor group, when there are experts and they divide."""
    return tensor if card.experts and card.experts.count % tensor == 0 else 1


def legal_tensor_sizes(card: ModelCard, gpus: int) -> tuple[int, ...]:
    """List the tensor-parallel sizes inside a node that break no rule, smallest first; one GPU is always legal."""
    return tuple(
        size
        for size in range(1, gpus + 1)
        if next(tensor_misfits(card, size, split_experts=expert_size(card, size) == 1), None) is None
    )


def needs_rdma(layout: Layout, gpus_per_node: int) -> bool:
    """Whether tensors or experts are exchanged between nodes, at every layer of every step."""
    return layout.tensor > gpus_per_node or layout.expert > gpus_per_node


def _sliced(card: ModelCard, *, split_experts: bool) -> Iterator[tuple[str, int]]:
    experts = card.experts
    if card.intermediate_size and not (experts and not experts.dense_layers and not experts.shared):
        yield "intermediate size", card.intermediate_size
    if experts and experts.intermediate_size and split_experts:
        yield "experts' intermediate size", experts.intermediate_size


def _attention_misfits(card: ModelCard, tensor: int) -> Iterator[Misfit]:
    """Yield the attention's last projection where its input is cut inside a group; other sides may be uneven."""
    group, method = _group(card), card.quantization.method if card.quantization else ""
    if not group or tensor == 1 or method not in ATTENTION_METHODS or card.attention_heads % tensor:
        return
    size = card.attention_heads * (card.mla.v_head_dim if card.mla else card.head_dim)
    if size // tensor % group:
        yield _cut_group(f"output of {card.attention_heads} heads", size, tensor, group)


def _cut_group(name: str, size: int, tensor: int, group: int) -> Misfit:
    problem = f"{size} / {tensor} = {size // tensor} ({name}) is no multiple of the quantization's {group}"
    return Misfit("quantization-groups", problem, "write a smaller tensor-parallel size")


def _group(card: ModelCard) -> int | None:
    quantization = card.quantization
    if quantization is None or quantization.method in PADDED_METHODS:
        return None
    if quantization.method == "fp8" and (quantization.format or "").startswith("e4m3"):
        return FP8_BLOCK
    return quantization.group_size


def _indivisible(rule: str, name: str, count: int, tensor: int) -> Misfit:
    problem = f"{count} {name} cannot be divided by {tensor} GPUs ({count} mod {tensor} = {count % tensor})"
    fitting = [str(size) for size in (1, 2, 4, 8, 16) if count % size == 0]
    return Misfit(rule, problem, f"write a tensor-parallel size of {', '.join(fitting)}")


def _pipeline_misfits(card: ModelCard, layout: Layout) -> Iterator[Misfit]:
    if layout.pipeline > max(card.layers, 1):
        problem = f"{card.layers} layers do not make {layout.pipeline} stages"
        yield Misfit("layers", problem, f"write at most {max(card.layers, 1)} stages")


def _expert_misfits(card: ModelCard, layout: Layout) -> Iterator[Misfit]:
    if layout.expert == 1:
        return
    if card.experts is None:
        yield Misfit("experts", "the model has no experts", "leave the expert-parallel size out")
    elif layout.expert not in (layout.tensor, layout.tensor * layout.data):
        problem = f"experts are dealt to all GPUs of a stage, {layout.tensor * layout.data}, not to {layout.expert}"
        yield Misfit("experts", problem, f"write {layout.tensor * layout.data} or leave it out")
    elif layout.expert > card.experts.count:
        problem = f"{card.experts.count} experts cannot be dealt to {layout.expert} GPUs"
        yield Misfit("experts", problem, f"write at most {card.experts.count}")


def _node_misfits(layout: Layout, nodes: Nodes) -> Iterator[Misfit]:
    shape = nodes.shape
    if nodes.mig and layout.gpus_per_copy > 1:
        problem = f"a process sees one MIG slice, {layout.gpus_per_copy} cannot be joined"
        yield Misfit("mig", problem, "write sizes of 1, or use whole GPUs")
    needed = nodes_needed(layout, shape.gpus)
    if needed > nodes.most:
        problem = f"{layout} needs {needed} nodes of {shape.gpus} GPUs, there are {nodes.most}"
        yield Misfit("gpus", problem, "write smaller sizes or add nodes")
    if needs_rdma(layout, shape.gpus) and shape.rdma is False:
        problem = f"{layout} exchanges tensors between nodes at every layer, {shape.name} has no RDMA"
        yield Misfit(
            "rdma", problem, f"write a tensor-parallel size of at most {shape.gpus}, or take a shape with RDMA"
        )
