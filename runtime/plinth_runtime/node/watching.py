"""Keeping up with the cluster: list, watch, list again when the watch is lost. One thread per kind."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from plinth_runtime.contract.model_names import ModelKey, ModelKind
from plinth_runtime.node.agent import KindListed, ModelGone, ModelSeen, News, NodeSeen
from plinth_runtime.node.api import Api, ApiFault, Document, Event, EventType, ExpiredError, ThrottledError
from plinth_runtime.node.attempts import Patience, pause_after
from plinth_runtime.node.declaration import key_of
from plinth_runtime.node.seen import Place, read_seen

Tell = Callable[[News], None]


class Watcher:
    """Follows one thing. `follow` lists, tells, and gives the events that come after; it may raise an ApiFault."""

    def __init__(
        self, follow: Callable[[], None], patience: Patience, chance: Callable[[], float], log: Callable[[str], None]
    ) -> None:
        self._follow = follow
        self._patience = patience
        self._chance = chance
        self._log = log
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Do not begin anew; what waits for the cluster ends with the process."""
        self._stopped.set()

    def _run(self) -> None:
        failures = 0
        while not self._stopped.is_set():
            try:
                self._follow()
                failures = 0
            except ExpiredError:
                failures = 0
            except ApiFault as error:
                failures += 1
                least = error.retry_after if isinstance(error, ThrottledError) else 0.0
                pause = max(least, pause_after(failures, self._patience, self._chance()))
                self._log(f"watching: {error}; again in {pause:.1f} s")
                self._stopped.wait(pause)


def follow_models(api: Api, kind: ModelKind, place: Place, tell: Tell) -> None:
    """List and watch one kind until the watch ends."""
    keys: set[ModelKey] = set()

    def take(document: Document) -> None:
        keys.add(key_of(kind, document))
        tell(ModelSeen(read_seen(kind, document, place)))

    version = api.list_models(kind, take)
    tell(KindListed(kind, frozenset(keys)))
    for event in api.watch_models(kind, version):
        tell(model_news(kind, event, place))


def follow_node(api: Api, name: str, tell: Tell) -> None:
    """List and watch the one node until the watch ends."""
    version = api.list_node(name, lambda document: tell(node_news(document)))
    for event in api.watch_node(name, version):
        if event.type is not EventType.DELETED:
            tell(node_news(event.document))


def model_news(kind: ModelKind, event: Event, place: Place) -> News:
    """Read one event of a declaration."""
    if event.type is EventType.DELETED:
        return ModelGone(key_of(kind, event.document))
    return ModelSeen(read_seen(kind, event.document, place))


def node_news(document: Document) -> NodeSeen:
    """Read the node."""
    metadata: dict[str, Any] = document["metadata"]
    return NodeSeen(metadata.get("labels") or {}, metadata.get("resourceVersion", ""))
