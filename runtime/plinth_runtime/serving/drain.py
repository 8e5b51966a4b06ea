"""Waits until the gate of an engine has no request open: only then may the engine be told to end.

vLLM aborts requests that reach its core after SIGTERM, and what their clients get looks like a complete answer.
The gate counts a request from the moment it is let in, so none is overlooked on its way to the core.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from threading import Event as Flag
from threading import Thread

from plinth_runtime.serving.command import OPEN_PATH
from plinth_runtime.serving.engine_http import OK, Question, Target, ask

PERIOD_SECONDS = 0.1
ANSWER_SECONDS = 2.0


def count_open(target: Target) -> int | None:
    """Ask the gate how many requests are open; None when it does not say."""
    status, body = ask(target, Question(OPEN_PATH), ANSWER_SECONDS)
    return int(json.loads(body)["open"]) if status == OK else None


class QuietWatch:
    """Reports once, when no request is open any more; never for an engine that does not answer."""

    def __init__(self, target: Target, report: Callable[[], None]) -> None:
        self._target, self._report = target, report
        self._stopped = Flag()
        Thread(target=self._run, name="drain", daemon=True).start()

    def stop(self) -> None:
        """End at the next occasion."""
        self._stopped.set()

    def _run(self) -> None:
        while not self._stopped.is_set():
            if count_open(self._target) == 0:
                self._report()
                return
            self._stopped.wait(PERIOD_SECONDS)
