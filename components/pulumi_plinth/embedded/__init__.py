"""Runs a Pulumi Python program without the Pulumi CLI, on state that the Pulumi CLI can take over.

Only this package's public names live here; grpc and pulumi are imported when a run starts, so importing is cheap.
It imports nothing else of ours: it knows Pulumi, not models.
"""

from pulumi_plinth.embedded.errors import (
    Cancelled,
    DeploymentFailed,
    EmbeddedError,
    Failure,
    LockedError,
    PassphraseError,
    PluginMissing,
    ProjectError,
    ProviderError,
    StateError,
    Unsupported,
)
from pulumi_plinth.embedded.events import Diagnostic, Event, Options, Result, StepFinished, StepStarted
from pulumi_plinth.embedded.operations import cancel, destroy, exists, export, outputs, preview, refresh, up
from pulumi_plinth.embedded.project import Project

__all__ = [
    "Cancelled",
    "DeploymentFailed",
    "Diagnostic",
    "EmbeddedError",
    "Event",
    "Failure",
    "LockedError",
    "Options",
    "PassphraseError",
    "PluginMissing",
    "Project",
    "ProjectError",
    "ProviderError",
    "Result",
    "StateError",
    "StepFinished",
    "StepStarted",
    "Unsupported",
    "cancel",
    "destroy",
    "exists",
    "export",
    "outputs",
    "preview",
    "refresh",
    "up",
]
