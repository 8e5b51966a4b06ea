"""Adapters of a local deployment: seen, planned with room, or refused with what to write instead."""

import dataclasses
import json
from pathlib import Path

import pytest

from pulumi_plinth.deployment.facts import AdapterFacts
from pulumi_plinth.errors import SpecError
from pulumi_plinth.observe import observe, observe_adapter
from pulumi_plinth.planner import plan_stack
from pulumi_plinth.stack import StackSpec


def launch(document, facts):
    """The launch of the only deployment."""
    return plan_stack(StackSpec.parse(document), facts).deployments[0].launch


def with_adapters(facts, *adapters):
    """The same world with adapters of its model on this host."""
    return dataclasses.replace(facts, models={"tiny": dataclasses.replace(facts.models["tiny"], adapters=adapters)})


def declared(document, **fields):
    """The document with one declared adapter."""
    document["models"]["tiny"]["adapters"] = [{"name": "mine", "uri": "local:///adapters/mine"} | fields]
    return document


@pytest.mark.parametrize(("rank", "room"), [(4, 16), (16, 16), (20, 32), (512, 512)])
def test_a_declared_adapter_is_served_from_the_start(document, facts, rank, room):
    """It is listed with its folder and rank, and the engine has room for the next rank that it knows."""
    made = launch(declared(document), with_adapters(facts, AdapterFacts("mine", Path("/adapters/mine"), rank)))
    assert [adapter.model_dump() for adapter in made.model.adapters] == [
        {"name": "mine", "folder": "/adapters/mine", "rank": rank}
    ]
    assert (made.engine.max_adapter_rank, made.engine.max_active_adapters) == (room, 1)


def test_room_can_be_asked_for(document, facts):
    """Rank and number in the deployment come first; folders are the project's."""
    document["deployments"]["chat"] |= {"adapters": {"count": 3, "rank": 64}, "adapterFolders": ["later", "/abs"]}
    made = launch(document, facts)
    assert (made.engine.max_adapter_rank, made.engine.max_active_adapters) == (64, 3)
    assert made.model.adapter_folders == ("/srv/later", "/abs")


REFUSED = [
    (
        {},
        None,
        'models.tiny.adapters.0: "mine" lies somewhere else, and the target local takes adapters from',
    ),
    ({}, AdapterFacts("mine", Path("/a"), fault="has no weights"), 'adapters.0.uri: "local:///adapters/mine" has no w'),
    ({"rank": 4}, AdapterFacts("mine", Path("/a"), 8), "adapters.0.rank: 4 is below the folder's 8"),
    ({"strength": 0.5}, AdapterFacts("mine", Path("/a"), 8), "adapters.0.strength: 0.5 is not 1"),
]


@pytest.mark.parametrize(("fields", "seen", "expected"), REFUSED)
def test_what_cannot_be_served_here_is_refused(document, facts, fields, seen, expected):
    """Before anything starts, at the adapter's own place."""
    with pytest.raises(SpecError) as caught:
        launch(declared(document, **fields), with_adapters(facts, *([seen] if seen else [])))
    found = [str(fault) for fault in caught.value.faults]
    assert any(expected in fault for fault in found), found


@pytest.mark.parametrize("argument", ["--enable-lora", "--max-lora-rank=8", "--runner=pooling", "--nnodes=2"])
def test_arguments_that_have_a_field_are_refused(document, argument):
    """What follows from a field cannot contradict it."""
    document["deployments"]["chat"]["engineArgs"] = [argument]
    with pytest.raises(SpecError, match="contradicts the plan"):
        StackSpec.parse(document)


@pytest.mark.parametrize(
    ("config", "weights", "rank", "fault"),
    [
        ({"r": 8}, True, 8, ""),
        ({"r": 8, "rank_pattern": {"q_proj": 16}}, True, 16, ""),
        ({"r": 8}, False, None, "has no adapter_model.safetensors"),
        ({}, True, None, "names no rank"),
        (None, True, None, "has no adapter_config.json that can be read"),
    ],
)
def test_an_adapters_folder_is_looked_at(tmp_path, config, weights, rank, fault):
    """Its rank, or what is wrong with it."""
    if config is not None:
        (tmp_path / "adapter_config.json").write_text(json.dumps(config))
    if weights:
        (tmp_path / "adapter_model.safetensors").touch()
    seen = observe_adapter("mine", tmp_path)
    assert (seen.rank, seen.folder) == (rank, tmp_path)
    assert fault in seen.fault if fault else not seen.fault


def test_only_adapters_of_this_host_are_looked_at(document, tmp_path):
    """A path from the project's root is one; what lies in a store is not."""
    folder = tmp_path / "adapters/near"
    folder.mkdir(parents=True)
    (folder / "adapter_model.safetensors").touch()
    (folder / "adapter_config.json").write_text('{"r": 8}')
    document["models"]["tiny"]["adapters"] = [
        {"name": "near", "uri": "local://adapters/near"},
        {"name": "far", "uri": "hf://org/far"},
    ]
    (seen,) = observe(StackSpec.parse(document), tmp_path, "local").models["tiny"].adapters
    assert (seen.name, seen.folder, seen.rank) == ("near", folder, 8)


def test_the_kind_is_the_models_own(document, facts, card):
    """A model that embeds is started as one, whether its folder or the declaration says so."""
    assert launch(document, facts).model.kind == "generate"
    for kind, started_as in (("embed", "embed"), ("classify", "classify"), ("speech", "generate")):
        told = dataclasses.replace(facts.models["tiny"], card=card.model_copy(update={"kind": kind}))
        assert launch(document, dataclasses.replace(facts, models={"tiny": told})).model.kind == started_as
    document["models"]["tiny"]["kind"] = "rerank"
    assert launch(document, facts).model.kind == "rerank"
