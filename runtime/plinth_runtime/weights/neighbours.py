"""Other processes that fetch into the same cache, counted, so that all of them together keep one bound on streams.

Each holds a lock on a file of its own as long as it lives; the kernel lets go of it however the process ends.
"""

from __future__ import annotations

import fcntl
import os
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from plinth_runtime.weights.disk import make_folder

LOOK_SECONDS = 1.0
"""How old a count may be: a new neighbour is made room for within this time."""


class Neighbours:
    """The processes that fetch below one folder, this one included."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._folder = folder
        self._clock = clock
        self._own: tuple[Path, int] | None = None
        self._looked_at = 0.0
        self._count = 1

    def count(self) -> int:
        """Say how many fetch at this moment; joins them first."""
        now = self._clock()
        if self._own is None:
            self._join()
        elif now - self._looked_at < LOOK_SECONDS:
            return self._count
        self._looked_at = now
        self._count = max(1, sum(map(_lives, self._folder.iterdir())))
        return self._count

    def leave(self) -> None:
        """Be counted no more."""
        if self._own is not None:
            path, descriptor = self._own
            path.unlink(missing_ok=True)
            os.close(descriptor)
        self._own = None

    def _join(self) -> None:
        make_folder(self._folder)
        path = self._folder / f"{os.getpid()}-{uuid.uuid4().hex}"
        # Locked before it has its name: nobody may take it for a dead one's in between.
        aside = self._folder.with_name(f".{path.name}")
        descriptor = os.open(aside, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        aside.rename(path)
        self._own = (path, descriptor)


def _lives(path: Path) -> bool:
    """Tell whether somebody holds a file; one that nobody holds is removed."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    else:
        with suppress(OSError):
            path.unlink()
        return False
    finally:
        os.close(descriptor)
