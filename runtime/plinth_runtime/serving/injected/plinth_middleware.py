# ruff: noqa: INP001 a folder for the PYTHONPATH, no package
"""The gate inside the engine's own server: which paths exist, who may call them, and no new work while draining.

Pure ASGI and standard library only. This file lives alone in its folder because that folder goes on the engine's
PYTHONPATH: whatever lay beside it could be imported by the engine instead of its own modules, and an import of ours
from here would drag our dependencies into the engine's environment.

The gate answers by itself or steps aside; it never wraps `send`, so a streamed token costs nothing.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

KEYS_VARIABLE = "PLINTH_KEYS_FILE"
DRAINING_VARIABLE = "PLINTH_DRAINING_FILE"
AGENT_VARIABLE = "PLINTH_AGENT_FILE"
RETRY_AFTER_SECONDS = 10

OPEN_PATHS = frozenset({"/health"})
"""Answered without a key: says nothing but yes or no."""

ALLOWED_PATHS = OPEN_PATHS | {
    "/metrics",
    "/v1/models",
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/responses",
    "/v1/messages",
    "/v1/messages/count_tokens",
    "/v1/embeddings",
}
"""Compared with the percent-decoded path, exactly. Everything else does not exist."""

AGENT_HEADER = b"x-plinth-agent"
PROBE_PREFIX = "/plinth/probe"
AGENT_PATHS = {"/metrics": "/metrics"} | {
    f"{PROBE_PREFIX}{path}": path for path in ("/v1/completions", "/v1/embeddings")
}
"""What the agent may ask for without a key, and what it gets. Its probes have paths of their own so that they can be
left out of the access log."""

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


class KeyRing:
    """Accepted keys, as sha256 hex digits read from a file, one a line. The file is read again when it changes."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._seen: tuple[int, int, int] | None = None
        self._hashes: tuple[bytes, ...] = ()

    def accepts(self, key: bytes) -> bool:
        """Compare with every hash, in a time that does not depend on which one agrees. No file: nobody enters."""
        self._refresh()
        digest = hashlib.sha256(key).hexdigest().encode()
        agreed = [hmac.compare_digest(digest, known) for known in self._hashes]
        return any(agreed)

    def _refresh(self) -> None:
        try:
            stat = os.stat(self._path)  # noqa: PTH116 once per request: a Path object would cost more than the call
            seen = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
            if seen == self._seen:
                return
            with open(self._path, encoding="ascii") as file:  # noqa: PTH123 as above
                lines = [line.strip().lower() for line in file]
        except (OSError, UnicodeDecodeError):
            self._seen, self._hashes = None, ()
            return
        self._seen = seen
        self._hashes = tuple(line.encode() for line in lines if line and not line.startswith("#"))


class PlinthMiddleware:
    """The first thing a request meets. Configured by the environment because the engine constructs it."""

    def __init__(self, app: Application, environment: Mapping[str, str] | None = None) -> None:
        environment = os.environ if environment is None else environment
        keys_file = environment.get(KEYS_VARIABLE)
        self._app = app
        self._keys = KeyRing(keys_file) if keys_file else None
        self._draining_file = environment.get(DRAINING_VARIABLE, "")
        agent_file = environment.get(AGENT_VARIABLE)
        self._agent = KeyRing(agent_file) if agent_file else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, or answer in the engine's place."""
        if scope["type"] == "http" and self._is_agent(scope):
            await self._app({**scope, "path": AGENT_PATHS[scope["path"]]}, receive, send)
        elif scope["type"] == "http":
            refusal = self._refuse(scope)
            if refusal is None:
                await self._app(scope, receive, send)
            else:
                await _answer(send, *refusal)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            await self._app(scope, receive, send)

    def _is_agent(self, scope: Scope) -> bool:
        if self._agent is None or scope["path"] not in AGENT_PATHS:
            return False
        token = next((value for name, value in scope["headers"] if name == AGENT_HEADER), b"")
        return bool(token) and self._agent.accepts(token)

    def _refuse(self, scope: Scope) -> tuple[int, str, str] | None:
        path = scope["path"]
        if path in OPEN_PATHS:
            return None
        # The key comes first: without one, nobody learns which paths exist.
        if self._keys is not None and not self._keys.accepts(_key(scope["headers"])):
            return 401, "invalid_api_key", "A valid key is needed: Authorization: Bearer KEY, or x-api-key: KEY."
        if path not in ALLOWED_PATHS:
            return 404, "not_found", "There is nothing at this path."
        if path != "/metrics" and self._draining_file and os.path.exists(self._draining_file):  # noqa: PTH110 per request
            return 503, "draining", "This server is ending; send the request to another one."
        return None


def _key(headers: list[tuple[bytes, bytes]]) -> bytes:
    for name, value in headers:
        if name == b"authorization" and value[:7].lower() == b"bearer ":
            return value[7:].strip()
        if name == b"x-api-key":
            return value.strip()
    return b""


async def _answer(send: Send, status: int, code: str, message: str) -> None:
    kind = {401: "authentication_error", 404: "invalid_request_error"}.get(status, "service_unavailable_error")
    error = {"message": message, "type": kind, "param": None, "code": code}
    body = json.dumps({"error": error}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if status == 401:  # noqa: PLR2004 the status is the name
        headers.append((b"www-authenticate", b"Bearer"))
    if status == 503:  # noqa: PLR2004 the status is the name
        headers.append((b"retry-after", str(RETRY_AFTER_SECONDS).encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
