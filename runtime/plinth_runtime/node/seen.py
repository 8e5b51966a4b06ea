"""A declaration as it was seen last, reduced to what this node needs: a thousand nodes' entries are not kept. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from plinth_runtime.contract.model_names import ModelKey, ModelKind
from plinth_runtime.contract.model_status import NodeEntry, derived_status, entry_status, is_derived, read_entry
from plinth_runtime.node.declaration import Declaration, read_declaration
from plinth_runtime.node.filling import FillView, view_of


@dataclass(frozen=True, slots=True)
class Place:
    """Which node this is and where it keeps models."""

    node: str
    root: str


@dataclass(frozen=True, slots=True)
class Seen:
    """One version of a declaration. `entry`: what this node says in it; `listed`: the seed's lists agree with that."""

    declaration: Declaration
    entry: NodeEntry | None
    listed: bool
    is_derived: bool
    neighbour: str | None
    fill: FillView

    @property
    def key(self) -> ModelKey:
        """The declaration's name."""
        return self.declaration.key


def read_seen(kind: ModelKind, document: Mapping[str, Any], place: Place) -> Seen:
    """Reduce an object of the API."""
    declaration = read_declaration(kind, document, place.root)
    status = document.get("status") or {}
    entry = read_entry(status, place.node)
    derived = derived_status(declaration.generation, declaration.digest, status, "")
    return Seen(
        declaration=declaration,
        entry=entry,
        listed=_is_listed(status, entry, place.node),
        is_derived=is_derived(status, derived),
        neighbour=neighbour(_names(status), place.node),
        fill=view_of(document),
    )


def is_newer(version: str, than: str) -> bool:
    """Compare two versions of one object; what is not a number is taken for newer."""
    if version.isdecimal() and than.isdecimal():
        return int(version) > int(than)
    return True


def neighbour(names: Iterable[str], node: str) -> str | None:
    """Give the next node in the ring of those that have said something: the one that this node looks after."""
    ring = sorted(set(names) - {node})
    return ring[bisect_right(ring, node) % len(ring)] if ring else None


def _names(status: Mapping[str, Any]) -> Iterable[str]:
    for row in status.get("nodes") or ():
        yield row["name"]
    yield from status.get("nodesReady") or ()
    yield from status.get("nodesFailed") or ()


def _is_listed(status: Mapping[str, Any], entry: NodeEntry | None, node: str) -> bool:
    wanted = entry_status(entry)
    return all(
        (node in (status.get(name) or ())) == (node in wanted.get(name, ())) for name in ("nodesReady", "nodesFailed")
    )
