"""What the embedded engine refuses or fails with.

EmbeddedError
├── ProjectError        Pulumi.yaml or a stack file cannot be used
├── PassphraseError     no passphrase, or not the one the state was written with
├── StateError          the state folder cannot be read or written
├── LockedError         another run holds the stack
├── Unsupported         a Pulumi feature that only the Pulumi CLI performs
├── PluginMissing       a resource plugin is not installed
├── ProviderError       a provider refused or failed one call
├── DeploymentFailed    at least one step or the program failed; carries the failures
└── Cancelled           interrupted by the user

Every message says what is wrong, where, and what to do instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


class EmbeddedError(Exception):
    """Base of everything this package raises on purpose."""


class ProjectError(EmbeddedError):
    """Pulumi.yaml or Pulumi.<stack>.yaml is missing, malformed or asks for what is not supported."""


class PassphraseError(EmbeddedError):
    """The passphrase is missing or wrong."""


class StateError(EmbeddedError):
    """The state folder cannot be read or written."""


class LockedError(EmbeddedError):
    """Another run holds the stack."""


class Unsupported(EmbeddedError):  # noqa: N818 - reads as the sentence it is: "unsupported: transforms"
    """A Pulumi feature which the embedded engine does not perform; the Pulumi CLI does."""

    def __init__(self, feature: str, where: str, instead: str = "deploy this stack with the Pulumi CLI") -> None:
        super().__init__(f"{where}: {feature} is not supported by the embedded engine; {instead}")


class PluginMissing(EmbeddedError):  # noqa: N818 - the noun is the fault
    """The executable of a resource plugin was not found."""

    def __init__(self, package: str, version: str) -> None:
        self.package = package
        wanted = f"{package} {version}".strip()
        super().__init__(
            f"resource plugin '{package}' is needed but pulumi-resource-{package} is not on PATH; install it with "
            f"`pulumi plugin install resource {wanted}` or put the executable on PATH"
        )


class ProviderError(EmbeddedError):
    """A provider call failed.

    `unfinished` is true when the outcome is unknown (the plugin died or was cancelled): the operation stays
    pending. `partial` holds (id, inputs, outputs, reasons) when the resource exists but did not become healthy.
    """

    def __init__(self, urn: str, message: str, *, unfinished: bool = False, partial: Any = None) -> None:
        super().__init__(f"{urn}: {message}")
        self.urn, self.message, self.unfinished, self.partial = urn, message, unfinished, partial


@dataclass(frozen=True)
class Failure:
    """One thing that went wrong: the resource (empty for the program or the stack) and why."""

    urn: str
    message: str


class DeploymentFailed(EmbeddedError):  # noqa: N818 - past tense: what happened
    """A deployment ended with failures; the state holds everything that was done, `result` counts it."""

    def __init__(self, failures: tuple[Failure, ...], result: Any = None) -> None:
        super().__init__("\n".join(f"{f.urn}: {f.message}" if f.urn else f.message for f in failures))
        self.failures, self.result = failures, result


class Cancelled(DeploymentFailed):
    """The user interrupted the run; running steps were finished and saved."""
