"""What the agent does on the disk besides fetching: links, records, and giving bytes back. Decides nothing."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, Protocol

from plinth_runtime.contract.manifest import MANIFEST_NAME, WeightManifest
from plinth_runtime.contract.model_names import ModelKey
from plinth_runtime.errors import CorruptWeightsError
from plinth_runtime.node.declaration import CACHE
from plinth_runtime.node.filling import described_by
from plinth_runtime.node.record import Begun, Record
from plinth_runtime.node.records import Records, read_ready
from plinth_runtime.weights.cache import Cache
from plinth_runtime.weights.inspect import inspect_folder


class Shelves(Protocol):
    """The disk, as far as the agent decides about it."""

    def read_all(self) -> Iterator[Record]:
        """Give what was here when the agent started."""

    def begin(self, begun: Begun) -> None:
        """Remember that a fetch begins."""

    def adopt(self, busy: Collection[ModelKey]) -> Iterator[Record]:
        """Give what fetches have brought without anybody taking note, apart from those that are under way."""

    def keep(self, record: Record) -> None:
        """Remember a record; a fetch that was begun for it has ended."""

    def forget(self, record: Record) -> None:
        """Forget a record; the content and its link stay."""

    def is_intact(self, record: Record) -> bool:
        """Say whether its content can be served."""

    def is_finished(self, record: Record) -> bool:
        """Say whether its content is whole, linked or not."""

    def is_there(self, folder: str) -> bool:
        """Say whether a folder exists."""

    def link(self, record: Record) -> None:
        """Let a record's link lead to its snapshot."""

    def unlink(self, record: Record) -> None:
        """Remove the link; the content stays."""

    def drop(self, snapshot: str) -> bool:
        """Remove content, unless somebody holds it. Says whether none of it is left."""


class DiskShelves:
    """The shelves of one root."""

    def __init__(self, root: Path) -> None:
        self._records = Records(root)
        self._cache = Cache(root / CACHE)

    def read_all(self) -> Iterator[Record]:
        """Give the records on disk."""
        return self._records.read_all()

    def begin(self, begun: Begun) -> None:
        """Write it down, and where its link leads now."""
        self._records.begin(begun.model_copy(update={"before": _leads_to(begun.link)}))

    def adopt(self, busy: Collection[ModelKey]) -> Iterator[Record]:
        """Look at the links that were to be made: one that leads to another finished snapshot than before was."""
        for begun in self._records.read_begun():
            if begun.key in busy:
                continue
            record = self._arrived(begun)
            if record is not None:
                yield record
            self._records.end(begun.key)

    def _arrived(self, begun: Begun) -> Record | None:
        target = _leads_to(begun.link)
        if target is None or target == begun.before:
            return None
        snapshot = Path(target)
        ready = read_ready(snapshot) if snapshot.is_relative_to(self._cache.root) else None
        if ready is None:
            return None
        seen = {"bytes": ready.bytes, "verified": ready.state == "verified", "described": describe(snapshot)}
        return begun.record(target, ready.manifest, **seen)

    def keep(self, record: Record) -> None:
        """Write a record, then forget that a fetch was begun."""
        self._records.write(record)
        self._records.end(record.key)

    def forget(self, record: Record) -> None:
        """Remove a record's file."""
        self._records.remove(record.key)

    def is_intact(self, record: Record) -> bool:
        """Look at link and snapshot."""
        return self._records.is_intact(record)

    def is_finished(self, record: Record) -> bool:
        """Look at the snapshot."""
        return self._records.is_finished(record)

    def is_there(self, folder: str) -> bool:
        """Look at a folder."""
        return Path(folder).is_dir()

    def link(self, record: Record) -> None:
        """Switch the link in one step; the cache holds what it leads to."""
        self._cache.link(Path(record.snapshot), Path(record.link))

    def unlink(self, record: Record) -> None:
        """Remove the link if it is the one that was made; what else stands there belongs to somebody."""
        link = Path(record.link)
        if link.is_symlink() and link.readlink() == Path(record.snapshot):
            link.unlink()

    def drop(self, snapshot: str) -> bool:
        """Remove a snapshot that nobody holds by a lease or a link."""
        path = Path(snapshot)
        if not path.is_dir():
            return True
        if not self._is_idle(path):
            return False
        self._remove(path)
        return True

    def _is_idle(self, snapshot: Path) -> bool:
        states = self._cache.states()
        return any((row.model, row.name) == (snapshot.parent.name, snapshot.name) and not row.live for row in states)

    def _remove(self, snapshot: Path) -> None:
        """Take the snapshot away, then the blobs that it alone held: one that a fetch just chose is fetched again."""
        blobs = [self._cache.blobs / f"sha256-{digest}" for digest in _digests(snapshot)]
        doomed = snapshot.with_name(f".gone-{uuid.uuid4().hex}")
        snapshot.rename(doomed)
        shutil.rmtree(doomed)
        shutil.rmtree(self._cache.refs / snapshot.parent.name / snapshot.name, ignore_errors=True)
        for blob in blobs:
            if blob.is_file() and blob.stat().st_nlink == 1:
                blob.unlink()


def _leads_to(link: str) -> str | None:
    path = Path(link)
    return str(path.readlink()) if path.is_symlink() else None


def describe(folder: Path) -> dict[str, Any]:
    """Say what a folder says of its model; nothing when it cannot be read as one."""
    try:
        return described_by(inspect_folder(folder))
    except (CorruptWeightsError, OSError):
        return {}


def _digests(snapshot: Path) -> list[str]:
    try:
        manifest = WeightManifest.model_validate_json((snapshot / MANIFEST_NAME).read_bytes())
    except (OSError, ValueError):
        return []
    return [row.sha256 for row in manifest.files]
