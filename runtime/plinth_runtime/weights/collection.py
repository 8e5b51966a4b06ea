"""Which snapshots of a cache may go. Pure: takes what is there, gives what to remove, least recently used first."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

HIGH_PERCENT = 90
LOW_PERCENT = 80


@dataclass(frozen=True, slots=True)
class SnapshotState:
    """One snapshot: its model and name, when it was last used (seconds), bytes that only it holds, and who needs it."""

    model: str
    name: str
    used_at: float
    own_bytes: int
    ready: bool
    live: bool


@dataclass(frozen=True, slots=True)
class DiskState:
    """Bytes of a file system."""

    total: int
    free: int

    def wanted_by_watermarks(self) -> int:
        """Give the bytes to free: nothing below the high mark, else down to the low one."""
        used = self.total - self.free
        if used * 100 <= self.total * HIGH_PERCENT:
            return 0
        return used - self.total * LOW_PERCENT // 100


def choose_victims(snapshots: Iterable[SnapshotState], wanted: int) -> tuple[SnapshotState, ...]:
    """Choose snapshots until so many bytes are freed. Never one in use, never the newest complete one of a model."""
    rows = sorted(snapshots, key=lambda row: row.used_at)
    newest = {row.model: row.name for row in rows if row.ready}
    victims: list[SnapshotState] = []
    for row in rows:
        if sum(victim.own_bytes for victim in victims) >= wanted:
            break
        if not row.live and newest.get(row.model) != row.name:
            victims.append(row)
    return tuple(victims)
