"""The streams of a process: however many models are fetched at once, together they have one bound and share it fairly.

A permit is the right to one stream and the memory that its bytes go through, so the bound is one of memory too. Every
method may be called from any thread.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

from plinth_runtime.weights.neighbours import Neighbours
from plinth_runtime.weights.reader import Buffer
from plinth_runtime.weights.window import MAX_STREAMS


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

    @property
    def most(self) -> int:
        """The bound of this process at this moment."""
        return max(1, self._most // self._neighbours.count()) if self._neighbours else self._most

    def join(self) -> Share:
        """Begin a transfer."""
        share = Share(self)
        with self._lock:
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
            return self._spare.pop() if self._spare else Buffer()

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
            if self._neighbours is not None and not self._members:
                self._neighbours.leave()
