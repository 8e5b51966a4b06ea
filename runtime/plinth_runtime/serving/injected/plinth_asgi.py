# ruff: noqa: INP001 a folder for the PYTHONPATH, no package
"""What the gate and `/generate` have in common: ASGI's types, an answer, a bounded body. Standard library only."""

from __future__ import annotations

import asyncio
import json
import re
import uuid
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

REQUEST_ID = re.compile(rb"[!-~]{1,128}")
"""A caller's own id is kept if it is short and printable: it ends up in headers and logs."""


@dataclass(frozen=True)
class Bounds:
    """How large a request's body may be, in bytes, and how long it may take to arrive, in seconds."""

    body_bytes: int
    body_seconds: float


class TooLargeError(Exception):
    """The body is larger than allowed."""


class TooSlowError(Exception):
    """The body did not arrive in time."""


class GoneError(Exception):
    """The client left before its request was complete."""


def header(scope: Scope, name: bytes) -> bytes:
    """Return a header's first value, empty if there is none."""
    return next((value for key, value in scope["headers"] if key == name), b"")


def request_id(scope: Scope) -> bytes:
    """Return the caller's id of the request, or a new one."""
    given = header(scope, b"x-request-id")
    return given if REQUEST_ID.fullmatch(given) else uuid.uuid4().hex.encode()


async def answer(scope: Scope, send: Send, status: int, body: Any, extra: Headers | None = None) -> None:
    """Answer with JSON."""
    text = json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(text)).encode()),
        (b"x-request-id", request_id(scope)),
        *(extra or []),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if scope.get("method") == "HEAD" else text})


async def read_body(scope: Scope, receive: Receive, bounds: Bounds) -> bytes:
    """Receive the whole body. Raises TooLargeError as soon as that is known, TooSlowError and GoneError."""
    declared = header(scope, b"content-length")
    if declared.isdigit() and int(declared) > bounds.body_bytes:
        raise TooLargeError
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(bounds.body_seconds):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise GoneError
                chunk = message.get("body", b"")
                chunks.append(chunk)
                size += len(chunk)
                if size > bounds.body_bytes:
                    raise TooLargeError
                if not message.get("more_body", False):
                    return b"".join(chunks)
    except TimeoutError as error:
        raise TooSlowError from error


def replay(body: bytes, receive: Receive) -> Receive:
    """Give a `receive` that hands the body out once and then listens to the client again."""
    first: list[bytes] = [body]

    async def again() -> Message:
        if first:
            return {"type": "http.request", "body": first.pop(), "more_body": False}
        return await receive()

    return again
