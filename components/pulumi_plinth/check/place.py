"""Where a server is meant to run: pod, nodes, pool, storage. Values only; None is not known."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Place:
    """Pod, nodes, pool and storage."""
