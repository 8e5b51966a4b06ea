"""What a run tells while it goes on, and what it returns. Values only: rendering belongs to the caller."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

COUNTED = ("create", "update", "replace", "delete", "import", "same")
"""Operations that a result counts; a replacement counts once, as replace."""


@dataclass(frozen=True)
class StepEvent:
    """A step on one resource. `op`: create, update, replace, delete, delete-replaced, same, refresh,
    read, import.
    """

    urn: str
    type: str
    name: str
    op: str
    preview: bool
    keys: tuple[str, ...] = ()
    """Input properties that differ (paths where the provider gives them); never their values."""


@dataclass(frozen=True)
class StepStarted(StepEvent):
    """The step begins: it is recorded as pending in the state."""


@dataclass(frozen=True)
class StepFinished(StepEvent):
    """The step ended; `error` is empty when it succeeded."""

    seconds: float = 0.0
    error: str = ""


@dataclass(frozen=True)
class Diagnostic:
    """A message of the engine, the program or a plugin. `severity`: debug, info, warning, error."""

    severity: str
    message: str
    urn: str = ""
    ephemeral: bool = False


Event = StepStarted | StepFinished | Diagnostic
OnEvent = Callable[[Event], None]


def ignore(_event: Event) -> None:
    """Drop the event: the default listener."""


@dataclass(frozen=True)
class Options:
    """How to run."""

    parallel: int = 8
    """Provider operations at the same time; 8 is what the Pulumi CLI uses on two cores."""
    preview: bool = True
    """Let `up` preview first, so that whatever can be refused is refused before anything is created."""
    passphrase: str | None = None
    """Passphrase of the stack's secrets; None reads PULUMI_CONFIG_PASSPHRASE or ..._FILE."""
    debug: bool = False
    """Report what Pulumi's SDK says for its own debugging, as Diagnostics of severity debug; a fifth of its time."""


@dataclass(frozen=True)
class Result:
    """What a run did (or, for a preview, would do)."""

    kind: str
    changes: Mapping[str, int] = field(default_factory=dict)
    """Resources by operation; default providers are not counted."""
    outputs: Mapping[str, Any] = field(default_factory=dict)
    """Stack outputs; secrets are in plain here and named in `secret_output_names`; unknown ones are None."""
    secret_output_names: frozenset[str] = frozenset()
    duration: float = 0.0

    @property
    def has_changes(self) -> bool:
        """Whether any resource differs from the state."""
        return any(self.changes.get(op, 0) for op in ("create", "update", "replace", "delete", "import"))
