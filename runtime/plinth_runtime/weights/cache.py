"""The cache of a node: blobs by content, snapshots of models as links to them, leases of those who use them.

ROOT/blobs/sha256-<hex>                      immutable; the same file of two models is there once
ROOT/partial/<model>-<key>.data, .journal    unfinished files
ROOT/snapshots/<model>/<digest>/             a whole model; made aside, renamed, READY last
ROOT/refs/<model>/<digest>/<holder>          leases: a link that points there, or a heartbeat
ROOT/locks/<model>                           one writer per model
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from plinth_runtime.weights.collection import DiskState, SnapshotState, choose_victims
from plinth_runtime.weights.disk import free_bytes, make_folder, sync_folder, write_durably
from plinth_runtime.weights.shelf import ORPHAN_SECONDS, READY, STATE

LEASE_SECONDS = 600
"""A holder that has not renewed its lease for so long is gone."""

FRESH_SECONDS = 3600
"""A blob that belongs to no snapshot may be about to: it is kept so long after it was written or used."""

NAME_DIGITS = 16


class Cache:
    """One cache, shared by every process of a node that knows its folder."""

    def __init__(self, root: Path, clock: Callable[[], float] = time.time) -> None:
        self.root = root
        self.blobs = root / "blobs"
        self.partials = root / "partial"
        self.snapshots = root / "snapshots"
        self.refs = root / "refs"
        self.locks = root / "locks"
        self._clock = clock

    def prepare(self) -> None:
        """Make the folders."""
        for folder in (self.blobs, self.partials, self.snapshots, self.refs, self.locks):
            make_folder(folder)

    def snapshot(self, model: str, manifest_digest: str) -> Path:
        """Say where a model's snapshot lies."""
        return self.snapshots / model / manifest_digest[:NAME_DIGITS]

    def lease(self, snapshot: Path, holder: str) -> None:
        """Hold a snapshot, or go on holding it: call this more often than every ten minutes."""
        folder = self._refs_of(snapshot)
        make_folder(folder)
        (folder / _safe(holder)).touch()
        (snapshot / STATE / READY).touch()

    def release(self, snapshot: Path, holder: str) -> None:
        """Let go of a snapshot."""
        (self._refs_of(snapshot) / _safe(holder)).unlink(missing_ok=True)

    def link(self, snapshot: Path, link: Path) -> None:
        """Make a link point to a snapshot, at once for everybody who looks; the snapshot is held while it does."""
        folder = self._refs_of(snapshot)
        make_folder(folder)
        name = hashlib.sha256(str(link.absolute()).encode()).hexdigest()[:NAME_DIGITS]
        write_durably(folder / f"link-{name}", str(link.absolute()).encode())
        make_folder(link.parent)
        temporary = link.with_name(f".{link.name}.{uuid.uuid4().hex}")
        temporary.symlink_to(snapshot.absolute())
        temporary.replace(link)
        sync_folder(link.parent)

    def make_room(self, needed: int) -> int:
        """Remove what nobody needs until so many bytes are free; gives the number of snapshots removed."""
        self._remove_orphans()
        missing = needed - free_bytes(self.root)
        return self._collect(missing) if missing > 0 else 0

    def collect(self) -> int:
        """Keep the disk between its watermarks; gives the number of snapshots removed."""
        self._remove_orphans()
        state = os.statvfs(self.root)
        disk = DiskState(state.f_blocks * state.f_frsize, state.f_bavail * state.f_frsize)
        return self._collect(wanted) if (wanted := disk.wanted_by_watermarks()) else 0

    def states(self) -> Iterator[SnapshotState]:
        """Describe every snapshot."""
        for path in sorted(self.snapshots.glob("*/*")):
            ready = path / STATE / READY
            used_at = (ready if ready.exists() else path).stat().st_mtime
            own = sum(row.st_size for row in _files(path) if row.st_nlink <= 2)  # noqa: PLR2004 the blob and this link
            yield SnapshotState(path.parent.name, path.name, used_at, own, ready.exists(), self._is_live(path))

    def _collect(self, wanted: int) -> int:
        victims = choose_victims(self.states(), wanted)
        for victim in victims:
            path = self.snapshots / victim.model / victim.name
            doomed = path.with_name(f".gone-{uuid.uuid4().hex}")
            path.rename(doomed)
            shutil.rmtree(doomed)
            shutil.rmtree(self._refs_of(path), ignore_errors=True)
        self._remove_orphans()
        return len(victims)

    def _remove_orphans(self) -> None:
        """Remove blobs that no snapshot holds and unfinished files that nobody touches."""
        now = self._clock()
        for path in [*self.blobs.iterdir(), *self.partials.iterdir(), *self.snapshots.glob("*/.*")]:
            with suppress(FileNotFoundError):
                state = path.stat()
                if path.is_dir():
                    if now - state.st_mtime > FRESH_SECONDS:
                        shutil.rmtree(path, ignore_errors=True)
                elif path.parent == self.blobs:
                    if state.st_nlink == 1 and now - state.st_mtime > FRESH_SECONDS:
                        path.unlink()
                elif now - state.st_mtime > ORPHAN_SECONDS:
                    path.unlink()

    def _is_live(self, snapshot: Path) -> bool:
        """Say whether somebody uses a snapshot; leases that ended are removed on the way."""
        live = False
        for lease in self._refs_of(snapshot).glob("*"):
            with suppress(FileNotFoundError):
                if lease.name.startswith("link-"):
                    held = Path(os.path.realpath(lease.read_text())) == snapshot.resolve()
                else:
                    held = self._clock() - lease.stat().st_mtime < LEASE_SECONDS
                live = live or held
                if not held:
                    lease.unlink()
        return live

    def _refs_of(self, snapshot: Path) -> Path:
        return self.refs / snapshot.parent.name / snapshot.name


def is_snapshot(folder: Path) -> bool:
    """Tell whether a folder, or what it links to, is a snapshot of some cache, which nobody may change."""
    parents = folder.resolve().parents
    return len(parents) > 2 and parents[1].name == "snapshots" and (parents[2] / "blobs").is_dir()  # noqa: PLR2004


def model_name(address: str) -> str:
    """Make a folder's name of an address: readable, and different for different addresses."""
    digest = hashlib.sha256(address.encode()).hexdigest()[:NAME_DIGITS]
    return f"{_safe(address.rstrip('/').rpartition('/')[2])[:64]}-{digest}"


def _safe(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]", "-", text).lstrip(".") or "unnamed"


def _files(folder: Path) -> Iterator[os.stat_result]:
    return (path.stat() for path in folder.rglob("*") if path.is_file())
