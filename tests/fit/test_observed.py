"""Figures that strangers' engines logged on GPUs, against the same arithmetic here. No engine is needed.

The points of whole plans stand in tests/truth; these are parts of a bill: what a cache of a stated size holds, what
one more share of a GPU adds, what weights take.
"""

import pytest

from plinth_runtime.contract.card_types import LayerGroup
from pulumi_plinth.fit.layout import Batch, Layout
from pulumi_plinth.fit.sizing import Sizer
from pulumi_plinth.quantities import GIB

BATCH = Batch(2048, 256)
H100_NVL_GIB = 93.11
MISTRAL_SMALL_4 = LayerGroup(kind="mla", layers=36, kv_heads=1, head_dim=320)
MINIMAX_M2 = LayerGroup(kind="full", layers=62, kv_heads=8, head_dim=128)


def with_layers(card, group):
    """A card whose cache is that of one group of layers; the rest of it does not matter here."""
    return card.model_copy(
        update={
            "attention": (group,), "layers": group.layers, "kv_heads": group.kv_heads, "head_dim": group.head_dim,
            "attention_heads": 48, "max_context": 1 << 20,
        }
    )  # fmt: skip


def held(card, layout, gib, context):
    """Tokens in a cache of so much on each GPU."""
    return Sizer(card).worst(layout, BATCH, context).cache.tokens(round(gib * GIB), context)


@pytest.mark.parametrize(
    ("gib", "context", "logged"), [(3.81, 20_000, 1952 * 16), (2.89, 29_000, 1478 * 16)], ids=["20000", "29000"]
)
def test_llama_on_an_rtx_3090(cards, gib, context, logged):
    """Llama 3.1 8B on 23.58 GiB: blocks as logged (vllm-project/vllm#10517)."""
    assert held(cards["llama-3.1-8b-instruct"], Layout(), gib, context) == pytest.approx(logged, rel=0.002)


def test_weights_of_llama(cards):
    """14.9888 GiB were loaded (vllm-project/vllm#10517)."""
    weights = Sizer(cards["llama-3.1-8b-instruct"]).worst(Layout(), BATCH, 4096).weights
    assert weights / GIB == pytest.approx(14.9888, rel=0.003)


def test_latent_cache_of_a_million_tokens(cards):
    """Mistral Small 4 asked for 22.5 GiB for 1,048,576 tokens and held 810,208 in 17.39 (kaito-project/kaito#2132)."""
    card = with_layers(cards["deepseek-v2-lite-chat"], MISTRAL_SMALL_4)
    cache = Sizer(card).worst(Layout(2), BATCH, 1 << 20).cache
    assert cache.request_bytes(1 << 20) / GIB == pytest.approx(22.5, rel=0.001)
    assert cache.longest(round(17.39 * GIB), 1 << 20) == pytest.approx(810_208, rel=0.002)


def test_one_more_share_of_four_gpus(cards):
    """MiniMax M2.7 on four H100 NVL, two stages of two: 0.75 instead of 0.70 held 78,704 tokens more (kaito#2156)."""
    card = with_layers(cards["llama-3.3-70b-instruct"], MINIMAX_M2)
    more = held(card, Layout(2, 2), 0.05 * H100_NVL_GIB, 65_536)
    assert more == pytest.approx(195_968 - 117_264, rel=0.01)


def test_two_stages_of_qwen(cards):
    """Qwen3 14B on two A10 of 23.88 GiB, a stage each: 55,952 tokens of what is left at 0.82 (kaito#2156)."""
    need = Sizer(cards["qwen3-14b"]).worst(Layout(1, 2), BATCH, 40_960)
    tokens = need.cache.tokens(round(23.88 * 0.82 * GIB) - need.fixed, 40_960)
    assert tokens == pytest.approx(55_952, rel=0.035)
