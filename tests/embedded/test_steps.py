"""Decisions without any provider, process or file."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulumi_plinth.embedded import steps
from pulumi_plinth.embedded.state import Resource
from pulumi_plinth.embedded.steps import Diff, Goal, Step
from pulumi_plinth.embedded.values import Secret, keep_secret_marks


def _resource(name, **members):
    return Resource(f"urn:pulumi:dev::p::a:b:C::{name}", custom=True, type="a:b:C", **members)


@pytest.mark.parametrize(
    ("old", "diff", "first", "step"),
    [
        (None, Diff(), None, Step("create")),
        ({}, Diff(changes=False), None, Step("same")),
        ({}, Diff(), None, Step("same")),
        ({"inputs": {"a": 0}}, Diff(), None, Step("update", ("a",))),
        ({"inputs": {"a": 0}}, Diff(changes=False), None, Step("same")),
        ({}, Diff(changes=True, keys=("a.b",)), None, Step("update", ("a.b",))),
        ({}, Diff(changes=True, replaces=("a",)), None, Step("replace", ("a",))),
        ({}, Diff(replaces=("a",), delete_before_replace=True), None, Step("replace", ("a",), delete_first=True)),
        ({}, Diff(replaces=("a",), delete_before_replace=True), False, Step("replace", ("a",))),
        ({}, Diff(replaces=("a",)), True, Step("replace", ("a",), delete_first=True)),
        ({"pending_replacement": True}, Diff(), None, Step("replace")),
        ({"init_errors": ("late",)}, Diff(changes=False), None, Step("update")),
    ],
)
def test_which_step(old, diff, first, step):
    """Old state and provider answer give one step."""
    before = None if old is None else _resource("x", **({"inputs": {"a": 1}} | old))
    assert steps.decide(Goal(_resource("x", inputs={"a": 1}), first), before, diff) == step


@pytest.mark.parametrize(
    ("path", "replaced"), [("spec.size", True), ("spec", True), ("*", True), ("other", False), ("spec.name", False)]
)
def test_replace_on_changes(path, replaced):
    """A change at a named path replaces."""
    goal = Goal(_resource("x", inputs={"spec": 2}, replace_on_changes=(path,)))
    step = steps.decide(goal, _resource("x", inputs={"spec": 1}), Diff(changes=True, keys=("spec.size",)))
    assert (step.op == "replace") is replaced


@pytest.mark.parametrize(
    ("new", "old", "path", "kept"),
    [
        ({"a": 2}, {"a": 1}, "a", {"a": 1}),
        ({"a": 2}, {}, "a", {}),
        ({}, {"a": 1}, "a", {"a": 1}),
        ({"s": {"r": 2, "n": 3}}, {"s": {"r": 1}}, "s.r", {"s": {"r": 1, "n": 3}}),
        ({"l": [{"a": 2}, {"a": 3}]}, {"l": [{"a": 0}, {"a": 1}]}, "l[1].a", {"l": [{"a": 2}, {"a": 1}]}),
        ({"l": [{"a": 2}]}, {"l": [{"a": 0}]}, "l[*].a", {"l": [{"a": 0}]}),
        ({"m": {"x.y": 2}}, {"m": {"x.y": 1}}, 'm["x.y"]', {"m": {"x.y": 1}}),
        ({"a": 2, "b": 3}, {"a": 1, "b": 1}, "*", {"a": 1, "b": 1}),
        ({"s": Secret({"k": 2})}, {"s": Secret({"k": 1})}, "s.k", {"s": Secret({"k": 1})}),
        ({"s": {"k": 2}}, {"s": {}}, "s.k", {"s": {}}),
    ],
)
def test_ignored_changes_keep_the_old_value(new, old, path, kept):
    """An ignored path reads as the state has it, present or absent."""
    assert steps.keep_ignored(new, old, [path]) == kept


def test_names():
    """URNs carry the types of the parents; a child's old name follows its parent's."""
    stack = steps.urn_of("dev", "p", "", "pulumi:pulumi:Stack", "p-dev")
    pair = steps.urn_of("dev", "p", stack, "m:i:Pair", "new")
    child = steps.urn_of("dev", "p", pair, "m:i:File", "new-a")
    assert pair == "urn:pulumi:dev::p::m:i:Pair::new"
    assert child == "urn:pulumi:dev::p::m:i:Pair$m:i:File::new-a"
    old = pair.replace("::new", "::old")
    assert steps.child_alias(child, pair, old) == "urn:pulumi:dev::p::m:i:Pair$m:i:File::old-a"


@pytest.mark.parametrize(("text", "seconds"), [("", 0), ("30s", 30), ("1h10m", 4200), ("1.5m", 90), ("250ms", 0.25)])
def test_durations(text, seconds):
    """Timeouts are Go durations."""
    assert steps.seconds(text) == seconds


@given(st.lists(st.tuples(st.integers(0, 11), st.integers(0, 11)), max_size=30))
def test_layers_delete_dependents_first(edges):
    """Whatever the graph, all go once, and nothing goes before what depends on it."""
    needs = {n: {b for a, b in edges if a == n and b < n} for n in range(12)}
    names = {n: f"urn:pulumi:dev::p::a:b:C::{n}" for n in needs}
    resources = [_resource(str(n), dependencies=tuple(names[b] for b in needs[n])) for n in needs]
    rounds = steps.layers(resources)
    at = {r.urn: index for index, layer in enumerate(rounds) for r in layer}
    assert sorted(at) == sorted(names.values())
    assert all(at[names[n]] < at[names[b]] for n in needs for b in needs[n])


def test_layers_of_a_damaged_state_end():
    """A cycle, which no program can make, does not hang a destroy."""
    one, two = _resource("1"), _resource("2")
    rounds = steps.layers([_resource("1", dependencies=(two.urn,)), _resource("2", dependencies=(one.urn,))])
    assert [len(layer) for layer in rounds] == [2]


def test_secret_marks_come_back():
    """Outputs of a provider that knows no secrets are marked where the inputs were."""
    marked = {"a": Secret(1), "b": {"c": Secret(2), "d": 3}, "l": [Secret(1)]}
    plain = {"a": 1, "b": {"c": 2, "d": 3}, "l": [1], "new": 5}
    assert keep_secret_marks(plain, marked) == {
        "a": Secret(1), "b": {"c": Secret(2), "d": 3}, "l": Secret([1]), "new": 5,
    }  # fmt: skip
