"""All that the agent knows: its node, declarations, what is on the disk, what is under way. State only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from plinth_runtime.contract.model_names import ModelKey, is_model_label
from plinth_runtime.contract.model_status import NodeEntry, NodePhase
from plinth_runtime.node.attempts import Attempt, Stage
from plinth_runtime.node.decide import Situation
from plinth_runtime.node.declaration import IN_PLACE, Declaration
from plinth_runtime.node.keeping import Keeping
from plinth_runtime.node.matching import matches
from plinth_runtime.node.record import Record
from plinth_runtime.node.seen import Place, Seen
from plinth_runtime.node.shelves import Shelves

_OME_VALUES = {
    NodePhase.READY: "Ready", NodePhase.UPDATING: "Ready", NodePhase.UPDATE_FAILED: "Ready", NodePhase.FAILED: "Failed",
}  # fmt: skip
"""OME's label by phase. A node whose older content can be served stays Ready: pods are scheduled by this label."""

LABEL_DIGITS = 16


@dataclass(slots=True)
class World:
    """Everything by model. `labels` None: the node was not seen yet, so nothing may be decided."""

    place: Place
    shelves: Shelves
    keeping: Keeping = field(default_factory=Keeping)
    labels: Mapping[str, str] | None = None
    listed: set[str] = field(default_factory=set)
    seen: dict[ModelKey, Seen] = field(default_factory=dict)
    records: dict[ModelKey, Record] = field(default_factory=dict)
    attempts: dict[ModelKey, Attempt] = field(default_factory=dict)

    def keys(self) -> list[ModelKey]:
        """Give every model that there may be something to do about."""
        return sorted({*self.seen, *self.records, *self.attempts})

    def situation(self, key: ModelKey, now: float) -> Situation:
        """Put together what a decision about one model depends on."""
        seen, record = self.seen.get(key), self.records.get(key)
        wish = seen.declaration if seen else None
        return Situation(
            node=self.place.node,
            now=now,
            declaration=wish,
            matched=wish is not None and self.is_meant(wish),
            record=record,
            intact=record is not None and record.released is None and self.shelves.is_intact(record),
            attempt=self.attempts.get(key),
            is_there=self._is_there(wish),
            taken_by=self._taken_by(wish),
            shared=record is not None and any(self._sharing(key, record)),
            keeping=self.keeping,
            twin=self._twin(wish),
        )

    def times(self) -> Iterator[tuple[ModelKey, float]]:
        """Give when something is to be decided anew although nothing happened."""
        for key, attempt in self.attempts.items():
            if attempt.stage is Stage.FAILED:
                yield key, attempt.next_try
        for key, record in self.records.items():
            if record.released is not None:
                yield key, record.released + (self.keeping.released if key in self.seen else self.keeping.deleted)
            for old in record.superseded:
                yield key, old.since + self.keeping.superseded

    def is_shared(self, snapshot: str, key: ModelKey) -> bool:
        """Say whether another model's record is about the same content."""
        return any(row.snapshot == snapshot for other, row in self.records.items() if other != key)

    def is_meant(self, wish: Declaration) -> bool:
        """Say whether this node must have a declaration's content."""
        return not wish.leaving and matches(self.place.node, self.labels or {}, wish.storage)

    def wanted_labels(self, entries: Mapping[ModelKey, NodeEntry | None]) -> dict[str, str]:
        """Give the labels that say of this node what it has."""
        labels: dict[str, str] = {}
        for key, entry in entries.items():
            if entry is None:
                continue
            labels[key.ome_label] = _OME_VALUES.get(entry.phase, "Updating")
            if entry.content is not None and entry.serves:
                labels[key.content_label] = entry.content[:LABEL_DIGITS]
        return labels

    def own_labels(self) -> dict[str, str]:
        """Give the labels of that kind that the node has."""
        return {name: value for name, value in (self.labels or {}).items() if is_model_label(name)}

    def _is_there(self, wish: Declaration | None) -> bool:
        if wish is None or wish.scheme not in IN_PLACE:
            return False
        return self.shelves.is_there(wish.local_path(self.place.root))

    def _others(self, key: ModelKey) -> Iterator[Declaration]:
        return (seen.declaration for other, seen in self.seen.items() if other != key)

    def _taken_by(self, wish: Declaration | None) -> ModelKey | None:
        """Find who came first, by name, at a path where one content can be only: the same, or one inside the other."""
        if wish is None or wish.path is None:
            return None
        rivals = (other for other in self._others(wish.key) if _meet(other.path, wish.path) and self.is_meant(other))
        first = min((other.key for other in rivals if other.digest != wish.digest), default=None)
        return first if first is not None and first < wish.key else None

    def _sharing(self, key: ModelKey, record: Record) -> Iterator[bool]:
        return (
            (other.link, other.snapshot) == (record.link, record.snapshot)
            for name, other in self.records.items()
            if name != key
        )

    def _twin(self, wish: Declaration | None) -> Record | None:
        if wish is None:
            return None
        own = self.records.get(wish.key)
        if own is not None and own.released is not None and own.declared == wish.digest:
            return own if self.shelves.is_finished(own) else None
        if not wish.reuse:
            return None
        found = (row for key, row in sorted(self.records.items()) if key != wish.key and row.address == wish.address)
        return next((row for row in found if row.released is None and self.shelves.is_intact(row)), None)


def _meet(one: str | None, other: str | None) -> bool:
    """Say whether one path is the other or lies inside it: a link inside a link would be made in the cache."""
    if one is None or other is None:
        return False
    return PurePosixPath(one).is_relative_to(other) or PurePosixPath(other).is_relative_to(one)
