"""One writer at a time: a lock that ends with its holder, and the knowledge whether this file system has such locks."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

POLL_SECONDS = 0.1
LOCK_MODE = 0o644


@contextmanager
def only_writer(path: Path, waiting: Callable[[], None], sleep: Callable[[float], None] = time.sleep) -> Iterator[bool]:
    """Hold a lock; `waiting` is called while another process has it, and may raise to stop.

    Gives False where locks mean nothing (Lustre, some NFS): there two processes may be inside at once, and must work
    on files of their own.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, LOCK_MODE)
    try:
        while not _try(descriptor):
            waiting()
            sleep(POLL_SECONDS)
        yield _means_something(path)
    finally:
        os.close(descriptor)


def _try(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _means_something(path: Path) -> bool:
    """Try to take a lock that is held: where that works, locks are decoration."""
    second = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        return not _try(second)
    finally:
        os.close(second)
