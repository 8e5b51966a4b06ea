"""Agents of several nodes on one cluster, in this thread and on a clock of the test's; they can be killed any time."""

import random

from fakes.model_cluster import ModelCluster
from fakes.node_disk import MemoryDisk, SlowFetcher

from plinth_runtime.contract.model_names import ModelKey, ModelKind
from plinth_runtime.node.agent import Agent, KindListed, ModelSeen
from plinth_runtime.node.api import ApiFault, ExpiredError
from plinth_runtime.node.declaration import key_of
from plinth_runtime.node.seen import Place, read_seen
from plinth_runtime.node.service import rfc3339
from plinth_runtime.node.settings import Ports, Settings
from plinth_runtime.node.watching import model_news, node_news

ROOT = "/mnt/models"
SHARED = ModelKind.CLUSTER_BASE_MODEL


def cluster_model(name):
    """The key of a ClusterBaseModel."""
    return ModelKey(SHARED, "", name)


def source(name, **storage):
    """The spec of a model on the hub."""
    return {"storage": {"storageUri": f"hf://acme/{name}", **storage}}


class World:
    """A cluster, a clock, chance."""

    def __init__(self, seed=1):
        self.api = ModelCluster()
        self.now = 1_000_000.0
        self.random = random.Random(seed)  # noqa: S311 no secret
        self.nodes = {}
        self.failing = {}

    def add(self, name, **labels):
        """Register a node with a running agent."""
        self.api.add_node(name, **labels)
        self.nodes[name] = SimulatedNode(self, name)
        return self.nodes[name]

    def run(self, seconds, step=1.0):
        """Let time pass."""
        end = self.now + seconds
        while self.now < end:
            self.now += step
            for node in self.nodes.values():
                node.step()


class SimulatedNode:
    """One node: its disk lives as long as the node, its agent until it is killed."""

    def __init__(self, world, name, **settings):
        self.world, self.name = world, name
        self.disk = MemoryDisk()
        self.settings = Settings(Place(name, ROOT), sweep=60.0, **settings)
        self.log = []
        self.start()

    def start(self):
        """Start the agent."""
        world = self.world
        self._inbox = []
        self._versions = {}
        self.fetcher = SlowFetcher(self.disk, lambda: world.now, self._inbox.append, failing=world.failing)
        ports = Ports(
            world.api, self.disk, self.fetcher, lambda: world.now, rfc3339, world.random.random, self.log.append
        )
        self.agent = Agent(self.settings, ports)

    def kill(self):
        """The agent ends without a word; its fetches too."""
        self.agent = None

    def step(self):
        """What one agent does in one step of the clock."""
        if self.agent is None:
            return
        self.fetcher.advance()
        for kind in ModelKind:
            self._keep_up(kind)
        self._keep_up_with_node()
        for news in self._inbox:
            self.agent.handle(news)
        self._inbox.clear()
        self.agent.turn()

    def _keep_up(self, kind):
        try:
            if kind not in self._versions:
                self._list(kind)
            for event in self.world.api.watch_models(kind, self._versions[kind]):
                self._inbox.append(model_news(kind, event, self.settings.place))
                self._versions[kind] = event.document["metadata"]["resourceVersion"]
        except ExpiredError:
            del self._versions[kind]
        except ApiFault:
            pass

    def _list(self, kind):
        keys = set()

        def take(document):
            keys.add(key_of(kind, document))
            self._inbox.append(ModelSeen(read_seen(kind, document, self.settings.place)))

        version = self.world.api.list_models(kind, take)
        self._inbox.append(KindListed(kind, frozenset(keys)))
        self._versions[kind] = version

    def _keep_up_with_node(self):
        try:
            if "node" not in self._versions:
                self.world.api.list_node(self.name, lambda document: self._inbox.append(node_news(document)))
                self._versions["node"] = "0"
            for event in self.world.api.watch_node(self.name, self._versions["node"]):
                self._inbox.append(node_news(event.document))
                self._versions["node"] = event.document["metadata"]["resourceVersion"]
        except ApiFault:
            pass


LLAMA = cluster_model("llama")


def conditions(world, key=LLAMA):
    """Conditions as type -> (status, reason)."""
    return {row["type"]: (row["status"], row["reason"]) for row in world.api.status(key)["conditions"]}


def entry(world, node="a", key=LLAMA):
    """One node's entry."""
    return next((row for row in world.api.status(key).get("nodes", []) if row["name"] == node), None)
