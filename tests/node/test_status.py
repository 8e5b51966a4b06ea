"""States, conditions, filling, pauses: the tables."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plinth_runtime.contract.card import ModelCard
from plinth_runtime.contract.model_status import (
    ModelState,
    NodeEntry,
    NodePhase,
    derive_state,
    derived_status,
    entry_status,
    is_derived,
)
from plinth_runtime.node.attempts import Patience, pause_after
from plinth_runtime.node.filling import described_by, fields_to_fill, view_of
from plinth_runtime.node.seen import is_newer, neighbour

P, S = NodePhase, ModelState


@pytest.mark.parametrize(
    ("phases", "state"),
    [
        ([], S.CREATING),
        ([P.PENDING], S.IMPORTING),
        ([P.IMPORTING], S.IMPORTING),
        ([P.IN_TRANSIT, P.IMPORTING], S.IN_TRANSIT),
        ([P.FAILED], S.FAILED),
        ([P.FAILED, P.PENDING], S.IMPORTING),
        ([P.FAILED, P.IN_TRANSIT], S.IN_TRANSIT),
        ([P.FAILED, P.READY], S.READY),
        ([P.UPDATING], S.READY),
        ([P.UPDATE_FAILED], S.READY),
        ([P.READY, P.IN_TRANSIT, P.FAILED], S.READY),
    ],
)
def test_the_state_follows_from_the_phases(phases, state):
    """One good node makes a model ready; who still works has not failed."""
    assert derive_state(phases) is state


ENTRIES = st.lists(
    st.builds(
        NodeEntry, name=st.sampled_from("abcdef"), phase=st.sampled_from(P), declared=st.sampled_from(["new", "old"])
    ),
    unique_by=lambda entry: entry.name,
)


@given(ENTRIES, st.integers(1, 5))
def test_what_is_derived_is_stable(entries, generation):
    """Derived from its own result nothing changes, and conditions keep the time of their last change."""
    status = {"nodes": [entry.model_dump(mode="json", exclude_defaults=True) for entry in entries]}
    first = derived_status(generation, "new", status, "T1")
    assert is_derived({**status, **first}, first)
    assert derived_status(generation, "new", {**status, **first}, "T2") == first
    later = derived_status(generation + 1, "new", {**status, **first}, "T2")
    assert {row["lastTransitionTime"] for row in later["conditions"]} == {"T1"}
    assert {row["observedGeneration"] for row in later["conditions"]} == {generation + 1}
    assert not is_derived({**status, **first}, later)


@pytest.mark.parametrize(
    ("phase", "lists"),
    [(P.READY, ["nodesReady"]), (P.UPDATE_FAILED, ["nodesReady"]), (P.FAILED, ["nodesFailed"]), (P.IN_TRANSIT, [])],
)
def test_a_node_is_in_one_list_at_most(phase, lists):
    """A node with content is ready whatever became of its update."""
    assert [name for name in entry_status(NodeEntry(name="a", phase=phase)) if name != "nodes"] == lists


def test_a_withdrawn_entry_is_nothing():
    """Applying nothing removes what was applied."""
    assert entry_status(None) == {}


@pytest.mark.parametrize(
    ("names", "node", "wanted"),
    [([], "b", None), (["b"], "b", None), (["a"], "b", "a"), (["a", "c"], "b", "c"), (["a", "b", "c"], "c", "a")],
)
def test_everybody_looks_after_the_next(names, node, wanted):
    """The ring closes at its end, also for one who has said nothing himself."""
    assert neighbour(names, node) == wanted


@pytest.mark.parametrize(
    ("version", "than", "newer"), [("10", "9", True), ("9", "10", False), ("9", "9", False), ("x", "9", True)]
)
def test_versions(version, than, newer):
    """Versions are numbers; what is none is believed."""
    assert is_newer(version, than) is newer


@pytest.mark.parametrize(
    ("failures", "retryable", "least", "most"),
    [(1, True, 5, 10), (2, True, 10, 20), (7, True, 300, 600), (1000, True, 300, 600), (1, False, 300, 600)],
)
def test_pauses(failures, retryable, least, most):
    """They double up to a bound; chance takes up to half of them."""
    pauses = [pause_after(failures, Patience(), chance, retryable=retryable) for chance in (1.0, 0.0)]
    assert pauses == [least, most]


DESCRIBED = {"modelType": "llama", "maxTokens": 4096}


def document(spec, **owners):
    """An object with these owners of fields of its spec."""
    rows = [
        {"manager": name.replace("_", "-"), "fieldsV1": {"f:spec": {f"f:{field}": {} for field in fields}}}
        for name, fields in owners.items()
    ]
    return {"metadata": {"managedFields": rows}, "spec": spec}


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        (document({}), DESCRIBED),
        (document({"maxTokens": 5}, kubectl=["maxTokens"]), {"modelType": "llama"}),
        (document({"maxTokens": 5}, plinth_card=["maxTokens"]), DESCRIBED),
        (document(DESCRIBED, plinth_card=["maxTokens", "modelType"]), None),
        (document(DESCRIBED, kubectl=["maxTokens", "modelType"]), None),
        (document({**DESCRIBED, "maxTokens": 5}, kubectl=["maxTokens"], plinth_card=["modelType", "maxTokens"]),
         {"modelType": "llama"}),
    ],
)  # fmt: skip
def test_only_what_nobody_wrote_is_filled_in(found, wanted):
    """Others' fields stay, our own follow the content, what is right already is not written."""
    assert fields_to_fill(view_of(found), DESCRIBED) == wanted


def test_owners_of_the_status_do_not_count():
    """A manager that wrote the status subresource owns nothing of the spec."""
    found = document({}, kubectl=["maxTokens"])
    found["metadata"]["managedFields"][0]["subresource"] = "status"
    assert fields_to_fill(view_of(found), DESCRIBED) == DESCRIBED


def test_what_a_card_says(card: ModelCard):
    """A card gives OME's fields, in OME's spelling."""
    assert described_by(card.model_copy(update={"capabilities": ("TEXT_TO_TEXT",)})) == {
        "modelType": "llama",
        "modelArchitecture": "LlamaForCausalLM",
        "modelParameterSize": "135M",
        "modelCapabilities": ["TEXT_TO_TEXT"],
        "maxTokens": 8192,
        "modelFormat": {"name": "safetensors"},
    }
