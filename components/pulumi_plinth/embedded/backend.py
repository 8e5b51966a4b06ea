"""Pulumi's file backend: layout, atomic writes, lock files, history and backups. Knows bytes, not resources.

Each object has an `.attrs` twin as the blob library of the Pulumi CLI writes it. A checkpoint is replaced by
rename after fsync, so a reader and a crash see the old or the new one, never a half.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import getpass
import hashlib
import json
import os
import socket
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pulumi_plinth.embedded.errors import LockedError, StateError

_CLOCK_SLACK = 2.0
"""Seconds a process may seem younger than the lock it wrote (boot time is known to a second)."""


def now() -> str:
    """Return the current time as checkpoints spell it: UTC, nanoseconds, no trailing zeros."""
    seconds, nanos = divmod(time.time_ns(), 1_000_000_000)
    fraction = f".{nanos:09d}".rstrip("0").rstrip(".")
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S") + fraction + "Z"


@dataclass(frozen=True)
class Backend:
    """The state of one stack below `<dir>/.pulumi`."""

    folder: Path
    project: str
    stack: str

    @property
    def checkpoint_path(self) -> Path:
        """The checkpoint file."""
        return self._at("stacks", self.project, f"{self.stack}.json")

    def _at(self, *parts: str) -> Path:
        return self.folder.joinpath(".pulumi", *parts)

    def read(self) -> dict[str, Any] | None:
        """Return the checkpoint, or None where the stack does not exist; raises StateError."""
        path = self.checkpoint_path
        for suffix in (".gz", ".zst"):
            if path.with_name(path.name + suffix).exists():
                raise StateError(f"{path}{suffix} is compressed; run `pulumi stack export/import` without compression")
        try:
            document = json.loads(path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise StateError(f"{path} cannot be read ({error}); restore it from {self._at('backups')}") from error
        return document if isinstance(document, dict) else {"version": None}

    def prepare(self) -> None:
        """Make the folder a Pulumi backend, or find that it cannot be written; raises StateError."""
        meta = self._at("meta.yaml")
        if not meta.exists():
            self._write(meta, b"version: 1\n")
        elif b"version: 1" not in meta.read_bytes():
            raise StateError(f"{meta} does not say `version: 1`; upgrade the backend with `pulumi state upgrade`")

    def write(self, document: Mapping[str, Any]) -> None:
        """Replace the checkpoint; raises StateError and leaves the old one when it cannot."""
        self._write(self.checkpoint_path, _encode(document))

    def keep_backup(self) -> None:
        """Copy the checkpoint to `.bak`, as the Pulumi CLI does before it writes."""
        if self.checkpoint_path.exists():
            self._write(self.checkpoint_path.with_suffix(".json.bak"), self.checkpoint_path.read_bytes())

    def add_history(self, update: Mapping[str, Any], *, changed: bool) -> None:
        """Record a finished update, and a backup where the state changed."""
        checkpoint = self.checkpoint_path.read_bytes() if self.checkpoint_path.exists() else b""
        stamp = time.time_ns()
        prefix = self._at("history", self.project, self.stack, f"{self.stack}-{stamp}")
        self._write(prefix.with_name(prefix.name + ".history.json"), _encode(update))
        if checkpoint:
            self._write(prefix.with_name(prefix.name + ".checkpoint.json"), checkpoint)
        if checkpoint and changed:
            self._write(self._at("backups", self.project, self.stack, f"{self.stack}.{stamp}.json"), checkpoint)

    def _write(self, path: Path, content: bytes) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _replace(path, content, sync=True)
            _replace(path.with_name(path.name + ".attrs"), _attrs(content), sync=False)
        except OSError as error:
            raise StateError(
                f"state cannot be written: {path}: {error.strerror}; free space or fix the permissions, then run "
                "again (what was done before is saved)"
            ) from error

    @contextlib.contextmanager
    def lock(self, warn: Callable[[str], None]) -> Iterator[None]:
        """Hold the stack; raises LockedError naming the holder. A dead holder's lock on this host is taken over."""
        folder = self._at("locks", "organization", self.project, self.stack)
        path = folder / f"{uuid.uuid4()}.json"
        holder = {"pid": os.getpid(), "username": _user(), "hostname": socket.gethostname(), "timestamp": now()}
        with self._exclusively(folder):
            for stale in folder.glob(".*.tmp"):  # of a run killed while it wrote; the Pulumi CLI would see a lock
                stale.unlink(missing_ok=True)
            for other in sorted(folder.glob("*.json")):
                self._check_lock(other, warn)
            self._write(path, _encode(holder))
        try:
            # The Pulumi CLI does not know our flock: look once more, as it does.
            for other in folder.glob("*.json"):
                if other != path:
                    self._check_lock(other, warn)
            for stale in self.checkpoint_path.parent.glob(f".{self.stack}.json*.tmp"):
                stale.unlink(missing_ok=True)
            yield
        finally:
            _remove(path)

    def _check_lock(self, path: Path, warn: Callable[[str], None]) -> None:
        try:
            held = json.loads(path.read_bytes())
            who = f"{held['username']}@{held['hostname']} (pid {held['pid']}) at {held['timestamp']}"
            stale = held["hostname"] == socket.gethostname() and not _alive(int(held["pid"]), held["timestamp"])
        except FileNotFoundError:
            return
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise LockedError(f"{path} is not a readable lock ({error}); run cancel on this stack") from error
        if not stale:
            raise LockedError(
                f"stack {self.stack} is locked by {who}; wait for it, or cancel the stack if that run is gone ({path})"
            )
        warn(f"took over the lock of {who}: that process is gone")
        _remove(path)

    @contextlib.contextmanager
    def _exclusively(self, folder: Path) -> Iterator[None]:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            handle = os.open(folder, os.O_RDONLY)
        except OSError as error:
            raise StateError(f"state cannot be written: {folder}: {error.strerror}; fix the permissions") from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def unlock(self) -> tuple[str, ...]:
        """Remove all locks of the stack, whoever holds them; returns the removed files' names."""
        locks = sorted(self._at("locks", "organization", self.project, self.stack).glob("*.json"))
        for path in locks:
            _remove(path)
        return tuple(path.name for path in locks)


def _encode(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()


def _replace(path: Path, content: bytes, *, sync: bool) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            if sync:
                os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    if sync:
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _attrs(content: bytes) -> bytes:
    digest = base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()
    blank = {f"user.{name}": "" for name in ("cache_control", "content_disposition", "content_encoding")}
    kind = {"user.content_language": "", "user.content_type": "text/plain; charset=utf-8", "user.metadata": None}
    return _encode(blank | kind | {"md5": digest})


def _remove(path: Path) -> None:
    for name in (path, path.with_name(path.name + ".attrs")):
        name.unlink(missing_ok=True)


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return str(os.getuid())  # a container user without a name


def _alive(pid: int, since: str) -> bool:
    """Whether the process that wrote a lock at `since` still runs; a younger process got a used number."""
    import psutil

    try:
        born = psutil.Process(pid).create_time()
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True
    return bool(born <= datetime.fromisoformat(since[:19] + "+00:00").timestamp() + _CLOCK_SLACK) or not since.endswith(
        "Z"
    )
