"""Digests of whole files: sha256, older stores' MD5s, git's names. What they prove is decided elsewhere."""

from __future__ import annotations

import base64
import hashlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from plinth_runtime.weights.sources import Checksums, RemoteObject

if TYPE_CHECKING:
    from hashlib import _Hash as Hash

CHUNK_BYTES = 1 << 20
UPLOAD_PART_MIB = (5, 8, 10, 16, 20, 32, 50, 64, 100, 128, 200, 256)
"""Sizes of parts that uploaders use; a multipart MD5 can only be checked with the one that was used."""


def sha256_of(path: Path, stopped: threading.Event | None = None) -> str:
    """Read a file once for its sha256, 64 hex digits. Raises InterruptedError if it is told to stop."""
    hasher = hashlib.sha256()
    for piece in _pieces(path):
        if stopped is not None and stopped.is_set():
            raise InterruptedError("told to stop")
        hasher.update(piece)
    return hasher.hexdigest()


@dataclass(frozen=True, slots=True)
class Found:
    """What was computed of a complete object. `md5`: whether its MD5 or git's name agrees; None: not known."""

    crc32c: int
    sha256: str | None = None
    md5: bool | None = None


def whole_faults(sums: Checksums, found: Found) -> tuple[str, ...]:
    """Compare an object with everything that is said of it as a whole."""
    faults = []
    if sums.crc32c is not None and sums.crc32c != found.crc32c:
        faults.append(f"expected CRC32C {sums.crc32c:08x}, found {found.crc32c:08x}")
    if sums.sha256 and found.sha256 and sums.sha256 != found.sha256:
        faults.append(f"expected sha256 {sums.sha256}, found {found.sha256}")
    if found.md5 is False:
        named = f"git's name {sums.git_sha1}" if sums.git_sha1 else f"MD5 {sums.md5}"
        faults.append(f"expected {named}, found another one")
    return tuple(faults)


def is_vouched(sums: Checksums, found: Found) -> bool:
    """Say whether anything but the bytes themselves said what the whole should be."""
    return sums.crc32c is not None or bool(sums.sha256 and found.sha256) or bool(found.md5)


class PassingDigest:
    """The MD5 or git's name of an object, taken while its bytes pass, where its store gives nothing better."""

    def __init__(self, target: RemoteObject) -> None:
        sums = target.checksums
        self._wanted = "" if has_better(sums) else sums.git_sha1 or (sums.md5 or "").lower()
        self._hasher = hashlib.md5(usedforsecurity=False)
        if sums.git_sha1:
            self._hasher = hashlib.sha1(b"blob %d\0" % target.size, usedforsecurity=False)

    def update(self, data: memoryview) -> None:
        """Take the next bytes."""
        if self._wanted:
            self._hasher.update(data)

    def agrees(self) -> bool | None:
        """Compare; None: there is nothing to compare with."""
        return self._hasher.hexdigest() == self._wanted if self._wanted else None


def has_better(sums: Checksums) -> bool:
    """Say whether a store gives a checksum that costs less than MD5 and says more."""
    return bool(sums.sha256 or sums.part_crc32c) or sums.crc32c is not None


def md5_agrees(path: Path, sums: Checksums) -> bool | None:
    """Compare a file with its MD5 or git's name of it.

    None: there is none, or it was made of parts whose size cannot be guessed.
    """
    if sums.git_sha1:
        named = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
        for piece in _pieces(path):
            named.update(piece)
        return named.hexdigest() == sums.git_sha1
    if sums.md5:
        hasher = hashlib.md5(usedforsecurity=False)
        for piece in _pieces(path):
            hasher.update(piece)
        return hasher.hexdigest() == sums.md5.lower()
    if sums.multipart_md5:
        size = path.stat().st_size
        wanted, _, count = sums.multipart_md5.rpartition("-")
        for part in (mib << 20 for mib in UPLOAD_PART_MIB):
            if str(-(-size // part)) == count and _multipart_md5(path, part) == wanted:
                return True
    return None


def _multipart_md5(path: Path, part_size: int) -> str:
    """Give base64 of the MD5 over the parts' MD5s."""
    whole = hashlib.md5(usedforsecurity=False)
    hasher, room = hashlib.md5(usedforsecurity=False), part_size
    for piece in _pieces(path):
        while piece:
            taken = piece[:room]
            hasher.update(taken)
            piece, room = piece[len(taken) :], room - len(taken)  # noqa: PLW2901 what is left of it
            if not room:
                _close(whole, hasher)
                hasher, room = hashlib.md5(usedforsecurity=False), part_size
    if room < part_size:
        _close(whole, hasher)
    return base64.b64encode(whole.digest()).decode()


def _close(whole: Hash, part: Hash) -> None:
    whole.update(part.digest())


def _pieces(path: Path) -> Iterator[memoryview]:
    buffer = memoryview(bytearray(CHUNK_BYTES))
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(buffer):
            yield buffer[:count]
