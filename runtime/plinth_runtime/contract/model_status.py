"""The status of a declared model: one entry per node, and the state that follows from all of them. Pure.

Each node's agent owns its own entry and nothing else; what the whole says is derived, so that nobody has to be asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any, Literal

from pydantic import Field

from plinth_runtime.contract.base import Document

MAX_NODES = 2500
"""Entries that one declaration may have; the size of an object in etcd (1.5 MiB) is reached at about as many."""

MAX_MESSAGE = 512
NAME_LENGTH = 253


class ModelState(StrEnum):
    """The states of the seed, and In_Training, which OME names and nobody here derives."""

    CREATING = "Creating"
    IMPORTING = "Importing"
    IN_TRANSIT = "In_Transit"
    IN_TRAINING = "In_Training"
    READY = "Ready"
    FAILED = "Failed"


class NodePhase(StrEnum):
    """How far one node is with one model."""

    PENDING = "Pending"
    IMPORTING = "Importing"
    IN_TRANSIT = "InTransit"
    READY = "Ready"
    UPDATING = "Updating"
    UPDATE_FAILED = "UpdateFailed"
    FAILED = "Failed"


_PHASES = {phase.value: phase for phase in NodePhase}

SERVING = frozenset({NodePhase.READY, NodePhase.UPDATING, NodePhase.UPDATE_FAILED})
"""Phases in which the node has content to serve, though maybe not the newest."""


class NodeProgress(Document):
    """How much of the content has arrived."""

    bytes_done: int = Field(default=0, ge=0, description="Bytes that are on the node.")
    bytes_total: int = Field(default=0, ge=0, description="Bytes of the model. 0: not known yet.")
    bytes_per_second: int = Field(default=0, ge=0, description="Rate of the last seconds.")


class NodeEntry(Document):
    """What one node says about one model. Defaults are not written: a ready node's entry is small."""

    name: str = Field(min_length=1, max_length=NAME_LENGTH, description="The node.")
    phase: NodePhase = Field(description="How far it is.")
    reason: str = Field(
        default="",
        max_length=64,
        pattern=r"^([A-Z][A-Za-z]*)?$",
        description="Why, as one word that programs can compare. Default: none, the phase says it.",
    )
    message: str = Field(
        default="", max_length=MAX_MESSAGE, description="Why, and what to do, for people. Default: none."
    )
    declared: str = Field(
        default="", max_length=64, description="Digest of the declared storage that this is about. Default: not said."
    )
    content: str | None = Field(
        default=None, max_length=64, description="Digest of the manifest of the content served. Default: none is known."
    )
    attempts: int = Field(default=0, ge=0, description="Fetches that failed in a row. Default: 0.")
    next_try: str | None = Field(
        default=None, max_length=32, description="When the next fetch starts, RFC 3339. Default: none is planned."
    )
    progress: NodeProgress | None = Field(default=None, description="Bytes, while they arrive. Default: none do.")

    @property
    def serves(self) -> bool:
        """Whether the node is to be listed as ready."""
        return self.phase in SERVING


class Condition(Document):
    """One thing that is true, false or unknown of a model, as Kubernetes writes it."""

    type: Literal["Ready", "UpToDate"]
    status: Literal["True", "False", "Unknown"]
    reason: str = Field(min_length=1, max_length=64, description="Why, as one word.")
    message: str = Field(default="", max_length=MAX_MESSAGE)
    observed_generation: int = Field(default=0, ge=0, description="The declaration's generation that this is about.")
    last_transition_time: str = Field(max_length=32, description="When `status` last changed, RFC 3339.")


_PRECEDENCE = (
    (SERVING, ModelState.READY),
    (frozenset({NodePhase.IN_TRANSIT}), ModelState.IN_TRANSIT),
    (frozenset({NodePhase.PENDING, NodePhase.IMPORTING}), ModelState.IMPORTING),
    (frozenset({NodePhase.FAILED}), ModelState.FAILED),
)
"""First row that any node is in wins: one good node makes a model usable, and who still works has not failed."""

_READY_REASONS = {
    ModelState.READY: ("True", "ContentOnNodes", "at least one node has the content"),
    ModelState.IN_TRANSIT: ("False", "InTransit", "no node has the content yet, at least one receives it"),
    ModelState.IMPORTING: ("False", "Importing", "no node has the content yet, at least one has taken the task"),
    ModelState.FAILED: ("False", "AllNodesFailed", "every node that tried has failed; status.nodes says why"),
    ModelState.CREATING: ("Unknown", "NoNode", "no node has answered; either none matches or its agent does not run"),
}


def derive_state(phases: Iterable[NodePhase]) -> ModelState:
    """Give the state of a model from its nodes' phases."""
    present = set(phases)
    return next((state for row, state in _PRECEDENCE if present & row), ModelState.CREATING)


def read_entry(status: Mapping[str, Any] | None, node: str) -> NodeEntry | None:
    """Read one node's entry; None when there is none, or none that can be read."""
    for row in (status or {}).get("nodes") or ():
        if isinstance(row, dict) and row.get("name") == node:
            try:
                return NodeEntry.model_validate(row)
            except ValueError:
                return None
    return None


def read_entries(status: Mapping[str, Any] | None) -> tuple[NodeEntry, ...]:
    """Read all entries of a status; what is not one of ours is passed over."""
    names = (row["name"] for row in (status or {}).get("nodes") or () if isinstance(row, dict) and "name" in row)
    found = (read_entry(status, name) for name in names)
    return tuple(entry for entry in found if entry is not None)


def entry_status(entry: NodeEntry | None) -> dict[str, Any]:
    """Give what a node applies under `status`: its entry, and its name in one of the seed's two lists."""
    if entry is None:
        return {}
    status: dict[str, Any] = {"nodes": [entry.model_dump(mode="json", exclude_defaults=True)]}
    if entry.serves:
        status["nodesReady"] = [entry.name]
    elif entry.phase is NodePhase.FAILED:
        status["nodesFailed"] = [entry.name]
    return status


def derived_status(generation: int, declared: str, status: Mapping[str, Any] | None, now: str) -> dict[str, Any]:
    """Give `state` and `conditions` as they must be. Equal input, `now` apart, gives what is there already."""
    rows = tuple(_rows(status))
    state = derive_state(phase for phase, _ in rows)
    wanted = (("Ready", *_READY_REASONS[state]), ("UpToDate", *_up_to_date(rows, declared)))
    before = {row.get("type"): row for row in (status or {}).get("conditions") or () if isinstance(row, dict)}
    conditions = [_condition(row, generation, before.get(row[0]), now) for row in wanted]
    return {"state": state.value, "conditions": conditions}


def is_derived(status: Mapping[str, Any] | None, derived: Mapping[str, Any]) -> bool:
    """Say whether a status already says what is derived."""
    there = status or {}
    rows = {row.get("type"): row for row in there.get("conditions") or () if isinstance(row, dict)}
    return there.get("state") == derived["state"] and all(rows.get(row["type"]) == row for row in derived["conditions"])


def _rows(status: Mapping[str, Any] | None) -> Iterator[tuple[NodePhase, str]]:
    """Give phase and wish of every entry. A thousand of them are looked at with every change: nothing is validated."""
    for row in (status or {}).get("nodes") or ():
        phase = _PHASES.get(row.get("phase"))
        if phase is not None:
            yield phase, row.get("declared", "")


def _up_to_date(rows: Sequence[tuple[NodePhase, str]], declared: str) -> tuple[str, str, str]:
    """Say whether the nodes that serve have what is declared now. No numbers: they would change with every node."""
    serving = [row for row in rows if row[0] in SERVING]
    if not serving:
        return "Unknown", "NoContent", "no node has any content"
    old = [phase for phase, wish in serving if wish != declared or phase is not NodePhase.READY]
    if not old:
        return "True", "ContentIsDeclared", "every node that has content has what is declared"
    if NodePhase.UPDATE_FAILED in old:
        return "False", "UpdateFailed", "a node could not get what is declared and serves older content"
    return "False", "Updating", "a node still serves older content"


def _condition(
    row: tuple[str, str, str, str], generation: int, before: Mapping[str, Any] | None, now: str
) -> dict[str, Any]:
    kind, status, reason, message = row
    same = before is not None and before.get("status") == status
    since = before.get("lastTransitionTime", now) if same and before else now
    condition = {"type": kind, "status": status, "reason": reason, "message": message}
    return {**condition, "observedGeneration": generation, "lastTransitionTime": since}
