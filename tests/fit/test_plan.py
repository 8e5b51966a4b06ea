"""Properties that hold for every model on every node."""

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plinth_runtime.contract.card import ModelCard
from pulumi_plinth.fit.memory import HostServing, engine_memory, gpu_memory, host_cache
from pulumi_plinth.fit.parallel import Asked, Nodes, misfits
from pulumi_plinth.fit.plan import Fitted, Refused, Wish, fit
from pulumi_plinth.fit.report import as_json, tell
from pulumi_plinth.fit.shapes import plain_shape
from pulumi_plinth.fit.sizing import Sizer
from pulumi_plinth.model.catalogue import load_catalogue
from pulumi_plinth.quantities import GIB

CATALOGUE = load_catalogue()
NAMES = sorted(entry.name for entry in CATALOGUE.entries() if entry.config)
SIZERS = {name: Sizer(CATALOGUE.find(name).card()) for name in NAMES}

names = st.sampled_from(NAMES)
gpus = st.sampled_from([1, 2, 3, 4, 6, 8, 16])
memory = st.floats(4, 300).map(lambda gib: round(gib, 1))
contexts = st.none() | st.integers(1, 200_000)
counts = st.none() | st.integers(1, 4)
many = settings(max_examples=300, deadline=None)


@pytest.mark.slow
@many
@given(names, gpus, memory, st.floats(0, 200), st.tuples(contexts, counts))
def test_more_memory_never_makes_a_fitting_plan_fail(name, count, gib, more, wish):
    """Also across the sizes at which the engine takes larger batches."""
    context, nodes = wish
    small = fit(SIZERS[name], Nodes(plain_shape(count, gib), nodes), Wish(context))
    large = fit(SIZERS[name], Nodes(plain_shape(count, gib + more), nodes), Wish(context))
    assert isinstance(small, Refused) or isinstance(large, Fitted)


@pytest.mark.slow
@many
@given(names, gpus, memory, st.tuples(contexts, counts))
def test_parts_sum_to_what_the_engine_may_take(name, count, gib, wish):
    """No byte is missing, none is counted twice, none is negative."""
    found = fit(SIZERS[name], Nodes(plain_shape(count, gib), wish[1]), Wish(wish[0]))
    if isinstance(found, Fitted):
        bill = gpu_memory(SIZERS[name], found)
        assert bill.total == found.budget == int(round(gib * GIB) * 0.9)
        assert all(line.size >= 0 and line.formula for line in bill.lines)


@pytest.mark.slow
@many
@given(names, gpus, memory, st.tuples(contexts, counts))
def test_every_layout_is_legal_and_serves_a_request(name, count, gib, wish):
    """The rules that check explicit layouts find nothing in chosen ones; one request of full length always fits."""
    sizer, nodes = SIZERS[name], Nodes(plain_shape(count, gib), wish[1])
    found = fit(sizer, nodes, Wish(wish[0]))
    if isinstance(found, Fitted):
        assert list(misfits(sizer.card, found.layout, nodes)) == []
        assert found.need.bytes_for(found.max_model_len) <= found.budget
        assert not found.need.cache.rows or found.kv_tokens >= found.max_model_len
        assert found.max_model_len <= (sizer.card.max_context or found.max_model_len)
        again = fit(sizer, nodes, Wish(found.max_model_len, Asked(found.layout.tensor, found.layout.pipeline)))
        assert isinstance(again, Fitted)


@settings(max_examples=60, deadline=None)
@given(names, st.randoms(use_true_random=False))
def test_the_order_of_keys_does_not_matter(name, random):
    """A card read from JSON with shuffled keys gives the same plan, byte for byte."""
    said = SIZERS[name].card.model_dump(mode="json")
    keys = list(said)
    random.shuffle(keys)
    shuffled = Sizer(ModelCard.model_validate({key: said[key] for key in keys}))
    nodes = Nodes(plain_shape(8, 80))
    plans = [fit(sizer, nodes, Wish()) for sizer in (SIZERS[name], shuffled)]
    assert plans[0] == plans[1]
    if isinstance(plans[0], Fitted):
        told = [as_json(tell(sizer, nodes, Wish(), plans[0])) for sizer in (SIZERS[name], shuffled)]
        assert told[0] == told[1]


@pytest.mark.parametrize("name", NAMES)
def test_every_model_of_the_catalogue_is_planned(name):
    """On eight H200, with reasons in words."""
    sizer, nodes = SIZERS[name], Nodes(plain_shape(8, 140))
    found = fit(sizer, nodes, Wish())
    assert isinstance(found, Fitted), found
    told = tell(sizer, nodes, Wish(), found)
    assert {"layout", "memory", "context", "disk", "start", "host memory"} <= {item.subject for item in told.reasons}
    assert all(reason.text for reason in told.reasons)


def test_a_context_beyond_the_model_is_refused(plan):
    """Memory has nothing to do with it."""
    refused = plan("llama-2-7b", "BM.GPU.H100.8", context=8192)
    assert [misfit.rule for misfit in refused.misfits] == ["context"]
    assert "write at most 4096" in str(refused.misfits[0])


def test_what_does_not_fit_says_needed_and_available(plan):
    """Both in GiB on one GPU."""
    refused = plan("llama-3.1-8b-instruct", (1, 16), nodes=1)
    assert isinstance(refused, Refused)
    assert refused.available_gib == pytest.approx(14.4, abs=0.01)
    assert refused.needed_gib > 15
    assert f"{refused.needed_gib:.2f} GiB are needed" in str(refused.misfits[0])


def test_the_longest_context_is_taken_when_the_models_own_does_not_fit(plan):
    """Llama 3.1 8B on one A10: 30 thousand tokens of 131,072, and no more than fit."""
    found = plan("llama-3.1-8b-instruct", "VM.GPU.A10.1")
    assert 25_000 < found.max_model_len < 35_000
    assert found.need.bytes_for(found.max_model_len) <= found.budget < found.need.bytes_for(found.max_model_len + 16)


def test_adapters_take_their_share():
    """Four adapters of rank 64 in Llama 3.1 8B: 4 x 64 x (7 x 4096 + 3 x 14,336) x 32 x 2 B."""
    from pulumi_plinth.fit.overhead import Adapters

    card = SIZERS["llama-3.1-8b-instruct"].card
    found = fit(Sizer(card, Adapters(4, 64)), Nodes(plain_shape(1, 80)), Wish())
    assert found.need.overhead.adapters == 4 * 64 * (7 * 4096 + 3 * 14_336) * 32 * 2


def test_an_encoder_on_cpus_keeps_no_cache():
    """Nothing is divided by nothing."""
    bill = engine_memory(SIZERS["bge-m3"].card, GIB)
    assert (bill.kv_bytes_per_token, bill.kv_tokens) == (0, 0)


def test_windows_count_on_cpus_too():
    """Gemma 3 1B: 4 full and 22 sliding layers hold more than its bytes a token say."""
    card = SIZERS["gemma-3-1b-it"].card
    bill = engine_memory(card, GIB)
    assert bill.kv_tokens > GIB // bill.kv_bytes_per_token
    card = SIZERS["gemma-3-27b-it"].card
    held, cache = engine_memory(card, 4 * GIB).kv_tokens, host_cache(card)
    assert held < card.max_context
    assert cache.least_bytes(held) <= 4 * GIB < cache.least_bytes(held + 1)


@pytest.mark.parametrize(
    ("dtype", "length", "tokens", "weights"),
    [
        ("auto", None, 364 * 128, 269_030_016),  # 2 x 30 x 3 x 64 x 2 B x 128 tokens = 2,949,120 B a block
        ("auto", 1000, 364 * 1000 // 8, 269_030_016),  # a request of 1000 tokens holds eight blocks of 128
        ("float32", None, 182 * 128, 538_060_032),
    ],
)
def test_an_engine_on_cpus_counts_blocks_of_128_tokens(card, dtype, length, tokens, weights):
    """SmolLM2-135M in 1 GiB; float32 doubles weights and cache."""
    bill = engine_memory(card, GIB, HostServing(length, dtype=dtype))
    assert (bill.kv_tokens, bill.lines[0].size) == (tokens, weights)


def test_plans_are_values(plan):
    """Nothing in them can be changed."""
    found = plan("phi-4", "BM.GPU.H100.8")
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.nodes = 2


def test_an_encoder_computes_whole_prompts(plan):
    """A step of bge-m3 holds the longest text, on small GPUs too; a decoder's step may be shorter than its context."""
    assert plan("bge-m3", (1, 22.0)).batch.tokens == 8192
    assert plan("bge-m3", (1, 22.0), context=512).batch.tokens == 2048
    assert plan("qwen3-0.6b", (1, 22.0)).batch.tokens == 2048
