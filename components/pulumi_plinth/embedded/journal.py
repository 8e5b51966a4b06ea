"""The state while it changes: every step is written down before and after its provider call.

Only this module decides what a checkpoint contains at any moment. It calls no provider.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

from pulumi_plinth.embedded.state import Operation, Resource, Snapshot


class Entry:
    """A place in the state whose resource may change during the run."""

    __slots__ = ("resource",)

    def __init__(self, resource: Resource) -> None:
        self.resource = resource


class Journal:
    """Resources of this run first, then those of the state that this run has not come to yet.

    That order keeps every resource behind those it refers to, which the Pulumi CLI verifies.
    """

    def __init__(self, base: Snapshot, save: Callable[[Snapshot], None] | None) -> None:
        """Begin with a state; without `save` (a preview) nothing is written, hence nothing compared either."""
        self._save, self._salt = save, base.salt
        self._lock = threading.RLock()
        self.old = [Entry(resource) for resource in base.resources]
        self.new: list[Entry] = []
        # An interrupted update or delete is simply due again; an interrupted create may have left something behind.
        self._inherited = [operation for operation in base.pending if operation.type == "creating"]
        self._running: list[Operation] = []
        self._renames: dict[str, str] = {}
        self._written = base
        self.changed = False

    def snapshot(self) -> Snapshot:
        """Return the state as of now."""
        with self._lock:
            resources = tuple(entry.resource for entry in (*self.new, *self.old))
            if self._renames:
                resources = tuple(resource.renamed(self._renames) for resource in resources)
            return Snapshot(resources, (*self._inherited, *self._running), self._salt)

    def begin(self, kind: str, resource: Resource) -> Operation:
        """Record that a provider call starts."""
        operation = Operation(resource, kind)
        with self._lock:
            self._running.append(operation)
            self._flush()
        return operation

    def end(
        self,
        operation: Operation | None,
        *,
        gone: Entry | None = None,
        new: Resource | None = None,
        replaced: Entry | None = None,
    ) -> Entry | None:
        """Record that it ended: `gone` leaves the state, `new` enters it, `replaced` waits to be deleted.

        None of them: it failed and changed nothing. Without an operation there was no call to record.
        """
        with self._lock:
            if operation:
                self._running.remove(operation)
            if replaced:
                replaced.resource = replace(replaced.resource, delete=True)
            if new and operation and operation.type == "creating":
                self._inherited = [o for o in self._inherited if o.resource.urn != new.urn]
            return self.settle(gone=gone, new=new)

    def settle(self, *, gone: Entry | None = None, new: Resource | None = None) -> Entry | None:
        """Record a change without a provider call, or the end of one."""
        with self._lock:
            if gone is not None:
                (self.old if gone in self.old else self.new).remove(gone)
            entry = Entry(new) if new else None
            if entry:
                self.new.append(entry)
            self._flush()
            return entry

    def amend(self, entry: Entry, resource: Resource) -> None:
        """Change a resource in its place."""
        with self._lock:
            entry.resource = resource
            self._flush()

    def rename(self, old: str, new: str) -> None:
        """Let references follow a resource that was found under an alias."""
        with self._lock:
            self._renames[old] = new

    def forget(self, gone: set[str]) -> None:
        """Drop references to resources that vanished."""
        with self._lock:
            for entry in (*self.new, *self.old):
                entry.resource = entry.resource.without(gone)
            self._flush()

    def forget_inherited(self) -> None:
        """Drop pending operations of earlier runs after they were reported."""
        with self._lock:
            self._inherited = []
            self._flush()

    def _flush(self) -> None:
        if self._save is None:
            return
        snapshot = self.snapshot()
        if not _same(snapshot, self._written):
            self._save(snapshot)
            self.changed = True
        self._written = snapshot


def _same(one: Snapshot, other: Snapshot) -> bool:
    """Equal up to order: an unchanged resource only moves from the old to the new part of the list."""
    if len(one.resources) != len(other.resources) or one.pending != other.pending:
        return False
    known = {(r.urn, r.id, r.delete): r for r in other.resources}
    pairs = ((r, known.get((r.urn, r.id, r.delete))) for r in one.resources)
    return all(found is r or (found is not None and found.same_content(r)) for r, found in pairs)


def dated(resource: Resource, time: str, *, created: bool) -> Resource:
    """Stamp a resource that was created or modified."""
    return replace(resource, modified=time, created=time if created else resource.created)
