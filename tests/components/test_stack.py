"""What people write in a stack file, and what they are told when it is wrong."""

import pytest

from pulumi_plinth.errors import SpecError
from pulumi_plinth.stack import StackSpec


def faults(document):
    """Parse and return the faults as text."""
    with pytest.raises(SpecError) as caught:
        StackSpec.parse(document)
    return [str(fault) for fault in caught.value.faults]


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("stores.disk.kind", "s4", 'stores.disk.kind: "s4" is not known here; write folder, bucket'),
        ("stores.disk.path", "", 'stores.disk.path: "" is empty; write a name or leave the key out'),
        ("models.tiny.path", "../up", 'models.tiny.path: "../up" is not a relative folder; write a path inside'),
        ("models.tiny.store", "dsk", "models.tiny.store: \"dsk\" is not declared; did you mean 'disk'?"),
        ("deployments.chat.model", "tony", "deployments.chat.model: \"tony\" is not declared; did you mean 'tiny'?"),
        ("deployments.chat.prot", 1, "deployments.chat.prot: is an unknown key; did you mean 'port'?"),
        ("deployments.chat.port", "80", 'deployments.chat.port: "80" is not a whole number; write it without quotes'),
        ("deployments.chat.port", 0, "deployments.chat.port: 0 is too small; write at least 1"),
        ("deployments.chat.port", 65000, "managementPort: 66000 is beyond 65535; write a managementPort of its own"),
        ("deployments.chat.open", "yes", 'deployments.chat.open: "yes" is not true or false; write true or false'),
        ("deployments.chat.maxModelLen", True, "deployments.chat.maxModelLen: true is not a whole number"),
        ("deployments.chat.kvCacheMemory", "1Gb", 'kvCacheMemory: "1Gb" is not a size; write bytes or a number'),
        ("deployments.chat.shutdownTimeout", "soon", 'shutdownTimeout: "soon" is not a duration; write seconds'),
        ("deployments.chat.engineArgs", ["--port=1"], "contradicts the plan (--port=1); use the field of the same"),
        ("deployments.chat.engineArgs", "--x", 'deployments.chat.engineArgs: "--x" is not a list; write one `- item`'),
        ("deployments.Chat_1", {"model": "tiny"}, "is not a DNS label (lower-case letters, digits and '-', at most 63"),
        ("deployments.two", {"model": "tiny", "port": 18000}, "two.port: 18000 is also the port of deployments.chat"),
        ("deployments.two", {"model": "tiny", "port": 19000}, "two.port: 19000 is also the port of deployments.chat"),
        ("deployments.chat", [], "deployments.chat: [] is not a mapping; write `key: value` lines under it"),
        ("models.tiny", {"preset": {"name": "x"}}, 'chat.model: "tiny" has neither a folder store nor an address'),
        (
            "models.tiny",
            {"external": {"provider": "openai", "model": "gpt-4o"}},
            'chat.model: "tiny" is external: its provider serves it, there is nothing to deploy; remove the deployment',
        ),
        ("models.other", {"store": "disk", "path": "x", "servedName": "tiny"}, "tiny"),
        ("deployment", {}, "plinth:stack.deployment: is an unknown key; did you mean 'deployments'?"),
    ],
)
def test_a_fault_names_path_value_and_remedy(document, path, value, expected):
    """Each wrong value is answered with where it is, what it is and what to write."""
    *parents, last = path.split(".")
    part = document
    for key in parents:
        part = part[key]
    part[last] = value
    found = faults(document)
    assert any(expected in fault for fault in found), found


def test_all_faults_come_at_once(document):
    """Three faults in one file give three messages, not one after the other."""
    document["deployments"]["chat"] |= {"port": 0, "prot": 1}
    document["models"]["other"] = {"store": "nowhere", "path": "x"}
    found = faults(document)
    assert len(found) == 3
    assert all(fault.startswith("plinth:stack.") for fault in found)


def test_a_reference_to_a_faulty_part_is_no_second_fault(document):
    """A model whose own declaration is wrong is still declared."""
    document["models"]["tiny"]["path"] = "/absolute"
    assert len(faults(document)) == 1


@pytest.mark.parametrize("value", [None, [], "text", 3])
def test_what_is_no_mapping_is_refused(value):
    """The value under plinth:stack must be a mapping."""
    assert "is not a mapping" in faults(value)[0]


def test_long_values_are_cut(document):
    """A huge value does not fill the terminal."""
    document["deployments"]["chat"]["kvCacheMemory"] = "x" * 10_000
    assert len(faults(document)[0]) < 300
