"""What the agent asks of a cluster, as an interface, and how a cluster may refuse. No library, no I/O.

ApiFault
├── DownError        nobody answers, or with 5xx: later again
├── ThrottledError   429: later again, not before `retry_after`
├── ExpiredError     410: what was watched is too old; list again
├── ConflictError    409: somebody was faster; read again
├── MissingError     404: it is not there
└── RefusedError     anything else: asking again does not help
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from plinth_runtime.contract.model_names import ModelKey, ModelKind

Document = dict[str, Any]


class ApiFault(Exception):  # noqa: N818 the family; its members end in Error
    """A request came to nothing."""


class DownError(ApiFault):
    """Nobody answers, or not in a way that says anything."""


class ThrottledError(ApiFault):
    """The server has too much to do."""

    def __init__(self, message: str, retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class ExpiredError(ApiFault):
    """The version to continue from is gone."""


class ConflictError(ApiFault):
    """The object changed meanwhile, or a field belongs to somebody else."""


class MissingError(ApiFault):
    """There is no such object."""


class RefusedError(ApiFault):
    """The server does not do this: no right to it, or it is not valid."""


class EventType(StrEnum):
    """What happened to an object."""

    ADDED = "ADDED"
    MODIFIED = "MODIFIED"
    DELETED = "DELETED"


@dataclass(frozen=True, slots=True)
class Event:
    """One change of an object."""

    type: EventType
    document: Document


@dataclass(frozen=True, slots=True)
class Write:
    """One server-side apply. `version`: only if the object is still at it."""

    manager: str
    body: Mapping[str, Any]
    version: str | None = None


class Api(Protocol):
    """A cluster, as far as one node's agent needs it. Every method may raise an ApiFault."""

    def list_models(self, kind: ModelKind, take: Callable[[Document], None]) -> str:
        """Hand over all declarations of a kind, one by one; gives the version to watch from."""

    def watch_models(self, kind: ModelKind, version: str) -> Iterator[Event]:
        """Give changes after a version until the connection ends."""

    def list_node(self, name: str, take: Callable[[Document], None]) -> str:
        """Hand over the one node, if it is there; gives the version to watch from."""

    def watch_node(self, name: str, version: str) -> Iterator[Event]:
        """Give changes of the one node."""

    def get_model(self, key: ModelKey) -> Document:
        """Read one declaration."""

    def node_exists(self, name: str) -> bool:
        """Say whether a node is there."""

    def apply_status(self, key: ModelKey, write: Write) -> Document:
        """Apply below `status`; gives the whole object."""

    def apply_spec(self, key: ModelKey, write: Write) -> Document:
        """Apply below `spec`, never over somebody else's fields; gives the whole object."""

    def apply_labels(self, name: str, write: Write) -> Document:
        """Apply the labels of a node that the manager owns, whole; gives the node."""

    def read_secret(self, namespace: str, name: str) -> Mapping[str, bytes]:
        """Read a secret's data."""
