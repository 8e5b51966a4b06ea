"""Where the server's lines go: standard output, or a file of bounded size. Writing never holds up the agent."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from queue import Empty, Full, Queue
from threading import Thread
from typing import Protocol

FILE_LIMIT_BYTES = 10 << 20
FILES_KEPT = 3
"""The present file and two older ones."""

WAITING_LINES = 2000
"""Lines not written yet. When full, the engine waits, as it would on a terminal, and the agent's lines are dropped."""

CLOSE_SECONDS = 1.0


class Sink(Protocol):
    """Takes finished bytes; may be slow, may fail."""

    def write(self, data: bytes) -> None:
        """Write all of it."""


class StreamSink:
    """An open descriptor, usually standard output."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def write(self, data: bytes) -> None:
        """Write all of it."""
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]


class RotatingFile:
    """A file that becomes `name.1` when full, `name.1` becomes `name.2`, and so on up to the number kept."""

    def __init__(self, path: Path, limit: int = FILE_LIMIT_BYTES, kept: int = FILES_KEPT) -> None:
        self._path, self._limit, self._kept = path, limit, kept
        self._file = path.open("ab", buffering=0)
        path.chmod(0o600)

    def write(self, data: bytes) -> None:
        """Write all of it, in a new file if it would not fit."""
        if self._file.tell() + len(data) > self._limit and self._file.tell():
            self._rotate()
        self._file.write(data)

    def close(self) -> None:
        """Close the present file."""
        self._file.close()

    def _rotate(self) -> None:
        self._file.close()
        for number in range(self._kept - 1, 0, -1):
            older = self._numbered(number - 1)
            if older.exists():
                older.replace(self._numbered(number))
        self._file = self._path.open("ab", buffering=0)
        self._path.chmod(0o600)

    def _numbered(self, number: int) -> Path:
        return self._path if number == 0 else self._path.with_name(f"{self._path.name}.{number}")


class Log:
    """A queue of lines and the thread that writes them."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._waiting: Queue[str | None] = Queue(WAITING_LINES)
        self._thread = Thread(target=self._write_all, name="log", daemon=True)
        self._thread.start()

    def pass_on(self, line: str) -> None:
        """Take a line of the engine; waits while the queue is full."""
        self._waiting.put(line)

    def say(self, line: str) -> None:
        """Take a line of the agent; never waits."""
        with suppress(Full):
            self._waiting.put_nowait(f"plinth: {line}")

    def close(self) -> None:
        """Write what is left, for a bounded time."""
        with suppress(Full):
            self._waiting.put(None, timeout=CLOSE_SECONDS)
        self._thread.join(CLOSE_SECONDS)

    def _write_all(self) -> None:
        while True:
            lines = [self._waiting.get()]
            with suppress(Empty):
                while len(lines) < WAITING_LINES:
                    lines.append(self._waiting.get_nowait())
            text = "".join(f"{line}\n" for line in lines if line is not None)
            # A closed pipe or a full disk must not end the server.
            with suppress(OSError):
                self._sink.write(text.encode())
            if None in lines:
                return
