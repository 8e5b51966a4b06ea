"""Which ranges of an object are fetched, and what each must be. Pure."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from plinth_runtime.weights.sources import RemoteObject

PART_BYTES = 16 << 20
"""Large enough that a request costs nothing beside it, small enough that losing one costs little."""

MIN_PART_BYTES = 1 << 20
MAX_PART_BYTES = 64 << 20
BLOCK_BYTES = 4096
"""Parts begin at multiples of this, as direct writes to a disk want it."""


@dataclass(frozen=True, slots=True)
class Part:
    """One range of an object. `expected` is its CRC32C, if somebody published it."""

    number: int
    start: int
    length: int
    expected: int | None = None


def part_size_of(target: RemoteObject) -> int:
    """Choose the size of an object's parts: the published one where it can be used, so that each can be checked."""
    published = target.checksums.part_size
    usable = MIN_PART_BYTES <= published <= MAX_PART_BYTES and published % BLOCK_BYTES == 0
    return published if usable and target.checksums.part_crc32c else PART_BYTES


def plan_parts(target: RemoteObject) -> tuple[Part, ...]:
    """Cut an object into parts; the last is shorter, an empty object has none."""
    size = part_size_of(target)
    published = target.checksums.part_crc32c if size == target.checksums.part_size else ()
    return tuple(
        Part(number, start, min(size, target.size - start), published[number] if published else None)
        for number, start in enumerate(range(0, target.size, size))
    )


def identity_of(target: RemoteObject) -> str | None:
    """Name what makes two listings mean the same bytes: a digest, else the store's version. None: nothing does."""
    sums = target.checksums
    if sums.sha256:
        return f"sha256:{sums.sha256}"
    return f"etag:{target.etag}" if target.etag else None


def partial_key(target: RemoteObject) -> str | None:
    """Name the unfinished copy of an object, 32 hex digits; None if it could not be trusted by the next process."""
    identity = identity_of(target)
    if identity is None:
        return None
    text = "\0".join((target.name, str(target.size), identity, str(part_size_of(target))))
    return hashlib.sha256(text.encode()).hexdigest()[:32]
