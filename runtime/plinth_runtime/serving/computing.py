"""Processor time of the processes that compute, from /proc: it tells a long step from a standstill.

Time that a thread was ready but had to wait for a processor counts as well: on a crowded host an engine that wants to
compute is not one that stands still.
"""

from __future__ import annotations

import os
import re
import time
from contextlib import suppress
from pathlib import Path

from plinth_runtime.serving.guard import members
from plinth_runtime.serving.liveness import Computed

TITLE = re.compile(rb"[^\0 ]*::(EngineCore|Worker)")
"""What the engine's processes call themselves. With workers it is they who compute; the core waits for them."""

SCHEDULE = "schedstat"
"""Of each thread: nanoseconds on a processor, nanoseconds ready for one. Not every kernel keeps it."""

ASLEEP = "TtZX"
"""Stopped, traced, dead: whatever they computed, they do not now."""


def processor_time(group: int) -> Computed | None:
    """Read the processor time that an engine's processes used so far; None if they are unknown or one is stopped."""
    seconds = {b"EngineCore": 0.0, b"Worker": 0.0}
    found = set()
    try:
        for pid in members(group):
            title = TITLE.match(Path(f"/proc/{pid}/cmdline").read_bytes())
            if title is None:
                continue
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            if fields[0] in ASLEEP:
                return None
            found.add(title[1])
            seconds[title[1]] += _seconds(Path(f"/proc/{pid}"), fields)
    except (OSError, ValueError, IndexError):
        return None
    who = b"Worker" if b"Worker" in found else b"EngineCore"
    return Computed(time.monotonic(), seconds[who]) if who in found else None


def _seconds(process: Path, fields: list[str]) -> float:
    if not Path("/proc/self", SCHEDULE).exists():
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    nanoseconds = 0
    for task in (process / "task").iterdir():
        with suppress(OSError):  # a thread that ended meanwhile
            on_processor, ready, _ = (task / SCHEDULE).read_text().split()
            nanoseconds += int(on_processor) + int(ready)
    return nanoseconds / 1e9
