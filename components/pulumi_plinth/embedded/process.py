"""Child processes of a run: started in their own groups, their lines relayed, none left behind.

A guard process holds the read end of a pipe from this process and the list of child groups: when the pipe closes
because this process was killed, it kills the groups. What a provider detached into its own session lives on.
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

OnLine = Callable[[str], None]
_STOP_SECONDS = 2.0
"""How long a child may take to end after SIGTERM before it is killed."""
_GUARD = """
import os, sys
live = set()
for line in sys.stdin:
    sign, group = line.split()
    (live.add if sign == "+" else live.discard)(int(group))
for group in live:
    try: os.killpg(group, 9)
    except OSError: pass
"""


class Guard:
    """Kills the registered process groups should this process die."""

    def __init__(self) -> None:
        command = [sys.executable, "-I", "-S", "-c", _GUARD]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True, text=True, cwd="/")
        self._lock = threading.Lock()

    def tell(self, sign: str, group: int) -> None:
        """`+` watch a group, `-` forget it."""
        if self._process.stdin:
            with self._lock, contextlib.suppress(BrokenPipeError):
                print(sign, group, file=self._process.stdin, flush=True)

    def close(self) -> None:
        """End the guard; groups still registered are killed by it."""
        if self._process.stdin:
            self._process.stdin.close()
        self._process.wait()


class Child:
    """One child process in its own group."""

    def __init__(self, guard: Guard, command: Sequence[str], cwd: Path, env: Mapping[str, str]) -> None:
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            command, cwd=cwd, env=dict(env), stdin=pipe, stdout=pipe, stderr=pipe, process_group=0
        )
        self._guard, self.pid = guard, self._process.pid
        guard.tell("+", self.pid)
        self._readers: list[threading.Thread] = []

    def relay(self, on_line: OnLine, *, first_line: bool = False) -> queue.SimpleQueue[str]:
        """Send each line of stdout and stderr to `on_line` as it comes.

        With `first_line`, the first line of stdout goes to the returned queue instead (empty: there was none).
        """
        first: queue.SimpleQueue[str] = queue.SimpleQueue()

        def read_out() -> None:
            if first_line:
                first.put(self._process.stdout.readline().decode(errors="replace").strip())  # type: ignore[union-attr]
            _pump(self._process.stdout, on_line)

        for target in (read_out, lambda: _pump(self._process.stderr, on_line)):
            thread = threading.Thread(target=target, daemon=True)
            thread.start()
            self._readers.append(thread)
        return first

    def send(self, line: str) -> None:
        """Write one line to the child's stdin and close it."""
        if self._process.stdin:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.write(line.encode() + b"\n")
                self._process.stdin.close()

    def exit_code(self) -> int | None:
        """Return the exit status, or None while it runs."""
        return self._process.poll()

    def wait(self, timeout: float | None = None) -> int | None:
        """Wait for the end; None when it did not come in time."""
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            return None

    def stop(self) -> None:
        """End the whole group: SIGTERM, then SIGKILL."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGTERM)
        self.wait(_STOP_SECONDS)
        self.kill()
        for reader in self._readers:
            reader.join(timeout=_STOP_SECONDS)
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe and not any(reader.is_alive() for reader in self._readers):
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
        self._guard.tell("-", self.pid)

    def kill(self) -> None:
        """End the whole group at once."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()


def _pump(stream: object, on_line: OnLine) -> None:
    for raw in iter(stream.readline, b""):  # type: ignore[attr-defined]
        on_line(raw.decode(errors="replace").rstrip("\r\n"))
