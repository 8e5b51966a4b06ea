"""Models without a folder store on this host: planned by their card, fetched by their server, or refused."""

from dataclasses import replace
from pathlib import Path

import pytest

from pulumi_plinth import naming, observe
from pulumi_plinth.deployment import local
from pulumi_plinth.deployment.facts import FetchFacts, ModelFacts
from pulumi_plinth.errors import SpecError
from pulumi_plinth.planner import plan_stack
from pulumi_plinth.stack import StackSpec

URI = "hf://HuggingFaceTB/SmolLM2-135M-Instruct@main"
CACHE = Path("/srv/.plinth/weights")


@pytest.fixture
def fetched(document):
    """The stack whose model comes from a hub."""
    document["models"]["tiny"] = {"storage": {"uri": URI}}
    document["stores"] = {}
    return document


def plan(document, facts, card, **fetch):
    """Plan with a model that is fetched."""
    found = FetchFacts(URI, CACHE, **{"origin": "the catalogue", "free_bytes": 10**12, **fetch})
    model = ModelFacts(CACHE, card, total_bytes=card.weight_bytes, fetch=found)
    return plan_stack(StackSpec.parse(document), replace(facts, models={"tiny": model}))


def test_the_launch_names_the_source(fetched, facts, card):
    """The server is told address, cache and a folder of its own; the plan says bytes, place and what is free there."""
    decided = plan(fetched, facts, card).deployments[0]
    model = decided.launch.model
    assert (model.source.uri, model.source.cache) == (URI, str(CACHE))
    assert model.folder == str(decided.run_dir.model)
    assert model.manifest_digest is None
    reason = next(row.text for row in decided.reasons if row.subject == "weights")
    assert f"about 282 MB from {URI} into {CACHE}, 1 TB are free there" in reason
    assert decided.fetched_from == URI


def test_what_is_here_is_said(fetched, facts, card):
    """Weights of an earlier fetch need no room."""
    decided = plan(fetched, facts, card, is_here=True, free_bytes=0).deployments[0]
    assert "here already" in next(row.text for row in decided.reasons if row.subject == "weights")


def test_too_little_room_is_a_fault(fetched, facts, card):
    """A disk that cannot take the weights is refused at preview, with both numbers."""
    with pytest.raises(SpecError, match=r"models\.tiny\.storage\.uri.*needs tiny 282 MB = 282 MB.*has 1 MB free"):
        plan(fetched, facts, card, free_bytes=10**6)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ({"storage": {"uri": "vendor://acme/models/llama"}}, "comes from vendor://, which is never downloaded"),
        ({"storage": {"uri": "pvc://models/llama"}}, "comes from pvc://, which is mounted in pods"),
        ({"preset": {"name": "phi-4"}}, "has neither a folder store nor an address"),
    ],
)
def test_what_this_host_cannot_have(fetched, model, words):
    """An address that no server here can fetch from is refused with what to write instead."""
    fetched["models"]["tiny"] = model
    with pytest.raises(SpecError, match=words) as refusal:
        StackSpec.parse(fetched)
    assert "storage: {uri: …}" in str(refusal.value)


def test_what_observing_finds(fetched, make_model, tmp_path):
    """A known model is described by the catalogue, one that was fetched by its folder; an unknown one is told."""
    spec = StackSpec.parse(fetched)
    facts = observe.observe(spec, tmp_path, "local").models["tiny"]
    assert (facts.card.layers, facts.fetch.is_here) == (30, False)
    assert "catalogue" in facts.fetch.origin
    decided = plan_stack(spec, replace(observe.observe(spec, tmp_path, "local"), host=host())).deployments[0]
    decided.run_dir.path.mkdir(parents=True)
    decided.run_dir.launch.write_text(decided.launch.canonical_json())
    make_model(tmp_path / "snapshot")
    decided.run_dir.model.symlink_to(tmp_path / "snapshot")
    facts = observe.observe(spec, tmp_path, "local").models["tiny"]
    assert (facts.card.layers, facts.fetch.is_here) == (2, True)
    fetched["models"]["tiny"]["storage"]["uri"] = "hf://acme/unheard-of"
    spec = StackSpec.parse(fetched)
    facts = observe.observe(spec, tmp_path, "local")
    with pytest.raises(SpecError, match=r"models\.tiny\.storage\.uri.*`configuration:`"):
        plan_stack(spec, facts)


def host():
    """A host with an engine."""
    from pulumi_plinth.deployment.facts import HostFacts

    return HostFacts(24 << 30, engines={"vllm-cpu": Path("/srv/engine/python")})


def test_where_things_lie(tmp_path):
    """All stacks of a project share one cache; the link to a model goes with its server."""
    assert naming.weights_cache(tmp_path) == tmp_path / ".plinth" / "weights"


@pytest.mark.parametrize(
    ("fetch", "line", "rest"),
    [
        (None, "fetching weights", ""),
        ({"bytesTotal": 2000, "bytesDone": 990, "filesTotal": 3}, "fetching weights: 40 % of 2 kB, 3 files", ""),
        (
            {"bytesTotal": 10**9, "bytesDone": 10**8, "filesTotal": 1, "bytesPerSecond": 10**8, "etaSeconds": 9.0},
            "fetching weights: 10 % of 1 GB, 1 files",
            ", 100 MB/s, about 9 s left",
        ),
    ],
)
def test_a_fetch_as_people_see_it(fetch, line, rest):
    """One line for each tenth; rate and time left come with the heartbeat."""
    from plinth_runtime.contract.status import StartupStatus

    status = StartupStatus.model_validate(
        {
            "deployment": "chat",
            "launchDigest": "ab",
            "phase": "fetching",
            "agentPid": 1,
            "seconds": 1,
            "phaseSeconds": 1,
            "fetch": fetch,
        }
    )
    assert (local._progress(status), local._rest(status)) == (line, rest)
