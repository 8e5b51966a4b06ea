"""A model on its way into a cache: files become blobs, blobs become a snapshot. The counterpart of `shelf.py`.

A file is a blob by the sha256 of its bytes, computed here: a manifest's word alone would let one source give its bytes
to the models of another.
"""

from __future__ import annotations

import json
import os
import shutil
import time
import uuid
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path

from plinth_runtime.contract.manifest import MANIFEST_NAME
from plinth_runtime.weights.cache import Cache
from plinth_runtime.weights.disk import make_folder, stamp_of, sync_folder, write_durably
from plinth_runtime.weights.journal import FileRecord, Journal
from plinth_runtime.weights.locking import only_writer
from plinth_runtime.weights.parts import partial_key
from plinth_runtime.weights.shelf import ORPHAN_SECONDS, READY, STATE, Ready
from plinth_runtime.weights.sources import ChangedError, RemoteObject
from plinth_runtime.weights.work import FileWork

BLOB_MODE = 0o444


class CacheShelf:
    """One model of a cache."""

    addressed_by_content = True

    def __init__(self, cache: Cache, model: str) -> None:
        self._cache = cache
        self._model = model
        self._exclusive = False
        self._found: dict[str, Path] = {}
        self.folder = cache.snapshots / model
        self.journal = Journal(cache.partials / f"{model}.journal")

    @contextmanager
    def writing(self, waiting: Callable[[], None]) -> Iterator[None]:
        """Be the only writer of this model."""
        self._cache.prepare()
        with only_writer(self._cache.locks / self._model, waiting) as self._exclusive:
            yield

    @property
    def room(self) -> Path:
        """A folder on the file system that the files go to."""
        return self._cache.partials

    def data_path(self, key: str | None) -> Path:
        """Say where an unfinished file lies."""
        own = key if self._exclusive and key else uuid.uuid4().hex
        return self._cache.partials / f"{self._model}-{own}.data"

    def may_continue(self, key: str | None) -> bool:
        """Say whether what an earlier process left may be continued."""
        return self._exclusive and key is not None

    def find(self, target: RemoteObject, record: FileRecord | None) -> FileRecord | None:
        """Give proof of a blob that is there, whichever model brought it."""
        digest = target.checksums.sha256 or (record.sha256 if record else None)
        blob = self._blob(digest) if digest else None
        if blob is None or stamp_of(blob) is None or blob.stat().st_size != target.size:
            return None
        os.utime(blob)  # it is wanted: a collection leaves it alone
        self._found[target.name] = blob
        vouched = bool(target.checksums.sha256) or bool(record and record.vouched)
        return FileRecord(partial_key(target) or "", stamp_of(blob) or "", None, digest, vouched)

    def candidate(self, target: RemoteObject) -> Path | None:
        """Give a blob that may have rotted."""
        digest = target.checksums.sha256
        blob = self._blob(digest) if digest else None
        if blob is None or not blob.is_file() or blob.stat().st_size != target.size:
            return None
        self._found[target.name] = blob
        return blob

    def place(self, work: FileWork) -> Path:
        """Make a finished file a blob."""
        blob = self._blob(work.sha256 or "")
        work.path.chmod(BLOB_MODE)
        work.path.replace(blob)
        self._found[work.target.name] = blob
        return blob

    def path_of(self, name: str) -> Path:
        """Say where a finished file lies."""
        return self._found[name]

    def make_room(self, needed: int) -> None:
        """Let the cache forget what nobody uses."""
        self._cache.make_room(needed)

    def clean(self, keep: Collection[str]) -> int:
        """Remove unfinished files of this model that nobody will continue."""
        removed = 0
        for path in self._cache.partials.glob(f"{self._model}-*.data"):
            stale = self._exclusive or path.stat().st_mtime < time.time() - ORPHAN_SECONDS
            if path.stem not in keep and stale:
                path.unlink(missing_ok=True)
                removed += 1
        return removed

    def current_manifest(self) -> bytes | None:
        """Give the manifest of the snapshot that was used last."""
        with suppress(OSError, IndexError):
            return (self.ready_folders()[0] / MANIFEST_NAME).read_bytes()
        return None

    def is_ready(self, manifest_digest: str, state: str) -> bool:
        """Say whether this snapshot is there. From here on `folder` is that snapshot."""
        snapshot = self._cache.snapshot(self._model, manifest_digest)
        self.folder = snapshot
        try:
            found = json.loads((snapshot / STATE / READY).read_text())
        except (OSError, ValueError):
            return False
        same = isinstance(found, dict) and (found.get("manifest"), found.get("state")) == (manifest_digest, state)
        return same and all(
            (snapshot / name).is_file() and (snapshot / name).samefile(blob) for name, blob in self._found.items()
        )

    def ready_folders(self) -> list[Path]:
        """Give the snapshots of this model, the one that was used last first."""
        ready = sorted(self.folder.glob(f"*/{STATE}/{READY}"), key=lambda path: -path.stat().st_mtime)
        return [path.parents[1] for path in ready]

    def open_up(self) -> None:
        """Do nothing: a snapshot never changes, a new one stands beside it."""

    def finish(self, manifest: bytes, ready: Ready, names: Collection[str]) -> None:
        """Build the snapshot aside, make it durable, give it its name, then READY."""
        self.folder = self._cache.snapshot(self._model, ready.manifest)
        make_folder(self.folder.parent)
        aside = self.folder.with_name(f".tmp-{uuid.uuid4().hex}")
        folders = {aside / STATE, aside}
        make_folder(aside / STATE)
        for name in names:
            path = aside / name
            folders.update(parent for parent in path.parents if parent.is_relative_to(aside))
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                path.hardlink_to(self._found[name])
            except FileNotFoundError:
                raise ChangedError(name, "in the cache", "removed by a collection") from None
        write_durably(aside / MANIFEST_NAME, manifest)
        for folder in folders:
            sync_folder(folder)
        self._swap_in(aside)
        write_durably(self.folder / STATE / READY, json.dumps(asdict(ready)).encode())

    def _swap_in(self, aside: Path) -> None:
        """Give the snapshot its name; a broken one of that name goes."""
        broken = self.folder.with_name(f".gone-{uuid.uuid4().hex}")
        with suppress(FileNotFoundError):
            self.folder.rename(broken)
        aside.rename(self.folder)
        sync_folder(self.folder.parent)
        shutil.rmtree(broken, ignore_errors=True)

    def _blob(self, digest: str) -> Path:
        return self._cache.blobs / f"sha256-{digest}"
