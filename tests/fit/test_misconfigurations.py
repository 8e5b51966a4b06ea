"""Configurations that users wrote, as questions to the planner: what it plans instead, and what it counts.

Ids are those of `tests/check/misconfigurations.yaml`, whose verdicts are tested there.
"""

from plinth_runtime.contract.card_types import LayerGroup, Quantization
from pulumi_plinth.fit.layout import Batch, Layout
from pulumi_plinth.fit.parallel import Asked, Nodes
from pulumi_plinth.fit.plan import Fitted, Refused, Wish, fit
from pulumi_plinth.fit.shapes import plain_shape
from pulumi_plinth.fit.sizing import Sizer

PLAIN = "llama-3.1-70b-instruct"


def planned(card, where, wish, nodes=None):
    """Plan on stated GPUs."""
    return fit(Sizer(card), Nodes(plain_shape(*where), nodes), wish)


def test_kv_near_miss_4096_vs_3664(cards):
    """229 blocks of 16 hold 3664 tokens, not 4096; without the wish 3664 are planned. Later releases keep one more."""
    sizer = Sizer(cards["llama-2-7b"])
    need = sizer.worst(Layout(), Batch(2048, 256), 4096)
    gib = (need.fixed + (229 + 1) * need.cache.block_bytes + 1000) / 0.9 / 2**30
    nodes = Nodes(plain_shape(1, gib), 1)
    refused = fit(sizer, nodes, Wish(4096))
    assert isinstance(refused, Refused)
    assert refused.misfits[0].rule == "memory"
    assert refused.needed_gib > refused.available_gib
    assert fit(sizer, nodes, Wish()).max_model_len == 3664


def test_a100_40_taken_for_80(cards, shapes):
    """A model of 61 GiB fits one and not the other."""
    card = cards["gpt-oss-120b"]
    assert isinstance(fit(Sizer(card), Nodes(shapes["VM.GPU.A100.80G.1"], 1), Wish(8192)), Fitted)
    assert isinstance(fit(Sizer(card), Nodes(shapes["VM.GPU.A100.40G.1"], 1), Wish(8192)), Refused)


def test_estimator_overrides_count(cards):
    """675 GB on ten or twelve GPUs of 94: what is asked for is not lowered, what cannot work is refused."""
    card = cards["mistral-large-instruct-2411"].model_copy(
        update={
            "weight_bytes": 675 * 10**9,
            "parameters": 675 * 10**9,
            "quantization": Quantization(method="fp8", bits=8),
        }
    )
    assert isinstance(planned(card, (2, 94), Wish(asked=Asked(2, 3)), nodes=3), Refused)
    kept = planned(card, (2, 94), Wish(asked=Asked(2, 6)), nodes=6)
    assert kept.nodes == 6


def test_mla_kv_divided_by_tp(cards):
    """Twice the GPUs do not hold twice the context of a latent cache."""
    sizer = Sizer(cards["deepseek-v2-lite-chat"])
    one, two = (sizer.worst(Layout(size), Batch(2048, 256), 4096).cache.request_bytes(4096) for size in (1, 2))
    assert one == two


def test_swa_kv_8_times_smaller(cards):
    """Gemma 3 27B at 131,072 tokens: 62 layers would keep 62 GiB, ten full ones keep a sixth and little more."""
    card = cards["gemma-3-27b-it"]
    real = Sizer(card).worst(Layout(), Batch(2048, 256), 131_072).cache.request_bytes(131_072)
    naive = 131_072 * card.kv_bytes_per_token()
    assert 4.5 < naive / real < 8


def test_hybrid_one_in_four_attention(cards):
    """Qwen3-Next keeps tokens in twelve of 48 layers."""
    assert Sizer(cards["qwen3-next-80b-a3b-thinking"]).needs(Layout(), Batch(2048, 256))[0].cache.token_bytes == (
        12 * 2 * 2 * 256 * 2
    )


def test_fp8_moe_on_four_a100(cards):
    """400 GB are more than four times 80."""
    card = cards["llama-4-maverick-17b-128e-instruct"].model_copy(update={"weight_bytes": 400 * 10**9})
    card = card.model_copy(update={"quantization": Quantization(method="compressed-tensors", bits=8)})
    assert isinstance(planned(card, (4, 80), Wish(), nodes=1), Refused)


def test_new_gpu_shapes_are_accepted_when_their_facts_are_stated(cards, shapes):
    """The table is not a closed set."""
    assert isinstance(planned(cards[PLAIN], (8, 432), Wish()), Fitted)
    assert isinstance(fit(Sizer(cards[PLAIN]), Nodes(shapes["BM.GPU.GB200-v3.4"]), Wish()), Fitted)


def test_groups_without_a_window_are_full(cards):
    """A row that names no kinds has full attention everywhere."""
    plain = cards[PLAIN].model_copy(update={"attention": ()})
    same = cards[PLAIN].model_copy(
        update={"attention": (LayerGroup(kind="full", layers=80, kv_heads=8, head_dim=128),)}
    )
    assert planned(plain, (8, 80), Wish()) == planned(same, (8, 80), Wish())
