"""Bad days by chance: agents killed, nodes relabelled, models changed, requests failing; then all is true again."""

import random

import pytest
from fakes.model_cluster import FAULTS
from fakes.node_disk import AWAY, content_of
from node.simulation import ROOT, World, cluster_model, source

from plinth_runtime.contract.model_names import ModelKey, ModelKind
from plinth_runtime.contract.model_status import derive_state, read_entries

NODES = ("a", "b", "c", "d", "e")
MODELS = (*(cluster_model(f"m{index}") for index in range(4)), ModelKey(ModelKind.BASE_MODEL, "team", "m0"))
QUIET_SECONDS = 1400
"""Longer than the longest pause of a fetch and several sweeps."""


class Day:
    """One random day; the same seed gives the same one."""

    def __init__(self, seed):
        self.chance = random.Random(seed)  # noqa: S311 no secret
        self.world = World(seed)
        for name in NODES:
            self.world.add(name, pool=self.chance.choice("xy"))
        self.deeds = (
            self.declare,
            self.remove,
            self.relabel,
            self.kill,
            self.fault,
            self.store,
            self.compact,
            self.node,
        )

    def run(self, deeds):
        """Do things at random times."""
        for _ in range(deeds):
            self.chance.choice(self.deeds)()
            self.world.run(self.chance.randint(1, 8))

    def declare(self):
        """Declare a model or change it."""
        key = self.chance.choice(MODELS)
        storage = {"nodeSelector": {"pool": self.chance.choice("xy")}} if self.chance.random() < 0.5 else {}
        if self.chance.random() < 0.2:
            storage["path"] = f"{ROOT}/shared"
        if self.chance.random() < 0.3:
            storage["downloadPolicy"] = "ReuseIfExists"
        self.world.api.declare(key, source(self.chance.choice(["one", "two", "three"]), **storage))

    def remove(self):
        """Remove a model."""
        if self.world.api.things:
            self.world.api.remove(self.chance.choice(sorted(self.world.api.things)))

    def relabel(self):
        """Move a node to another pool."""
        if self.world.api.nodes:
            self.world.api.add_node(self.chance.choice(sorted(self.world.api.nodes)), pool=self.chance.choice("xy"))

    def kill(self):
        """Kill an agent, or start one that was killed."""
        if self.world.nodes:
            node = self.world.nodes[self.chance.choice(sorted(self.world.nodes))]
            node.kill() if node.agent else node.start()

    def fault(self):
        """Let some of the next requests fail."""
        makers = self.chance.choices([*FAULTS, lambda: None], k=6)
        self.world.api.faults = [make() for make in makers]

    def store(self):
        """A store goes away, or comes back."""
        address = f"hf://acme/{self.chance.choice(['one', 'two'])}"
        if self.world.failing.pop(address, None) is None:
            self.world.failing[address] = AWAY

    def compact(self):
        """The cluster forgets old versions."""
        self.world.api.compact()

    def node(self):
        """A node vanishes with its disk, or a new one of that name comes."""
        name = self.chance.choice(NODES)
        if name in self.world.nodes and len(self.world.nodes) > 2:
            del self.world.nodes[name]
            self.world.api.remove_node(name)
        elif name not in self.world.nodes:
            self.world.add(name, pool=self.chance.choice("xy"))

    def end(self):
        """Everything works again, for long enough."""
        self.world.api.faults = []
        self.world.failing.clear()
        for node in self.world.nodes.values():
            if node.agent is None:
                node.start()
        self.world.run(QUIET_SECONDS, step=5.0)


def expected(day, key):
    """The nodes that must have a model, by a reading of their labels of its own; those whose path is taken apart."""
    storage = day.world.api.get_model(key)["spec"]["storage"]
    pool = storage.get("nodeSelector", {}).get("pool")
    return {name for name, node in day.world.api.nodes.items() if pool in (None, node["labels"].get("pool"))}


def rivals(day, key, node):
    """Declarations that come first by name and want other content at the same path of that node."""
    storage = day.world.api.get_model(key)["spec"]["storage"]
    for other in sorted(day.world.api.things):
        theirs = day.world.api.get_model(other)["spec"]["storage"]
        same = "path" in storage and theirs.get("path") == storage["path"]
        if other < key and same and theirs["storageUri"] != storage["storageUri"] and node in expected(day, other):
            yield other


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(12))
def test_after_a_bad_day_everything_is_true(seed):
    """States, lists, labels, links and content are what the declarations say; no entry is lost or left over."""
    day = Day(seed)
    day.run(60)
    day.end()
    _compare(day)


@pytest.mark.exhaustive
@pytest.mark.timeout(600)
def test_two_hundred_bad_days():
    """The same, often and longer."""
    for seed in range(1000, 1200):
        day = Day(seed)
        day.run(150)
        day.end()
        _compare(day)


def _compare(day):
    world = day.world
    for key in sorted(world.api.things):
        wanted = expected(day, key)
        taken = {name for name in wanted if any(rivals(day, key, name))}
        status, entries = world.api.status(key), read_entries(world.api.status(key))
        assert {entry.name for entry in entries} == wanted
        assert set(status.get("nodesReady", [])) >= wanted - taken
        assert set(status.get("nodesReady", [])) | set(status.get("nodesFailed", [])) == wanted
        assert status["state"] == derive_state(entry.phase for entry in entries)
        address = world.api.get_model(key)["spec"]["storage"]["storageUri"]
        for name in wanted - taken:
            _compare_node(world, world.nodes[name], key, address)
    for name, node in world.nodes.items():
        labelled = {label for label in world.api.nodes[name]["labels"] if label.startswith("models.ome.io/")}
        assert labelled == {key.ome_label for key in world.api.things if name in expected(day, key)}
        assert {record.snapshot for record in node.disk.records.values()} == set(node.disk.snapshots)


def _compare_node(world, node, key, address):
    record = node.disk.records[key]
    assert record.content == content_of(address)
    assert node.disk.links[record.link] == record.snapshot
    labels = world.api.nodes[node.name]["labels"]
    assert (labels[key.ome_label], labels[key.content_label]) == ("Ready", record.content[:16])
