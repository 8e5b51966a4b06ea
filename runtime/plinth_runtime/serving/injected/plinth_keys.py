# ruff: noqa: INP001 a folder for the PYTHONPATH, no package
"""Who may enter: keys, known by their hashes only. Standard library only."""

from __future__ import annotations

import hashlib
import hmac
import os


class KeyRing:
    """Accepted keys, as sha256 hex digits read from a file, one a line. The file is read again when it changes."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._seen: tuple[int, int, int] | None = None
        self._hashes: tuple[bytes, ...] = ()

    def accepts(self, key: bytes) -> bool:
        """Compare with every hash, in a time that does not depend on which one agrees. No file: nobody enters."""
        self._refresh()
        digest = hashlib.sha256(key).hexdigest().encode()
        agreed = [hmac.compare_digest(digest, known) for known in self._hashes]
        return any(agreed)

    def _refresh(self) -> None:
        try:
            stat = os.stat(self._path)  # noqa: PTH116 once per request: a Path object would cost more than the call
            seen = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
            if seen == self._seen:
                return
            with open(self._path, encoding="ascii") as file:  # noqa: PTH123 as above
                lines = [line.strip().lower() for line in file]
        except (OSError, UnicodeDecodeError):
            self._seen, self._hashes = None, ()
            return
        self._seen = seen
        self._hashes = tuple(line.encode() for line in lines if line and not line.startswith("#"))
