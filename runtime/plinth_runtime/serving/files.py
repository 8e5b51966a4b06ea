"""The run directory on disk: locks that die with their holder, and files that are whole or not there."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from plinth_runtime.contract.rundir import RunDir
from plinth_runtime.errors import AlreadyRunningError, BadConfigError

PREDECESSOR_SECONDS = 10.0
"""A killed agent's guard needs up to three seconds to end the engine; more than this is a fault."""

POLL_SECONDS = 0.1


def prepare(run_dir: RunDir) -> None:
    """Make the run directory, readable by its owner only. Raises BadConfigError."""
    try:
        run_dir.path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise BadConfigError(f"the run directory {run_dir.path} cannot be made: {error.strerror}") from error


def take_agent_lock(run_dir: RunDir) -> int:
    """Become the only agent of a run directory; the descriptor is the lock. Raises AlreadyRunningError."""
    descriptor = _open_lock(run_dir.lock)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        holder = os.pread(descriptor, 64, 0).decode(errors="replace").strip() or "unknown"
        os.close(descriptor)
        message = f"the run directory {run_dir.path} is held by the agent with process id {holder}"
        raise AlreadyRunningError(message) from error
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return descriptor


def release_agent_lock(descriptor: int) -> None:
    """Leave no process id behind that might be somebody else's tomorrow."""
    os.ftruncate(descriptor, 0)
    os.close(descriptor)


def take_engine_lock(run_dir: RunDir, sleep: Callable[[float], None] = time.sleep) -> int:
    """Wait until no engine of this run directory is left, for a bounded time. Raises AlreadyRunningError."""
    descriptor = _open_lock(run_dir.engine_lock)
    for _ in range(round(PREDECESSOR_SECONDS / POLL_SECONDS)):
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return descriptor
        sleep(POLL_SECONDS)
    os.close(descriptor)
    message = f"an engine of a former agent still runs in {run_dir.path} after {PREDECESSOR_SECONDS:g} s"
    raise AlreadyRunningError(message, hint="Look for its processes and end them; their guard seems to be stuck.")


def _open_lock(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise BadConfigError(f"{path} cannot be opened: {error.strerror}") from error


def write_whole(path: Path, text: str) -> None:
    """Replace a file in one step. A full disk is no reason to end a server, so failures are swallowed."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with suppress(OSError):
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)


def remove(path: Path) -> None:
    """Remove a file if it is there."""
    with suppress(OSError):
        path.unlink()
