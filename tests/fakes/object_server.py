"""An HTTP origin of one folder that misbehaves when told to: ranges, If-Match, ETags that follow the bytes, a log.

`server.faults` holds what goes wrong next; a fault counts only requests that it fits and is spent after `times`.
"""

from __future__ import annotations

import re
import socket
import ssl
import struct
import threading
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote, unquote

CHUNK_BYTES = 1 << 16
FOREVER = 10**9


@dataclass
class Fault:
    """One kind of misbehaviour.

    short: end after `at` bytes of the body; reset: the same with RST; stall: the same with silence; whole: 200 for a
    range; shifted: a Content-Range beside the wanted one; overwrite: the object changes first; flip: bit 0 of byte
    `at` of the object; status: answer with `code` (and Retry-After).
    """

    kind: str
    name: str = ""
    times: int = 1
    at: int = 0
    code: int = 0
    retry_after: str | None = None
    after: int = 0


@dataclass
class Request:
    """One request as it came and what was sent."""

    method: str
    path: str
    range: str | None
    if_match: str | None
    status: int = 0
    sent: int = 0
    headers: dict[str, str] = field(default_factory=dict)


class ObjectServer:
    """The server; use it with `with`."""

    def __init__(
        self, root: Path, *, listing: bool = False, etags: bool = True, tls: ssl.SSLContext | None = None
    ) -> None:
        self.root = root
        self.listing = listing
        self.etags = etags
        self.faults: list[Fault] = []
        self.requests: list[Request] = []
        self.delay = 0.0
        self.overwritten = 0
        self.released = threading.Event()
        self.lock = threading.Lock()
        self.open = 0
        self.most_open = 0
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.origin = self  # type: ignore[attr-defined]
        self._scheme = "https" if tls else "http"
        if tls:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def address(self) -> str:
        """The root's URL."""
        return f"{self._scheme}://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()

    def bodies(self, name: str = "") -> list[Request]:
        """GET requests for the model's own files."""
        return [row for row in self.requests if row.method == "GET" and name in row.path and "manifest" not in row.path]

    def take_fault(self, path: str, span: tuple[int, int]) -> Fault | None:
        """Give the first fault that fits, and count it. A flip fits only where its byte is."""
        with self.lock:
            for fault in self.faults:
                fits = fault.kind != "flip" or span[0] <= fault.at < span[1]
                if fault.name in path and fault.times > 0 and "manifest" not in path and fits:
                    if fault.after > 0:
                        fault.after -= 1
                        continue
                    fault.times -= 1
                    return fault
        return None


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, *_: object) -> None:
        """Say nothing: clients that go away are what this server is for."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    @property
    def origin(self) -> ObjectServer:
        """The server's own state."""
        return self.server.origin  # type: ignore[attr-defined, no-any-return]

    def log_message(self, *_: Any) -> None:
        """Be quiet: the log is `requests`."""

    def do_HEAD(self) -> None:
        """Answer with headers only."""
        self._serve()

    def do_GET(self) -> None:
        """Answer with a range or everything."""
        with self.origin.lock:
            self.origin.open += 1
            self.origin.most_open = max(self.origin.most_open, self.origin.open)
        try:
            self._serve()
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True
        finally:
            with self.origin.lock:
                self.origin.open -= 1

    def _serve(self) -> None:
        name = unquote(self.path.partition("?")[0]).lstrip("/")
        self.row = Request(
            self.command, name, self.headers.get("Range"), self.headers.get("If-Match"), headers=dict(self.headers)
        )
        self.origin.requests.append(self.row)
        match = re.fullmatch(r"bytes=(\d+)-(\d+)", self.row.range or "")
        span = (int(match[1]), int(match[2]) + 1) if match else (0, FOREVER)
        fault = self.origin.take_fault(name, span) if self.command == "GET" else None
        path = self.origin.root / name
        if fault is not None and fault.kind == "status":
            extra = {"Retry-After": fault.retry_after} if fault.retry_after else {}
            self._words(fault.code, extra)
        elif path.is_dir() and self.origin.listing:
            self._list(path, name)
        elif not path.is_file():
            self._words(404)
        else:
            if fault is not None and fault.kind == "overwrite":
                self._overwrite(path)
            self._file(path, span, fault)

    def _overwrite(self, path: Path) -> None:
        with self.origin.lock:
            path.write_bytes(path.read_bytes().translate(bytes(range(255, -1, -1))))
            # The clock of the disk is too coarse to tell versions that follow each other at once.
            self.origin.overwritten += 1

    def _file(self, path: Path, span: tuple[int, int], fault: Fault | None) -> None:
        state = path.stat()
        etag = f'"{self.origin.overwritten:x}{state.st_mtime_ns:x}{state.st_size:x}"'
        if self.row.if_match not in {None, etag}:
            self._words(412, {"ETag": etag})
            return
        kind = fault.kind if fault else ""
        headers = {"ETag": etag} if self.origin.etags else {}
        start, end = span[0], min(span[1], state.st_size)
        status = HTTPStatus.OK
        if self.row.range and kind != "whole":
            status = HTTPStatus.PARTIAL_CONTENT
            moved = 1 if kind == "shifted" else 0
            headers["Content-Range"] = f"bytes {start + moved}-{end - 1 + moved}/{state.st_size}"
        elif kind == "whole":
            start, end = 0, state.st_size
        with path.open("rb") as file:
            file.seek(start)
            body = file.read(end - start)
        if fault is not None and kind == "flip":
            place = fault.at - start
            body = body[:place] + bytes([body[place] ^ 1]) + body[place + 1 :]
        self._send(status, headers, body, fault)

    def _send(self, status: int, headers: dict[str, str], body: bytes, fault: Fault | None) -> None:
        self.row.status = status
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        if self.origin.delay:
            self.origin.released.wait(self.origin.delay)
        cut = fault is not None and fault.kind in {"short", "reset", "stall"}
        for start in range(0, min(len(body), fault.at) if cut and fault else len(body), CHUNK_BYTES):
            piece = body[start : min(start + CHUNK_BYTES, fault.at) if cut and fault else start + CHUNK_BYTES]
            self.wfile.write(piece)
            self.row.sent += len(piece)
        if cut and fault:
            self._break(fault)

    def _break(self, fault: Fault) -> None:
        self.wfile.flush()
        if fault.kind == "stall":
            self.origin.released.wait(60)
        if fault.kind == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True

    def _words(self, status: int, headers: dict[str, str] | None = None) -> None:
        self._send(status, headers or {}, b"" if self.command == "HEAD" else b"no", None)

    def _list(self, path: Path, name: str) -> None:
        rows = [entry.name + ("/" if entry.is_dir() else "") for entry in sorted(path.iterdir())]
        links = "".join(f'<a href="{quote(row)}">{row}</a>\n' for row in ["../", *rows])
        self._send(
            HTTPStatus.OK, {"Content-Type": "text/html"}, f"<title>Index of /{name}</title>{links}".encode(), None
        )
