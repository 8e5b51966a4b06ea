"""How a pool and its nodes are replaced, decided once. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from pulumi_plinth.pool.case import PoolCase
from pulumi_plinth.pool.spec import Replacement

INSTANCE, BOOT_VOLUME = "INSTANCE_REPLACE", "BOOT_VOLUME_REPLACE"
"""OKE's modes of cycling. The second takes image, version, boot volume, metadata and keys; nothing else."""


@dataclass(frozen=True, slots=True)
class Replacing:
    """What was decided: of the pool (`delete_first`) and of its nodes, with the reason."""

    how: Replacement
    delete_first: bool
    cycled: bool
    modes: tuple[str, ...]
    surge: int
    unavailable: int
    text: str


def replacing(case: PoolCase) -> Replacing:
    """Choose what never asks for GPUs twice, unless told otherwise."""
    how = case.spec.replacement or _default(case)
    cycling = case.spec.cycling
    instances = how != "in-place"
    # Instances of bare metal cannot be cycled; nodes that join by themselves are not OKE's to cycle.
    cycled = (
        cycling.enabled and not case.self_managed and case.spec.kind != "existing" and not (instances and case.metal)
    )
    surge = (cycling.maximum_surge or 1) if how == "surge" else 0
    unavailable = cycling.maximum_unavailable or (0 if how == "surge" else 1)
    modes = (INSTANCE,) if instances else (BOOT_VOLUME,)
    text = _text(case, how, cycled=cycled)
    return Replacing(how, how != "surge", cycled, modes if cycled else (), surge, unavailable, text)


def _default(case: PoolCase) -> Replacement:
    return "in-place" if case.metal and not case.self_managed else "delete-first"


def _text(case: PoolCase, how: Replacement, *, cycled: bool) -> str:
    chosen = "as asked" if case.spec.replacement else f"because {_because(case)}"
    nodes = {
        "in-place": "nodes keep their host and get a new boot volume",
        "surge": "a node is made before one goes, which needs capacity and quota for one more",
        "delete-first": "a node goes before the next is made, so no GPU is needed twice",
    }[how]
    if not cycled:
        nodes = "nodes that are there stay as they are until they are replaced by hand"
    pool = "made anew before the old one goes" if how == "surge" else "deleted before it is made anew"
    return f"{how}, {chosen}: {nodes}; where OCI cannot update the pool it is {pool}"


def _because(case: PoolCase) -> str:
    if case.metal and not case.self_managed:
        return "bare metal that is given back may not be had again"
    return "GPUs are seldom free twice"
