"""TLS as the reader wants it: OpenSSL fills a buffer of many records in one call, without Python's lock.

Python's `ssl` gives one record of 16 KiB a call and asks the system twice for each. Here the very library that it has
loaded is called instead, and checks what `ssl.create_default_context` does up to Python 3.12. Where Python came with a
library of its own, or another than OpenSSL 3, `ssl` does the work, only slower.
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import ssl
import struct
import time
import weakref
from collections.abc import Callable
from ctypes import c_char_p, c_int, c_long, c_size_t, c_uint, c_ulong, c_void_p
from functools import cache
from ipaddress import ip_address
from types import SimpleNamespace
from typing import Any, Protocol

LIBRARY = "libssl.so.3"
READ_AHEAD_BYTES = 50 << 10
"""Three records are taken from the system at once. Of more OpenSSL moves what is left at every record, to align it."""

WHOLE_FILL_BYTES = 4096
"""What asks for more is filled by OpenSSL's own loop; smaller reads would leave bytes in a buffer of that loop."""

FIRST_FILL_BYTES, LEAST_FILL_BYTES, MOST_FILL_BYTES = 128 << 10, 16 << 10, 1 << 20
BRISK_SECONDS, SLOW_SECONDS = 0.02, 0.1
"""A fill that takes less, or more, makes the next one larger, or smaller: whoever watches is to hear of slow bytes."""

CIPHERS = b"TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
OLD_CIPHERS = (
    b"@SECLEVEL=2:ECDH+AESGCM+AES128:ECDH+AESGCM:ECDH+CHACHA20:ECDH+AES:DHE+AES:!aNULL:!eNULL:!aDSS:!SHA1:!AESCCM"
)
"""Python's; 128 bits first, as browsers and Go have it, because they cost less."""

# From OpenSSL's headers.
SET_READ_AHEAD, SET_SERVER_NAME, SET_OLDEST, SET_SSL = 41, 55, 123, 109
TLS_1_2, HOST_NAME, VERIFY_PEER, NO_PARTIAL_WILDCARDS = 0x0303, 0, 1, 4
FAULT, WANT_READ, WANT_WRITE, SYSTEM_FAULT, END = 1, 2, 3, 5, 6
UNEXPECTED_END = "unexpected eof"

FUNCTIONS: dict[str, tuple[Any, ...]] = {
    "TLS_client_method": (c_void_p,),
    "SSL_CTX_new": (c_void_p, c_void_p),
    "SSL_CTX_free": (None, c_void_p),
    "SSL_CTX_ctrl": (c_long, c_void_p, c_int, c_long, c_void_p),
    "SSL_CTX_set_ciphersuites": (c_int, c_void_p, c_char_p),
    "SSL_CTX_set_cipher_list": (c_int, c_void_p, c_char_p),
    "SSL_CTX_set_default_read_buffer_len": (None, c_void_p, c_size_t),
    "SSL_CTX_set_default_verify_paths": (c_int, c_void_p),
    "SSL_CTX_set_quiet_shutdown": (None, c_void_p, c_int),
    "SSL_CTX_set_verify": (None, c_void_p, c_int, c_void_p),
    "SSL_new": (c_void_p, c_void_p),
    "SSL_free": (None, c_void_p),
    "SSL_ctrl": (c_long, c_void_p, c_int, c_long, c_void_p),
    "SSL_set_hostflags": (None, c_void_p, c_uint),
    "SSL_set1_host": (c_int, c_void_p, c_char_p),
    "SSL_get0_param": (c_void_p, c_void_p),
    "X509_VERIFY_PARAM_set1_ip_asc": (c_int, c_void_p, c_char_p),
    "SSL_set_fd": (c_int, c_void_p, c_int),
    "SSL_connect": (c_int, c_void_p),
    "SSL_get_verify_result": (c_long, c_void_p),
    "X509_verify_cert_error_string": (c_char_p, c_long),
    "SSL_read": (c_int, c_void_p, c_void_p, c_int),
    "SSL_write": (c_int, c_void_p, c_char_p, c_int),
    "SSL_get_error": (c_int, c_void_p, c_int),
    "ERR_clear_error": (None,),
    "ERR_get_error": (c_ulong,),
    "ERR_error_string_n": (None, c_ulong, c_char_p, c_size_t),
    "BIO_f_ssl": (c_void_p,),
    "BIO_f_buffer": (c_void_p,),
    "BIO_new": (c_void_p, c_void_p),
    "BIO_ctrl": (c_long, c_void_p, c_int, c_long, c_void_p),
    "BIO_push": (c_void_p, c_void_p, c_void_p),
    "BIO_free_all": (None, c_void_p),
    "BIO_read": (c_int, c_void_p, c_void_p, c_int),
}
"""Name -> what it gives, and what it takes."""

WAITING = ("SSL_connect", "SSL_read", "SSL_write", "BIO_read")
"""Those that leave Python's lock to others; all others are over at once."""


class Secures(Protocol):
    """What makes a connected socket a secure one."""

    def wrap_socket(self, sock: socket.socket, *, server_hostname: str) -> socket.socket:
        """Shake hands with the server of that name. Raises ssl.SSLCertVerificationError, OSError."""
        ...


def default_context() -> Secures:
    """Trust what the system trusts (SSL_CERT_FILE, SSL_CERT_DIR)."""
    openssl = _openssl()
    return ssl.create_default_context() if openssl is None else TlsContext(openssl)


class TlsContext:
    """Certificates and settings, shared by all connections. `openssl`: the library."""

    def __init__(self, openssl: Any) -> None:
        self._openssl = openssl
        context = openssl.SSL_CTX_new(openssl.TLS_client_method())
        weakref.finalize(self, openssl.SSL_CTX_free, context).atexit = False
        openssl.SSL_CTX_ctrl(context, SET_OLDEST, TLS_1_2, None)
        openssl.SSL_CTX_ctrl(context, SET_READ_AHEAD, 1, None)
        openssl.SSL_CTX_set_default_read_buffer_len(context, READ_AHEAD_BYTES)
        openssl.SSL_CTX_set_quiet_shutdown(context, 1)
        openssl.SSL_CTX_set_verify(context, VERIFY_PEER, None)
        set_all = (
            openssl.SSL_CTX_set_ciphersuites(context, CIPHERS)
            and openssl.SSL_CTX_set_cipher_list(context, OLD_CIPHERS)
            and openssl.SSL_CTX_set_default_verify_paths(context)
        )
        if not set_all:
            raise ssl.SSLError(f"OpenSSL refuses its settings: {_reason(openssl)}")
        self._context = context

    def wrap_socket(self, sock: socket.socket, *, server_hostname: str) -> TlsSocket:
        """Shake hands with the server of that name. Raises ssl.SSLCertVerificationError, OSError."""
        return TlsSocket(self._openssl, self._openssl.SSL_new(self._context), sock, server_hostname)


class TlsSocket(socket.socket):
    """A connected socket that speaks TLS; it takes the place of the one it is made from.

    The socket below blocks, its time limit is the system's: so OpenSSL may wait for record after record.
    """

    def __init__(self, openssl: Any, session: int, sock: socket.socket, host: str) -> None:
        seconds = sock.gettimeout()
        super().__init__(sock.family, sock.type, sock.proto, fileno=sock.detach())
        self._openssl, self._session, self._step = openssl, session, FIRST_FILL_BYTES
        below, self._chain = openssl.BIO_new(openssl.BIO_f_ssl()), openssl.BIO_new(openssl.BIO_f_buffer())
        openssl.BIO_ctrl(below, SET_SSL, 0, session)
        openssl.BIO_push(self._chain, below)
        self._free = weakref.finalize(self, _free, openssl, self._chain, session)
        self._free.atexit = False  # a thread may still be within
        try:
            self.settimeout(seconds)
            self._shake_hands(host)
        except BaseException:
            self.close()
            raise

    def settimeout(self, seconds: float | None) -> None:
        """Bound the wait for each piece, in both directions."""
        super().settimeout(None)
        whole, rest = divmod(seconds or 0.0, 1)
        limit = struct.pack("ll", int(whole), int(rest * 1e6))
        self.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
        self.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:  # noqa: ARG002 a socket's signature
        """Read what one record has; 0 at the end."""
        return self._read(self._openssl.SSL_read, self._session, memoryview(buffer)[: nbytes or None])

    def fill(self, buffer: memoryview) -> int:
        """Fill the front of the buffer, of which every byte must be on its way: about what comes in 0.1 s.

        Before the end or a fault it may be less; the next call tells which it is.
        """
        if len(buffer) <= WHOLE_FILL_BYTES:
            return self.recv_into(buffer)
        begun = time.monotonic()
        count = self._read(self._openssl.BIO_read, self._chain, buffer[: self._step])
        seconds = time.monotonic() - begun
        if seconds < BRISK_SECONDS:
            self._step = min(2 * self._step, MOST_FILL_BYTES)
        elif seconds > SLOW_SECONDS:
            self._step = max(self._step // 2, LEAST_FILL_BYTES)
        return count

    def sendall(self, data: Any, flags: int = 0) -> None:  # noqa: ARG002 a socket's signature
        """Send all of it."""
        text = bytes(data)
        if text:
            self._repeat(lambda: self._openssl.SSL_write(self._session, text, len(text)))

    def _read(self, function: Callable[..., int], source: int, buffer: memoryview) -> int:
        if not len(buffer):
            return 0
        place = (ctypes.c_char * len(buffer)).from_buffer(buffer)
        return self._repeat(lambda: function(source, place, len(buffer)))

    def _shake_hands(self, host: str) -> None:
        openssl, name = self._openssl, host.encode("idna" if not host.isascii() else "ascii")
        if _is_address(host):
            known = openssl.X509_VERIFY_PARAM_set1_ip_asc(openssl.SSL_get0_param(self._session), name)
        else:
            openssl.SSL_ctrl(self._session, SET_SERVER_NAME, HOST_NAME, name)
            openssl.SSL_set_hostflags(self._session, NO_PARTIAL_WILDCARDS)
            known = openssl.SSL_set1_host(self._session, name)
        if not known or not openssl.SSL_set_fd(self._session, self.fileno()):
            raise ssl.SSLError(f"OpenSSL refuses the name {host!r}: {_reason(openssl)}")
        try:
            if not self._repeat(lambda: openssl.SSL_connect(self._session)):
                raise ConnectionResetError(errno.ECONNRESET, "the server ended the handshake")
        except ssl.SSLError as error:
            if code := openssl.SSL_get_verify_result(self._session):
                raise _distrust(openssl.X509_verify_cert_error_string(code).decode()) from error
            raise

    def _repeat(self, act: Callable[[], int]) -> int:
        """Call OpenSSL until no signal comes between. Gives what it gives, 0 at the other side's end."""
        openssl = self._openssl
        while True:
            if not self._free.alive:
                raise OSError(errno.EBADF, "the connection is closed")
            openssl.ERR_clear_error()
            ctypes.set_errno(0)
            count = act()
            if count > 0:
                return count
            code, kind = ctypes.get_errno(), openssl.SSL_get_error(self._session, count)
            if kind in {WANT_READ, WANT_WRITE}:
                if code != errno.EINTR:
                    raise TimeoutError("timed out")
            elif kind == END or (kind == SYSTEM_FAULT and not code):
                return 0
            elif kind == SYSTEM_FAULT:
                raise OSError(code, os.strerror(code))
            else:
                reason = _reason(openssl)
                if UNEXPECTED_END in reason:
                    return 0
                raise ssl.SSLError(kind, reason)

    def _real_close(self) -> None:
        self._free()
        super()._real_close()  # type: ignore[misc]  # ssl.SSLSocket does so too


@cache
def _openssl() -> Any:
    """Give the library that `ssl` has loaded; None if that is another one, or one of its own."""
    try:
        mode = os.RTLD_NOLOAD | os.RTLD_NOW
        brief, waiting = ctypes.PyDLL(LIBRARY, mode), ctypes.CDLL(LIBRARY, mode, use_errno=True)
        functions = {name: getattr(waiting if name in WAITING else brief, name) for name in FUNCTIONS}
    except (AttributeError, OSError):
        return None
    for name, (gives, *takes) in FUNCTIONS.items():
        functions[name].restype, functions[name].argtypes = gives, takes
    return SimpleNamespace(**functions)


def _free(openssl: Any, chain: int, session: int) -> None:
    openssl.BIO_free_all(chain)
    openssl.SSL_free(session)
    openssl.ERR_clear_error()


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _reason(openssl: Any) -> str:
    """Say what OpenSSL complained of in this thread, and forget it: `ssl` would take it for its own."""
    text = ctypes.create_string_buffer(256)
    openssl.ERR_error_string_n(openssl.ERR_get_error(), text, len(text))
    openssl.ERR_clear_error()
    return text.value.decode(errors="replace").rpartition(":")[2]


def _distrust(reason: str) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(FAULT, reason)
    error.verify_message = reason
    return error
