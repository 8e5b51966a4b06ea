"""Requests of the agent to its own engine: bounded in time and bytes, let in by a token that only its memory holds."""

from __future__ import annotations

import http.client
import os
import time
from contextlib import closing, suppress
from dataclasses import dataclass, field

from plinth_runtime.serving.ports import find_holder

TOKEN_HEADER = "x-plinth-agent"  # noqa: S105 a name

OK, NOT_FOUND, UNAVAILABLE = 200, 404, 503

READ_BYTES = 64 << 10
MOST_BYTES = 8 << 20
"""Of an answer. An engine's metrics are some hundred kilobytes; more is no answer."""

SCRAPE_SECONDS = 2.0
"""Scrapers give up after ten seconds, and they shall get our own figures in any case."""


@dataclass(frozen=True, slots=True)
class Target:
    """The engine's address, the group whose process must answer there, our token, and the model's name."""

    host: str
    port: int
    group: int
    token: str = field(default="", repr=False)
    model: str = ""


@dataclass(frozen=True, slots=True)
class Question:
    """One request to the engine."""

    path: str
    body: bytes | None = None


def ask(target: Target, question: Question, timeout: float) -> tuple[int | None, bytes]:
    """Return the HTTP status and body; None without a whole answer in time (seconds) and within MOST_BYTES."""
    deadline = time.monotonic() + timeout
    connection = http.client.HTTPConnection(reachable_host(target.host), target.port, timeout=timeout)
    headers = {"connection": "close", TOKEN_HEADER: target.token, "content-type": "application/json"}
    with closing(connection):
        try:
            connection.request("GET" if question.body is None else "POST", question.path, question.body, headers)
            answer = connection.getresponse()
            return answer.status, _read(answer, deadline)
        except (OSError, http.client.HTTPException):
            return None, b""


def _read(answer: http.client.HTTPResponse, deadline: float) -> bytes:
    body = bytearray()
    while chunk := answer.read1(READ_BYTES):
        body += chunk
        if len(body) > MOST_BYTES or time.monotonic() > deadline:
            raise TimeoutError
    if answer.length:  # the engine ended while it spoke
        raise http.client.IncompleteRead(bytes(body))
    return bytes(body)


def scrape(target: Target | None) -> bytes:
    """Return the engine's metrics as Prometheus text; empty if there is no engine or it does not tell in time."""
    status, text = (None, b"") if target is None else ask(target, Question("/metrics"), SCRAPE_SECONDS)
    return text if status == OK else b""


def reachable_host(host: str) -> str:
    """Turn the address to listen on into one to connect to: 'all' is reached over loopback."""
    return {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 compared, not bound


def belongs(target: Target) -> bool:
    """Say whether the listener is the engine, and not a stranger who was quicker. Unknown counts as yes."""
    holder = find_holder(target.port)
    with suppress(OSError):
        return holder is None or os.getpgid(holder.pid) == target.group
    return False
