"""Well-known models on Oracle's shapes: what was planned when the arithmetic was checked by hand.

`by_hand` writes the formulas of docs/planner.md a second time, flat and for plain models only, so that the table is
not merely what the code said. Models with windows, latents, experts or states are checked one by one below it.
"""

import csv

import pytest
from fit import golden

from pulumi_plinth.fit.parallel import Nodes
from pulumi_plinth.fit.plan import Fitted, Wish, fit
from pulumi_plinth.fit.sizing import Sizer

GIB = 1 << 30
with golden.FILE.open() as stream:
    TABLE = list(csv.DictReader(stream))

PLAIN = [
    row
    for row in TABLE
    if row["model"].startswith(
        (
            "llama-2",
            "llama-3",
            "qwen2.5",
            "qwen3-8b",
            "qwen3-0",
            "phi-4",
            "mistral",
            "olmo",
            "granite",
            "smollm",
            "c4ai",
        )
    )
    and not row["model"].endswith("awq")
    and " x PP1 x " in row["layout"]  # stages are checked in test_weights.py
]


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row['model']}-{row['shape']}")
def test_the_plan_is_the_one_that_was_checked(row, cards, shapes):
    """Layout, nodes, weights, cache, context and tokens."""
    found = fit(Sizer(cards[row["model"]]), Nodes(shapes[row["shape"]]), Wish())
    assert golden.cells(found) == tuple(row[column] for column in golden.COLUMNS[2:])


def by_hand(card, tensor, gpu, batch):
    """Weights, cache bytes and tokens of one GPU: dense, full attention, 16 bit, one stage."""
    vocabulary = -(-card.vocabulary // 64) * 64
    norms = 4 * card.layers * card.hidden_size
    own = (2 * card.parameters - norms) / tensor + norms
    step = batch.tokens * 2 * (2 * card.hidden_size + 3 * card.intermediate_size / tensor)
    sampler = 3 * batch.sequences * vocabulary * 4
    room = gpu - own - step - sampler - (8 << 20) * card.layers - 0.6 * GIB
    return own, room, room / (4 * card.layers * max(card.kv_heads // tensor, 1) * card.head_dim)


@pytest.mark.parametrize("row", PLAIN, ids=lambda row: f"{row['model']}-{row['shape']}")
def test_plain_models_agree_with_the_formulas_written_flat(row, cards, shapes):
    """Within half a percent and two blocks."""
    card, shape = cards[row["model"]], shapes[row["shape"]]
    found = fit(Sizer(card), Nodes(shape), Wish())
    assert isinstance(found, Fitted)
    own, room, tokens = by_hand(card, found.layout.tensor, shape.usable_bytes * 0.9, found.batch)
    assert int(row["weights_mib"]) == pytest.approx(own / (1 << 20), rel=0.002, abs=2)
    assert int(row["cache_mib"]) == pytest.approx(room / (1 << 20), rel=0.004, abs=2)
    assert int(row["kv_tokens"]) == pytest.approx(tokens, rel=0.005, abs=32)


MIXED = [
    row
    for row in TABLE
    if row["model"].startswith(
        ("deepseek", "e5", "gemma", "glm", "gpt-oss", "kimi", "llama-4", "mixtral", "phi-3", "qwen3")
    )
    and not row["model"].startswith("qwen3-next")  # states have their own test
    and " x PP1 x " in row["layout"]
]


def kept(group, context, in_flight):
    """Tokens of a request of `context` that a layer keeps, and the block a window may straddle."""
    if group.kind == "sliding":
        return min(group.window - 1 + in_flight, context), 1
    return (min(group.window + in_flight, context), 0) if group.kind == "chunked" else (context, 0)


def mixed_by_hand(card, layout, gpu, batch, context):
    """As above for experts, latents and windows: what every GPU holds whole, the widest layer, groups of equal size."""
    tensor, experts, mla = layout.tensor, card.experts, card.mla
    width = card.quantization.bits / 8 if card.quantization else 2
    whole = 4 * card.layers * card.hidden_size
    wide = 3 * (card.intermediate_size or 4 * card.hidden_size) / tensor
    if experts:
        whole += 2 * card.layers * card.hidden_size * experts.count
        slice_ = experts.intermediate_size if layout.expert > 1 else experts.intermediate_size / tensor
        wide = max(wide, 3 * experts.active * max(slice_, card.hidden_size / 2))
    if mla:
        whole += card.layers * card.hidden_size * (mla.latent_dim + (mla.q_lora_rank or 0)) * width
    stored = card.weight_bytes if card.quantization else 2 * card.parameters
    own = (stored - whole) / tensor + whole
    vocabulary = -(-card.vocabulary // 64) * 64 if card.kind == "generate" else 0
    step = batch.tokens * 2 * (2 * card.hidden_size + wide) + 3 * batch.sequences * vocabulary * 4
    room = gpu - own - step - (8 << 20) * card.layers - 0.6 * GIB
    sizes = [group.layers for group in card.attention]
    size = max(sizes) if max(sizes) < 1.5 * min(sizes) else min(sizes)
    first = card.attention[0]
    page = (first.head_dim if mla else 2 * max(first.kv_heads // tensor, 1) * first.head_dim) * 2 * 16
    needed = 0
    for group in card.attention:
        tokens, more = kept(group, context, 2 * batch.tokens)
        needed += -(-group.layers // size) * (-(-tokens // 16) + more)
    return own, room, room // (size * page) * context / needed


@pytest.mark.parametrize("row", MIXED, ids=lambda row: f"{row['model']}-{row['shape']}")
def test_experts_latents_and_windows_agree_with_the_formulas_written_flat(row, cards, shapes):
    """Within half a percent; where the cache is small, within what half a percent of the weights is of it."""
    card, shape = cards[row["model"]], shapes[row["shape"]]
    found = fit(Sizer(card), Nodes(shape), Wish())
    assert isinstance(found, Fitted)
    own, room, tokens = mixed_by_hand(
        card, found.layout, shape.usable_bytes * 0.9, found.batch, int(row["max_model_len"])
    )
    assert int(row["weights_mib"]) == pytest.approx(own / (1 << 20), rel=0.005, abs=2)
    slack = 0.005 * own / room
    assert int(row["cache_mib"]) == pytest.approx(room / (1 << 20), rel=0.005 + slack, abs=2)
    assert int(row["kv_tokens"]) == pytest.approx(tokens, rel=0.006 + slack, abs=32)


def test_forty_models_are_checked():
    """All of them stand in one of the hand-made comparisons, except an encoder, states and one in awq."""
    by_formula = {row["model"] for row in (*PLAIN, *MIXED)}
    alone = {"bge-m3", "qwen3-8b-awq", "qwen3-next-80b-a3b-thinking"}
    assert len({row["model"] for row in TABLE}) >= 40
    assert {row["model"] for row in TABLE} - by_formula <= alone


def test_gpt_oss_120b_on_one_h100(plan):
    """60.77 GiB of weights; 2.88 GiB for 8192 x 2 x (5760 + 3 x 4 x 2880) B and 3 x 1024 x 201,088 x 4 B.

    0.9 x 79.22 = 71.298; less weights 60.770, activations 2.916, graphs 36 x 8 MiB = 0.281, 0.6: 6.73 GiB. A block of
    18 layers is 18 x 2 x 8 x 64 x 2 x 16 = 589,824 B: 12,250 of them. 131,072 tokens hold 8192 blocks of the full
    group and ceil((127 + 16,384) / 16) + 1 = 1033 of the sliding one: 9225, so 1.328 requests or 174 thousand tokens.
    """
    found = plan("gpt-oss-120b", "BM.GPU.H100.8")
    assert str(found.layout) == "TP1 x PP1 x DP8"
    assert found.need.cache.block_bytes == 589_824
    assert found.need.cache.request_bytes(131_072) == 9225 * 589_824
    assert found.cache_bytes / GIB == pytest.approx(6.73, abs=0.02)
    assert found.kv_tokens == pytest.approx(6.73 * GIB / 589_824 / 9225 * 131_072, rel=0.003)


def test_deepseek_v3_on_two_nodes_of_h100(plan):
    """The last stage is the heavier one: 30 of the 58 layers with experts; the three dense ones are on the first.

    609.0 GiB of experts x 30/58 / 8 = 39.37; 27.78 x 30/61 / 8 = 1.71 of other layers; 1.07 x 30/61 = 0.53 whole on
    every GPU; 1.73 / 8 = 0.22 of head: 41.83 GiB.
    """
    found = plan("deepseek-v3-0324", "BM.GPU.H100.8")
    layout = found.layout
    assert (layout.tensor, layout.pipeline, layout.expert, found.nodes) == (8, 2, 8, 2)
    assert found.need.weights / GIB == pytest.approx(41.83, abs=0.02)
    # the cache is that of 30 layers x 576 x 2 B a token, not divided by eight; the first stage with 31 has more room
    assert found.need.cache.token_bytes == 30 * 576 * 2
    assert found.kv_tokens == pytest.approx(found.cache_bytes / 34_560, rel=0.001)


def test_gemma_3_27b_keeps_ten_of_sixty_two_layers_in_full(plan):
    """52 sliding layers make six groups of ten; a block is 10 x 2 x 16 x 128 x 2 x 16 B = 1.25 MiB."""
    found = plan("gemma-3-27b-it", "BM.GPU.MI300X.8")
    assert [row.groups for row in found.need.cache.rows] == [6, 1]
    assert found.need.cache.block_bytes == 10 * 2 * 16 * 128 * 2 * 16


def test_awq_weights_are_counted_as_stored(plan):
    """5.68 GiB on disk and on the GPU."""
    assert plan("qwen3-8b-awq", "VM.GPU.A10.1").need.weights / GIB == pytest.approx(5.68, abs=0.01)
