"""The streams of a process: however many models are fetched at once, together they have one bound and share it fairly.

A permit is the right to one stream and the memory that its bytes go through, so the bound is one of memory too. Every
method may be called from any thread.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

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
    """All streams of a process: at most so many at once."""

    def __init__(self, most: int = MAX_STREAMS) -> None:
        self.most = most
        self._lock = threading.Lock()
        self._members: list[Share] = []
        self._spare: list[Buffer] = []
        self._held = 0

    def join(self) -> Share:
        """Begin a transfer."""
        share = Share(self)
        with self._lock:
            self._members.append(share)
        return share

    def take(self, share: Share) -> Buffer | None:
        """Give a permit: nobody gets more than an equal part while another transfer has less and wants more."""
        with self._lock:
            part = max(1, self.most // max(1, len(self._members)))
            others_wait = any(other.hungry for other in self._members if other is not share)
            if self._held >= self.most or (share.held >= part and others_wait):
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
