"""What the stand-ins of stores share: an HTTP server in threads of this process, its log, faults on demand, ranges."""

import abc
import http.server
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlsplit

PART = 64 << 10


@dataclass(frozen=True)
class Asked:
    """One request. `path` is as it was sent, without the query."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes = b""
    target: str = ""


@dataclass(frozen=True)
class Answer:
    """One answer; its length is set by the server unless a header says otherwise (HEAD)."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Fault:
    """An answer that is given instead of the right one to the next `times` requests that fit."""

    answer: Answer
    fits: Callable[[Asked], bool]
    times: int = 1


class StoreServer(abc.ABC):
    """A server on the loopback while it is entered. A stand-in of a store overrides `answer`."""

    def __init__(self, tls=None, host="127.0.0.1", port=0):
        self.log = []
        self.faults = []
        self._lock = threading.Lock()
        self._server = http.server.ThreadingHTTPServer((host, port), self._handler())
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None  # clients that cut connections are what some tests are about
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.address = f"http{'s' if tls else ''}://{host}:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def fail(self, status, *, times=1, body=b"", headers=None, fits=lambda _: True):
        """Answer the next requests that fit with this status."""
        self.faults.append(Fault(Answer(status, body, headers or {}), fits, times))

    def asked(self, method="GET", path=""):
        """The requests so far whose path matches an expression."""
        return [asked for asked in self.log if asked.method == method and re.search(path, asked.path)]

    @abc.abstractmethod
    def answer(self, asked):
        """What the store says."""

    def respond(self, asked):
        """Note a request; a fault comes before the store's own answer."""
        with self._lock:
            self.log.append(asked)
            for fault in self.faults:
                if fault.times and fault.fits(asked):
                    fault.times -= 1
                    return fault.answer
        return self.answer(asked)

    def _handler(self):
        store = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _do(self):
                parts = urlsplit(self.path)
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                query = dict(parse_qsl(parts.query, keep_blank_values=True))
                headers = {name.lower(): value for name, value in self.headers.items()}
                answer = store.respond(Asked(self.command, parts.path, query, headers, body, self.path))
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                if not {"content-length"} & {name.lower() for name in answer.headers}:
                    self.send_header("Content-Length", str(len(answer.body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(answer.body)

            do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _do  # noqa: N815 names of http.server

            def log_message(self, *_):
                """Say nothing."""

        return Handler


def ranged(asked, content, etag, headers=None):
    """Give an object, or a range of one version of it, as stores do."""
    common = {"ETag": etag, "Accept-Ranges": "bytes", **(headers or {})}
    if asked.headers.get("if-match", etag) != etag:
        return Answer(412, b"", common)
    if asked.method == "HEAD":
        return Answer(200, b"", {**common, "Content-Length": str(len(content))})
    match = re.fullmatch(r"bytes=(\d+)-(\d+)", asked.headers.get("range", ""))
    if match is None:
        return Answer(200, content, common)
    start, end = int(match[1]), min(int(match[2]), len(content) - 1)
    if start >= len(content):
        return Answer(416, b"", {**common, "Content-Range": f"bytes */{len(content)}"})
    return Answer(206, content[start : end + 1], {**common, "Content-Range": f"bytes {start}-{end}/{len(content)}"})


def read_all(source, target, step):
    """Read an object as the reader does, by ranges over one stream."""
    session = source.session()
    got = b""
    for start in range(0, target.size, step):
        body = session.open_range(target, start, min(step, target.size - start))
        buffer = memoryview(bytearray(PART))
        while count := body.readinto(buffer):
            got += bytes(buffer[:count])
        body.close()
    session.close()
    return got
