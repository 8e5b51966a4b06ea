"""How long content outlives its use, seconds. Values only. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Keeping:
    """Bytes that are removed too soon are fetched again; bytes that stay cost only room."""

    released: float = 600.0
    """After the node stopped to match: labels come and go."""

    deleted: float = 30.0
    """After the declaration went: some tools replace by deleting and creating."""

    superseded: float = 600.0
    """After newer content took its place: servers restart one after the other. Content under a lease stays longer."""
