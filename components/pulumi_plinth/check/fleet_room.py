"""Whether the nodes of a cluster have room for the pods that objects make: each of them for itself. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from pulumi_plinth.check.core import Verdict, refuse
from pulumi_plinth.check.fleet import FleetNode, Room, room_for, wish_of
from pulumi_plinth.check.manifest import template_of
from pulumi_plinth.check.manifest_read import Document, amount, text

RULE = "cluster-room"
COUNTED = ("Deployment", "StatefulSet", "ReplicaSet", "LeaderWorkerSet", "Pod")
"""Kinds whose pods all run at the same time."""

SHOWN = 5
"""Nodes that are named; the others are counted."""


def shortages(documents: Iterable[Any], nodes: Sequence[FleetNode]) -> Iterator[tuple[str, Verdict]]:
    """Yield (kind/name, verdict) for every object that makes more pods than find room, if no other came before."""
    for owner in documents:
        template, kind = template_of(owner), text(owner, "kind")
        if template is None or kind not in COUNTED:
            continue
        room, count = room_for(wish_of(template.spec), nodes), _pods(owner)
        if count > room.total:
            yield f"{kind}/{text(owner, 'metadata', 'name') or '?'}", _verdict(count, room)


def _pods(owner: Document) -> int:
    replicas, size = amount(owner, "spec", "replicas"), amount(owner, "spec", "leaderWorkerTemplate", "size")
    return int((1 if replicas is None else replicas) * (size or 1))


def _verdict(count: int, room: Room) -> Verdict:
    problem = f"{count} pods, and the nodes have room for {room.total}{_named(room)}: {room.waiting.rstrip('.')}"
    fewer = f"write {room.total} replicas, or " if room.total else ""
    return refuse(
        RULE, "spec.replicas", problem, f"{fewer}add nodes or free them, with labels and taints that pods name"
    )


def _named(room: Room) -> str:
    if not room.pods:
        return ""
    first = [f"{count} on {name}" for name, count in sorted(room.pods.items())][:SHOWN]
    rest = len(room.pods) - len(first)
    return f" ({', '.join(first)}{f' and {rest} more' if rest else ''})"
