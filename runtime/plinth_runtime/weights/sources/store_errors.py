"""What the stores' own libraries say, in our four words. Pure: a status and some text in, an error out."""

from __future__ import annotations

from plinth_runtime.errors import SourceRefusedError
from plinth_runtime.weights.sources import NotFoundError, RefusedError, SourceError, TransientError
from plinth_runtime.weights.sources.answers import AGAIN, GONE, THROTTLES
from plinth_runtime.weights.sources.opening import is_loopback

FIRST_SERVER_ERROR = 500


def status_fault(status: int, words: str, retry_after: str | None = None) -> SourceError:
    """Turn the status of an answer into the error that says whether asking again can help."""
    if status in GONE:
        return NotFoundError(words)
    if status in THROTTLES:
        seconds = float(retry_after) if retry_after and retry_after.isdecimal() else None
        return TransientError(words, throttled=True, retry_after=seconds)
    if status in AGAIN or status >= FIRST_SERVER_ERROR:
        return TransientError(words)
    return RefusedError(words)


def judge_endpoint(url: str, variable: str) -> str:
    """Give an endpoint without a slash at its end. Raises SourceRefusedError unless it is https, or this machine.

    The address is not repeated in the message: people put passwords into such variables.
    """
    scheme, separator, rest = url.partition("://")
    host = rest.partition("/")[0].rpartition("@")[2]
    name = host.partition("]")[0].lstrip("[") if host.startswith("[") else host.partition(":")[0]
    if not separator or not (scheme == "https" or (scheme == "http" and is_loopback(name))) or "@" in rest:
        raise SourceRefusedError(
            f"{variable} is not an address of the form https://HOST", hint="http:// is for this machine only."
        )
    return url.rstrip("/")
