"""Weights and cache on each GPU of a layout: the plan against what vLLM's own model classes make of config.json.

The classes are those that serve on GPUs; the platform is the CPU's: blocks have 128 tokens and one step is in flight.
"""

import pytest
from truth.hybrids import HYBRIDS

from plinth_runtime.contract.card import card_of_config
from pulumi_plinth.fit.kv import BLOCK_TOKENS, HOST_BLOCK_TOKENS, cache_of
from pulumi_plinth.fit.layout import Batch, Layout
from pulumi_plinth.fit.parallel import legal_tensor_sizes
from pulumi_plinth.fit.sizing import UNBOUNDED_CONTEXT, Sizer
from pulumi_plinth.model.catalogue import load_catalogue
from pulumi_plinth.quantities import GIB

CLOSE = 0.01
STEP = Batch(2048, 256)
CACHE_BYTES = 20 * GIB
LONGEST = 8192
LAYOUTS = {
    "llama-3.1-8b-instruct": ((1, 1, 1), (2, 1, 1), (8, 1, 1), (16, 1, 1), (1, 2, 1), (2, 3, 1)),
    "llama-3.2-1b-instruct": ((1, 1, 1), (4, 1, 1), (1, 2, 1)),
    "qwen3-30b-a3b": ((1, 1, 1), (4, 1, 1), (4, 1, 4)),
    "mixtral-8x7b-instruct-v0.1": ((2, 1, 1), (8, 1, 8)),
    "deepseek-v2-lite-chat": ((1, 1, 1), (4, 1, 1), (4, 1, 4), (1, 2, 1)),
    "gemma-3-1b-it": ((1, 1, 1), (4, 1, 1)),
    "gemma-2-9b-it": ((8, 1, 1),),
    "glm-4.5-air": ((8, 1, 8),),
}
"""(tensor, pipeline, expert) of dense and mixed models in 16 bit."""

MANY = 50

CATALOGUE = load_catalogue()


def ranks(layouts):
    """Every different rank of every layout: name, layout, number of its stage, planned bytes, planned tokens."""
    for name, sizes in layouts.items():
        sizer = Sizer(CATALOGUE.find(name).card())
        for tensor, pipeline, expert in sizes:
            layout = Layout(tensor, pipeline, expert=expert)
            for need in sizer.needs(layout, STEP):
                place = 0 if need.stage.first else pipeline - 1 if need.stage.last else 1
                yield name, layout, place, need.weights, tokens(sizer.card, layout)


def tokens(card, layout):
    """Tokens of a cache on CPUs; of stages nothing is said, their groups are those of the whole model."""
    if layout.pipeline > 1:
        return None
    block = HOST_BLOCK_TOKENS if card.mla is None else BLOCK_TOKENS
    return cache_of(card, layout.tensor, sizes=(2, STEP.tokens), block=block).tokens(CACHE_BYTES, length(card))


def length(card):
    """Tokens of a request."""
    return min(LONGEST, card.max_context or UNBOUNDED_CONTEXT)


def with_factors(config):
    """Write out the lists of long rope, which rows of the catalogue leave out; they shape nothing."""
    rope = config.get("rope_scaling") or {}
    if rope.get("type") != "longrope":
        return config
    dim = config["hidden_size"] // config["num_attention_heads"] * config.get("partial_rotary_factor", 1.0)
    ones = [1.0] * int(dim / 2)
    scales = {"short_mscale": 1.0, "long_mscale": 1.0} if config["model_type"] == "phimoe" else {}
    return {**config, "rope_scaling": {**rope, **scales, "short_factor": ones, "long_factor": ones}}


def compared(ask, layouts):
    """Ask about all ranks: (name, layout, stage) -> how far off weights and cache are, or what vLLM says instead."""
    asked = list(ranks(layouts))
    cases = [
        {
            "config": with_factors(CATALOGUE.find(name).config),
            "tensor": layout.tensor,
            "pipeline": layout.pipeline,
            "expert": layout.expert,
            "stage": place,
            "length": length(CATALOGUE.find(name).card()),
            "cache": CACHE_BYTES,
        }
        for name, layout, place, _, _ in asked
    ]
    found = {}
    for (name, layout, place, weights, kept), seen in zip(asked, ask("ask_ranks.py", cases, 580), strict=True):
        key = f"{name}, {layout}, stage {place + 1}"
        found[key] = seen.get("error") or (
            weights / seen["weights"] - 1,
            kept / seen["kv_tokens"] - 1 if kept is not None else 0.0,
        )
    return found


def told(tell, found, what):
    """Put the worst of all into the table."""
    for place, part in enumerate(("bytes of weights", "tokens of cache")):
        worst = max(found, key=lambda key: abs(found[key][place]))
        tell(f"{part}, {what}", "", f"at most {found[worst][place]:+.2%} off", worst)


@pytest.mark.engine
@pytest.mark.timeout(300)
def test_each_rank_holds_what_was_planned(ask, tell):
    """Eight models in several layouts: within one percent, without loading anything."""
    found = compared(ask, LAYOUTS)
    assert {key: said for key, said in found.items() if isinstance(said, str)} == {}
    told(tell, found, f"{len(found)} ranks of {len(LAYOUTS)} models")
    assert {key: off for key, off in found.items() if max(map(abs, off)) > CLOSE} == {}


def sixteen_bit():
    """Every text model of the catalogue in 16 bit, alone and on as many of eight GPUs as it can be divided over.

    Rows of models with images, video or audio say too little of their encoders for vLLM to build them.
    """
    for entry in CATALOGUE.entries():
        card = entry.card()
        if card is None or card.kind != "generate" or card.quantization or set(card.capabilities) != {"TEXT_TO_TEXT"}:
            continue
        sizes = {1, legal_tensor_sizes(card, 8)[-1]}
        yield entry.name, tuple((size, 1, 1) for size in sorted(sizes))


@pytest.mark.engine
@pytest.mark.exhaustive
@pytest.mark.timeout(600)
def test_the_whole_catalogue_holds_what_was_planned(ask, tell):
    """Every text model of the catalogue that is not quantised, one GPU and several."""
    layouts = dict(sixteen_bit())
    found = compared(ask, layouts)
    assert {key: said for key, said in found.items() if isinstance(said, str)} == {}
    told(tell, found, f"{len(found)} ranks of {len(layouts)} models")
    assert len(layouts) > MANY
    assert {key: off for key, off in found.items() if max(map(abs, off)) > CLOSE} == {}


@pytest.mark.engine
@pytest.mark.exhaustive
@pytest.mark.timeout(400)
def test_layers_that_keep_different_things_share_the_cache_as_planned(ask, tell):
    """States of both generations of Mamba, gated delta nets, windows of another width, shared caches, chunks."""
    one = {"tensor": 1, "pipeline": 1, "expert": 1, "stage": 0, "cache": CACHE_BYTES}
    cards = [card_of_config(config, 1, 1, None) for config in HYBRIDS]
    cases = [{**one, "config": config, "length": length(card)} for config, card in zip(HYBRIDS, cards, strict=True)]
    planned = [(card.model_type, tokens(card, Layout())) for card in cards]
    seen = [
        (card.model_type, said.get("kv_tokens", said))
        for card, said in zip(cards, ask("ask_ranks.py", cases), strict=True)
    ]
    names = ", ".join(dict.fromkeys(card.model_type for card in cards))
    tell(f"tokens of cache, {len(cards)} hybrids", "to the token", "the same", names)
    assert planned == seen
