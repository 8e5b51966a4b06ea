"""A model folder while it is filled: unfinished files aside, finished ones under their names, READY last.

DIR/<the model's files>          complete and checked, each renamed into its place
DIR/plinth-manifest.json         what they are
DIR/.plinth/partial/<key>.data   unfinished files
DIR/.plinth/journal              what has arrived for certain
DIR/.plinth/lock                 one writer at a time
DIR/.plinth/READY                written last; whoever finds it finds everything else
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from plinth_runtime.contract.manifest import MANIFEST_NAME
from plinth_runtime.errors import SourceRefusedError
from plinth_runtime.weights.disk import make_folder, stamp_of, sync_folder, write_durably, writing
from plinth_runtime.weights.journal import FileRecord, Journal
from plinth_runtime.weights.locking import only_writer
from plinth_runtime.weights.sources import RemoteObject
from plinth_runtime.weights.work import FileWork

STATE = ".plinth"
READY = "READY"
ORPHAN_SECONDS = 24 * 3600
"""Unfinished files that nobody has touched for so long, where locks cannot tell whether somebody is at them."""


@dataclass(frozen=True, slots=True)
class Ready:
    """What READY says: `state` is 'verified' or 'unverified', the digest is the manifest's sha256."""

    state: str
    manifest: str
    source: str
    files: int
    bytes: int


class FolderShelf:
    """One folder that becomes a model."""

    addressed_by_content = False

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._state = folder / STATE
        self._partials = self._state / "partial"
        self._exclusive = False
        self._folders: set[Path] = set()
        self.journal = Journal(self._state / "journal")

    @contextmanager
    def writing(self, waiting: Callable[[], None]) -> Iterator[None]:
        """Be the only writer."""
        make_folder(self._partials)
        with only_writer(self._state / "lock", waiting) as self._exclusive:
            self._folders.clear()
            yield

    @property
    def room(self) -> Path:
        """A folder on the file system that the files go to."""
        return self._partials

    def data_path(self, key: str | None) -> Path:
        """Say where an unfinished file lies. Without certainty of being alone, nobody continues another's file."""
        own = key if self._exclusive and key else uuid.uuid4().hex
        return self._partials / f"{own}.data"

    def may_continue(self, key: str | None) -> bool:
        """Say whether what an earlier process left may be continued."""
        return self._exclusive and key is not None

    def find(self, target: RemoteObject, record: FileRecord | None) -> FileRecord | None:
        """Give proof of a finished file: the disk still says of it what the journal says."""
        here = record is not None and stamp_of(self.folder / target.name) == record.stamp
        return record if here else None

    def candidate(self, target: RemoteObject) -> Path | None:
        """Give a file that may be the wanted one, if only somebody looked at its bytes."""
        path = self.folder / target.name
        return path if path.is_file() and path.stat().st_size == target.size else None

    def place(self, work: FileWork) -> Path:
        """Give a finished file its name."""
        path = self.folder / work.target.name
        self._make_parents(path)
        with writing(path):
            work.path.replace(path)
        self._folders.add(path.parent)
        return path

    def clean(self, keep: Collection[str]) -> int:
        """Remove unfinished files that nobody will continue; gives their number."""
        removed = 0
        for path in self._partials.glob("*.data"):
            stale = self._exclusive or path.stat().st_mtime < time.time() - ORPHAN_SECONDS
            if path.stem not in keep and stale:
                path.unlink(missing_ok=True)
                removed += 1
        return removed

    def is_ready(self, manifest_digest: str, state: str) -> bool:
        """Say whether the folder was finished with exactly this manifest."""
        try:
            found = json.loads((self._state / READY).read_text())
        except (OSError, ValueError):
            return False
        return isinstance(found, dict) and (found.get("manifest"), found.get("state")) == (manifest_digest, state)

    def ready_folders(self) -> list[Path]:
        """Give the folders that may be the wanted model already."""
        return [self.folder]

    def open_up(self) -> None:
        """Take READY away: the folder is about to change."""
        (self._state / READY).unlink(missing_ok=True)
        sync_folder(self._state)

    def path_of(self, name: str) -> Path:
        """Say where a finished file lies."""
        return self.folder / name

    def make_room(self, needed: int) -> None:
        """Do nothing: everything here belongs to the model that is wanted."""

    def current_manifest(self) -> bytes | None:
        """Give the text of the manifest that is there."""
        with suppress(OSError):
            return (self.folder / MANIFEST_NAME).read_bytes()
        return None

    def finish(self, manifest: bytes, ready: Ready, names: Collection[str]) -> None:
        """Write the manifest, remove what an earlier version left, and write READY when all that is durable."""
        self._remove_old(names)
        for folder in self._folders:
            sync_folder(folder)
        write_durably(self.folder / MANIFEST_NAME, manifest)
        write_durably(self._state / READY, json.dumps(asdict(ready)).encode())

    def _remove_old(self, names: Collection[str]) -> None:
        """Remove files that the last manifest named and the new one does not. Files of others stay."""
        with suppress(OSError, ValueError, KeyError, TypeError):
            old = json.loads((self.folder / MANIFEST_NAME).read_bytes())
            for name in {row["path"] for row in old["files"]} - set(names):
                path = self.folder / name
                if path.resolve().is_relative_to(self.folder.resolve()):
                    path.unlink(missing_ok=True)

    def _make_parents(self, path: Path) -> None:
        """Make the folders above a file. A link among them could lead anywhere."""
        if path.parent in self._folders:
            return
        for folder in [*reversed(path.parent.relative_to(self.folder).parents), path.parent.relative_to(self.folder)]:
            if (self.folder / folder).is_symlink() and str(folder) != ".":
                raise SourceRefusedError(f"{self.folder / folder} is a link: it may lead out of the model folder")
        make_folder(path.parent)
