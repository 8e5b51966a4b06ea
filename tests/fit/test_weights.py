"""Weights: what each GPU of a layout holds."""

import dataclasses

import pytest

from pulumi_plinth.fit.layout import Layout
from pulumi_plinth.fit.weights import Stage, parts_of, stage_bytes, stage_parts, stages
from pulumi_plinth.quantities import GIB

ALONE = Stage(1, 1)


def test_one_gpu_holds_the_file(cards):
    """All parts together are the stored bytes of a 16-bit model."""
    for name in ("llama-3.1-8b-instruct", "mixtral-8x7b-instruct-v0.1", "deepseek-v3-0324", "gpt-oss-20b"):
        card = cards[name]
        assert parts_of(card).total == card.weight_bytes
        assert stage_bytes(card, parts_of(card), Layout(), ALONE) == card.weight_bytes


def test_tables_of_llama_8b(cards):
    """128,256 x 4,096 x 2 B, stored for both ends."""
    parts = parts_of(cards["llama-3.1-8b-instruct"])
    assert parts.embedding == parts.head == 128_256 * 4096 * 2


def test_a_tied_table_is_held_once(cards):
    """Llama 3.2 1B has one table for both ends; the Qwen3 0.6B file holds a copy that is not loaded."""
    tied = parts_of(cards["llama-3.2-1b-instruct"])
    assert (tied.head, tied.total) == (0, cards["llama-3.2-1b-instruct"].weight_bytes)
    qwen = cards["qwen3-0.6b"]
    assert parts_of(qwen).total == qwen.weight_bytes - 151_936 * 1024 * 2


def test_a_float32_file_is_loaded_in_half(cards):
    """VLLM computes such models in 16 bit."""
    assert parts_of(cards["bge-m3"]).total == pytest.approx(cards["bge-m3"].weight_bytes / 2, rel=0.001)


def test_eight_gpus_hold_an_eighth_and_what_is_replicated(cards):
    """Llama 70B has nothing to replicate but norms."""
    card = cards["llama-3.3-70b-instruct"]
    held = stage_bytes(card, parts_of(card), Layout(8), ALONE)
    assert held == pytest.approx(card.weight_bytes / 8, rel=0.001)
    assert held > card.weight_bytes / 8


def test_kv_heads_are_copied_beyond_their_number(cards):
    """Qwen2.5 7B has four KV heads: seven GPUs would not do, fourteen would hold one each."""
    card = cards["qwen3-235b-a22b-instruct-2507"]  # four KV heads
    parts = parts_of(card)
    four = stage_parts(card, parts, Layout(4), ALONE)["key and value projections"]
    eight = stage_parts(card, parts, Layout(8), ALONE)["key and value projections"]
    assert four == eight == parts.key_value // 4


def test_latent_projections_stand_on_every_gpu(cards):
    """DeepSeek V3: 61 x 7,168 x (576 + 1,536) x 1 B fp8, beside norms and routers."""
    card = cards["deepseek-v3-0324"]
    norms_and_routers = 61 * (2 * 7168 * 2 + 7168 * 256 * 2)
    assert parts_of(card).replicated == 61 * 7168 * (576 + 1536) + norms_and_routers


def test_experts_are_dealt_whole_or_sliced(cards):
    """128 experts over eight GPUs: sixteen each, or an eighth of every one."""
    card = cards["qwen3-30b-a3b"]
    parts = parts_of(card)
    assert parts.experts == 48 * 128 * 3 * 2048 * 768 * 2
    for layout in (Layout(8), Layout(8, expert=8)):
        assert stage_parts(card, parts, layout, ALONE)["experts"] == parts.experts // 8


def test_draft_layers_are_not_loaded(cards):
    """Multi-token prediction heads stay on disk while nobody speculates."""
    card = cards["deepseek-v3-0324"]
    known = {"embedding": GIB, "head": GIB, "experts": 500 * GIB, "draft": 12 * GIB, "other": 20 * GIB}
    read = card.model_copy(update={"bytes_by_part": known, "weight_bytes": sum(known.values())})
    assert parts_of(read).total == 522 * GIB
    assert parts_of(read).experts == 500 * GIB


def test_left_over_layers_go_before_the_last_stage():
    """61 over four: 15, 15, 16, 15; 80 over eight: ten each; 7 over three: 2, 3, 2."""
    assert [stage.layers for stage in stages(61, 4)] == [15, 15, 16, 15]
    assert [stage.layers for stage in stages(80, 8)] == [10] * 8
    assert [stage.layers for stage in stages(7, 3)] == [2, 3, 2]
    assert [(stage.first, stage.last) for stage in stages(4, 2)] == [(True, False), (False, True)]


def test_stages_together_hold_the_model(cards):
    """The embedding is on the first, the head on the last, layers on all."""
    card = cards["llama-3.3-70b-instruct"]
    parts, layout = parts_of(card), Layout(1, 4)
    assert sum(stage_bytes(card, parts, layout, stage) for stage in stages(80, 4)) == pytest.approx(parts.total)


def test_a_tied_table_is_on_both_end_stages(cards):
    """The last stage needs it as head."""
    card = cards["llama-3.2-3b-instruct"]
    parts = parts_of(card)
    first, last = (stage_parts(card, parts, Layout(1, 2), stage) for stage in stages(28, 2))
    assert first["embedding"] == last["embedding"] == parts.embedding
    assert dataclasses.asdict(parts)["head"] == first["head"] == last["head"] == 0
