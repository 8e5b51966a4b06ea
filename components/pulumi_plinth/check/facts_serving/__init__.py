"""serving_of_facts: what loosely written facts say about engine, model and GPU. Pure: what is known is passed in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pulumi_plinth.check.facts_place_words import Facts
from pulumi_plinth.check.facts_serving.engine import read_engine
from pulumi_plinth.check.facts_serving.extras import read_adapter, read_cache, read_doubles, read_media, read_template
from pulumi_plinth.check.facts_serving.hardware import read_gpu, read_host, read_nodes
from pulumi_plinth.check.facts_serving.known import Known
from pulumi_plinth.check.facts_serving.model import read_model
from pulumi_plinth.check.serving import Serving

__all__ = ["Known", "serving_of_facts", "understood"]


def serving_of_facts(facts: Mapping[str, Any], known: Known) -> Serving:
    """Return what the facts say about the server; what they do not speak of stays unknown."""
    return _serving(Facts(facts), known)


def understood(facts: Mapping[str, Any], known: Known) -> frozenset[str]:
    """Return the keys, in the one spelling of `facts_place_words.normal`, that are made sense of here."""
    reader = Facts(facts)
    _serving(reader, known)
    return frozenset(reader.read)


def _serving(facts: Facts, known: Known) -> Serving:
    serving = read_engine(facts, known)
    serving = read_model(facts, known, serving)
    serving = replace(
        serving,
        gpu=read_gpu(facts, known),
        host=read_host(facts),
        nodes=read_nodes(facts),
        adapter=read_adapter(facts),
        media=read_media(facts, serving),
        template=read_template(facts, serving),
        cache=read_cache(facts),
    )
    return replace(serving, doubles=(*serving.doubles, *read_doubles(facts, serving)))
