"""What is to be measured, and what one request brought: the values that the other modules here exchange. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

PROMPT_TOKENS = 128
MAX_TOKENS = 64
CLIENTS = 8
REQUESTS = 64
REQUEST_SECONDS = 600.0
"""Without a byte for this long a request has failed."""


@dataclass(frozen=True, slots=True)
class Server:
    """Where to ask: host and port, a path before `/v1` if there is one, and the key."""

    secure: bool
    host: str
    port: int
    prefix: str = ""
    key: str = field(default="", repr=False)

    def __str__(self) -> str:
        """Give the address as people write it."""
        return f"http{'s' if self.secure else ''}://{self.host}:{self.port}{self.prefix}"


@dataclass(frozen=True, slots=True)
class Wish:
    """How many clients share how many requests, and how long prompts and answers are, in tokens."""

    model: str
    clients: int = CLIENTS
    requests: int = REQUESTS
    prompt_tokens: int = PROMPT_TOKENS
    max_tokens: int = MAX_TOKENS


@dataclass(frozen=True, slots=True)
class Outcome:
    """One request: when each piece of the answer came (seconds since it was sent), and the engine's own token counts.

    `error` says in one line why there is no answer; then nothing else here counts.
    """

    arrivals: tuple[float, ...] = ()
    prompt_tokens: int = 0
    output_tokens: int = 0
    error: str = ""


@dataclass(frozen=True, slots=True)
class Run:
    """All outcomes, and the seconds from the first request to the last answer."""

    outcomes: tuple[Outcome, ...]
    seconds: float
