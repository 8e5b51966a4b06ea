"""Do a stack's pools fit into what OCI's service limits leave? What is asked, and what the answers mean. Pure.

Which limits a shape counts under is OCI's own answer (ListShapes, `quotaNames`), so that no table here grows old.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, Protocol

from pulumi_plinth.pool.plan import PoolPlan

Verdict = Literal["fits", "perhaps", "short", "not-offered", "unanswered"]

MORE = "ask for more in the Console: Governance & Administration, Limits, Quotas and Usage, Request a limit increase"
WHOLE_NODES = ("vm-", "bm-")
"""How limits begin that count instances (vm-gpu3-1-count); the others count GPUs (gpu4-count)."""

RIGHT = "Allow group <g> to inspect resource-availability in tenancy"
"""What who asks must be allowed; `inspect instance-family` in the compartment is needed for shapes."""


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where a limit holds, and for whom: an availability domain, asked for a compartment."""

    domain: str
    compartment: str


@dataclass(frozen=True, slots=True)
class Demand:
    """What one pool may come to in one place: `nodes` of `gpus` each."""

    pool: str
    shape: str
    gpus: int
    nodes: int
    place: Place


@dataclass(frozen=True, slots=True)
class Room:
    """What a limit leaves: `available` beside what the compartment has `used`; None where OCI does not say.

    `limit` is the limit itself, for limits whose use OCI does not count; `quota` what a policy of the tenancy allows.
    """

    available: int | None = None
    used: int | None = None
    limit: int | None = None
    quota: float | None = None


@dataclass(frozen=True, slots=True)
class Unanswered:
    """Why a question has no answer, as a person reads it."""

    reason: str


class LimitsClient(Protocol):
    """What is asked of OCI. Each raises UnansweredError with the reason."""

    def limits_of(self, shape: str, place: Place) -> tuple[str, ...] | None:
        """Name the limits that a shape counts under; None: OCI does not list the shape there."""

    def room(self, limit: str, place: Place) -> Room:
        """Tell what a limit leaves."""


class UnansweredError(Exception):
    """OCI did not answer; the message is the reason."""


@dataclass(frozen=True, slots=True)
class Answers:
    """All that OCI said: limits by shape and place, room by limit and place."""

    limits: Mapping[tuple[str, Place], tuple[str, ...] | Unanswered | None]
    rooms: Mapping[tuple[str, Place], Room | Unanswered]


@dataclass(frozen=True, slots=True)
class Finding:
    """What came out for the pools that share one limit in one place."""

    verdict: Verdict
    pools: tuple[str, ...]
    domain: str
    limit: str | None
    needed: int
    available: int | None
    used: int | None
    text: str


@dataclass(frozen=True, slots=True)
class LimitsReport:
    """What the check found; `reason` says why it found nothing."""

    findings: tuple[Finding, ...] = ()
    reason: str | None = None

    @property
    def checked(self) -> bool:
        """Whether OCI answered for at least one pool."""
        return any(item.verdict != "unanswered" for item in self.findings)

    def to_json(self) -> dict[str, Any]:
        """Render for `plinth plan --json`."""
        findings = [asdict(item) for item in self.findings]
        return {"checked": self.checked, "reason": self.reason, "findings": findings}


def demands(plans: Iterable[PoolPlan]) -> tuple[Demand, ...]:
    """Tell what pools ask of limits at their most nodes, which OKE spreads evenly over the placements.

    Nodes that exist ask nothing, nor do those of a capacity reservation: it counted when it was made.
    """
    return tuple(found for plan in plans if plan.spec.kind != "existing" for found in _of_pool(plan))


def judge(asked: Iterable[Demand], answers: Answers) -> LimitsReport:
    """Hold what is asked against what is left: one finding for each limit and place, with the sum."""
    asked = tuple(asked)
    findings = (*_refused_shapes(asked, answers), *_sums(asked, answers))
    reasons = {item.text for item in findings if item.verdict == "unanswered"}
    if findings and len(reasons) == 1 and all(item.verdict == "unanswered" for item in findings):
        return LimitsReport(reason=reasons.pop())
    return LimitsReport(findings)


def _of_pool(plan: PoolPlan) -> Iterator[Demand]:
    spec = plan.spec
    most = -(-spec.most // len(spec.placements)) if spec.placements else 0
    for item in spec.placements:
        if most and not (item.capacity_reservation_id or spec.capacity_reservation_id):
            place = Place(item.availability_domain, spec.compartment_id or "")
            yield Demand(plan.name, plan.shape.name, plan.shape.gpus, most, place)


def _refused_shapes(asked: Iterable[Demand], answers: Answers) -> Iterator[Finding]:
    """Find shapes that OCI does not list, or does not speak of."""
    for item in asked:
        found = answers.limits[item.shape, item.place]
        if found is None:
            text = (
                f"{item.shape} is not among the shapes that OCI lists in {item.place.domain}; place the pool elsewhere,"
                f" or ask Oracle for the shape"
            )
            yield _finding("not-offered", (item,), None, Room(), text)
        elif isinstance(found, Unanswered):
            yield _finding("unanswered", (item,), None, Room(), found.reason)
        elif not found:
            yield _finding("unanswered", (item,), None, Room(), f"OCI names no limit that {item.shape} counts under")


def _sums(asked: Iterable[Demand], answers: Answers) -> Iterator[Finding]:
    """Add up the pools that share a limit in a place, and compare."""
    sharing: dict[tuple[str, Place], list[Demand]] = {}
    for item in asked:
        found = answers.limits[item.shape, item.place]
        for limit in found if isinstance(found, tuple) else ():
            sharing.setdefault((limit, item.place), []).append(item)
    for (limit, place), parts in sharing.items():
        room = answers.rooms[limit, place]
        if isinstance(room, Unanswered):
            yield _finding("unanswered", parts, limit, Room(), room.reason)
        else:
            verdict, text = _compared(limit, parts, room)
            yield _finding(verdict, parts, limit, room, text)


def _compared(limit: str, parts: Iterable[Demand], room: Room) -> tuple[Verdict, str]:
    parts = tuple(parts)
    unit, needed = _unit(limit), _needed(limit, parts)
    places = parts[0].place.domain
    said = f"{_arithmetic(limit, parts)} in {places}"
    if room.available is None:
        return _by_limit(limit, needed, said, room)
    left = f"{limit} leaves {room.available}"
    if needed <= room.available:
        return "fits", f"{said}; {left}"
    used, missing = room.used or 0, needed - room.available
    if missing <= used:
        return "perhaps", (
            f"{said}; {left} beside the {used} {unit} that the compartment uses: enough if {missing} of those are this "
            "stack's own"
        )
    beside = f" and the compartment uses {used}" if used else ""
    return "short", f"{said}; {left}{beside}: {missing - used} {unit} too few; {_remedy(room, needed)}"


def _by_limit(limit: str, needed: int, said: str, room: Room) -> tuple[Verdict, str]:
    """Compare with the limit itself, where OCI does not count its use."""
    if room.limit is None:
        return "unanswered", f"{said}; OCI does not say what {limit} leaves"
    if needed > room.limit:
        return "short", f"{said}; {limit} is {room.limit}: {needed - room.limit} too few; {MORE}"
    return "perhaps", f"{said}; {limit} is {room.limit}, and OCI does not say how much of it is used"


def _remedy(room: Room, needed: int) -> str:
    """Tell whom to ask: a quota of the tenancy's own is not Oracle's to raise."""
    if room.quota is not None and room.quota < needed:
        return f"a quota policy of the tenancy allows {room.quota:g}: ask who looks after it"
    return f"{MORE}, or write fewer nodes"


def _arithmetic(limit: str, parts: Iterable[Demand]) -> str:
    parts = tuple(parts)
    whole = limit.startswith(WHOLE_NODES)
    each = [f"{item.pool} {item.nodes} x {item.shape}{'' if whole else f' x {item.gpus} GPUs'}" for item in parts]
    return f"{' + '.join(each)} = {_needed(limit, parts)} {_unit(limit)}"


def _needed(limit: str, parts: Iterable[Demand]) -> int:
    return sum(item.nodes * (1 if limit.startswith(WHOLE_NODES) else item.gpus) for item in parts)


def _unit(limit: str) -> str:
    return "nodes" if limit.startswith(WHOLE_NODES) else "GPUs"


def _finding(verdict: Verdict, parts: Iterable[Demand], limit: str | None, room: Room, text: str) -> Finding:
    parts = tuple(parts)
    pools, needed = tuple(dict.fromkeys(item.pool for item in parts)), _needed(limit or "", parts)
    return Finding(verdict, pools, parts[0].place.domain, limit, needed, room.available, room.used, text)
