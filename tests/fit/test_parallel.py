"""Layouts: each rule by name, what is chosen, what is checked."""

import pytest

from plinth_runtime.contract.card_types import Experts, Quantization
from pulumi_plinth.fit.layout import Layout
from pulumi_plinth.fit.parallel import Nodes, legal_tensor_sizes, misfits, nodes_needed, tensor_misfits
from pulumi_plinth.fit.plan import Fitted, Refused
from pulumi_plinth.fit.shapes import plain_shape


def rules(card, layout, nodes):
    """Names of the rules that are broken."""
    return [misfit.rule for misfit in misfits(card, layout, nodes)]


def tensor_rules(card, size, *, split=True):
    """Names of the rules a tensor-parallel size breaks."""
    return [misfit.rule for misfit in tensor_misfits(card, size, split_experts=split)]


def quantised(card, sizes, **said):
    """A dense model of that intermediate size with a quantization."""
    return card.model_copy(update={"intermediate_size": sizes, "quantization": Quantization(**said)})


@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("llama-3.1-8b-instruct", (1, 2, 4, 8)),
        ("phi-4", (1, 2)),  # 40 heads but 10 KV heads: neither 4 nor 8; 5 does not divide the vocabulary
        ("qwen2.5-7b-instruct", (1, 2, 4)),  # 28 heads; 7 does not go with 4 KV heads
        ("smollm2-135m-instruct", (1, 3)),
        ("gemma-3-1b-it", (1, 2, 4)),  # one KV head is copied
        ("deepseek-v3-0324", (1, 2, 4, 8)),
    ],
)
def test_sizes_come_from_the_model_not_from_the_node(cards, name, sizes):
    """Of eight GPUs only what divides."""
    assert legal_tensor_sizes(cards[name], 8) == sizes


def test_heads_vocabulary_and_layers_are_counted(cards):
    """27B Gemma over three GPUs; more stages than layers."""
    card = cards["gemma-3-27b-it"]
    assert "heads" in tensor_rules(card, 3)
    assert rules(card, Layout(1, 63), Nodes(plain_shape(64, 80))) == ["layers"]


@pytest.mark.parametrize(
    ("size", "said", "tensor", "legal"),
    [
        (18_432, {"method": "fp8", "bits": 8, "format": "e4m3"}, 32, False),  # 576 = 4.5 blocks of 128
        (18_432, {"method": "fp8", "bits": 8, "format": "e4m3"}, 16, True),
        (29_568, {"method": "gptq", "bits": 8, "group_size": 128}, 2, False),  # 231 groups
        (29_696, {"method": "gptq", "bits": 8, "group_size": 128}, 2, True),
        (2880, {"method": "mxfp4", "bits": 4, "group_size": 32}, 8, True),  # the engine pads
    ],
)
def test_groups_of_a_quantization_are_not_cut(cards, size, said, tensor, legal):
    """The shard is looked at, not the whole matrix."""
    card = quantised(cards["deepseek-r1-distill-llama-70b"], size, **said)
    assert ("quantization-groups" not in tensor_rules(card, tensor)) == legal


def test_slices_of_experts_are_looked_at_only_when_experts_are_sliced(cards):
    """1536 / 8 = 192 is no multiple of 128; whole experts are not cut."""
    card = cards["qwen3-235b-a22b-instruct-2507"].model_copy(
        update={"quantization": Quantization(method="gptq", bits=4, group_size=128)}
    )
    assert "quantization-groups" in tensor_rules(card, 8)
    assert tensor_rules(card, 8, split=False) == []


def test_experts_are_checked(cards):
    """A dense model has none; they are dealt to all GPUs of a stage or not at all."""
    nodes = Nodes(plain_shape(8, 80))
    assert rules(cards["llama-3.1-8b-instruct"], Layout(2, expert=2), nodes) == ["experts"]
    assert rules(cards["qwen3-30b-a3b"], Layout(4, expert=3), nodes) == ["experts"]
    assert rules(cards["qwen3-30b-a3b"], Layout(4, expert=4), nodes) == []
    few = cards["qwen3-30b-a3b"].model_copy(update={"experts": Experts(count=2, active=1, intermediate_size=768)})
    assert rules(few, Layout(4, expert=4), nodes) == ["experts"]


def test_a_slice_cannot_be_joined(cards):
    """One process sees one MIG slice."""
    nodes = Nodes(plain_shape(7, 20), mig=True)
    assert rules(cards["llama-3.2-1b-instruct"], Layout(2), nodes) == ["mig"]


def test_tensors_between_nodes_need_rdma(cards, shapes):
    """Sixteen H100 on two nodes may; eight A10 on two nodes without RDMA may not; stages may."""
    card = cards["llama-3.1-405b-instruct"]
    assert rules(card, Layout(16), Nodes(shapes["BM.GPU.H100.8"], 2)) == []
    assert rules(card, Layout(8), Nodes(shapes["BM.GPU.A10.4"], 2)) == ["rdma"]
    assert rules(card, Layout(4, 2), Nodes(shapes["BM.GPU.A10.4"], 2)) == []


@pytest.mark.parametrize(
    ("layout", "gpus", "nodes"),
    [
        (Layout(1, 1, 8), 8, 1),
        (Layout(2, 1, 8), 8, 2),
        (Layout(8, 2), 8, 2),
        (Layout(4, 3), 8, 2),
        (Layout(16), 8, 2),
        (Layout(3, 1, 4), 8, 2),
        (Layout(8, 2, 2), 8, 4),
    ],
)
def test_nodes_of_a_layout(layout, gpus, nodes):
    """Whole copies side by side, tensor groups never torn where they fit."""
    assert nodes_needed(layout, gpus) == nodes


def test_too_few_nodes_are_said(plan):
    """What is asked for and what there is."""
    found = plan("llama-3.3-70b-instruct", "BM.GPU.H100.8", nodes=1, tensor=8, pipeline=2)
    assert isinstance(found, Refused)
    assert [misfit.rule for misfit in found.misfits] == ["gpus"]
    assert "needs 2 nodes of 8 GPUs, there are 1" in str(found.misfits[0])


def test_one_gpu_is_enough_so_the_others_hold_copies(plan):
    """Llama 3.1 8B on eight H100."""
    assert plan("llama-3.1-8b-instruct", "BM.GPU.H100.8").layout == Layout(1, 1, 8)


def test_the_smallest_size_that_serves_the_context_is_taken(plan):
    """70B needs four H100 for its 131,072 tokens and two for 8192."""
    assert plan("llama-3.3-70b-instruct", "BM.GPU.H100.8").layout == Layout(4, 1, 2)
    assert plan("llama-3.3-70b-instruct", "BM.GPU.H100.8", context=8192).layout == Layout(2, 1, 4)


def test_phi_4_gets_a_layout_its_heads_allow(plan):
    """KAITO's rule would take four GPUs together; ten KV heads allow two."""
    assert plan("phi-4", "BM.GPU.A10.4").layout == Layout(2, 1, 2)


def test_explicit_sizes_win_and_are_checked(plan):
    """Eight where two would do; sixteen where heads do not divide."""
    assert plan("llama-3.1-8b-instruct", "BM.GPU.H100.8", tensor=8).layout == Layout(8, 1, 1)
    refused = plan("phi-4", "BM.GPU.H100.8", tensor=8)
    assert [misfit.rule for misfit in refused.misfits] == ["kv-heads"]
    assert isinstance(plan("llama-3.3-70b-instruct", "BM.GPU.H100.8", tensor=1), Refused)


def test_stated_nodes_are_filled_with_copies(plan):
    """Three nodes of eight: twenty-four copies of a small model, one copy of a large one on two of them."""
    assert plan("llama-3.1-8b-instruct", "BM.GPU.H100.8", nodes=3).layout == Layout(1, 1, 24)
    found = plan("deepseek-v3-0324", "BM.GPU.H100.8", nodes=3)
    assert isinstance(found, Fitted)
    assert (found.layout.pipeline, found.layout.data, found.nodes) == (2, 1, 2)


def test_a_slice_serves_what_fits_it(plan):
    """Llama 3.2 1B in 10 GiB, not Llama 3.1 8B."""
    assert plan("llama-3.2-1b-instruct", (7, 10), mig=True).layout.data == 7
    assert isinstance(plan("llama-3.1-8b-instruct", (7, 10), mig=True), Refused)
