"""StoreSpec -> StorePlan: where the store lies on this host. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pulumi_plinth.store.spec import StoreSpec


@dataclass(frozen=True, slots=True)
class StorePlan:
    """A store, decided."""

    name: str
    kind: str
    path: Path


def plan_store(name: str, spec: StoreSpec, root: Path) -> StorePlan:
    """Place a folder store: a relative path starts at the project's root."""
    return StorePlan(name, spec.kind, root / spec.path)
