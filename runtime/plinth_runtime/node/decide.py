"""What this node does about one model, and what it says of it: one situation -> one action and one entry. Pure.

RULES is the table: the first rule that has something to say decides. Every decision carries its reason.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from plinth_runtime.contract.model_names import ModelKey
from plinth_runtime.contract.model_status import MAX_MESSAGE, NodeEntry, NodePhase
from plinth_runtime.node.attempts import Attempt, Stage
from plinth_runtime.node.declaration import BY_OTHERS, IN_PLACE, Declaration
from plinth_runtime.node.keeping import Keeping
from plinth_runtime.node.record import Record


class Action(StrEnum):
    """What the actors can do about one model."""

    KEEP = "keep"
    FETCH = "fetch"
    REUSE = "reuse"
    RELEASE = "release"
    FREE = "free"
    FORGET = "forget"


@dataclass(frozen=True, slots=True)
class Situation:
    """All that a decision depends on."""

    node: str
    now: float
    declaration: Declaration | None = None
    matched: bool = False
    record: Record | None = None
    intact: bool = False
    attempt: Attempt | None = None
    is_there: bool = False
    """For `local://`: the folder exists."""
    taken_by: ModelKey | None = None
    """Another declaration that wants other content at the same path and came first by name."""
    shared: bool = False
    """Another model's record says the same content at the same path: that one looks after it."""
    keeping: Keeping = field(default_factory=Keeping)
    twin: Record | None = None
    """Content that may be linked without asking the source: this model's own that was let go, or another's."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do and what to say. `entry` None: this node has nothing to say about the model."""

    action: Action
    why: str
    entry: NodeEntry | None = None


def decide(situation: Situation) -> Decision:
    """Decide about one model on one node."""
    for rule in RULES:
        decision = rule(situation)
        if decision is not None:
            return decision
    raise AssertionError  # the last rule always decides


def _gone(case: Situation) -> Decision | None:
    wish, record = case.declaration, case.record
    if wish is not None and not wish.leaving:
        return None
    if record is None:
        return Decision(Action.KEEP, "not declared, nothing is here")
    if record.reserved or (wish is not None and wish.reserved) or case.shared:
        why = "another model has the same path" if case.shared else "reserved"
        return Decision(Action.FORGET, f"not declared any more; {why}, so the content stays")
    return _let_go(case, record, case.keeping.deleted, "not declared any more")


def _elsewhere(case: Situation) -> Decision | None:
    if case.matched:
        return None
    if case.record is None:
        return Decision(Action.KEEP, "meant for other nodes")
    if case.shared:
        return Decision(Action.FORGET, "meant for other nodes now; another model has the same path")
    return _let_go(case, case.record, case.keeping.released, "meant for other nodes now")


def _let_go(case: Situation, record: Record, seconds: float, why: str) -> Decision:
    """Take the link away at once, the content after a while."""
    if record.released is None:
        return Decision(Action.RELEASE, f"{why}; the content waits {seconds:.0f} s for it to come back")
    if case.now - record.released < seconds:
        return Decision(Action.KEEP, f"{why}; the content still waits")
    return Decision(Action.FREE, f"{why}, for long enough")


def _wrong(case: Situation) -> Decision | None:
    wish = _wish(case)
    if wish.faults:
        return _failed(case, "InvalidDeclaration", "; ".join(wish.faults))
    if case.taken_by is not None:
        words = f"{wish.path} is the path of {case.taken_by}, which wants other content; write another path"
        return _failed(case, "PathTaken", words)
    return None


def _by_others(case: Situation) -> Decision | None:
    scheme = _wish(case).scheme
    if scheme not in BY_OTHERS:
        return None
    words = {"pvc": "pods mount the claim", "vendor": "the vendor brings it"}[scheme]
    return Decision(Action.KEEP, words, _entry(case, NodePhase.READY, "NotManaged", words))


def _in_place(case: Situation) -> Decision | None:
    wish = _wish(case)
    if wish.scheme not in IN_PLACE:
        return None
    if case.is_there:
        return Decision(Action.KEEP, "the folder is there", _entry(case, NodePhase.READY, "InPlace"))
    words = f"{wish.address}: there is no such folder on this node; put it there, or select other nodes"
    return Decision(Action.KEEP, "the folder is missing", _entry(case, NodePhase.FAILED, "FolderMissing", words))


def _done(case: Situation) -> Decision | None:
    record = case.record
    if record is None or not case.intact or record.declared != _wish(case).digest:
        return None
    reason = "" if record.verified else "Unverified"
    words = "" if record.verified else "everything arrived, but nothing says what it should have been"
    return Decision(Action.KEEP, "the declared content is here", _entry(case, NodePhase.READY, reason, words))


def _underway(case: Situation) -> Decision | None:
    attempt = case.attempt
    if attempt is None or attempt.declared != _wish(case).digest or attempt.stage is Stage.FAILED:
        return None
    return Decision(Action.KEEP, "a fetch is under way", _on_the_way(case, attempt))


def _waiting(case: Situation) -> Decision | None:
    attempt = case.attempt
    if attempt is None or attempt.declared != _wish(case).digest or case.now >= attempt.next_try:
        return None
    return _failed(case, attempt.reason, attempt.message)


def _reusable(case: Situation) -> Decision | None:
    if case.twin is None:
        return None
    entry = _on_the_way(case, Attempt(_wish(case).digest))
    return Decision(Action.REUSE, f"the content of {case.twin.key} is here and may be linked", entry)


def _start(case: Situation) -> Decision | None:
    again = case.attempt is not None and case.attempt.declared == _wish(case).digest
    failures = case.attempt.failures if again and case.attempt else 0
    entry = _on_the_way(case, Attempt(_wish(case).digest, failures=failures))
    return Decision(Action.FETCH, "tried again" if again else "the declared content is not here", entry)


RULES: tuple[Callable[[Situation], Decision | None], ...] = (
    _gone, _elsewhere, _wrong, _by_others, _in_place, _done, _underway, _waiting, _reusable, _start,
)  # fmt: skip


def _wish(case: Situation) -> Declaration:
    """Give the declaration; the first rule has seen to it that there is one."""
    if case.declaration is None:
        raise AssertionError
    return case.declaration


def _holds(case: Situation) -> bool:
    """Say whether older content of this model is here and can be served."""
    return case.record is not None and case.intact


def _on_the_way(case: Situation, attempt: Attempt) -> NodeEntry:
    phases = {Stage.QUEUED: NodePhase.PENDING, Stage.LISTING: NodePhase.IMPORTING, Stage.MOVING: NodePhase.IN_TRANSIT}
    phase = NodePhase.UPDATING if _holds(case) else phases[attempt.stage]
    entry = _entry(case, phase, {Stage.QUEUED: "Queued", Stage.LISTING: "Listing"}.get(attempt.stage, ""))
    return entry.model_copy(update={"attempts": attempt.failures, "progress": attempt.progress})


def _failed(case: Situation, reason: str, message: str) -> Decision:
    phase = NodePhase.UPDATE_FAILED if _holds(case) else NodePhase.FAILED
    entry = _entry(case, phase, reason, message)
    if case.attempt is not None and case.attempt.reason == reason:
        extra = {"attempts": case.attempt.failures, "next_try": case.attempt.next_try_text or None}
        entry = entry.model_copy(update=extra)
    return Decision(Action.KEEP, f"{reason}: {message}", entry)


def _entry(case: Situation, phase: NodePhase, reason: str = "", message: str = "") -> NodeEntry:
    """Make the entry. While older content is served, `declared` is still that content's."""
    old = case.record.declared if case.record is not None and _holds(case) else None
    return NodeEntry(
        name=case.node,
        phase=phase,
        reason=reason,
        message=message[:MAX_MESSAGE],
        declared=old or _wish(case).digest,
        content=case.record.content if case.record is not None and _holds(case) else None,
    )
