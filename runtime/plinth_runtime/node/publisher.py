"""Saying in the cluster what is so on this node, with as few writes as the truth allows. Decides nothing about weights.

One change of one model costs one write of its entry, one of the node's labels, and, where the whole model's state
follows to another value, one more by whoever caused it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from plinth_runtime.contract.model_names import (
    API_VERSION,
    CARD_MANAGER,
    LABEL_MANAGER,
    STATE_MANAGER,
    ModelKey,
    entry_manager,
)
from plinth_runtime.contract.model_status import NodeEntry, NodePhase, derived_status, entry_status, is_derived
from plinth_runtime.node.api import ApiFault, ConflictError, Document, MissingError, RefusedError, ThrottledError, Write
from plinth_runtime.node.attempts import pause_after
from plinth_runtime.node.declaration import declared_digest
from plinth_runtime.node.filling import FillView, fields_to_fill, view_of
from plinth_runtime.node.settings import Ports, Settings

STATE_TRIES = 5
"""Another writer of the state only wins with what is true; then there is nothing left to write."""

ON_THE_WAY = frozenset({NodePhase.PENDING, NodePhase.IMPORTING, NodePhase.IN_TRANSIT, NodePhase.UPDATING})


@dataclass(slots=True)
class _Said:
    """The last entry that the cluster took for one version of a declaration, and when."""

    uid: str
    entry: NodeEntry | None
    at: float = float("-inf")


class Publisher:
    """Writes. `saw` is called with every object that an answer holds."""

    def __init__(self, settings: Settings, ports: Ports, saw: Callable[[ModelKey, Document], None]) -> None:
        self._settings = settings
        self._ports = ports
        self._saw = saw
        self._manager = entry_manager(settings.place.node)
        self._said: dict[ModelKey, _Said] = {}
        self._failures = 0
        self._not_before = float("-inf")
        self.writes = 0

    @property
    def not_before(self) -> float:
        """When the cluster may be asked again."""
        return self._not_before

    def learn(self, key: ModelKey, uid: str, entry: NodeEntry | None) -> None:
        """Take what a declaration says of this node, unless what was written here is newer."""
        said = self._said.get(key)
        if said is None or said.uid != uid:
            self._said[key] = _Said(uid, entry)

    def relearn(self, key: ModelKey, entry: NodeEntry | None) -> None:
        """Believe a declaration more than the memory: somebody may have wiped the entry out."""
        said = self._said.get(key)
        if said is not None:
            said.entry = entry

    def forget(self, key: ModelKey) -> None:
        """Forget a declaration that is gone."""
        self._said.pop(key, None)

    def due(self, key: ModelKey, entry: NodeEntry | None, now: float) -> float | None:
        """Say when an entry is to be written; None: never, it stands there."""
        said = self._said.get(key)
        if said is None or said.entry == entry:
            return None
        if entry is None or said.entry is None or entry.phase not in ON_THE_WAY:
            return now
        same = said.entry.model_copy(update={"progress": None}) == entry.model_copy(update={"progress": None})
        return said.at + (self._settings.progress if same else self._settings.settle)

    def say(self, key: ModelKey, entry: NodeEntry | None, described: Mapping[str, Any]) -> None:
        """Write an entry, then what follows from it. Does nothing while the cluster is not to be asked."""
        said = self._said.get(key)
        if said is None or self._resting():
            return
        document = self._try(lambda: self._apply(key, self._manager, entry_status(entry)), key)
        if document is not None:
            self._said[key] = replace(said, entry=entry, at=self._ports.clock())
            self.mend_state(key, document)
            # Who serves older content does not describe it, or both would write over each other during an update.
            self.fill(key, view_of(document), described if entry is not None and entry.phase is NodePhase.READY else {})

    def mend_state(self, key: ModelKey, document: Document | None = None) -> None:
        """Put state and conditions right if they do not follow from the entries."""
        for _ in range(STATE_TRIES):
            if self._resting():
                return
            found = document if document is not None else self._read(key)
            if found is None:
                return
            status = found.get("status") or {}
            now = self._ports.text(self._ports.clock())
            derived = derived_status(found["metadata"].get("generation", 0), declared_digest(found), status, now)
            if is_derived(status, derived):
                return
            version = found["metadata"]["resourceVersion"]
            try:
                self._guarded(lambda: self._apply(key, STATE_MANAGER, derived, version), key)  # noqa: B023 called at once
            except ConflictError:
                document = None
            else:
                return

    def _read(self, key: ModelKey) -> Document | None:
        found: Document | None = self._try(lambda: self._ports.api.get_model(key), key)
        if found is not None:
            self._saw(key, found)
        return found

    def fill(self, key: ModelKey, view: FillView, described: Mapping[str, Any]) -> None:
        """Fill in what nobody wrote. Somebody who writes it at this moment wins."""
        fields = fields_to_fill(view, described) if described else None
        if fields is None or self._resting():
            return
        body = {**_head(key), "spec": fields}
        try:
            found = self._guarded(lambda: self._ports.api.apply_spec(key, Write(CARD_MANAGER, body)), key)
        except ConflictError:
            return
        if found is not None:
            self._took(key, found)

    def withdraw_neighbour(self, key: ModelKey, node: str) -> bool:
        """Remove the entry of a node that is not there any more: as that node, which owned nothing else."""
        document = self._try(lambda: self._apply(key, entry_manager(node), {}), key)
        if document is None:
            return False
        self.mend_state(key, document)
        return True

    def say_labels(self, labels: Mapping[str, str]) -> Document | None:
        """Write the node's labels, whole: what is not among them any more goes."""
        if self._resting():
            return None
        node = self._settings.place.node
        body = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": node, "labels": dict(labels)}}
        found: Document | None = self._try(lambda: self._ports.api.apply_labels(node, Write(LABEL_MANAGER, body)), None)
        return found

    def ask(self, question: Callable[[], Any]) -> Any:
        """Ask the cluster something under the same patience; None when there is no answer."""
        return None if self._resting() else self._try(question, None)

    def _apply(self, key: ModelKey, manager: str, status: Mapping[str, Any], version: str | None = None) -> Document:
        document = self._ports.api.apply_status(key, Write(manager, {**_head(key), "status": dict(status)}, version))
        self._took(key, document)
        return document

    def _took(self, key: ModelKey, document: Document) -> None:
        self.writes += 1
        self._saw(key, document)

    def _resting(self) -> bool:
        return self._ports.clock() < self._not_before

    def _try(self, call: Callable[[], Any], key: ModelKey | None) -> Any:
        """Call; a conflict is no more than a failure here."""
        try:
            return self._guarded(call, key)
        except ConflictError as error:
            self._rest(error)
            return None

    def _guarded(self, call: Callable[[], Any], key: ModelKey | None) -> Any:
        """Call; None if it failed, and then nothing is asked for a while. Raises ConflictError."""
        try:
            answer = call()
        except MissingError:
            if key is not None:
                self.forget(key)
            return None
        except ConflictError:
            raise
        except ApiFault as error:
            self._rest(error)
            return None
        self._failures = 0
        return answer

    def _rest(self, error: ApiFault) -> None:
        self._failures += 1
        hopeful = not isinstance(error, RefusedError)
        pause = pause_after(self._failures, self._settings.api_patience, self._ports.chance(), retryable=hopeful)
        least = error.retry_after if isinstance(error, ThrottledError) else 0.0
        self._not_before = self._ports.clock() + max(pause, least)
        self._ports.log(f"the cluster: {error}; asked again in {max(pause, least):.1f} s")


def _head(key: ModelKey) -> dict[str, Any]:
    metadata = {"name": key.name} | ({"namespace": key.namespace} if key.namespace else {})
    return {"apiVersion": API_VERSION, "kind": key.kind.kind, "metadata": metadata}
