# ruff: noqa: INP001 a folder for the PYTHONPATH, no package
"""The gate inside the engine's own server: which paths exist, who may call them, how much at once, and when no more.

Pure ASGI and standard library only. These files live alone in their folder because that folder goes on the engine's
PYTHONPATH: whatever lay beside them could be imported by the engine instead of its own modules, and an import of ours
from here would drag our dependencies into the engine's environment.

The gate answers by itself or steps aside; it never wraps `send`, so a streamed token costs nothing.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from typing import NamedTuple

import plinth_idle
from plinth_asgi import (
    Application,
    Bounds,
    GoneError,
    Headers,
    Receive,
    Scope,
    Send,
    TooLargeError,
    TooSlowError,
    answer,
    header,
    read_body,
    replay,
)
from plinth_generate import HEALTH_PATH, PATH, Generate
from plinth_keys import KeyRing
from plinth_routes import Use, paths_for

KEYS_VARIABLE = "PLINTH_KEYS_FILE"
DRAINING_VARIABLE = "PLINTH_DRAINING_FILE"
AGENT_VARIABLE = "PLINTH_AGENT_FILE"
BODY_VARIABLE = "PLINTH_MAX_BODY_BYTES"
OPEN_VARIABLE = "PLINTH_MAX_OPEN_REQUESTS"
MODEL_VARIABLE, LENGTH_VARIABLE = "PLINTH_GENERATE_MODEL", "PLINTH_GENERATE_LENGTH"
"""Set when `/generate` is to be there: the model's name and its longest context."""

DEFAULT_BODY_BYTES = 8 << 20
BODY_SECONDS = 30.0
"""For a request's body to arrive; a client that drips it is not waited for."""

DRAIN_RETRY_SECONDS = 10
QUEUE_RETRY_SECONDS = 1

LISTED_PATHS, WORK_PATHS = paths_for(Use.LISTING), paths_for(Use.WORK)

AGENT_HEADER = b"x-plinth-agent"
OPEN_PATH = "/plinth/open"
"""Answered by the gate itself: how many requests are open. The agent waits for none before it ends the engine."""

PROBE_PREFIX = "/plinth/probe"
AGENT_PATHS = {path: path for path in paths_for(Use.INSIDE)} | {
    f"{PROBE_PREFIX}{path}": path for path in ("/v1/completions", "/v1/embeddings", "/v1/score")
}
"""What the agent may ask for without a key, and what it gets. Its probes have paths of their own so that they can be
left out of the access log."""


class Refusal(NamedTuple):
    """Why a request goes no further, in the words of OpenAI's errors."""

    status: int
    code: str
    message: str
    headers: tuple[tuple[bytes, bytes], ...] = ()


KINDS = {
    401: "authentication_error",
    404: "invalid_request_error",
    408: "invalid_request_error",
    413: "invalid_request_error",
    429: "rate_limit_error",
    503: "service_unavailable_error",
}
NO_KEY = Refusal(
    401,
    "invalid_api_key",
    "A valid key is needed: Authorization: Bearer KEY, or x-api-key: KEY.",
    ((b"www-authenticate", b"Bearer"),),
)
NO_PATH = Refusal(404, "not_found", "There is nothing at this path.")
ENDING = Refusal(
    503,
    "draining",
    "This server is ending; send the request to another one.",
    ((b"retry-after", str(DRAIN_RETRY_SECONDS).encode()),),
)
FULL = Refusal(
    429,
    "queue_full",
    "As many requests wait as may; try again, or send it to another server.",
    ((b"retry-after", str(QUEUE_RETRY_SECONDS).encode()),),
)
SLOW = Refusal(408, "body_too_slow", "The request's body did not arrive in time.", ((b"connection", b"close"),))


class PlinthMiddleware:
    """The first thing a request meets. Configured by the environment because the engine constructs it."""

    def __init__(self, app: Application, environment: Mapping[str, str] | None = None) -> None:
        environment = os.environ if environment is None else environment
        self._app = app
        self._keys = _ring(environment.get(KEYS_VARIABLE))
        self._agent = _ring(environment.get(AGENT_VARIABLE))
        self._draining_file = environment.get(DRAINING_VARIABLE, "")
        self._bounds = Bounds(int(environment.get(BODY_VARIABLE, DEFAULT_BODY_BYTES)), BODY_SECONDS)
        self._most = int(environment.get(OPEN_VARIABLE, "0"))
        self._open = 0
        self._beside: dict[str, Application] = {}
        if MODEL_VARIABLE in environment:
            generate = Generate(app, environment[MODEL_VARIABLE], int(environment[LENGTH_VARIABLE]))
            self._beside = {PATH: generate, HEALTH_PATH: generate}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, or answer in the engine's place."""
        kind = scope["type"]
        if kind == "http":
            await self._on_request(scope, receive, send)
        elif kind == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        elif kind == "lifespan":
            await self._live(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _live(self, scope: Scope, receive: Receive, send: Send) -> None:
        watch = asyncio.ensure_future(plinth_idle.close_silent_connections(scope.get("app")))
        try:
            await self._app(scope, receive, send)
        finally:
            watch.cancel()

    async def _on_request(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        if self._is_agent(scope):
            if path == OPEN_PATH:
                await answer(scope, send, 200, {"open": self._open})
            else:
                await self._app({**scope, "path": AGENT_PATHS[path]}, receive, send)
            return
        refusal = self._refuse(scope)
        if refusal is not None:
            await _refuse_with(refusal, scope, send)
        elif path in LISTED_PATHS or path == HEALTH_PATH:
            await self._beside.get(path, self._app)(scope, receive, send)
        else:
            await self._work(scope, receive, send)

    async def _work(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request in that costs computing: one of a bounded number, with its body in full."""
        self._open += 1
        try:
            body = await read_body(scope, receive, self._bounds)
            await self._beside.get(scope["path"], self._app)(scope, replay(body, receive), send)
        except TooLargeError:
            await _refuse_with(self._too_large(), scope, send)
        except TooSlowError:
            await _refuse_with(SLOW, scope, send)
        except GoneError:
            pass  # nobody is there to be told
        finally:
            self._open -= 1

    def _too_large(self) -> Refusal:
        limit = f"The request's body is larger than {self._bounds.body_bytes} bytes."
        return Refusal(413, "body_too_large", limit, ((b"connection", b"close"),))

    def _is_agent(self, scope: Scope) -> bool:
        if self._agent is None or scope["path"] not in (*AGENT_PATHS, OPEN_PATH):
            return False
        token = header(scope, AGENT_HEADER)
        return bool(token) and self._agent.accepts(token)

    def _refuse(self, scope: Scope) -> Refusal | None:
        path = scope["path"]
        if path == HEALTH_PATH and self._beside:
            return None  # probes of the services whose protocol this is carry no key
        if path not in LISTED_PATHS and path not in WORK_PATHS and path not in self._beside:
            return NO_PATH
        if self._keys is not None and not self._keys.accepts(_key(scope["headers"])):
            return NO_KEY
        if self._draining_file and os.path.exists(self._draining_file):  # noqa: PTH110 asked for every request
            return ENDING
        return FULL if path not in LISTED_PATHS and self._most and self._open >= self._most else None


def _ring(path: str | None) -> KeyRing | None:
    return KeyRing(path) if path else None


def _key(headers: Headers) -> bytes:
    for name, value in headers:
        if name == b"authorization" and value[:7].lower() == b"bearer ":
            return value[7:].strip()
        if name == b"x-api-key":
            return value.strip()
    return b""


async def _refuse_with(refusal: Refusal, scope: Scope, send: Send) -> None:
    kind = KINDS[refusal.status]
    error = {"message": refusal.message, "type": kind, "param": None, "code": refusal.code}
    await answer(scope, send, refusal.status, {"error": error}, list(refusal.headers))
