"""The management port: the truth about this server over HTTP, from the agent's first moments to its last.

GET  /startupz  status as JSON; 200 when ready, else 503 (so a startup probe may use it)
GET  /livez     200 while the agent's loop turns
GET  /readyz    200 when clients may be sent here, else 503
GET  /metrics   Prometheus text: our own, then the engine's
POST /drain     like SIGTERM: finish open requests, then end; from this host only, 202

Threads and times are bounded: a client that says nothing is dropped, and too many at once are turned away.
"""

from __future__ import annotations

import ipaddress
import json
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import BoundedSemaphore, Thread
from typing import Any

from plinth_runtime.contract.status import StartupStatus
from plinth_runtime.serving.ports import explain_bind

CONNECTIONS = 16
IDLE_SECONDS = 5.0
"""For a request's line and headers, and for taking the answer."""

CONNECTION_SECONDS = 15.0
"""Age from which a connection is ended when there is no room for others."""

JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Insight:
    """What the port may know and do. Called from its threads."""

    status: Callable[[], StartupStatus]
    ready: Callable[[], bool]
    alive: Callable[[], bool]
    engine_metrics: Callable[[], bytes]
    drain: Callable[[], None]


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer."""

    status: int
    body: bytes
    content_type: str = JSON


def answer(method: str, path: str, peer: str, insight: Insight) -> Answer:
    """Decide what to say."""
    routes: dict[str, tuple[str, Callable[[], Answer]]] = {
        "/startupz": ("GET", lambda: _startup(insight)),
        "/livez": ("GET", lambda: _yes_or_no("alive", yes=insight.alive())),
        "/readyz": ("GET", lambda: _yes_or_no("ready", yes=insight.ready())),
        "/metrics": ("GET", lambda: _metrics(insight)),
        "/drain": ("POST", lambda: _drain(peer, insight)),
    }
    allowed, respond = routes.get(path.partition("?")[0], ("", None))
    if respond is None:
        return _json(404, {"error": f"there is nothing at this path; there are {', '.join(sorted(routes))}"})
    if method != allowed and not (method == "HEAD" and allowed == "GET"):
        return _json(405, {"error": f"only {allowed} is allowed here"})
    return respond()


def _json(status: int, body: dict[str, Any]) -> Answer:
    return Answer(status, json.dumps(body).encode())


def _startup(insight: Insight) -> Answer:
    return Answer(200 if insight.ready() else 503, insight.status().model_dump_json().encode())


def _yes_or_no(word: str, *, yes: bool) -> Answer:
    return _json(200 if yes else 503, {word: yes})


def _metrics(insight: Insight) -> Answer:
    # Imported at the first scrape: a server that nobody scrapes is spared the memory.
    from plinth_runtime.serving.metrics import render

    text = render(lambda: (insight.status(), insight.ready()), insight.engine_metrics())
    return Answer(200, text, "text/plain; version=0.0.4; charset=utf-8")


def _drain(peer: str, insight: Insight) -> Answer:
    # In a cluster the port is open to probes; ending the server is for those who are already on this host.
    if not ipaddress.ip_address(peer.partition("%")[0]).is_loopback:
        return _json(403, {"error": "only from this host"})
    insight.drain()
    return _json(202, {"draining": True})


class _Handler(BaseHTTPRequestHandler):
    """One connection, one request."""

    timeout = IDLE_SECONDS
    server_version = "plinth"
    sys_version = ""
    server: _Server

    def do_GET(self) -> None:
        """Answer."""
        said = answer(self.command, self.path, self.client_address[0], self.server.insight)
        self.send_response(said.status)
        self.send_header("content-type", said.content_type)
        self.send_header("content-length", str(len(said.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(said.body)

    do_POST = do_HEAD = do_PUT = do_DELETE = do_GET  # noqa: N815 the base class's names

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 the base class's name
        """Say nothing: probes would fill the log."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], insight: Insight) -> None:
        self.insight = insight
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self._room = BoundedSemaphore(CONNECTIONS)
        self._since: dict[socket.socket, float] = {}
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        # The base class asks the name service for our own name, which can take seconds.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_name, self.server_port = str(self.server_address[0]), self.socket.getsockname()[1]

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._room.acquire(blocking=False):
            self._since[request] = time.monotonic()
            super().process_request(request, client_address)
        else:
            self._evict()
            self.shutdown_request(request)

    def _evict(self) -> None:
        """Make room for the next one: end the connections that drip their request."""
        for request, since in tuple(self._since.items()):
            if time.monotonic() - since > CONNECTION_SECONDS:
                with suppress(OSError):
                    request.shutdown(socket.SHUT_RDWR)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._since.pop(request, None)
            self._room.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a client that went away is its own business."""


class ManagementPort:
    """Listens from construction to `close`. Raises PortTakenError or BadConfigError if it cannot."""

    def __init__(self, host: str, port: int, insight: Insight) -> None:
        try:
            self._server = _Server((host, port), insight)
        except OSError as error:
            raise explain_bind(error, host, port, "the management port") from error
        self._open = True
        Thread(target=self._serve, name="management", daemon=True).start()

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._server.server_port

    def close(self) -> None:
        """Stop listening."""
        self._open = False
        with suppress(OSError):
            self._server.socket.shutdown(socket.SHUT_RDWR)
        self._server.server_close()

    def _serve(self) -> None:
        # Unlike serve_forever this sleeps until somebody comes, instead of looking up twice a second.
        with suppress(OSError, ValueError):
            while self._open:
                self._server.handle_request()
