"""The KV cache: bytes a token by layer kind, groups of layers, tokens in a cache, the longest context."""

import pytest

from plinth_runtime.contract.card import ModelCard, card_of_config
from plinth_runtime.contract.card_types import LayerGroup
from pulumi_plinth.fit.kv import cache_of, element_bytes
from pulumi_plinth.quantities import GIB


def card_with(*groups, **changes):
    """A model with these layers."""
    said = {
        "architecture": "X", "model_type": "x", "parameters": 1, "weight_bytes": 2, "dtype": "bfloat16",
        "layers": sum(group.layers for group in groups), "hidden_size": 64, "attention_heads": 8, "kv_heads": 8,
        "head_dim": 64, "vocabulary": 64, "max_context": 100_000, "attention": groups,
    }  # fmt: skip
    return ModelCard(**{**said, **changes})


@pytest.mark.parametrize(
    ("name", "tensor", "expected"),
    [
        ("llama-3.1-8b-instruct", 1, 2 * 32 * 8 * 128 * 2),
        ("llama-3.1-8b-instruct", 4, 2 * 32 * 2 * 128 * 2),
        ("llama-3.1-8b-instruct", 16, 2 * 32 * 1 * 128 * 2),  # eight heads on sixteen GPUs: one each, twice kept
        ("qwen3-235b-a22b-instruct-2507", 8, 2 * 94 * 1 * 128 * 2),
        ("deepseek-v3-0324", 1, 61 * 576 * 2),
        ("deepseek-v3-0324", 8, 61 * 576 * 2),  # the latent is whole on every GPU
    ],
)
def test_bytes_of_a_token_on_each_gpu(cards, name, tensor, expected):
    """KV heads are divided, copied when there are fewer than GPUs; a latent is never divided."""
    assert cache_of(cards[name], tensor).token_bytes == expected


def test_fp8_halves_a_token(cards):
    """The flag counts, then what the checkpoint asks for."""
    card = cards["llama-3.1-8b-instruct"]
    assert cache_of(card, 1, sizes=(element_bytes(card, "fp8"), 0)).token_bytes == 65_536
    assert element_bytes(card) == element_bytes(card, "auto") == 2


def test_one_kind_of_layer_is_one_group():
    """32 layers x 2 x 8 heads x 128 x 2 B x 16 tokens = 2 MiB a block; 1 GiB holds 512 blocks."""
    cache = cache_of(card_with(LayerGroup(kind="full", layers=32, kv_heads=8, head_dim=128)), 1)
    assert cache.block_bytes == 2 << 20
    assert cache.tokens(GIB, 8192) == 512 * 16
    assert cache.longest(GIB, 100_000) == 8192 - 16  # one block is never given to a request


def test_kinds_are_cut_into_groups_of_the_rarer_kind():
    """Ten full and fifty sliding layers: six groups of ten, a block of ten pages."""
    full = LayerGroup(kind="full", layers=10, kv_heads=1, head_dim=64)
    sliding = LayerGroup(kind="sliding", layers=50, kv_heads=1, head_dim=64, window=1024)
    cache = cache_of(card_with(full, sliding), 1, sizes=(2, 2048))
    assert cache.block_bytes == 10 * 2 * 64 * 2 * 16
    assert [row.groups for row in cache.rows] == [1, 5]
    # 100,000 tokens: 6250 blocks for the full group, five times ceil((1023 + 2048) / 16) + 1 = 193 for the others
    assert cache.request_bytes(100_000) == (6250 + 5 * 193) * cache.block_bytes


def test_kinds_of_similar_count_are_padded_to_the_larger():
    """13 full and 12 sliding layers share blocks of 13 pages."""
    full = LayerGroup(kind="full", layers=13, kv_heads=1, head_dim=64)
    sliding = LayerGroup(kind="sliding", layers=12, kv_heads=1, head_dim=64, window=128)
    cache = cache_of(card_with(full, sliding), 1)
    assert [row.groups for row in cache.rows] == [1, 1]
    assert cache.block_bytes == 13 * 2 * 64 * 2 * 16


def test_a_state_is_held_whole_and_widens_attention_blocks():
    """A state of 100,000 B needs attention pages of at least that: 49 x 2,048 B, 49 x 16 tokens a block."""
    linear = LayerGroup(kind="linear", layers=3, recurrent_state=25_000)
    full = LayerGroup(kind="full", layers=1, kv_heads=1, head_dim=32)
    cache = cache_of(card_with(linear, full), 1)
    assert [(row.kind, row.page, row.block) for row in cache.rows] == [("linear", 100_352, 16), ("full", 100_352, 784)]
    assert cache.request_bytes(784) == (3 * 2 + 1) * 100_352  # two pages of state in each of three groups
    assert cache.request_bytes(78_400) == (3 * 2 + 100) * 100_352


def test_a_window_longer_than_the_context_is_no_window():
    """Phi-3 mini 128k declares a window of 262,144."""
    sliding = LayerGroup(kind="sliding", layers=4, kv_heads=1, head_dim=64, window=262_144)
    cache = cache_of(card_with(sliding), 1)
    assert cache.request_bytes(1600) == (100 + 1) * cache.block_bytes


def test_the_longest_context_is_the_last_that_fits():
    """One token more would need another block; one of the eleven stays empty for ever."""
    card = card_with(LayerGroup(kind="full", layers=2, kv_heads=1, head_dim=64))
    cache = cache_of(card, 1)
    room = 11 * cache.block_bytes + 5
    assert cache.longest(room, 100_000) == 160
    assert cache.longest(cache.block_bytes, 100_000) == 0
    assert cache.longest(room, 100) == 100


def test_an_encoder_keeps_nothing(cards):
    """No groups, no bytes, no tokens, any length."""
    cache = cache_of(cards["bge-m3"], 1)
    assert (cache.request_bytes(8192), cache.tokens(GIB, 8192), cache.longest(0, 8192)) == (0, 0, 8192)


def test_what_vllm_logged_for_qwen3_235b_on_four_h100(cards):
    """8.11 GiB were logged as 178,880 tokens (vllm-project/vllm#21348); 8.11 is rounded, blocks are not."""
    cache = cache_of(cards["qwen3-235b-a22b-instruct-2507"], 4)
    assert cache.tokens(round(8.11 * GIB), 40_960) == pytest.approx(178_880, rel=0.015)


@pytest.mark.parametrize(
    ("model_type", "kinds", "states"),
    [
        ("qwen3_next", ("linear", "full"), 2),
        ("jamba", ("mamba", "full"), 2),  # the first generation
        ("nemotron_h", ("mamba", "full"), 3),  # the second exports a state inside a prefill
        ("mamba2", ("mamba",), 1),  # without attention no prefix is kept
    ],
)
def test_pages_of_state_that_a_request_holds(model_type, kinds, states):
    """Whatever its length."""
    sizes = {
        "full": {"kv_heads": 1, "head_dim": 64},
        "linear": {"recurrent_state": 64},
        "mamba": {"recurrent_state": 64},
    }
    groups = [LayerGroup(kind=kind, layers=2, **sizes[kind]) for kind in kinds]
    row = cache_of(card_with(*groups, model_type=model_type), 1).rows[0]
    assert row.blocks(100, 0) == row.blocks(10_000, 0) == states


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (
            {"model_type": "zamba2", "layers_block_type": ["mamba", "hybrid", "mamba"], "num_hidden_layers": 3},
            {"full": (1, 4, 64), "mamba": (3, 0, 0)},  # the hybrid layer keeps both; heads see twice the width
        ),
        (
            {"model_type": "gemma4_text", "num_global_key_value_heads": 2, "sliding_window": 8},
            {"sliding": (5, 4, 32), "full": (1, 4, 512)},
        ),
        (
            {
                "model_type": "gemma4_text", "num_global_key_value_heads": 2, "sliding_window": 8,
                "attention_k_eq_v": True, "global_head_dim": 64,
            },
            {"sliding": (5, 4, 32), "full": (1, 2, 64)},
        ),
    ],
)  # fmt: skip
def test_what_layers_of_mixed_models_keep(config, expected):
    """Layers, KV heads and head size by kind."""
    base = {"hidden_size": 128, "num_attention_heads": 4, "num_key_value_heads": 4, "vocab_size": 64}
    own = {"num_hidden_layers": 6} | ({} if config["model_type"] == "zamba2" else {"head_dim": 32})
    card = card_of_config(base | own | config, 1, 1, None)
    assert {group.kind: (group.layers, group.kv_heads, group.head_dim) for group in card.attention} == expected
