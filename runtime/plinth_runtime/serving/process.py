"""One engine process and its guard, as the agent sees them: start, terminate, kill, and news on the inbox.

What the news means is decided elsewhere (`phases.py`, `deaths.py`, `states.py`).
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread

from plinth_runtime.serving import guard
from plinth_runtime.serving.command import EngineCommand
from plinth_runtime.serving.deaths import Exit
from plinth_runtime.serving.lines import LineSplitter
from plinth_runtime.serving.phases import says_nothing

READ_BYTES = 64 << 10
KEPT_LINES = 200
"""Lines kept for the diagnosis of a death. A Python traceback through vLLM has about a hundred."""

LAST_WORDS_SECONDS = 2.0
"""After the engine's end its output is read to the end; a stranger who holds the pipe open is not waited for longer."""

DEATH_ROUNDS, DEATH_PAUSE_SECONDS = 50, 0.1
"""How often a killed group is looked for, and the pause between. Its processes are ours to collect, as subreaper."""


@dataclass(frozen=True, slots=True)
class Listener:
    """Who wants to know: called from threads, so each must be quick and thread-safe."""

    line: Callable[[str], None]
    started: Callable[[int], None]
    ended: Callable[[Exit], None]


@dataclass(frozen=True, slots=True)
class Place:
    """Where an engine runs: its working directory, and the open lock file that its guard holds until the end."""

    folder: Path
    lock: int


@dataclass(eq=False)
class EngineProcess:
    """A running engine. `ended` is called exactly once, after its last line and when all its processes are gone."""

    guard_pid: int
    control: int
    listener: Listener
    pid: int | None = None
    tail: deque[str] = field(default_factory=lambda: deque(maxlen=KEPT_LINES))
    kills: int = 0
    guard_gone: bool = False

    @classmethod
    def start(cls, command: EngineCommand, place: Place, listener: Listener) -> EngineProcess:
        """Start the guard, which starts the engine. Raises OSError if not even the guard can be started."""
        control_in, control_out = os.pipe()
        status_in, status_out = os.pipe()
        output_in, output_out = os.pipe()
        argv = [sys.executable, "-I", "-S", "-B", guard.__file__, str(control_in), str(status_out), "--"]
        try:
            process = subprocess.Popen(
                [*argv, *command.argv],
                stdin=subprocess.DEVNULL,
                stdout=output_out,
                stderr=output_out,
                cwd=place.folder,
                env=dict(command.environment),
                pass_fds=(control_in, status_out, place.lock),
                start_new_session=True,
            )
        finally:
            for descriptor in (control_in, status_out, output_out):
                os.close(descriptor)
        process.returncode = 0  # the agent collects all its children itself, Popen must not
        engine = cls(process.pid, control_out, listener)
        reader = Thread(target=engine._read_output, args=(output_in,), name="engine-output", daemon=True)
        reader.start()
        Thread(target=engine._watch, args=(status_in, reader), name="engine-watch", daemon=True).start()
        return engine

    def note_possessions(self) -> None:
        """Let the guard note which shared memory the engine uses: a process that was killed can no longer be asked."""
        self._order(b"n")

    def terminate(self) -> None:
        """Ask the engine's first process to end; the others are its own business."""
        self._order(b"t")

    def kill(self) -> None:
        """End all processes of the engine. The first call is left to the guard, which tidies up; later ones are not."""
        self.kills += 1
        self._order(b"k")
        if self.kills > 1:
            self._kill_directly()

    def _order(self, order: bytes) -> None:
        with suppress(OSError):
            os.write(self.control, order)

    def _kill_directly(self) -> None:
        with suppress(OSError):
            if self.pid is not None:
                os.killpg(self.pid, signal.SIGKILL)
        if not self.guard_gone:
            with suppress(OSError):
                os.kill(self.guard_pid, signal.SIGKILL)

    def _finish_for_guard(self) -> None:
        """Do what a guard would have done that is gone without a word."""
        group = self.pid or self.guard_pid
        for _ in range(DEATH_ROUNDS):
            # Seen from here "ours" are the orphans that came to the agent, even those that left the group.
            if not guard.members(group):
                return
            guard.signal_all(group, signal.SIGKILL)
            time.sleep(DEATH_PAUSE_SECONDS)

    def _read_output(self, descriptor: int) -> None:
        splitter = LineSplitter()
        while chunk := os.read(descriptor, READ_BYTES):
            self._publish(splitter.feed(chunk))
        self._publish(splitter.flush())
        os.close(descriptor)

    def _publish(self, lines: list[str]) -> None:
        for line in lines:
            if not says_nothing(line):
                self.tail.append(line)
                self.listener.line(line)

    def _watch(self, descriptor: int, reader: Thread) -> None:
        end = Exit()
        with open(descriptor, encoding="ascii") as status:
            for line in status:
                word, number = line.split()
                if word == "pid":
                    self.pid = int(number)
                    self.listener.started(self.pid)
                else:
                    end = Exit(code=int(number)) if word == "exit" else Exit(signal_number=int(number))
        self.guard_gone = True
        if end == Exit():
            self._finish_for_guard()
        reader.join(LAST_WORDS_SECONDS)
        os.close(self.control)
        self.listener.ended(end)
