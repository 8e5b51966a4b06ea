"""Health and metrics of the agent over HTTP: whether its loop turns, what is on the node, what is under way."""

from __future__ import annotations

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from plinth_runtime.contract.model_status import NodePhase
from plinth_runtime.errors import PortTakenError
from plinth_runtime.node.agent import Agent

STILL_SECONDS = 300.0
"""A loop that has not turned for so long hangs: each request to the cluster ends after 20 s, a turn makes a few."""


class Board:
    """What the last turn left. Port 0: nothing is served."""

    def __init__(self, port: int, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._turned_at = clock()
        self._ready = False
        self._registry = CollectorRegistry()
        labels = ["phase"]
        self._models = Gauge("plinth_node_models", "Models by phase.", labels, registry=self._registry)
        self._missing = Gauge("plinth_node_bytes_missing", "Bytes of fetches under way.", registry=self._registry)
        self._writes = Counter("plinth_node_api_writes", "Writes that the cluster took.", registry=self._registry)
        self._written = 0
        self._server = _server(port, self) if port else None

    def turned(self, agent: Agent) -> None:
        """Take in what there is after a turn."""
        self._turned_at = self._clock()
        self._ready = agent.is_ready
        entries = agent.entries.values()
        for phase in NodePhase:
            self._models.labels(phase.value).set(sum(entry.phase is phase for entry in entries))
        under_way = [entry.progress for entry in entries if entry.progress is not None]
        self._missing.set(sum(row.bytes_total - row.bytes_done for row in under_way))
        self._writes.inc(agent.publisher.writes - self._written)
        self._written = agent.publisher.writes

    def answer(self, path: str) -> tuple[int, bytes]:
        """Answer a request."""
        if path == "/metrics":
            return 200, generate_latest(self._registry)
        alive = self._clock() - self._turned_at < STILL_SECONDS
        good = {"/livez": alive, "/readyz": alive and self._ready}.get(path)
        if good is None:
            return 404, b"there are /livez, /readyz and /metrics\n"
        return (200, b"ok\n") if good else (503, b"no\n")

    def close(self) -> None:
        """Stop serving."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()


def _server(port: int, board: Board) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            """Answer."""
            status, body = board.answer(self.path)
            self.send_response(status)
            self.send_header("Content-Type", CONTENT_TYPE_LATEST if self.path == "/metrics" else "text/plain")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 the library's name
            """Keep quiet: probes come every few seconds."""

    try:
        server = ThreadingHTTPServer(("", port), Handler)
    except OSError as error:
        raise PortTakenError(f"port {port} cannot be listened on: {error.strerror}") from error
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server
