"""Asking the engine whether it is well, again and again, from a thread; only changes are reported."""

from __future__ import annotations

import http.client
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from threading import Event as Flag
from threading import Thread

from plinth_runtime.serving.ports import find_holder

STARTING_PERIOD_SECONDS = 0.25
READY_PERIOD_SECONDS = 5.0
TIMEOUT_SECONDS = 5.0
PATIENCE = 3
"""Probes without an answer in a row before an engine counts as unreachable: a busy one may miss one or two."""

OK, UNAVAILABLE = 200, 503


@dataclass(frozen=True, slots=True)
class Target:
    """The engine's address, and the group whose process must be the one that answers there."""

    host: str
    port: int
    group: int


def ask(host: str, port: int, timeout: float = TIMEOUT_SECONDS) -> int | None:
    """Return the HTTP status of GET /health, None without an answer."""
    connection = http.client.HTTPConnection(reachable_host(host), port, timeout=timeout)
    try:
        connection.request("GET", "/health", headers={"connection": "close"})
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def reachable_host(host: str) -> str:
    """Turn the address to listen on into one to connect to: 'all' is reached over loopback."""
    return {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 compared, not bound


def belongs(target: Target) -> bool:
    """Say whether the listener is the engine, and not a stranger who was quicker. Unknown counts as yes."""
    holder = find_holder(target.port)
    with suppress(OSError):
        return holder is None or os.getpgid(holder.pid) == target.group
    return False


class Verdicts:
    """Turns single answers into changes of opinion. Pure."""

    def __init__(self) -> None:
        self.healthy = False
        self._misses = 0

    def take(self, status: int | None) -> bool | None:
        """Return the new opinion if this answer changed it."""
        before = self.healthy
        if status == OK:
            self.healthy, self._misses = True, 0
        else:
            self._misses = PATIENCE if status == UNAVAILABLE else self._misses + 1
            self.healthy = self.healthy and self._misses < PATIENCE
        return self.healthy if self.healthy is not before else None


class Prober:
    """Probes one engine until told to stop."""

    def __init__(self, target: Target, report: Callable[[bool], None]) -> None:
        self._target = target
        self._report = report
        self._stopped = Flag()
        Thread(target=self._run, name="probe", daemon=True).start()

    def stop(self) -> None:
        """End at the next occasion; a probe under way is not reported any more."""
        self._stopped.set()

    def _run(self) -> None:
        verdicts = Verdicts()
        known = False
        while not self._stopped.wait(READY_PERIOD_SECONDS if verdicts.healthy else STARTING_PERIOD_SECONDS):
            status = ask(self._target.host, self._target.port)
            if status == OK and not known:
                known = belongs(self._target)
                status = OK if known else None
            change = verdicts.take(status)
            if change is not None and not self._stopped.is_set():
                self._report(change)
