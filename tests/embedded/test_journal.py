"""What the state file says at each moment of a run."""

import pytest

from pulumi_plinth.embedded.journal import Journal
from pulumi_plinth.embedded.state import Operation, Resource, Snapshot


def _resource(name, **members):
    return Resource(f"urn:pulumi:dev::p::a:b:C::{name}", custom=True, type="a:b:C", **members)


@pytest.fixture
def start():
    """Start a journal on resources; returns it and the list of what it saved."""

    def make(*resources, pending=()):
        saved = []
        return Journal(Snapshot(resources, tuple(pending)), saved.append), saved

    return make


def _names(snapshot):
    return [(r.name, r.id) for r in snapshot.resources]


def test_a_call_is_pending_before_it_is_made(start):
    """A create is on disk as pending before the provider hears of it, and as a resource after."""
    journal, saved = start()
    operation = journal.begin("creating", _resource("a"))
    assert saved[-1].pending == (operation,)
    journal.end(operation, new=_resource("a", id="1"))
    assert (saved[-1].pending, _names(saved[-1])) == ((), [("a", "1")])
    assert len(saved) == 2


def test_a_replacement_changes_both_at_once(start):
    """No moment shows the replacement without the old one's mark, nor the mark without the replacement."""
    journal, saved = start(_resource("a", id="1"))
    operation = journal.begin("creating", _resource("a"))
    journal.end(operation, new=_resource("a", id="2"), replaced=journal.old[0])
    assert [[(r.id, r.delete) for r in s.resources] for s in saved] == [[("1", False)], [("2", False), ("1", True)]]
    journal.settle(gone=journal.old[0])
    assert _names(saved[-1]) == [("a", "2")]


def test_what_did_not_change_is_not_written(start):
    """Unchanged resources, in whatever order and from whatever line they come, write nothing."""
    journal, saved = start(_resource("a", id="1"), _resource("b", id="2"))
    for entry, name, known in ((journal.old[1], "b", "2"), (journal.old[0], "a", "1")):
        journal.settle(gone=entry, new=_resource(name, id=known, source_position="project:///x.py#9"))
    assert saved == []
    assert not journal.changed


def test_a_preview_keeps_its_account_without_a_place_to_write():
    """Without a place to write to, steps are recorded all the same, references follow renames, and nothing changed."""
    journal = Journal(Snapshot((_resource("a", id="1"),)), None)
    journal.rename("urn:pulumi:dev::p::a:b:C::old", "urn:pulumi:dev::p::a:b:C::a")
    operation = journal.begin("creating", _resource("b"))
    journal.end(operation, new=_resource("b", id="2", dependencies=("urn:pulumi:dev::p::a:b:C::old",)))
    assert _names(journal.snapshot()) == [("b", "2"), ("a", "1")]
    assert journal.snapshot().resources[0].dependencies == ("urn:pulumi:dev::p::a:b:C::a",)
    assert not journal.changed


def test_interrupted_operations_of_earlier_runs(start):
    """An interrupted create stays until it is made, an interrupted update or delete is simply due again."""
    pending = [
        Operation(_resource(name), kind) for name, kind in (("a", "creating"), ("b", "updating"), ("c", "deleting"))
    ]
    journal, saved = start(_resource("b", id="2"), pending=pending)
    journal.settle(gone=journal.old[0], new=_resource("b", id="2"))
    assert saved[-1].pending == (pending[0],)
    journal.end(journal.begin("creating", _resource("a")), new=_resource("a", id="1"))
    assert saved[-1].pending == ()


def test_references_follow_renames_and_losses(start):
    """References to a renamed resource follow it at once, those to a lost one go."""
    old, lost = _resource("old", id="1"), _resource("lost", id="2")
    needs = _resource("x", dependencies=(old.urn, lost.urn), property_dependencies={"k": (old.urn,)})
    journal, saved = start(old, lost, needs)
    new = _resource("new", id="1")
    journal.rename(old.urn, new.urn)
    journal.settle(gone=journal.old[0], new=new)
    written = saved[-1].resources[-1]
    assert written.dependencies == (new.urn, lost.urn)
    assert written.property_dependencies == {"k": (new.urn,)}
    journal.settle(gone=journal.old[0])
    journal.forget({lost.urn})
    assert saved[-1].resources[-1].dependencies == (new.urn,)
