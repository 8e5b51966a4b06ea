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
from pulumi_plinth.check.facts_serving.reading import Reader
from pulumi_plinth.check.serving import Serving

__all__ = ["Known", "read_serving", "serving_of_facts"]


def serving_of_facts(facts: Mapping[str, Any], known: Known) -> Serving:
    """Return what the facts say about the server; what they do not speak of stays unknown."""
    return read_serving(facts, known)[0]


def read_serving(facts: Mapping[str, Any], known: Known) -> tuple[Serving, frozenset[str]]:
    """Return the same, and the keys that were made sense of, in the one spelling of `facts_place_words.normal`."""
    reader = Reader(facts)
    serving = _serving(reader, known)
    return serving, frozenset(reader.read)


def _serving(facts: Facts, known: Known) -> Serving:
    serving = read_engine(facts, known)
    serving = read_model(facts, known, serving)
    serving = replace(
        serving,
        gpu=read_gpu(facts, known),
        host=read_host(facts),
        nodes=read_nodes(facts),
        adapter=read_adapter(facts, serving),
        media=read_media(facts, serving),
        template=read_template(facts, serving),
        cache=read_cache(facts),
    )
    return replace(serving, doubles=(*serving.doubles, *read_doubles(facts, serving)))
