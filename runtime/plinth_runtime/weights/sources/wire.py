"""HTTP as the sources need it: one keep-alive connection, ranges that are checked before a byte counts, honest errors.

Every source whose bytes come over HTTP uses this; it adds its own headers (signatures, tokens) and addresses.
Standard library only: the bytes go from the socket into the caller's buffer.
"""

from __future__ import annotations

import http.client
import re
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import cast
from urllib.parse import SplitResult, urljoin, urlsplit
from urllib.request import getproxies_environment, proxy_bypass_environment

from plinth_runtime.weights.sources import ChangedError, NotFoundError, RefusedError, SourceError, TransientError
from plinth_runtime.weights.sources.opening import is_loopback

CONNECT_SECONDS = 10.0
SILENCE_SECONDS = 30.0
"""A socket that gives nothing for this long is given up; the reader's own limits are shorter and adapt."""

MAX_REDIRECTS = 5
TLS_READ_BYTES = 128 << 10
"""TLS gives 16 KiB records; several of them are collected below Python. A plain socket gives what it has."""

SMALL_LIMIT_BYTES = 64 << 20
REDIRECTS = frozenset({301, 302, 303, 307, 308})
GONE = frozenset({404, 410})
THROTTLES = frozenset({429, 503})
AGAIN = frozenset({408, 425, 500, 502, 504})
OK, PARTIAL, PRECONDITION, UNSATISFIABLE = 200, 206, 412, 416
CREDENTIALS = frozenset({"authorization", "cookie"})
BROKEN = (OSError, http.client.HTTPException, ValueError, AttributeError)
"""What the standard library raises for a broken connection; the last two when it is aborted from another thread."""


@dataclass(frozen=True, slots=True)
class WireSettings:
    """How to connect. `tls` None: the system's certificates."""

    tls: ssl.SSLContext | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    connect_seconds: float = CONNECT_SECONDS
    silence_seconds: float = SILENCE_SECONDS


@dataclass(frozen=True, slots=True)
class Wanted:
    """One range of one version: `name` for messages, `size` of the whole object, `etag` if the version is known."""

    name: str
    size: int
    start: int
    length: int
    etag: str | None = None

    @property
    def is_whole(self) -> bool:
        """Say whether this is the whole object: then no range is asked for, and every server can answer."""
        return self.length == self.size


class HttpBody:
    """The bytes of one answer; a `Body`."""

    def __init__(self, answer: http.client.HTTPResponse, length: int, *, encrypted: bool) -> None:
        self.etag = answer.getheader("ETag")
        self._answer = answer
        self._left = length
        self._encrypted = encrypted

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill the front of the buffer; 0 at the end, early or not."""
        stream = self._answer.fp
        wanted = min(len(buffer), self._left)
        if not wanted:
            return 0
        try:
            if self._encrypted:
                count = stream.readinto(buffer[: min(wanted, TLS_READ_BYTES)])  # type: ignore[attr-defined]
            else:
                count = stream.readinto1(buffer[:wanted])  # type: ignore[attr-defined]
        except BROKEN as error:
            raise TransientError(f"the connection broke: {_words(error)}") from error
        self._left -= count
        return cast("int", count)

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
        answer, url = self.request("GET", url, asked)
        fault = _range_fault(answer, wanted)
        if fault is not None:
            self.close()
            raise fault
        self._body = HttpBody(answer, wanted.length, encrypted=url.startswith("https:"))
        return self._body

    def get_small(self, url: str, headers: Mapping[str, str] | None = None, limit: int = SMALL_LIMIT_BYTES) -> bytes:
        """Read a whole document of bounded size."""
        answer, _ = self.request("GET", url, headers or {})
        try:
            _judge_status(answer, url)
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
        _judge_status(answer, url)
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


def _connection(parts: SplitResult, settings: WireSettings) -> http.client.HTTPConnection:
    host, port = parts.hostname or "", parts.port
    if parts.scheme == "http":
        return http.client.HTTPConnection(host, port, timeout=settings.connect_seconds)
    tls = settings.tls or ssl.create_default_context()
    make = partial(http.client.HTTPSConnection, timeout=settings.connect_seconds, context=tls)
    proxy = _proxy(host)
    if proxy is None:
        return make(host, port)
    through = make(proxy.hostname or "", proxy.port)
    through.set_tunnel(host, port)
    return through


def _proxy(host: str) -> SplitResult | None:
    """Read the environment's proxy for https. This machine is always reached directly."""
    address = getproxies_environment().get("https")
    if not address or is_loopback(host) or proxy_bypass_environment(host):
        return None
    return urlsplit(address if "://" in address else f"http://{address}")


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


def _range_fault(answer: http.client.HTTPResponse, wanted: Wanted) -> SourceError | None:
    """Say what is wrong with an answer to a range request; None: exactly the wanted bytes follow."""
    etag = answer.getheader("ETag")
    if answer.status == PRECONDITION:
        return ChangedError(wanted.name, wanted.etag, etag)
    if answer.status == UNSATISFIABLE:
        return ChangedError(wanted.name, wanted.etag, f"{etag} without byte {wanted.start}")
    try:
        _judge_status(answer, wanted.name)
    except SourceError as error:
        return error
    if wanted.etag and etag and _opaque(etag) != _opaque(wanted.etag):
        return ChangedError(wanted.name, wanted.etag, etag)
    return _shape_fault(answer, wanted)


def _shape_fault(answer: http.client.HTTPResponse, wanted: Wanted) -> SourceError | None:
    if answer.getheader("Content-Encoding", "identity") != "identity":
        return TransientError(f"{wanted.name}: the store sent it encoded as {answer.getheader('Content-Encoding')}")
    if answer.status == OK and not wanted.is_whole:
        return TransientError(f"{wanted.name}: the store answered 200 with the whole object to a range request")
    if answer.status == PARTIAL:
        said = answer.getheader("Content-Range", "")
        end = wanted.start + wanted.length - 1
        match = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+|\*)", said)
        if match is None or (int(match[1]), int(match[2])) != (wanted.start, end):
            return TransientError(f"{wanted.name}: asked for bytes {wanted.start}-{end}, the store sent '{said}'")
        if match[3] not in {"*", str(wanted.size)}:
            return ChangedError(wanted.name, f"of {wanted.size} bytes", f"one of {match[3]} bytes")
    if answer.length is None and answer.status == OK:
        return TransientError(f"{wanted.name}: the store does not say how many bytes it sends")
    if answer.length != wanted.length:
        if answer.status == OK:
            return ChangedError(wanted.name, f"of {wanted.size} bytes", f"one of {answer.length} bytes")
        return TransientError(f"{wanted.name}: asked for {wanted.length} bytes, the store sends {answer.length}")
    return None


def _judge_status(answer: http.client.HTTPResponse, name: str) -> None:
    """Raise what a status other than 200 and 206 means."""
    status = answer.status
    if status in {OK, PARTIAL}:
        return
    words = f"{name}: the store answered {status} {answer.reason}"
    if status in GONE:
        raise NotFoundError(words)
    if status in THROTTLES:
        raise TransientError(words, throttled=True, retry_after=_seconds(answer.getheader("Retry-After")))
    if status in AGAIN:
        raise TransientError(words)
    raise RefusedError(words)


def _seconds(header: str | None) -> float | None:
    """Read Retry-After in its form with seconds; a date is as good as none, since clocks differ."""
    return float(header) if header and header.isdecimal() else None


def _opaque(etag: str) -> str:
    return etag.removeprefix("W/")


def _words(error: BaseException) -> str:
    return str(error) or type(error).__name__
