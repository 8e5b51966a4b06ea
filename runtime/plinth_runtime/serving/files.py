"""The run directory on disk: locks that die with their holder, and files that are whole or not there."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from plinth_runtime.contract.rundir import RunDir
from plinth_runtime.contract.status import Phase, StartRecord
from plinth_runtime.errors import AlreadyRunningError, BadConfigError
from plinth_runtime.serving.leftovers import clear_leftovers

POLL_SECONDS = 0.05
GLANCE_ROUNDS = 4
"""Whoever asks whether an agent lives here holds the lock for a moment; that is no reason to give up."""

PREDECESSOR_ROUNDS = 200
"""10 s. A killed agent's guard needs up to three to end the engine; more is a fault."""


def prepare(run_dir: RunDir) -> None:
    """Make the run directory, readable by its owner only. Raises BadConfigError."""
    try:
        run_dir.path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise BadConfigError(f"the run directory {run_dir.path} cannot be made: {error.strerror}") from error


def take_agent_lock(run_dir: RunDir, sleep: Callable[[float], None] = time.sleep) -> int:
    """Become the only agent of a run directory; the descriptor is the lock. Raises AlreadyRunningError."""
    descriptor = _open_lock(run_dir.lock)
    if not _lock(descriptor, GLANCE_ROUNDS, sleep):
        holder = os.pread(descriptor, 64, 0).decode(errors="replace").strip() or "unknown"
        os.close(descriptor)
        raise AlreadyRunningError(f"the run directory {run_dir.path} is held by the agent with process id {holder}")
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return descriptor


def release_agent_lock(descriptor: int) -> None:
    """Leave no process id behind that might be somebody else's tomorrow."""
    os.ftruncate(descriptor, 0)
    os.close(descriptor)


def take_engine_lock(run_dir: RunDir, sleep: Callable[[float], None] = time.sleep) -> int:
    """Wait for a bounded time until no engine of this run directory is guarded, and clear what one may have left.

    Raises AlreadyRunningError.
    """
    descriptor = _open_lock(run_dir.engine_lock)
    if _lock(descriptor, PREDECESSOR_ROUNDS, sleep):
        clear_leftovers(run_dir.engine_lock, run_dir.path)
        clear_sockets(run_dir)
        run_dir.sockets.mkdir(mode=0o700, exist_ok=True)
        os.ftruncate(descriptor, 0)
        return descriptor
    os.close(descriptor)
    message = f"an engine of a former agent still runs in {run_dir.path}"
    raise AlreadyRunningError(message, hint="Look for its processes and end them; their guard seems to be stuck.")


def clear_sockets(run_dir: RunDir) -> None:
    """Remove the sockets that engines leave behind, whichever way they end."""
    shutil.rmtree(run_dir.sockets, ignore_errors=True)


def _lock(descriptor: int, rounds: int, sleep: Callable[[float], None]) -> bool:
    for _ in range(rounds):
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        sleep(POLL_SECONDS)
    return False


def _open_lock(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise BadConfigError(f"{path} cannot be opened: {error.strerror}") from error


def write_agent_hash(run_dir: RunDir, token: str) -> None:
    """Write down by what the engine's gate shall know this agent. Raises BadConfigError: unknown, it is blind."""
    try:
        run_dir.agent_hash.unlink(missing_ok=True)
        with open(os.open(run_dir.agent_hash, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:  # noqa: PTH123
            file.write(hashlib.sha256(token.encode()).hexdigest() + "\n")
    except OSError as error:
        raise BadConfigError(f"{run_dir.agent_hash} cannot be written: {error.strerror}") from error


def write_whole(path: Path, text: str) -> None:
    """Replace a file in one step. A full disk is no reason to end a server, so failures are swallowed."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with suppress(OSError):
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)


def last_start(run_dir: RunDir, digest: str) -> dict[Phase, float]:
    """Read what each phase took in the last start of the launch with this digest; empty if none is known."""
    with suppress(OSError, ValueError):
        record = StartRecord.model_validate_json(run_dir.last_start.read_bytes())
        if record.launch_digest == digest:
            return record.seconds
    return {}


def remove(path: Path) -> None:
    """Remove a file if it is there."""
    with suppress(OSError):
        path.unlink()
