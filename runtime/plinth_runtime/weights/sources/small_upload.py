"""An object of one part, or none, on its way into a store: kept in memory, stored in one request at the end."""

from __future__ import annotations

from collections.abc import Callable


class SmallUpload:
    """An `Upload`. `store` takes the content and its CRC32C, and raises SourceError."""

    def __init__(self, store: Callable[[bytes, int], None]) -> None:
        self._store = store
        self._content = b""

    def put_part(self, number: int, data: memoryview, crc32c: int) -> None:  # noqa: ARG002 the whole is checked
        """Keep the only part."""
        self._content = bytes(data)

    def complete(self, crc32c: int) -> None:
        """Store the object."""
        self._store(self._content, crc32c)

    def abort(self) -> None:
        """Forget the part."""
        self._content = b""
