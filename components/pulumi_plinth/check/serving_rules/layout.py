"""Rules about how one engine is spread over GPUs: sizes that must divide, stages, slices, nodes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from plinth_runtime.contract.card import ModelCard
from plinth_runtime.contract.card_types import Quantization
from pulumi_plinth.check.core import Verdict, refuse, warn
from pulumi_plinth.check.serving import Serving
from pulumi_plinth.check.serving_rules import values
from pulumi_plinth.check.serving_rules.releases import (
    EXPANDABLE_SEGMENTS_FAIL,
    NO_PIPELINE,
    NODES_ARE_SAID,
    ONLINE_BLOCKS_UNPADDED,
    RAY_STAGES,
    RAY_STAGES_FAIL,
    VOCABULARY_UNPADDED,
)
from pulumi_plinth.check.subject import Subject
from pulumi_plinth.fit.layout import Layout
from pulumi_plinth.fit.parallel import Nodes, misfits
from pulumi_plinth.fit.shapes import plain_shape
from pulumi_plinth.quantities import GIB

ALLOCATOR = "PYTORCH_CUDA_ALLOC_CONF"
PARTITION = "VLLM_PP_LAYER_PARTITION"
TENSOR = "--tensor-parallel-size"
PIPELINE = "--pipeline-parallel-size"
GPTQ_GROUP = 128
"""Weights that share a scale where a GPTQ or AWQ checkpoint does not say; what makers use."""

FP8_BLOCK = 128
ONLINE_BLOCKS = ("fp8_per_block",)
PER_BLOCK = Quantization(method="fp8", bits=8, format="e4m3")
SOME_MEMORY_GIB = 80.0


def sizes(subject: Subject) -> Iterator[Verdict]:
    """Hold that heads, KV heads, vocabulary, slices and groups must divide; stages, experts and nodes must suffice."""
    serving = subject.serving
    if serving.card is None:
        return
    layout = _layout(serving, serving.card)
    card = _as_loaded(subject, serving.card)
    for misfit in misfits(card, layout, _nodes(serving, layout)):
        if (misfit.rule == "layers" and not card.layers) or (misfit.rule == "experts" and _experts_uncounted(card)):
            continue
        path = PIPELINE if misfit.rule == "layers" else TENSOR
        yield refuse(misfit.rule, path, misfit.problem, misfit.remedy)


def too_few_gpus(subject: Subject) -> Iterator[Verdict]:
    """Hold that a layout takes no more GPUs than there are, whatever the model."""
    serving = subject.serving
    wanted, there = values.tensor(serving) * values.pipeline(serving), values.gpus_there(serving)
    if serving.card is None and there and wanted > there:
        problem = f"{wanted} GPUs are needed, there are {there}"
        yield refuse("gpus", TENSOR, problem, "write smaller sizes or add GPUs")


def stages_with_drafts(subject: Subject) -> Iterator[Verdict]:
    """Hold that draft tokens and stages exclude each other: refused by older releases, wrong text from newer ones."""
    stages = values.pipeline(subject.serving)
    if stages > 1 and values.speculative(subject.serving):
        problem = f"{stages} stages together with speculative decoding (vllm-project/vllm#14117, #49355)"
        yield refuse("pipeline-speculative", PIPELINE, problem, "leave one of them out")


def stages_of_a_class(subject: Subject) -> Iterator[Verdict]:
    """Hold that some model classes cannot be cut into stages."""
    serving = subject.serving
    span = NO_PIPELINE.get(values.model_type(serving))
    if values.pipeline(serving) > 1 and span and span.holds(serving.version, unknown=span.last is None):
        problem = f"{values.model_type(serving)} cannot be cut into {values.pipeline(serving)} stages"
        yield refuse("pipeline-support", PIPELINE, problem, "use tensor parallelism alone")


def stages_over_ray(subject: Subject) -> Iterator[Verdict]:
    """Hold that Ray does not carry more than three stages."""
    serving = subject.serving
    stages = values.pipeline(serving)
    over_ray = serving.arguments.get("distributed-executor-backend", "").lower() == "ray"
    if over_ray and stages > RAY_STAGES and RAY_STAGES_FAIL.holds(serving.version, unknown=True):
        problem = f"{stages} stages over Ray fail when the cache is set up, {RAY_STAGES} work"
        yield refuse("pipeline-ray", PIPELINE, problem, f"write at most {RAY_STAGES}, or the backend mp with --nnodes")


def nodes_over_ray(subject: Subject) -> Iterator[Verdict]:
    """Hold that --nnodes belongs to the backend mp."""
    serving = subject.serving
    backend = serving.arguments.get("distributed-executor-backend", "mp").lower()
    if (values.whole(serving, "nnodes") or 1) > 1 and backend == "ray":
        yield refuse("nnodes", "--nnodes", "several nodes are asked for beside Ray", "write the backend mp")


def slices(subject: Subject) -> Iterator[Verdict]:
    """Hold that a process sees one MIG slice, whatever the model."""
    serving = subject.serving
    gpus = values.tensor(serving) * values.pipeline(serving)
    if serving.gpu.mig and serving.card is None and gpus > 1:
        problem = f"a process sees one MIG slice, {gpus} cannot be joined"
        yield refuse("mig", TENSOR, problem, "write sizes of 1, or use whole GPUs")


def context_groups(subject: Subject) -> Iterator[Verdict]:
    """Hold that decode context parallelism uses the tensor group's GPUs, and those that hold the same KV heads.

    A latent cache has one head, which every GPU keeps; grouped heads are kept twice only above their number (0.32,
    `ModelConfig.verify_with_parallel_config`).
    """
    parts, ranks = values.whole(subject.serving, "decode-context-parallel-size"), values.tensor(subject.serving)
    path, heads = "--decode-context-parallel-size", _grouped_heads(subject.serving.card)
    if parts and ranks % parts:
        problem = f"{ranks} tensor-parallel GPUs cannot be divided into {parts} parts of the context"
        yield refuse("context-parallel", path, problem, f"write a divisor of {ranks}")
    elif parts and parts > 1 and heads and parts > max(ranks // heads, 1):
        problem = f"{ranks} GPUs keep each of {heads} KV heads {max(ranks // heads, 1)} times, {parts} parts are asked"
        yield refuse("context-parallel", path, problem, f"write at most {max(ranks // heads, 1)}")


def shared_experts(subject: Subject) -> Iterator[Verdict]:
    """Hold that shared experts are cut like dense layers, by whole blocks of block-wise fp8 (vllm#52915)."""
    serving = subject.serving
    width, ranks = serving.config.get("shared_expert_intermediate_size"), values.tensor(serving)
    made = serving.card.quantization if serving.card else None
    blocks = made is not None and made.method == "fp8" and (made.format or "").startswith("e4m3")
    if blocks and isinstance(width, int) and width % (ranks * FP8_BLOCK):
        problem = f"{width} of a shared expert / {ranks} = {width / ranks:g}, blocks have {FP8_BLOCK}"
        yield refuse("quantization-groups", TENSOR, problem, f"write at most {max(width // FP8_BLOCK, 1)}")


def idle_nodes(subject: Subject) -> Iterator[Verdict]:
    """Hold that nodes which the layout does not reach are paid for and idle."""
    serving = subject.serving
    needed = values.tensor(serving) * values.pipeline(serving) * (values.whole(serving, "data-parallel-size") or 1)
    count, nodes = serving.gpu.count, serving.nodes or 1
    if "tensor-parallel-size" in serving.arguments and count and nodes > 1 and needed <= count * (nodes - 1):
        problem = f"the layout takes {needed} GPUs, {nodes} nodes have {count * nodes}"
        yield warn("idle-nodes", "nodes", problem, f"write {-(-needed // count)} nodes, or more stages or copies")


def unpadded_vocabulary(subject: Subject) -> Iterator[Verdict]:
    """Hold that the first releases divided the vocabulary as it is."""
    serving = subject.serving
    rows, ranks = serving.card.vocabulary if serving.card else 0, values.tensor(serving)
    if rows % ranks and VOCABULARY_UNPADDED.holds(serving.version):
        problem = f"{rows} rows of the embedding cannot be divided by {ranks} GPUs, this release does not pad"
        yield refuse("vocabulary", TENSOR, problem, "take release 0.2 or later, or pad the embedding")


def vision_heads(subject: Subject) -> Iterator[Verdict]:
    """Hold that the heads of a vision tower must divide too."""
    heads, ranks = subject.serving.config.get("vision_num_attention_heads"), values.tensor(subject.serving)
    apart = subject.serving.arguments.get("mm-encoder-tp-mode") == "data"
    if isinstance(heads, int) and heads % ranks and not apart:
        problem = f"{heads} heads of the vision tower cannot be divided by {ranks} GPUs"
        yield refuse("vision-heads", TENSOR, problem, "write a divisor, or --mm-encoder-tp-mode data")


def draft_ranks(subject: Subject) -> Iterator[Verdict]:
    """Hold that a draft model runs on one GPU, or on all of its target's."""
    serving = subject.serving
    draft = values.whole(serving, "speculative-draft-tensor-parallel-size")
    if draft and draft not in (1, values.tensor(serving)):
        problem = f"the draft model is spread over {draft} GPUs, its target over {values.tensor(serving)}"
        yield refuse("draft-tensor-parallel", "--speculative-config", problem, "write 1 or the target's size")


def dealt_experts(subject: Subject) -> Iterator[Verdict]:
    """Hold that experts which are kept twice, or dealt by number, must divide."""
    serving = subject.serving
    count = serving.config.get("n_physical_experts") or (
        serving.card.experts.count if serving.card and serving.card.experts else 0
    )
    size = serving.config.get("expert_parallel_size") or values.tensor(serving) * (
        values.whole(serving, "data-parallel-size") or 1
    )
    balanced = values.switched(serving, "enable-eplb") or "n_physical_experts" in serving.config
    if balanced and count and size and count % size:
        problem = f"{count} experts cannot be dealt to {size} GPUs ({count} mod {size} = {count % size})"
        yield refuse("experts", "--enable-expert-parallel", problem, "write a divisor, or redundant experts")


def segments(subject: Subject) -> Iterator[Verdict]:
    """Hold that PyTorch's expandable segments move memory that other GPUs or a KV connector hold by address."""
    serving = subject.serving
    asked = "expandable_segments:true" in serving.environment.get(ALLOCATOR, "").lower()
    if asked and "kv-transfer-config" in serving.arguments:
        yield refuse(
            "allocator", ALLOCATOR, "expandable segments move memory that a KV connector holds", "leave it out"
        )
    elif asked and not _alone(serving) and EXPANDABLE_SEGMENTS_FAIL.holds(serving.version, unknown=True):
        problem = f"expandable segments crash {values.tensor(serving)} GPUs that share memory by handle"
        yield refuse("allocator", ALLOCATOR, problem, "leave it out")


def _alone(serving: Serving) -> bool:
    """Tell whether no GPU maps another's buffers by handle: one GPU, no graphs, or NCCL alone (vllm#16330)."""
    switches = ("enforce-eager", "disable-custom-all-reduce")
    return values.tensor(serving) == 1 or any(values.switched(serving, switch) for switch in switches)


def divided_layers(subject: Subject) -> Iterator[Verdict]:
    """Hold that a division of layers by hand names every stage and every layer once."""
    serving = subject.serving
    text, layers = serving.environment.get(PARTITION, ""), serving.card.layers if serving.card else 0
    counts = [int(part) for part in text.split(",") if part.strip().isdecimal()]
    stages = values.pipeline(serving)
    if counts and (len(counts) != stages or (layers and sum(counts) != layers)):
        problem = f"{text} are {sum(counts)} layers in {len(counts)} stages, there are {layers or '?'} in {stages}"
        yield refuse("layers", PARTITION, problem, "name each stage's layers, or leave it out")


def stays_on_a_node(subject: Subject) -> Iterator[Verdict]:
    """Hold that mp reaches other nodes through --nnodes only; newer releases take mp unasked (vllm#29447)."""
    serving = subject.serving
    needed, count = values.tensor(serving) * values.pipeline(serving), serving.gpu.count
    backend = serving.arguments.get("distributed-executor-backend")
    local = backend == "mp" or (backend is None and serving.commanded and NODES_ARE_SAID.holds(serving.version))
    alone = local and "nnodes" not in serving.arguments
    if serving.words and alone and count and (serving.nodes or 1) > 1 and needed > count:
        problem = f"{needed} GPUs are on several nodes of {count}, mp starts processes on its own"
        yield refuse("nnodes", "--distributed-executor-backend", problem, "add --nnodes and --node-rank, or write ray")


def _experts_uncounted(card: ModelCard) -> bool:
    return card.experts.count == 0 if card.experts else not card.layers


def _grouped_heads(card: ModelCard | None) -> int:
    """Return the KV heads that GPUs share out; 0 for latent caches and where nobody counts them."""
    latent = card is not None and any(group.kind == "mla" for group in card.attention)
    return 0 if card is None or latent else card.kv_heads


def _layout(serving: Serving, card: ModelCard) -> Layout:
    ranks, copies = values.tensor(serving), values.whole(serving, "data-parallel-size") or 1
    whole_experts = values.switched(serving, "enable-expert-parallel") and (card.experts or card.layers)
    return Layout(ranks, values.pipeline(serving), copies, ranks * copies if whole_experts else 1)


def _nodes(serving: Serving, layout: Layout) -> Nodes:
    """Make the nodes that are there; uncounted GPUs are as many as it takes."""
    memory = serving.gpu.memory_bytes / GIB if serving.gpu.memory_bytes else SOME_MEMORY_GIB
    count = serving.gpu.count or None
    nodes = (serving.nodes or 1) if count else None
    return Nodes(replace(plain_shape(count or layout.gpus, memory), rdma=None), nodes, serving.gpu.mig)


def _as_loaded(subject: Subject, card: ModelCard) -> ModelCard:
    """Return the card as the engine will hold it: quantised at load, groups where the checkpoint keeps silent."""
    method, quantization = values.method(subject), card.quantization
    if method in ONLINE_BLOCKS and ONLINE_BLOCKS_UNPADDED.holds(subject.serving.version, unknown=True):
        return card.model_copy(update={"quantization": PER_BLOCK})
    if method.startswith(("gptq", "awq", "auto_")) and (quantization is None or quantization.group_size is None):
        grouped = Quantization(method=method, bits=4, group_size=GPTQ_GROUP)
        return card.model_copy(update={"quantization": grouped})
    return card
