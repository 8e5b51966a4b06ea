"""The hot path: one part from a stream into a file, its CRC32C on the way. Nothing is decided and nothing retried here.

The bytes go from the socket into a reused, page-aligned buffer, are hashed there while the processor's cache has them,
and are written from it.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable
from dataclasses import dataclass

import google_crc32c

from plinth_runtime.weights.disk import PartialFile
from plinth_runtime.weights.parts import Part
from plinth_runtime.weights.sources import RemoteObject, Session, TransientError

BUFFER_BYTES = 1 << 20
BUFFERED_WRITE_BYTES = 256 << 10
"""Larger buffered writes leave the processor's cache before the kernel has copied them."""

HASH_BYTES = 64 << 10
"""The hash wants bytes of its own. A copy of this size costs as little as a larger one, for each stream."""


@dataclass(frozen=True, slots=True)
class Pulled:
    """A part that arrived whole: its CRC32C, and the version it belongs to if the store named one."""

    crc32c: int
    etag: str | None


class Buffer:
    """Page-aligned memory of one stream."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, BUFFER_BYTES)
        self.view = memoryview(self._memory)

    def close(self) -> None:
        """Give the memory back."""
        self.view.release()
        self._memory.close()


def extend_crc(crc: int, data: memoryview) -> int:
    """Continue a CRC32C over more bytes."""
    for start in range(0, len(data), HASH_BYTES):
        crc = google_crc32c.extend(crc, bytes(data[start : start + HASH_BYTES]))
    return crc


def pull(
    session: Session, target: RemoteObject, part: Part, into: tuple[PartialFile, Buffer], arrived: Callable[[int], None]
) -> Pulled:
    """Fetch one part into its place. Raises SourceError; then nothing of the part counts. `arrived` hears of bytes."""
    body = session.open_range(target, part.start, part.length)
    try:
        crc = _pour(body.readinto, part, into, arrived)
    finally:
        body.close()
    return Pulled(crc, body.etag)


def _pour(
    read: Callable[[memoryview], int], part: Part, into: tuple[PartialFile, Buffer], arrived: Callable[[int], None]
) -> int:
    file, buffer = into
    chunk = BUFFER_BYTES if file.is_direct else BUFFERED_WRITE_BYTES
    crc = done = 0
    while done < part.length:
        wanted = buffer.view[: min(chunk, part.length - done)]
        filled = 0
        while filled < len(wanted):
            count = read(wanted[filled:])
            if not count:
                raise TransientError(f"the body ended after {done + filled} of {part.length} bytes")
            filled += count
            arrived(count)
        crc = extend_crc(crc, wanted)
        file.write(wanted, part.start + done)
        done += filled
    return crc
