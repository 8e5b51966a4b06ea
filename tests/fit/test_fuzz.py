"""Cards from anywhere: any numbers, any mixture of layers. Always a plan or a refusal, never a crash."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plinth_runtime.contract.card import ModelCard
from plinth_runtime.contract.card_types import Experts, LayerGroup, MlaRanks, Quantization
from pulumi_plinth.fit.kaito import KaitoNodes, KaitoRefusalError, estimate, kaito_model
from pulumi_plinth.fit.memory import engine_memory, gpu_memory
from pulumi_plinth.fit.parallel import Asked, Nodes
from pulumi_plinth.fit.plan import Fitted, Refused, Wish, fit
from pulumi_plinth.fit.report import as_json, tell
from pulumi_plinth.fit.shapes import plain_shape
from pulumi_plinth.fit.sizing import Sizer
from pulumi_plinth.quantities import GIB

pytestmark = pytest.mark.slow


def document(model, /, **fields):
    """Documents by Python names; `st.builds` would add the names of their JSON."""
    return st.fixed_dictionaries(fields).map(lambda said: model(**said))


small = st.integers(0, 200)
KINDS = ["full", "sliding", "chunked", "mla", "linear", "mamba", "conv", "cross", "none"]
groups = document(
    LayerGroup,
    kind=st.sampled_from(KINDS),
    layers=st.integers(0, 64),
    kv_heads=small,
    head_dim=small,
    window=st.none() | st.integers(1, 300_000),
    conv_state=st.integers(0, 10**6),
    recurrent_state=st.integers(0, 10**7),
)
cards = document(
    ModelCard,
    architecture=st.just("X"),
    model_type=st.just("x"),
    parameters=st.integers(0, 10**12),
    weight_bytes=st.integers(0, 10**12),
    dtype=st.sampled_from(["bfloat16", "float16", "float32", "unknown"]),
    layers=st.integers(1, 200),
    hidden_size=st.integers(1, 20_000),
    attention_heads=small,
    kv_heads=small,
    head_dim=small,
    vocabulary=st.integers(0, 300_000),
    max_context=st.integers(0, 10**7),
    kind=st.sampled_from(["generate", "embed", "classify"]),
    attention=st.lists(groups, max_size=4).map(tuple),
    bytes_by_part=st.dictionaries(
        st.sampled_from(["embedding", "head", "experts", "vision", "draft", "other"]), st.integers(0, 10**11)
    ),
    intermediate_size=st.none() | st.integers(1, 60_000),
    tied_embeddings=st.booleans(),
    mla=st.none()
    | document(MlaRanks, kv_lora_rank=small, qk_rope_head_dim=small, qk_nope_head_dim=small, v_head_dim=small),
    experts=st.none()
    | document(Experts, count=st.integers(1, 512), active=st.integers(1, 16), intermediate_size=st.none() | small),
    quantization=st.none()
    | document(
        Quantization,
        method=st.sampled_from(["fp8", "awq", "gptq", "mxfp4", "x"]),
        bits=st.none() | st.integers(1, 16),
        group_size=st.none() | st.integers(1, 256),
        kv_cache=st.none() | st.sampled_from(["fp8", "int8"]),
    ),
)
sizes = st.none() | st.integers(1, 20)
asked = st.builds(Asked, tensor=sizes, pipeline=sizes, data=sizes, expert=sizes)
nodes = st.builds(
    Nodes,
    shape=st.builds(plain_shape, st.integers(1, 16), st.floats(1, 500)),
    count=st.none() | st.integers(1, 20),
    mig=st.booleans(),
)


@settings(max_examples=400, deadline=None)
@given(cards, nodes, asked, st.none() | st.integers(1, 10**7))
def test_any_card_is_planned_or_refused(card, where, sizes_asked, context):
    """And what is planned can be told, with parts that sum."""
    sizer, wish = Sizer(card), Wish(context, sizes_asked)
    found = fit(sizer, where, wish)
    if isinstance(found, Refused):
        assert found.misfits
        assert all(str(misfit) for misfit in found.misfits)
        return
    assert isinstance(found, Fitted)
    assert gpu_memory(sizer, found).total == found.budget
    assert as_json(tell(sizer, where, wish, found))["reasons"]


@settings(max_examples=200, deadline=None)
@given(cards, st.integers(1, 16), st.floats(1, 500), st.none() | st.integers(1, 10**7))
def test_kaito_and_cpus_too(card, gpus, gib, context):
    """Any card gives numbers or a refusal."""
    assert engine_memory(card, GIB).kv_tokens >= 0
    try:
        plan = estimate(kaito_model(card), KaitoNodes(gpus, int(gib * GIB)), context)
    except KaitoRefusalError:
        return
    assert plan.nodes * gpus >= plan.min_gpus > 0
