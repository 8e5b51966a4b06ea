"""The processes of one cluster, known by a file: whoever has the folder can end them, whoever started them.

A process is its id and the moment it started, so that a later process of the same id is never touched.
"""

import contextlib
import json
import os
import signal
import subprocess
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil
from cluster.errors import ClusterError
from support.project import alive as is_alive

END_SECONDS = 20


@dataclass(frozen=True)
class Process:
    """One process: `started` is in clock ticks since the machine's start, as the kernel counts it."""

    name: str
    pid: int
    started: int

    def alive(self):
        """Whether a thread of it runs, so that it holds its ports; a child of ours is collected."""
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, os.WNOHANG)
        state, threads, started = _state(self.pid)
        return started == self.started and (state not in "ZX" or threads > 1)

    def kill(self):
        """End it unless it is gone, and return its descendants: of a node they end too, a moment later."""
        if not self.alive():
            return []
        with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError):
            below = psutil.Process(self.pid).children(recursive=True)
            os.kill(self.pid, signal.SIGKILL)
            return below
        return []


def _state(pid):
    """(first thread's state, threads, start) of a process, from what follows its name; ("X", 0, 0): there is none."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return "X", 0, 0
    return fields[0], int(fields[17]), int(fields[19])


class Processes:
    """What runs for the cluster in a folder: a log each, and one list."""

    def __init__(self, folder):
        self._folder, self._list = folder, folder / "processes"
        self.children = []

    def start(self, name, command, **options):
        """Start a process in a session of its own; its output goes to `logs/NAME.log`."""
        with self.log(name).open("ab") as log:
            child = subprocess.Popen(
                command,
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                **options,
            )
        self.children.append(child)
        process = Process(name, child.pid, _state(child.pid)[2])
        with self._list.open("a") as file:
            file.write(json.dumps(asdict(process)) + "\n")
        return process

    def log(self, name):
        """Where a process writes."""
        return self._folder / "logs" / f"{name}.log"

    def all(self):
        """Every process ever started here, oldest first."""
        if not self._list.exists():
            return []
        return [Process(**json.loads(line)) for line in self._list.read_text().splitlines()]

    def find(self, name):
        """The living process of a name, or None."""
        return next((process for process in reversed(self.all()) if process.name == name and process.alive()), None)

    def wait_for(self, condition, seconds, what, needs=()):
        """Wait until a condition holds; a death of what it needs ends the wait at once."""
        deadline = time.monotonic() + seconds
        while not condition():
            dead = [process for process in needs if not process.alive()]
            if dead or time.monotonic() > deadline:
                reason = f"{dead[0].name} ended" if dead else f"not within {seconds} s: {what}"
                raise ClusterError(f"{reason}\n{self._last_words(dead or needs)}")
            time.sleep(0.1)

    def kill(self):
        """End all, newest first, and wait for it."""
        self.end(reversed(self.all()))
        for child in self.children:
            child.wait()

    def end(self, processes):
        """End some, and wait until they and what they started are gone."""
        left = list(processes)
        below = [descendant for process in left for descendant in process.kill()]
        gone = lambda: not any(p.alive() for p in left) and not any(map(is_alive, below))  # noqa: E731
        self.wait_for(gone, END_SECONDS, "the end of every process")

    def _last_words(self, processes):
        logs = [(process.name, self.log(process.name)) for process in processes]
        lines = [(name, log.read_text(errors="replace").splitlines()[-12:]) for name, log in logs if log.exists()]
        return "\n".join(f"--- {name}\n" + "\n".join(words) for name, words in lines)
