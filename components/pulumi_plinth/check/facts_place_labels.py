"""Reads names and labels whose length or spelling may be the fault. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pulumi_plinth.check.facts_place_words import Facts, number_of, pairs_of
from pulumi_plinth.check.place_pod import Label

HASH_LENGTH = 11
"""'-' and the revision hash of up to 10 characters (kubernetes/kubernetes#64023)."""

NAMED = (
    "name|label|label_value|label_key|host|host_?name|host_label|dns|dns_label|value|key|release|service|pod|workspace|"
    "namespace|deployment|stateful_?set|job|secret|config_?map|volume|claim|pvc|isvc|annotation|object|resource|workload"
)
LENGTHS = rf"(({NAMED}|\w+_(name|label|host|hostname))_)(length|characters|chars)"
"""Lengths of names; lengths of contexts and prompts are none of ours."""


SOUGHT = "looked_for|searched_for|(selector|sought|wanted|expected|searched|requested)(_label)?(_value)?"


def read_labels(facts: Facts) -> tuple[Label, ...]:
    """Read names and labels whose length or spelling may be the fault."""
    return (*_lengths(facts), *_values(facts))


def _lengths(facts: Facts) -> Iterator[Label]:
    shown = facts.text("label|generated_label|controller_label|host_label|name_pattern|pattern") or ""
    suffix = facts.text("(name_|label_)?suffix|appended") or ""
    limit = facts.number("(label_|name_|length_)?limit|max_(label_|name_)?length") or 63
    yield from _joined(facts, shown, limit)
    yield from _counted(facts, limit)
    named = facts.has(rf"({NAMED})(_\w+)?|(label_|name_|length_)?limit")
    for key, value in facts.each(f"{LENGTHS}|length|characters" if named else LENGTHS):
        length = (number_of(value, max) or 0) + (len(suffix) if key.startswith("name") else 0)
        hashed = key.startswith(("name", "stateful", "workload")) and _appends_hash(facts, shown)
        what = shown or key.rpartition("_")[0].replace("_", " ") or "name"
        yield Label(what, length + (HASH_LENGTH if hashed else 0), limit)


def _counted(facts: Facts, limit: float) -> Iterator[Label]:
    """Read names that are described by their length: `workspace_name: 40 characters`."""
    for key, value in facts.each(r"(.*_)?name"):
        found = re.search(r"(\d+)\W*(char|letter)", str(value))
        if found:
            space = re.search(r"(\d+)\W*(char|letter)", facts.raw("namespace"))
            shown = facts.raw("label|generated_label|host_label|name_pattern")
            joined = (
                int(space[1]) + len(shown) - len("name") - len("namespace") if space and "namespace" in shown else 0
            )
            yield Label(shown or key.replace("_", " "), int(found[1]) + joined, limit)


def _joined(facts: Facts, shown: str, limit: float) -> Iterator[Label]:
    """Add up the lengths of a name and its namespace where a label is made of both."""
    name, space = facts.number("name_(length|characters)"), facts.number("namespace_(length|characters)")
    if name and space and "name" in shown:
        rest = len(shown.replace("namespace", "", 1).replace("name", "", 1))
        yield Label(shown, name + space + rest, limit)


def _appends_hash(facts: Facts, shown: str) -> bool:
    kind = facts.text("(workload_|object_|resource_)?kind|workload|controller|workload_type") or ""
    return "hash" in shown or kind.lower() == "statefulset"


def _values(facts: Facts) -> Iterator[Label]:
    for _, text in facts.each("(pod_|metadata_)?labels?"):
        if re.search(r"\s=|=\s", str(text)):
            continue
        yield from (Label("label value", None, 63, value) for value in pairs_of(text).values() if value)
    for what, own, other in (
        ("label value", "((node|existing|actual)_)?label_value|label_on_node", SOUGHT),
        ("label key", "((node|existing|actual)_)?label_key", "(expected|sought|wanted|looked_for)_(label_)?key"),
    ):
        value, sought = facts.raw(own), facts.text(other)
        if facts.has(own) and (value or sought) and not re.search(r"\s", value):
            yield Label(what, None, 63, value.rpartition("/")[2] if what == "label key" else value, _last(sought, what))


def _last(sought: str | None, what: str) -> str | None:
    return sought.rpartition("/")[2] if sought and what == "label key" else sought or None
