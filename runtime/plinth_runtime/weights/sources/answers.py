"""Is this HTTP answer exactly the range that was asked for? Decides from status and headers, before any byte counts."""

from __future__ import annotations

import re
from dataclasses import dataclass
from http.client import HTTPResponse

from plinth_runtime.weights.sources import (
    ChangedError,
    NotFoundError,
    RefusedError,
    SourceError,
    TransientError,
    WrongAnswerError,
)

GONE = frozenset({404, 410})
THROTTLES = frozenset({429, 503})
AGAIN = frozenset({408, 425, 500, 502, 504})
OK, PARTIAL, PRECONDITION, UNSATISFIABLE = 200, 206, 412, 416


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


def range_fault(answer: HTTPResponse, wanted: Wanted) -> SourceError | None:
    """Say what is wrong with an answer to a range request; None: exactly the wanted bytes follow."""
    etag = answer.getheader("ETag")
    if answer.status == PRECONDITION:
        return ChangedError(wanted.name, wanted.etag, etag)
    if answer.status == UNSATISFIABLE:
        return ChangedError(wanted.name, wanted.etag, f"{etag} without byte {wanted.start}")
    try:
        judge_status(answer, wanted.name)
    except SourceError as error:
        return error
    if wanted.etag and etag and _opaque(etag) != _opaque(wanted.etag):
        return ChangedError(wanted.name, wanted.etag, etag)
    return _shape_fault(answer, wanted)


def _shape_fault(answer: HTTPResponse, wanted: Wanted) -> SourceError | None:
    if answer.getheader("Content-Encoding", "identity") != "identity":
        return WrongAnswerError(f"{wanted.name}: the store sent it encoded as {answer.getheader('Content-Encoding')}")
    if answer.status == OK and not wanted.is_whole:
        return WrongAnswerError(f"{wanted.name}: the store answered 200 with the whole object to a range request")
    if answer.status == PARTIAL and (fault := _place_fault(answer.getheader("Content-Range", ""), wanted)) is not None:
        return fault
    if answer.length == wanted.length:
        return None
    if answer.length is not None and answer.status == OK:
        return ChangedError(wanted.name, f"of {wanted.size} bytes", f"one of {answer.length} bytes")
    return WrongAnswerError(f"{wanted.name}: asked for {wanted.length} bytes, the store sends {answer.length}")


def _place_fault(said: str, wanted: Wanted) -> SourceError | None:
    end = wanted.start + wanted.length - 1
    match = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+|\*)", said)
    if match is None or (int(match[1]), int(match[2])) != (wanted.start, end):
        return WrongAnswerError(f"{wanted.name}: asked for bytes {wanted.start}-{end}, the store sent '{said}'")
    if match[3] not in {"*", str(wanted.size)}:
        return ChangedError(wanted.name, f"of {wanted.size} bytes", f"one of {match[3]} bytes")
    return None


def judge_status(answer: HTTPResponse, name: str) -> None:
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
