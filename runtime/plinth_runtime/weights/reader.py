"""The hot path: one part from a stream into a file, its CRC32C on the way. Nothing is decided and nothing retried here.

The bytes go from the socket into a reused, page-aligned buffer, are hashed there while the processor's cache has them,
and are written from it.
"""

from __future__ import annotations

import ctypes
import mmap
from collections.abc import Callable
from dataclasses import dataclass

import google_crc32c

from plinth_runtime.weights.disk import PartialFile
from plinth_runtime.weights.parts import Part
from plinth_runtime.weights.sources import RemoteObject, Session, TransientError

BUFFER_BYTES = 1 << 20
"""Of one stream. The first ones of a process are larger where the bound of memory allows it (`streams.py`)."""

BUFFERED_WRITE_BYTES = 256 << 10
"""Larger buffered writes leave the processor's cache before the kernel has copied them."""

LEND_BYTES = 64 << 10
"""Smaller pieces are copied for the hash: to lend memory, ctypes makes a type for every length."""


@dataclass(frozen=True, slots=True)
class Pulled:
    """A part that arrived whole: its CRC32C, and the version it belongs to if the store named one."""

    crc32c: int
    etag: str | None


class Buffer:
    """Page-aligned memory of one stream, of so many bytes."""

    def __init__(self, size: int = BUFFER_BYTES) -> None:
        self._memory = mmap.mmap(-1, size)
        self.view = memoryview(self._memory)


def extend_crc(crc: int, data: memoryview) -> int:
    """Continue a CRC32C over more bytes."""
    if data.readonly or len(data) < LEND_BYTES:
        crc = google_crc32c.extend(crc, bytes(data))
    else:
        # The hash refuses a memoryview, whose memory would have to be released; an array of ctypes needs no release.
        crc = google_crc32c.extend(crc, (ctypes.c_ubyte * len(data)).from_buffer(data))
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
    chunk = len(buffer.view) if file.is_direct else BUFFERED_WRITE_BYTES
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
