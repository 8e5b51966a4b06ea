"""What may remain of a former engine when its agent *and* its guard were killed at once; the next start clears it.

Only what can be attributed without doubt is touched: processes of the noted engine's session whose working directory
is this run directory, which engines inherit and nobody else in that session could have.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from plinth_runtime.serving.guard import mapped_segments

ROUNDS, PAUSE_SECONDS = 40, 0.05
"""How often killed processes are looked for, and the pause between: 2 s in all."""


def note_engine(lock: Path, pid: int) -> None:
    """Write the engine's process id into its lock file, in place because the guard holds a lock on it."""
    with suppress(OSError), lock.open("r+") as file:
        file.truncate()
        file.write(f"{pid}\n")


def clear_leftovers(lock: Path, folder: Path, sleep: Callable[[float], None] = time.sleep) -> int:
    """Kill what remains of the noted engine and remove its shared memory; return how many processes there were."""
    text = lock.read_text().strip()
    if not text.isdigit():
        return 0
    first = found = find_leftovers(int(text), folder)
    segments = mapped_segments(found)
    for _ in range(ROUNDS):
        if not found:
            break
        for pid in found:
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        sleep(PAUSE_SECONDS)
        found = find_leftovers(int(text), folder)
    for path in segments:
        with suppress(OSError):
            Path(path).unlink()
    return len(first)


def find_leftovers(session: int, folder: Path) -> list[int]:
    """List the living processes of a session that work in a folder."""
    found = []
    for entry in Path("/proc").iterdir():
        with suppress(OSError, ValueError):
            pid = int(entry.name)
            if os.getsid(pid) == session and (entry / "cwd").readlink() == folder:
                found.append(pid)
    return found
