"""The management port: the truth about this server over HTTP, from the agent's first moments to its last.

What it says is decided in `answers.py`.

Threads and times are bounded: a client that says nothing is dropped, and too many at once are turned away.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import BoundedSemaphore, Thread
from typing import Any

from plinth_runtime.serving.adapters import RefusedError
from plinth_runtime.serving.answers import JSON, Answer, Call, Insight, answer, json_answer
from plinth_runtime.serving.ports import explain_bind

BODY_BYTES = 64 << 10

CONNECTIONS = 16
IDLE_SECONDS = 5.0
"""For a request's line and headers, and for taking the answer."""

CONNECTION_SECONDS = 15.0
"""Age from which a connection is ended when there is no room for others."""


class _Handler(BaseHTTPRequestHandler):
    """One connection, one request."""

    timeout = IDLE_SECONDS
    server_version = "plinth"
    sys_version = ""
    server: _Server

    def do_GET(self) -> None:
        """Answer."""
        try:
            call = Call(self.command, self.path, self.client_address[0], self._body())
            said = self.server.respond(call)
        except RefusedError as refused:
            said = json_answer(refused.status, {"error": str(refused)})
        self.send_response(said.status)
        self.send_header("content-type", said.content_type)
        self.send_header("content-length", str(len(said.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(said.body)

    def _body(self) -> bytes | None:
        length = self.headers.get("content-length", "0")
        if not length.isdigit() or int(length) > BODY_BYTES:
            raise RefusedError(413, f"a body here has at most {BODY_BYTES} bytes and says how many")
        body = self.rfile.read(int(length))
        return body if self.headers.get_content_type() == JSON else None

    do_POST = do_HEAD = do_PUT = do_DELETE = do_GET  # noqa: N815 the base class's names

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 the base class's name
        """Say nothing: probes would fill the log."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], respond: Callable[[Call], Answer]) -> None:
        self.respond = respond
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


class Port:
    """Listens from construction to `close`. Raises PortTakenError or BadConfigError if it cannot."""

    def __init__(self, host: str, port: int, purpose: str, respond: Callable[[Call], Answer]) -> None:
        try:
            self._server = _Server((host, port), respond)
        except OSError as error:
            raise explain_bind(error, host, port, purpose) from error
        self._open = True
        Thread(target=self._serve, name=purpose, daemon=True).start()

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


class ManagementPort(Port):
    """The port that probes and operators ask."""

    def __init__(self, host: str, port: int, insight: Insight) -> None:
        super().__init__(host, port, "the management port", lambda call: answer(call, insight))
