"""Configurations that users really wrote: each gets the verdict it should, from its facts alone, with a rule named."""

import pytest
from support.pages import read_page

from pulumi_plinth.check.core import judge
from pulumi_plinth.check.facts import all_rules, load_known, subject_of_facts

ENTRIES = read_page(__file__, "misconfigurations.yaml")

NOT_COVERED = {
    "mla-kv-divided-by-tp": "the fault is in a planner's arithmetic; MLA over two GPUs itself works",
    "oci-shape-not-in-region": "only a region is named, no shape: it can be neither right nor wrong",
}
"""Entries that cannot be judged from the facts that are given."""


@pytest.fixture(scope="module")
def known():
    """Catalogue, shapes and the engine's table."""
    return load_known()


def verdicts_of(entry, known):
    """Judge the facts of an entry, and nothing else of it."""
    return judge(subject_of_facts(entry["facts"], known).subject, all_rules(known))


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry["id"])
def test_verdict(entry, known):
    """The verdict is the one it should be; where it is none of ours, the list says why."""
    verdicts = verdicts_of(entry, known)
    said = verdicts[0].severity.value if verdicts else "accept"
    if entry["id"] in NOT_COVERED:
        assert said != entry["preview_should"], "it is covered now: take it off the list"
        return
    assert said == entry["preview_should"], [str(verdict) for verdict in verdicts]
    assert all(verdict.rule and verdict.path and verdict.problem and verdict.remedy for verdict in verdicts)


def test_what_looks_wrong_and_is_right_is_never_refused(known):
    """Refusing one of these is the bug."""
    right = [entry for entry in ENTRIES if entry["preview_should"] == "accept"]
    assert len(right) == 20
    assert [entry["id"] for entry in right if verdicts_of(entry, known)] == []


def test_nearly_everything_is_covered():
    """At least 95 of a hundred, and the list names no strangers."""
    assert NOT_COVERED.keys() <= {entry["id"] for entry in ENTRIES}
    assert len(NOT_COVERED) <= 0.05 * len(ENTRIES)
