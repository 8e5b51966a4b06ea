"""Fetching in child processes: `plinth-runtime fetch`, a few at a time, each ended within seconds when asked to.

A child, because its memory is given back, its store's libraries are loaded for one fetch only, its secrets die with it,
and a signal ends it whatever it waits for. What it says is JSON lines; what it ends with is one JSON object.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from plinth_runtime.contract.model_names import ModelKey
from plinth_runtime.contract.model_status import NodeProgress
from plinth_runtime.node.declaration import CACHE
from plinth_runtime.node.shelves import describe
from plinth_runtime.node.tasks import Arrived, Failure, FetchTask, Report

COMMAND = (sys.executable, "-c", "from plinth_runtime.cli import main; main()", "fetch")
GRACE_SECONDS = 1.5
"""From the request to end to the kill; what has arrived is kept either way."""

MESSAGE_LIMIT = 400
UNVERIFIED = 4


class ChildFetcher:
    """Runs at most `capacity` fetches at once, in the order in which they were asked for."""

    def __init__(
        self, root: Path, report: Callable[[Report], None], capacity: int = 2, command: Sequence[str] = COMMAND
    ) -> None:
        self._cache = root / CACHE
        self._report = report
        self._command = tuple(command)
        self._tasks: queue.SimpleQueue[_Run | None] = queue.SimpleQueue()
        self._runs: dict[ModelKey, _Run] = {}
        self._lock = threading.Lock()
        self._workers = [threading.Thread(target=self._work, daemon=True) for _ in range(capacity)]
        for worker in self._workers:
            worker.start()

    def start(self, task: FetchTask) -> None:
        """Queue a fetch in place of the model's last one."""
        run = _Run(task)
        with self._lock:
            last, self._runs[task.key] = self._runs.get(task.key), run
        if last is not None:
            last.stop()
        self._tasks.put(run)

    def cancel(self, key: ModelKey) -> None:
        """End a fetch."""
        with self._lock:
            run = self._runs.pop(key, None)
        if run is not None:
            run.stop()

    def close(self) -> None:
        """End all fetches and threads."""
        for key in list(self._runs):
            self.cancel(key)
        for _ in self._workers:
            self._tasks.put(None)
        for worker in self._workers:
            worker.join(GRACE_SECONDS * 2)

    def _work(self) -> None:
        while (run := self._tasks.get()) is not None:
            if self._is_wanted(run):
                self._tell(run, None)
                news = self._perform(run)
                self._tell(run, news)
            with self._lock:
                if self._runs.get(run.task.key) is run:
                    del self._runs[run.task.key]

    def _perform(self, run: _Run) -> Arrived | Failure:
        task = run.task
        arguments = (task.address, "--to", task.link, "--cache", str(self._cache), "--json", "--progress", "json")
        try:
            child = subprocess.Popen(
                (*self._command, *arguments),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env={**os.environ, **task.environment},
            )
        except OSError as error:
            return Failure("Internal", f"the fetch could not be started: {error.strerror}", retryable=True)
        with child:
            run.runs(child)
            last = self._follow(run, child)
            answer = child.stdout.read() if child.stdout else ""
        return outcome(task, child.returncode, answer, last)

    def _follow(self, run: _Run, child: subprocess.Popen[str]) -> str:
        """Report progress until the child closes its mouth; gives the last line that was none."""
        last = ""
        for line in child.stderr or ():
            progress = read_progress(line)
            if progress is None:
                last = line.strip() or last
            else:
                self._tell(run, progress)
        return last

    def _tell(self, run: _Run, news: NodeProgress | Arrived | Failure | None) -> None:
        if self._is_wanted(run):
            self._report(Report(run.task.key, run.task.declared, news))

    def _is_wanted(self, run: _Run) -> bool:
        with self._lock:
            return self._runs.get(run.task.key) is run


class _Run:
    """One fetch and, once it runs, its process."""

    def __init__(self, task: FetchTask) -> None:
        self.task = task
        self._child: subprocess.Popen[str] | None = None
        self._stopped = False
        self._lock = threading.Lock()

    def runs(self, child: subprocess.Popen[str]) -> None:
        """Take the process, and end it if it is not wanted any more."""
        with self._lock:
            self._child = child
            stopped = self._stopped
        if stopped:
            _end(child)

    def stop(self) -> None:
        """Ask the process to end; kill it if it does not."""
        with self._lock:
            self._stopped = True
            child = self._child
        if child is not None:
            _end(child)


def outcome(task: FetchTask, code: int, answer: str, last_words: str) -> Arrived | Failure:
    """Read how a fetch ended."""
    try:
        row: dict[str, Any] = json.loads(answer.strip().splitlines()[-1])
    except (ValueError, IndexError):
        words = f"the fetch ended with {code}: {last_words}"
        return Failure("Internal", words[:MESSAGE_LIMIT], retryable=True)
    if code in (0, UNVERIFIED) and "manifest" in row:
        folder = Path(row["folder"])
        verified = row["state"] == "verified"
        return Arrived(task.address, task.link, str(folder), row["manifest"], row["bytes"], verified, describe(folder))
    words = f"{row.get('message', '')}. {row.get('advice', '')}".strip()
    return Failure(reason_word(str(row.get("state", "internal"))), words[:MESSAGE_LIMIT], bool(row.get("retryable")))


def reason_word(cause: str) -> str:
    """Write a cause as Kubernetes writes reasons: no-space is NoSpace."""
    return "".join(part.capitalize() for part in cause.split("-"))


def read_progress(line: str) -> NodeProgress | None:
    """Read one line of a child; None if it is no progress."""
    if not line.startswith("{"):
        return None
    with suppress(ValueError, KeyError, TypeError):
        row = json.loads(line)
        return NodeProgress(
            bytes_done=row["bytesDone"], bytes_total=row["bytesTotal"], bytes_per_second=row["bytesPerSecond"]
        )
    return None


def _end(child: subprocess.Popen[str]) -> None:
    """End a process without waiting here: a thread kills it when its time is over."""
    child.terminate()
    killer = threading.Timer(GRACE_SECONDS, child.kill)
    killer.daemon = True
    killer.start()
