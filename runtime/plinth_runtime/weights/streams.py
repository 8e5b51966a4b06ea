"""The streams of a process: however many models are fetched at once, together they have one bound and share it fairly.

A permit is the right to one stream and the memory that its bytes go through, so the bound is one of memory too. Every
method may be called from any thread.
"""

from __future__ import annotations

import mmap
import threading
from dataclasses import dataclass
from pathlib import Path

from plinth_runtime.weights.neighbours import Neighbours
from plinth_runtime.weights.reader import BUFFER_BYTES, Buffer
from plinth_runtime.weights.window import MAX_STREAMS

ROOM_BYTES = 52 << 20
"""The program, and what its first buffers have beyond the usual size, fit into this; 64 MB and 1 MiB a stream are
promised, and a transfer itself needs some.
"""

LARGE_BUFFERS = 8
LARGE_BUFFER_BYTES = 4 << 20
"""Writes of 3 instead of 1 MiB take a sixth less of a fetch's CPU; longer ones gain little more."""


@dataclass(eq=False, slots=True)
class Share:
    """What one transfer has of the streams. `hungry`: it was refused one although it has less than its part."""

    streams: Streams
    held: int = 0
    hungry: bool = False

    def take(self) -> Buffer | None:
        """Take a permit, if there is one for this transfer now."""
        return self.streams.take(self)

    def give_back(self, buffer: Buffer) -> None:
        """Give a permit back."""
        self.streams.give_back(self, buffer)

    def leave(self) -> None:
        """Want no more; permits that are still held may come back later."""
        self.streams.leave(self)


class Streams:
    """All streams of a process: at most so many at once, and with `neighbours` at most so many in all of them."""

    def __init__(self, most: int = MAX_STREAMS, neighbours: Neighbours | None = None) -> None:
        self._most = most
        self._neighbours = neighbours
        self._lock = threading.Lock()
        self._members: list[Share] = []
        self._spare: list[Buffer] = []
        self._held = 0
        self._large = BUFFER_BYTES

    @property
    def most(self) -> int:
        """The bound of this process at this moment."""
        return max(1, self._most // self._neighbours.count()) if self._neighbours else self._most

    def join(self) -> Share:
        """Begin a transfer."""
        share = Share(self)
        with self._lock:
            if not self._members:
                self._large = large_buffer_bytes(resident_bytes())
            self._members.append(share)
        return share

    def take(self, share: Share) -> Buffer | None:
        """Give a permit: nobody gets more than an equal part while another transfer has less and wants more."""
        with self._lock:
            most = self.most
            part = max(1, most // max(1, len(self._members)))
            others_wait = any(other.hungry for other in self._members if other is not share)
            if self._held >= most or (share.held >= part and others_wait):
                share.hungry = share.held < part
                return None
            share.hungry = False
            share.held += 1
            self._held += 1
            return self._spare.pop() if self._spare else Buffer(self._buffer_bytes())

    def give_back(self, share: Share, buffer: Buffer) -> None:
        """Take a permit back."""
        with self._lock:
            share.held -= 1
            self._held -= 1
            self._spare.append(buffer)

    def leave(self, share: Share) -> None:
        """End a transfer."""
        with self._lock:
            share.hungry = False
            self._members.remove(share)
            if self._members:
                return
            self._spare.clear()
            if self._neighbours is not None:
                self._neighbours.leave()

    def _buffer_bytes(self) -> int:
        """Choose the size of one more buffer when every other one is held."""
        return self._large if self._held <= LARGE_BUFFERS else BUFFER_BYTES


def large_buffer_bytes(resident: int) -> int:
    """Give the size of the first buffers of a program that has so much memory: its room, shared between them."""
    share = BUFFER_BYTES + (ROOM_BYTES - resident) // LARGE_BUFFERS
    return max(BUFFER_BYTES, min(LARGE_BUFFER_BYTES, share)) // mmap.PAGESIZE * mmap.PAGESIZE


def resident_bytes() -> int:
    """Read how much memory this process has."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * mmap.PAGESIZE
