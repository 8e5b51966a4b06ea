"""Many agents in one process, on a real API server: each is the whole agent; its disk and its fetches are in memory.

What a watch tells is read once for all of them and handed on twice a second at most, as the newest version. Of models
that a node has nothing to do with, most agents hear only that they changed their declaration; every fiftieth hears all.
"""

import random
import threading
import time
from dataclasses import replace
from functools import partial

from fakes.node_disk import REFUSED, MemoryDisk, SlowFetcher

from plinth_runtime.contract.model_names import ModelKind
from plinth_runtime.node.agent import Agent, KindListed, ModelGone, ModelSeen
from plinth_runtime.node.api import ApiFault, EventType
from plinth_runtime.node.declaration import key_of
from plinth_runtime.node.matching import matches
from plinth_runtime.node.seen import Place, read_seen
from plinth_runtime.node.service import rfc3339
from plinth_runtime.node.settings import API_PATIENCE, Ports, Settings
from plinth_runtime.node.watching import Watcher, node_news

ROOT = "/mnt/models"
THREADS = 6
HEAR_SECONDS = 0.5
FETCH_SECONDS = 2.0
CURIOUS = 50
NO_SWEEP = 36_000.0
"""Seconds: a sweep would mend what was lost, and the tests want to see it."""


class Declarations:
    """The newest version of every declaration, by one watch of each kind; `version` grows with every change."""

    def __init__(self, api):
        self._api, self._lock = api, threading.Lock()
        self.documents, self.version = {}, 0
        self.listed = set()
        self._watchers = [
            Watcher(partial(self._follow, kind), API_PATIENCE, random.random, lambda _: None) for kind in ModelKind
        ]
        for watcher in self._watchers:
            watcher.start()

    def _follow(self, kind):
        found = {}
        version = self._api.list_models(kind, lambda document: found.update({key_of(kind, document): document}))
        with self._lock:
            self.documents = {key: row for key, row in self.documents.items() if key.kind is not kind} | found
            self.version += 1
        self.listed.add(kind)
        for event in self._api.watch_models(kind, version):
            key = key_of(kind, event.document)
            with self._lock:
                gone = event.type is EventType.DELETED
                self.documents.pop(key, None) if gone else self.documents.update({key: event.document})
                self.version += 1

    def all(self):
        """(version, documents) of one moment."""
        with self._lock:
            return self.version, dict(self.documents)

    def stop(self):
        """Begin no watch anew."""
        for watcher in self._watchers:
            watcher.stop()


class CrowdFetcher(SlowFetcher):
    """What it brings is described as the real agents describe it."""

    described = None

    def _arrive(self, task):
        return replace(super()._arrive(task), described=self.described)


class CrowdNode:
    """One node: its disk lives as long as the node, its agent until it is killed."""

    def __init__(self, crowd, number, name, labels):
        self.crowd, self.name, self.labels = crowd, name, labels
        self.disk, self.agent = MemoryDisk(), None
        self._curious = number % CURIOUS == 0
        self._start_at, self._kills, self._wake = 0.0, [], 0.0
        self.killed = 0

    def kill_at(self, *times):
        """End the agent without a word at these times; each time it starts again a moment later."""
        self._kills = sorted(times)

    def step(self, now):
        """What one agent does in one turn of its thread."""
        if self._kills and now >= self._kills[0]:
            self._kills.pop(0)
            self.agent, self._start_at = None, now + 2 * random.random()  # noqa: S311 no secret
            self.killed += 1
        if self.agent is None and now >= self._start_at:
            self._start(now)
        if self.agent is None:
            return
        self._hear(now)
        self._fetcher.advance()
        if self._inbox or self._fetcher.running or now >= self._wake:
            for news in self._inbox:
                self.agent.handle(news)
            self._inbox.clear()
            self._wake = self.agent.turn()

    def _start(self, now):
        self._inbox, self._heard, self._version, self._hear_at = [], {}, -1, 0.0
        self._fetcher = CrowdFetcher(self.disk, time.time, self._inbox.append, FETCH_SECONDS, self.crowd.failing)
        self._fetcher.described = self.crowd.described
        ports = Ports(
            self.crowd.api, self.disk, self._fetcher, time.time, rfc3339, random.random, self.crowd.log.append
        )
        self.agent = Agent(Settings(Place(self.name, ROOT), sweep=NO_SWEEP), ports)
        try:
            self.crowd.api.list_node(self.name, lambda document: self._inbox.append(node_news(document)))
        except ApiFault:
            self.agent, self._start_at = None, now + 1
        self._wake = 0.0

    def _hear(self, now):
        declared = self.crowd.declared
        if declared.listed < set(ModelKind) or declared.version == self._version or now < self._hear_at:
            return
        first, self._hear_at = self._version < 0, now + HEAR_SECONDS
        self._version, documents = declared.all()
        for key, document in documents.items():
            if self._concerns(key, document):
                self._inbox.append(ModelSeen(read_seen(key.kind, document, Place(self.name, ROOT))))
            self._heard[key] = document["metadata"]
        for key in [key for key in self._heard if key not in documents]:
            self._inbox.append(ModelGone(key))
            del self._heard[key]
        if first:
            self._inbox.extend(
                KindListed(kind, frozenset(k for k in documents if k.kind is kind)) for kind in ModelKind
            )

    def _concerns(self, key, document):
        heard, metadata = self._heard.get(key), document["metadata"]
        if heard is None or heard.get("generation") != metadata.get("generation"):
            return True
        if heard["resourceVersion"] == metadata["resourceVersion"]:
            return False
        return self._curious or matches(self.name, self.labels, document["spec"]["storage"])


class Crowd:
    """All of them, on some threads. `failing` are addresses that no store knows, `described` what folders say."""

    def __init__(self, api, labels, described, failing=()):
        self.api, self.log, self.described = api, [], described
        self.failing = dict.fromkeys(failing, REFUSED)
        self.declared = Declarations(api)
        self.nodes = [CrowdNode(self, number, *row) for number, row in enumerate(sorted(labels.items()))]
        self._stopped, self._errors = threading.Event(), []
        self._threads = [threading.Thread(target=self._run, args=(part,), daemon=True) for part in range(THREADS)]
        for thread in self._threads:
            thread.start()

    def _run(self, part):
        try:
            while not self._stopped.is_set():
                for node in self.nodes[part::THREADS]:
                    node.step(time.time())
                self._stopped.wait(0.02)
        except Exception as error:  # noqa: BLE001 the test tells of it
            self._errors.append(error)

    def check(self):
        """Raise what ended a thread."""
        for error in self._errors:
            raise error

    def stop(self):
        """End all."""
        self._stopped.set()
        self.declared.stop()
        for thread in self._threads:
            thread.join(60)
