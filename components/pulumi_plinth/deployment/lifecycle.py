"""What a model's lifecycle says about serving it, whatever the target. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from pulumi_plinth.errors import Fault
from pulumi_plinth.fit.layout import Reason
from pulumi_plinth.model.lifecycle import Lifecycle


def lifecycle_faults(path: str, model: str, lifecycle: Lifecycle) -> Iterator[Fault]:
    """Refuse what must not be served."""
    if lifecycle.disabled:
        yield Fault(path, model, "is disabled", "serve another model, or remove its lifecycle.disabled")


def lifecycle_reasons(lifecycle: Lifecycle) -> Iterator[Reason]:
    """Warn of what will not be there for long."""
    if lifecycle.phase == "DEPRECATED" or lifecycle.deprecation_time:
        since = f" since {lifecycle.deprecation_time}" if lifecycle.deprecation_time else ""
        yield Reason("lifecycle", f"WARNING: the model is deprecated{since}")
    if lifecycle.phase == "EXPERIMENTAL" or lifecycle.experimental:
        yield Reason("lifecycle", "WARNING: the model is experimental, not meant for production")
