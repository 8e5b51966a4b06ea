"""The agent of one node: takes in what it is told, decides about every model, acts, says what is so.

`handle` takes one thing in, `turn` does what there is to do. Neither waits; who calls them may be a thread or a test.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from plinth_runtime.contract.model_names import AGENT_NAMESPACE, ModelKey, ModelKind
from plinth_runtime.contract.model_status import NodeEntry, NodePhase
from plinth_runtime.errors import RuntimeFault
from plinth_runtime.node.api import Document
from plinth_runtime.node.decide import Action, decide
from plinth_runtime.node.hands import Hands
from plinth_runtime.node.publisher import Publisher
from plinth_runtime.node.seen import Seen, is_newer, read_seen
from plinth_runtime.node.settings import Ports, Settings
from plinth_runtime.node.tasks import Report
from plinth_runtime.node.world import World

LEAST_WAIT = 1.0
"""Before what is due already is looked at again: whatever it is that hinders it."""

ROUNDS = 4
"""Decisions about one model in one turn: an action, what follows from it, and room for a surprise."""

NEIGHBOURS = 16
"""Entries of vanished nodes that one agent withdraws from one model in one sweep."""


@dataclass(frozen=True, slots=True)
class ModelSeen:
    """A declaration is there, in this version."""

    seen: Seen


@dataclass(frozen=True, slots=True)
class ModelGone:
    """A declaration is not there any more."""

    key: ModelKey


@dataclass(frozen=True, slots=True)
class KindListed:
    """Everything of a kind was handed over: what is not among `keys` is gone."""

    kind: ModelKind
    keys: frozenset[ModelKey]


@dataclass(frozen=True, slots=True)
class NodeSeen:
    """The node's labels, in this version."""

    labels: Mapping[str, str]
    version: str


News = ModelSeen | ModelGone | KindListed | NodeSeen | Report


class Agent:
    """One node's agent."""

    def __init__(self, settings: Settings, ports: Ports, home: str = AGENT_NAMESPACE) -> None:
        self._settings = settings
        self._ports = ports
        self._world = World(settings.place, ports.shelves, settings.keeping)
        self._world.records = {record.key: record for record in ports.shelves.read_all()}
        self._hands = Hands(self._world, ports, settings.patience, home)
        self._hands.adopt()
        self.publisher = Publisher(settings, ports, self._saw)
        self._entries: dict[ModelKey, NodeEntry | None] = {}
        self._dirty: set[ModelKey] = set()
        self._mend_at: dict[ModelKey, float] = {}
        self._labels_said: Mapping[str, str] | None = None
        self._node_version = ""
        self._sweep_at = ports.clock() + settings.sweep * (0.5 + ports.chance() / 2)

    @property
    def is_ready(self) -> bool:
        """Whether node and declarations were seen, so that what the agent says is founded."""
        return self._world.labels is not None and self._world.listed >= set(ModelKind)

    @property
    def entries(self) -> Mapping[ModelKey, NodeEntry]:
        """What this node has to say, by model."""
        return {key: entry for key, entry in self._entries.items() if entry is not None}

    def handle(self, news: News) -> None:
        """Take one thing in."""
        if isinstance(news, ModelSeen):
            self._take_seen(news.seen)
        elif isinstance(news, ModelGone):
            self._take_gone(news.key)
        elif isinstance(news, KindListed):
            self._world.listed.add(news.kind)
            for key in [key for key in self._world.seen if key.kind is news.kind and key not in news.keys]:
                self._take_gone(key)
        elif isinstance(news, NodeSeen):
            self._take_node(news)
        else:
            self._take_report(news)

    def turn(self) -> float:
        """Decide and act about whatever changed; gives the Unix time of the next turn that is needed."""
        now = self._ports.clock()
        if not self.is_ready:
            return now + self._settings.sweep
        if now >= self._sweep_at:
            self._sweep(now)
        self._dirty.update(key for key, at in self._world.times() if at <= now)
        dirty, self._dirty = sorted(self._dirty), set()
        for key in dirty:
            self._settle(key, now)
        for key, entry in list(self._entries.items()):
            self._publish(key, entry, now)
        self._label()
        for key in [key for key, at in self._mend_at.items() if at <= now]:
            self._mend(key)
        return self._next(now)

    def _take_seen(self, seen: Seen) -> None:
        last = self._world.seen.get(seen.key)
        wish = seen.declaration
        same = last is not None and last.declaration.uid == wish.uid
        if same and last is not None and not is_newer(wish.version, last.declaration.version):
            return
        self._world.seen[seen.key] = seen
        self.publisher.learn(seen.key, wish.uid, seen.entry)
        if last is None or last.declaration != wish:
            self._touch_all() if wish.path or (last and last.declaration.path) else self._dirty.add(seen.key)
        if seen.is_derived:
            self._mend_at.pop(seen.key, None)
        else:
            self._mend_at.setdefault(seen.key, self._ports.clock() + self._settings.repair * self._ports.chance())

    def _take_gone(self, key: ModelKey) -> None:
        gone = self._world.seen.pop(key, None)
        self._mend_at.pop(key, None)
        self.publisher.forget(key)
        self._dirty.add(key)
        if gone is not None and gone.declaration.path:
            self._touch_all()

    def _take_node(self, news: NodeSeen) -> None:
        if self._node_version and not is_newer(news.version, self._node_version):
            return
        self._node_version = news.version
        if self._world.labels != news.labels:
            self._world.labels = news.labels
            self._touch_all()

    def _take_report(self, report: Report) -> None:
        if self._hands.take(report):
            self._dirty.add(report.key)

    def _settle(self, key: ModelKey, now: float) -> None:
        """Decide about one model and act, until nothing is left to do."""
        for _ in range(ROUNDS):
            decision = decide(self._world.situation(key, now))
            try:
                self._hands.act(key, decision, now)
            except (OSError, RuntimeFault) as error:
                self._ports.log(f"{key}: {decision.action.value} failed: {error}")
                return
            self._entries[key] = decision.entry
            if decision.action is Action.KEEP:
                break
        if decision.entry is None and key not in self._world.seen and key not in self._world.records:
            del self._entries[key]

    def _publish(self, key: ModelKey, entry: NodeEntry | None, now: float) -> None:
        due = self.publisher.due(key, entry, now) if key in self._world.seen else None
        record = self._world.records.get(key)
        if due is not None and due <= now:
            self.publisher.say(key, entry, record.described if record else {})

    def _label(self) -> None:
        """Write the node's labels if they are not what they must be."""
        wanted, there = self._world.wanted_labels(self._entries), self._world.own_labels()
        said = there if self._labels_said is None else self._labels_said
        lost = any(there.get(name) != value for name, value in wanted.items())
        if wanted == said and not lost:
            self._labels_said = wanted
            return
        node = self.publisher.say_labels(wanted)
        if node is not None:
            self._labels_said = wanted
            self._node_version = node["metadata"].get("resourceVersion", "")
            self._world.labels = node["metadata"].get("labels") or {}

    def _mend(self, key: ModelKey) -> None:
        del self._mend_at[key]
        self.publisher.mend_state(key)
        seen = self._world.seen.get(key)
        if seen is not None and not seen.is_derived:
            self._mend_at[key] = self._ports.clock() + self._settings.repair

    def _sweep(self, now: float) -> None:
        """Look at everything: nothing that anybody did unseen stays unseen for longer than this."""
        self._hands.adopt()
        self._sweep_at = now + self._settings.sweep * (0.5 + self._ports.chance() / 2)
        self._touch_all()
        gone: dict[str, bool] = {}
        for key, seen in sorted(self._world.seen.items()):
            self.publisher.relearn(key, seen.entry if seen.listed else None)
            self._look_after(key, seen, gone)
            record, entry = self._world.records.get(key), self._entries.get(key)
            if record is not None and entry is not None and entry.phase is NodePhase.READY:
                self.publisher.fill(key, seen.fill, record.described)

    def _look_after(self, key: ModelKey, seen: Seen, gone: dict[str, bool]) -> None:
        """Withdraw the entries of the next nodes in the ring that are not there any more."""
        for _ in range(NEIGHBOURS):
            node = seen.neighbour
            if node is None:
                return
            if node not in gone:
                gone[node] = self.publisher.ask(partial(self._ports.api.node_exists, node)) is False
            if not gone[node] or not self.publisher.withdraw_neighbour(key, node):
                return
            self._ports.log(f"{key}: node {node} is gone, its entry was withdrawn")
            seen = self._world.seen.get(key, seen)

    def _touch_all(self) -> None:
        self._dirty.update(self._world.keys())

    def _saw(self, key: ModelKey, document: Document) -> None:
        """Take in what an answer shows."""
        self._take_seen(read_seen(key.kind, document, self._settings.place))

    def _next(self, now: float) -> float:
        """Give the time of the next turn: what the cluster is told waits until it may be asked."""
        said = [self.publisher.due(key, entry, now) for key, entry in self._entries.items() if key in self._world.seen]
        told = [*self._mend_at.values(), *(at for at in said if at is not None)]
        if self._labels_said != self._world.wanted_labels(self._entries):
            told.append(now)
        times = [max(at, self.publisher.not_before) for at in told]
        times += [max(at, now + LEAST_WAIT) for _, at in self._world.times()]
        return max(now, min([self._sweep_at, *times, *([now] if self._dirty else [])]))
