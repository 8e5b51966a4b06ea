"""What a store of weights must be able to do, and the only ways in which it may fail. Values and protocols, no effects.

One module per scheme stands beside this one; `opening.py` chooses it. How to add one: docs/weights.md.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Protocol


@dataclass(frozen=True, slots=True)
class Checksums:
    """What a store or a manifest says of an object's content. Absent is None or empty, never a guess.

    `part_crc32c` are the checksums of consecutive parts of `part_size` bytes, the last one shorter.
    `git_sha1` is git's name of the content: SHA-1 of a header with its size, and the bytes.
    `multipart_md5` is as OCI writes it: base64 of the MD5 over the parts' MD5s, a hyphen, the number of parts.
    """

    sha256: str | None = None
    crc32c: int | None = None
    md5: str | None = None
    multipart_md5: str | None = None
    git_sha1: str | None = None
    part_size: int = 0
    part_crc32c: tuple[int, ...] = ()

    @property
    def can_verify(self) -> bool:
        """Say whether the whole content can be checked against this."""
        return bool(self.sha256 or self.part_crc32c or self.md5 or self.git_sha1) or self.crc32c is not None


@dataclass(frozen=True, slots=True)
class RemoteObject:
    """One object of a model: its name in the model folder (forward slashes), bytes, and how its store calls it.

    `etag` is the store's word for this version, quotes included as HTTP has them; it is never taken for a digest.
    """

    name: str
    size: int
    key: str
    etag: str | None = None
    checksums: Checksums = field(default_factory=Checksums)


@dataclass(frozen=True, slots=True)
class Listing:
    """Everything below one address at one moment. `revision` is the commit or version where the store has one.

    `manifest` is the text of the manifest if the source had to read it; otherwise it is fetched like any object.
    """

    objects: tuple[RemoteObject, ...]
    revision: str | None = None
    manifest: bytes | None = None


class Body(Protocol):
    """The bytes of one range, in order. It ends (0) early only if the connection did: the caller counts."""

    etag: str | None
    """The version that these bytes belong to, if the store said so."""

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill the front of the buffer with what is there, at least one byte; 0 at the end. Raises SourceError."""

    def close(self) -> None:
        """Let go. If everything was read, the connection may serve the next range."""


class Session(Protocol):
    """One stream to a store, used by one thread; only `abort` may come from another one."""

    def open_range(self, target: RemoteObject, start: int, length: int) -> Body:
        """Ask for `length` > 0 bytes at `start` of exactly the version `target.etag`, if it is known (If-Match).

        Raises SourceError before any byte is given if the answer is not exactly that range of that version.
        """

    def abort(self) -> None:
        """Make whatever the other thread waits for fail at once."""

    def close(self) -> None:
        """Close connections."""


class Source(Protocol):
    """Where a model's bytes come from. Shared by threads."""

    def describe(self) -> str:
        """Name the address for people, without credentials."""

    def list_objects(self) -> Listing:
        """List what lies there, sizes and whatever is known of versions and checksums. Raises SourceError."""

    def session(self) -> Session:
        """Give a new stream; nothing is connected before it is used."""


class Upload(Protocol):
    """One object on its way into a store. It is not visible under its name before `complete`."""

    def put_part(self, number: int, data: memoryview, crc32c: int) -> None:
        """Store the part with this number, from 0. May be called from several threads, in any order."""

    def complete(self, crc32c: int) -> None:
        """Make the object visible. `crc32c` is that of the whole object. Raises SourceError if the store disagrees."""

    def abort(self) -> None:
        """Remove what was stored so far."""


class Store(Protocol):
    """A source that weights can be published to."""

    def describe(self) -> str:
        """Name the address for people, without credentials."""

    def begin(self, name: str, size: int, part_size: int) -> Upload:
        """Start to store one object whose parts, but for the last, have `part_size` bytes. Raises SourceError."""


class SourceError(Exception):
    """Something went wrong between us and a store. The class says what to do, the message what and where."""

    retryable: ClassVar[bool] = False


class TransientError(SourceError):
    """The next try may succeed: a broken connection, a time-out, a 5xx, a short body, an answer to another question.

    `throttled` is for 429 and 503: fewer streams are wanted. `retry_after` in seconds is the store's own wish.
    """

    retryable = True

    def __init__(self, message: str, *, throttled: bool = False, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.throttled = throttled
        self.retry_after = retry_after


class WrongAnswerError(TransientError):
    """An answer to another question than the one asked, such as 200 to a range. It is not tried as often."""


class RefusedError(SourceError):
    """The store does not want us (401, 403) or the request (400): asking again changes nothing."""


class NotFoundError(SourceError):
    """There is nothing at that address (404, 410)."""


class ChangedError(SourceError):
    """The object is another version than the one listed (412): everything of it must be fetched anew."""

    def __init__(self, name: str, expected: str | None, found: str | None) -> None:
        super().__init__(f"{name} changed while it was fetched: version {expected}, now {found or 'another one'}")
        self.expected = expected
        self.found = found
