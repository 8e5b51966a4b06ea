"""Tokens of cache, longest context and bytes of weights: the plan against engines that were really started."""

from pathlib import Path

import pytest
from truth.tiny import MODELS

from plinth_runtime.weights.inspect import inspect_folder
from pulumi_plinth.fit.memory import HostServing, engine_memory, host_cache
from pulumi_plinth.quantities import GIB

CLOSE = 0.001
"""All were met to the token; hosts with AMX take larger blocks for latent attention."""


@pytest.fixture(scope="session")
def started(ask, tmp_path_factory):
    """A function that writes all models of one half, starts an engine for each, and keeps what was seen."""
    known = {}

    def seen(tiny):
        if tiny.name not in known:
            half = [model for model in MODELS if model.exhaustive == tiny.exhaustive]
            folders = [str(tmp_path_factory.mktemp("tiny")) for _ in half]
            pairs = list(zip(folders, half, strict=True))
            sizes = ask(
                "make_models.py", [{"folder": at, "config": one.config, "dtype": one.stored} for at, one in pairs]
            )
            found = ask("ask_engine.py", [{"folder": at, "arguments": one.asked} for at, one in pairs])
            names = [model.name for model in half]
            known.update(zip(names, zip(folders, sizes, found, strict=True), strict=True))
        return known[tiny.name]

    return seen


def planned(card, asked):
    """What the planner says of this model with these arguments: (tokens of cache, longest context)."""
    length = asked.get("max_model_len", card.default_context)
    serving = HostServing(length, dtype=asked.get("dtype", "auto"), kv_dtype=asked.get("kv_cache_dtype"))
    if length == -1:
        cache = host_cache(card)
        length = cache.longest(GIB, card.max_context)
        return cache.tokens(GIB, length), length
    return engine_memory(card, GIB, serving).kv_tokens, serving.max_model_len


@pytest.mark.engine
@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    "tiny",
    [pytest.param(tiny, id=tiny.name, marks=[pytest.mark.exhaustive] if tiny.exhaustive else []) for tiny in MODELS],
)
def test_the_engine_finds_what_was_planned(tiny, started, tell):
    """Context and stored bytes to the last one; tokens of the cache within a thousandth."""
    folder, stored, seen = started(tiny)
    card = inspect_folder(Path(folder))
    tokens, longest = planned(card, tiny.asked)
    assert "error" not in seen, seen["error"]
    tell(
        tiny.name,
        f"{tokens:,} tokens; {longest:,}; {card.weight_bytes:,} B",
        f"{seen['kv_tokens']:,} tokens; {seen['max_model_len']:,}; {stored:,} B",
        seen["dtype"].removeprefix("torch."),
    )
    assert tokens == pytest.approx(seen["kv_tokens"], rel=CLOSE)
    assert (longest, card.weight_bytes) == (seen["max_model_len"], stored)
