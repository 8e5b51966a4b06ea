"""A stream of bytes as lines of bounded length. Pure, except that it remembers the unfinished line."""

from __future__ import annotations

LINE_LIMIT_BYTES = 8 << 10
"""Longer lines are cut; vLLM prints its whole configuration as one line of about 4 KiB."""

CUT_MARK = b" ...(cut)"


class LineSplitter:
    """Feeds on chunks, gives whole lines. A carriage return ends a line too, as progress bars use it."""

    def __init__(self, limit: int = LINE_LIMIT_BYTES) -> None:
        self._limit = limit
        self._rest = bytearray()
        self._cut = False

    def feed(self, chunk: bytes) -> list[str]:
        """Take what was read, return the lines it completed, without their ends; empty ones are left out."""
        *whole, rest = chunk.replace(b"\r", b"\n").split(b"\n")
        lines = []
        for piece in whole:
            self._append(piece)
            lines.append(self._take())
        self._append(rest)
        return [line for line in lines if line]

    def flush(self) -> list[str]:
        """Return the unfinished line, at the end of the stream."""
        line = self._take()
        return [line] if line else []

    def _append(self, piece: bytes) -> None:
        room = self._limit - len(self._rest)
        self._rest += piece[:room]
        self._cut = self._cut or len(piece) > room

    def _take(self) -> str:
        line = bytes(self._rest) + (CUT_MARK if self._cut else b"")
        self._rest.clear()
        self._cut = False
        return line.decode(errors="replace").rstrip()
