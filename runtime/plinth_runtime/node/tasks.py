"""What is to be fetched, what a fetch reports, and the interface of who does it. Values only. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from plinth_runtime.contract.model_names import ModelKey
from plinth_runtime.contract.model_status import NodeProgress


@dataclass(frozen=True, slots=True)
class FetchTask:
    """One model to bring. `environment` holds secrets and is never printed."""

    key: ModelKey
    declared: str
    address: str
    link: str
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Arrived:
    """Everything is there: what `address` gave, and the link leads to it."""

    address: str
    link: str
    snapshot: str
    content: str
    bytes: int
    verified: bool
    described: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Failure:
    """It came to nothing. `reason` is one word for programs, `message` is for people."""

    reason: str
    message: str
    retryable: bool


@dataclass(frozen=True, slots=True)
class Report:
    """What a fetch says: `news` None when it has begun."""

    key: ModelKey
    declared: str
    news: NodeProgress | Arrived | Failure | None


class Fetcher(Protocol):
    """Brings content. Reports come by another way, from other threads."""

    def start(self, task: FetchTask) -> None:
        """Queue a fetch; one that is queued or runs for the same model is cancelled."""

    def cancel(self, key: ModelKey) -> None:
        """End the fetch of a model, within two seconds; nothing is reported of it any more."""

    def close(self) -> None:
        """End everything."""
