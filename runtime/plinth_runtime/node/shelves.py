"""What the agent does on the disk besides fetching: links, records, and giving bytes back. Decides nothing."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from plinth_runtime.contract.manifest import MANIFEST_NAME, WeightManifest
from plinth_runtime.node.declaration import CACHE
from plinth_runtime.node.record import Record
from plinth_runtime.node.records import Records
from plinth_runtime.weights.cache import Cache


class Shelves(Protocol):
    """The disk, as far as the agent decides about it."""

    def read_all(self) -> Iterator[Record]:
        """Give what was here when the agent started."""

    def keep(self, record: Record) -> None:
        """Remember a record."""

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

    def free(self, record: Record) -> bool:
        """Remove link, record and content, unless others use the content. Says whether bytes were given back."""


class DiskShelves:
    """The shelves of one root."""

    def __init__(self, root: Path) -> None:
        self._records = Records(root)
        self._cache = Cache(root / CACHE)

    def read_all(self) -> Iterator[Record]:
        """Give the records on disk."""
        return self._records.read_all()

    def keep(self, record: Record) -> None:
        """Write a record."""
        self._records.write(record)

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

    def free(self, record: Record) -> bool:
        """Remove everything of a record that nobody else uses."""
        self.unlink(record)
        snapshot = Path(record.snapshot)
        freed = self._is_idle(snapshot)
        if freed:
            self._remove(snapshot)
        self._records.remove(record.key)
        return freed

    def _is_idle(self, snapshot: Path) -> bool:
        states = self._cache.states() if self._cache.snapshots.is_dir() else iter(())
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


def _digests(snapshot: Path) -> list[str]:
    try:
        manifest = WeightManifest.model_validate_json((snapshot / MANIFEST_NAME).read_bytes())
    except (OSError, ValueError):
        return []
    return [row.sha256 for row in manifest.files]
