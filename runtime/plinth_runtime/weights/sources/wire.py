"""HTTP as the sources need it: one keep-alive connection, ranges that are checked before a byte counts, honest errors.

Every source whose bytes come over HTTP uses this; it adds its own headers (signatures, tokens) and addresses.
Standard library only: the bytes go from the socket into the caller's buffer.
"""

from __future__ import annotations

import base64
import http.client
import io
import os
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, partial
from urllib.parse import SplitResult, unquote, urljoin, urlsplit
from urllib.request import getproxies_environment, proxy_bypass

from plinth_runtime.weights.sources import RefusedError, TransientError
from plinth_runtime.weights.sources.answers import Wanted, judge_status, range_fault
from plinth_runtime.weights.sources.opening import is_loopback
from plinth_runtime.weights.sources.tls import Secures, TlsSocket, default_context

CONNECT_SECONDS = 10.0
SILENCE_SECONDS = 30.0
"""A socket that gives nothing for this long is given up; the reader's own limits are shorter and adapt."""

MAX_REDIRECTS = 5
TLS_READ_BYTES = 128 << 10
"""Python's TLS gives 16 KiB records; several of them are collected. A plain socket gives what it has."""

SMALL_LIMIT_BYTES = 64 << 20
REDIRECTS = frozenset({301, 302, 303, 307, 308})
CREDENTIALS = frozenset({"authorization", "cookie"})
BROKEN = (OSError, http.client.HTTPException, ValueError, AttributeError)
"""What the standard library raises for a broken connection; the last two when it is aborted from another thread."""


@dataclass(frozen=True, slots=True)
class WireSettings:
    """How to connect."""

    headers: Mapping[str, str] = field(default_factory=dict)
    connect_seconds: float = CONNECT_SECONDS
    silence_seconds: float = SILENCE_SECONDS


class HttpBody:
    """The bytes of one answer; a `Body`.

    What came with the headers lies in the answer's buffer and is taken first; everything after it is read from the
    socket itself, without a layer of Python between.
    """

    def __init__(self, answer: http.client.HTTPResponse, length: int, connection: socket.socket) -> None:
        self.etag = answer.getheader("ETag")
        self._answer = answer
        self._left = length
        self._socket = connection
        self._direct = False

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill the front of the buffer; 0 at the end, early or not."""
        wanted = min(len(buffer), self._left)
        if not wanted:
            return 0
        try:
            count = self._receive(buffer[:wanted]) if self._direct else self._first(buffer[:wanted])
        except BROKEN as error:
            raise TransientError(f"the connection broke: {_words(error)}") from error
        self._left -= count
        return count

    def _first(self, buffer: memoryview) -> int:
        """Read through the answer's buffer, which a read much longer than itself leaves empty."""
        self._direct = len(buffer) > 2 * io.DEFAULT_BUFFER_SIZE
        return self._answer.fp.readinto1(buffer)

    def _receive(self, buffer: memoryview) -> int:
        """Read what is there; over TLS, which gives 16 KiB at a time, several times that."""
        if isinstance(self._socket, TlsSocket):
            return self._socket.fill(buffer)
        filled = self._socket.recv_into(buffer)
        end = min(len(buffer), TLS_READ_BYTES) if isinstance(self._socket, ssl.SSLSocket) else 0
        while filled < end:
            count = self._socket.recv_into(buffer[filled:end])
            if not count:
                break
            filled += count
        return filled

    @property
    def is_drained(self) -> bool:
        """Say whether every byte was read."""
        return self._left == 0

    def close(self) -> None:
        """Let go of the answer, not of the connection."""
        self._answer.close()


class Wire:
    """One connection to one origin at a time, kept alive between ranges; a new origin takes its place."""

    def __init__(self, settings: WireSettings | None = None) -> None:
        self._settings = settings or WireSettings()
        self._connection: http.client.HTTPConnection | None = None
        self._origin = ("", "")
        self._socket: socket.socket | None = None
        self._body: HttpBody | None = None
        self._aborted = False

    def get_range(self, url: str, wanted: Wanted, headers: Mapping[str, str] | None = None) -> HttpBody:
        """Ask for one range. Raises SourceError before any byte if the answer is not exactly that."""
        asked = {**(headers or {})}
        if not wanted.is_whole:
            asked["Range"] = f"bytes={wanted.start}-{wanted.start + wanted.length - 1}"
        if wanted.etag and not wanted.etag.startswith("W/"):
            asked["If-Match"] = wanted.etag
        answer, _ = self.request("GET", url, asked)
        fault = range_fault(answer, wanted)
        if fault is not None:
            self.close()
            raise fault
        assert self._socket is not None  # noqa: S101 the answer came over it
        self._body = HttpBody(answer, wanted.length, self._socket)
        return self._body

    def get_small(self, url: str, headers: Mapping[str, str] | None = None, limit: int = SMALL_LIMIT_BYTES) -> bytes:
        """Read a whole document of bounded size."""
        answer, _ = self.request("GET", url, headers or {})
        try:
            judge_status(answer, url)
            text = answer.read(limit + 1)
        except BROKEN as error:
            raise TransientError(f"{url}: the connection broke: {_words(error)}") from error
        finally:
            self.close()
        if len(text) > limit:
            raise RefusedError(f"{url} has more than the {limit} bytes that are read of it")
        return text

    def head(self, url: str, headers: Mapping[str, str] | None = None) -> http.client.HTTPMessage:
        """Ask for the headers of an object. Raises NotFoundError if there is none."""
        answer, _ = self.request("HEAD", url, headers or {})
        answer.read()
        judge_status(answer, url)
        return answer.headers

    def request(self, method: str, url: str, headers: Mapping[str, str]) -> tuple[http.client.HTTPResponse, str]:
        """Send a request and follow redirects; gives the answer and the address it came from."""
        asked = {"Accept-Encoding": "identity", "User-Agent": "plinth-runtime", **self._settings.headers, **headers}
        for _ in range(MAX_REDIRECTS + 1):
            answer = self._ask(method, url, asked)
            target = answer.getheader("Location")
            if answer.status not in REDIRECTS or target is None:
                return answer, url
            self._drop_body(answer)
            url, asked = _redirect(url, target, asked)
        raise RefusedError(f"{url}: more than {MAX_REDIRECTS} redirects")

    def abort(self) -> None:
        """Cut the connection under the thread that uses it."""
        self._aborted = True
        if (used := self._socket) is not None:
            try:
                # The descriptor below TLS: an orderly TLS farewell would wait for the other side.
                socket.socket.shutdown(used, socket.SHUT_RDWR)
            except OSError:
                return

    def close(self) -> None:
        """Close the connection."""
        self._body = None
        if self._connection is not None:
            self._connection.close()
        self._connection = self._socket = None

    def _ask(self, method: str, url: str, headers: Mapping[str, str]) -> http.client.HTTPResponse:
        parts = urlsplit(url)
        used_before = self._reuse(parts)
        try:
            return self._exchange(method, parts, headers)
        except ssl.SSLCertVerificationError as error:
            self.close()
            raise RefusedError(f"{parts.netloc}: its certificate is not trusted: {error.verify_message}") from error
        except BROKEN as error:
            self.close()
            if not used_before or self._aborted:
                raise TransientError(f"{parts.netloc}: {_words(error)}") from error
        # A server may close an idle connection at any time; that says nothing about the next one.
        self._reuse(parts)
        try:
            return self._exchange(method, parts, headers)
        except BROKEN as error:
            self.close()
            raise TransientError(f"{parts.netloc}: {_words(error)}") from error

    def _exchange(self, method: str, parts: SplitResult, headers: Mapping[str, str]) -> http.client.HTTPResponse:
        assert self._connection is not None  # noqa: S101 _reuse made it
        if self._connection.sock is None:
            self._connection.connect()
        self._socket = self._connection.sock
        if self._aborted:
            raise ConnectionAbortedError("aborted")
        self._socket.settimeout(self._settings.silence_seconds)
        self._connection.request(method, _target(parts), headers=dict(headers))
        return self._connection.getresponse()

    def _reuse(self, parts: SplitResult) -> bool:
        """Make the connection fit the origin; True if it was used before and is still open."""
        origin = (parts.scheme, parts.netloc)
        if self._body is not None and not self._body.is_drained:
            self.close()
        self._body = None
        if self._connection is None or self._origin != origin:
            self.close()
            self._connection, self._origin = _connection(parts, self._settings), origin
        return self._connection.sock is not None

    def _drop_body(self, answer: http.client.HTTPResponse) -> None:
        """Read the few words of a redirect so that the connection can be used again."""
        try:
            answer.read()
        except BROKEN:
            self.close()


class _Secured(http.client.HTTPConnection):
    """A connection over TLS to a server of the given name, perhaps through a proxy."""

    default_port = http.client.HTTPS_PORT

    def __init__(self, host: str, port: int | None, *, seconds: float, tls: Secures, name: str) -> None:
        super().__init__(host, port, timeout=seconds)
        self._tls, self._name = tls, name

    def connect(self) -> None:
        """Connect, and shake hands."""
        super().connect()
        self.sock = self._tls.wrap_socket(self.sock, server_hostname=self._name)


@cache
def _default_tls(_file: str | None, _folder: str | None) -> Secures:
    """Read the system's certificates, once for all streams: it takes as long as receiving 30 MB."""
    return default_context()


def _connection(parts: SplitResult, settings: WireSettings) -> http.client.HTTPConnection:
    host, port = parts.hostname or "", parts.port
    if parts.scheme == "http":
        return http.client.HTTPConnection(host, port, timeout=settings.connect_seconds)
    tls = _default_tls(os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))
    make = partial(_Secured, seconds=settings.connect_seconds, tls=tls, name=host)
    proxy = _proxy(host)
    if proxy is None:
        return make(host, port)
    through = make(proxy.hostname or "", proxy.port or http.client.HTTP_PORT)
    through.set_tunnel(host, port, _proxy_headers(proxy))
    return through


def _proxy(host: str) -> SplitResult | None:
    """Read the environment's proxy for https. This machine is always reached directly."""
    address = getproxies_environment().get("https")
    if not address or is_loopback(host) or proxy_bypass(host):
        return None
    return urlsplit(address if "://" in address else f"http://{address}")


def _proxy_headers(proxy: SplitResult) -> dict[str, str]:
    """Say who asks the proxy, if its address says so."""
    if proxy.username is None:
        return {}
    who = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
    return {"Proxy-Authorization": f"Basic {base64.b64encode(who.encode()).decode()}"}


def _target(parts: SplitResult) -> str:
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def _redirect(url: str, target: str, headers: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """Follow to https, or from this machine to this machine; credentials stay with the origin they are for."""
    there = urljoin(url, target)
    old, new = urlsplit(url), urlsplit(there)
    if new.scheme != "https" and not (new.scheme == "http" and is_loopback(new.hostname) and is_loopback(old.hostname)):
        raise RefusedError(f"{url} redirects to {new.scheme}://{new.netloc}, which is not encrypted")
    same = (old.scheme, old.netloc) == (new.scheme, new.netloc)
    return there, {name: value for name, value in headers.items() if same or name.lower() not in CREDENTIALS}


def _words(error: BaseException) -> str:
    return str(error) or type(error).__name__
