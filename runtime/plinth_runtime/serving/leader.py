"""The leader's side of a group: reports of the others and the time in, orders and news out. Pure; see `group.py`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from plinth_runtime.contract.group import Condition, GroupOrder, GroupReport, Order
from plinth_runtime.contract.status import Termination
from plinth_runtime.serving.group import Asked, Begin, EndEngine, GiveUp, News, Rules, lost, told

NEVER = math.inf


@dataclass(frozen=True, slots=True)
class Peer:
    """The newest report of a member, and when it came."""

    report: GroupReport
    heard_at: float


@dataclass(frozen=True, slots=True)
class Lead:
    """All that the leader knows. `since`: when the present order was given; `may_start`: when its own engine may start;
    `cast`: the agents of the present epoch.
    """

    rules: Rules
    since: float
    order: Order = Order.HOLD
    epoch: int = 0
    may_start: float = NEVER
    fault: Termination | None = None
    peers: Mapping[int, Peer] = field(default_factory=dict)
    cast: Mapping[int, str] = field(default_factory=dict)
    asked: bool = False

    @property
    def ranks(self) -> range:
        """The others."""
        return range(1, self.rules.launch.nodes)

    @property
    def waits(self) -> bool:
        """Whether its own engine could start, if the others waited too."""
        return self.order is Order.HOLD and self.may_start is not NEVER

    def said(self, *, ready: bool) -> GroupOrder:
        """Put the present order into words."""
        return GroupOrder(leader=self.rules.agent, order=self.order, epoch=self.epoch, ready=ready, fault=self.fault)


Step = tuple[Lead, tuple[News, ...]]


def refusal(rules: Rules, report: GroupReport) -> str:
    """Say why a report is none of this group's; empty if it is."""
    if report.launch_digest != rules.launch_digest:
        return f"launch {report.launch_digest[:12]} is not this group's, which is {rules.launch_digest[:12]}"
    nodes = rules.launch.nodes
    return "" if report.rank < nodes else f"rank {report.rank} is none of the {nodes} members 0 to {nodes - 1}"


def hear(lead: Lead, report: GroupReport, now: float) -> Step:
    """Take a report into account; one that was overtaken by a newer one is old news."""
    known = lead.peers.get(report.rank)
    if known and known.report.agent == report.agent and known.report.number >= report.number:
        return lead, ()
    return look(replace(lead, peers={**lead.peers, report.rank: Peer(report, now)}), now)


def look(lead: Lead, now: float) -> Step:
    """Decide what the present moment means."""
    if lead.order is Order.OVER:
        return lead, ()
    leaving = [rank for rank, peer in lead.peers.items() if peer.report.condition is Condition.LEAVING]
    leaving = [rank for rank in leaving if _is_fresh(lead, rank, now)]
    news: tuple[News, ...] = ()
    if leaving and not lead.asked:
        lead, news = replace(lead, asked=True), (Asked(f"rank {leaving[0]} was asked to end"),)
    lead, more = _while_running(lead, now) if lead.order is Order.RUN else _while_held(lead, now)
    return lead, (*news, *more)


def prepare(lead: Lead, now: float) -> Lead:
    """Note that the leader's own weights are good: from now on others are waited for."""
    return replace(lead, may_start=now, since=now)


def end_epoch(lead: Lead, fault: Termination, may_start: float, now: float) -> Lead:
    """Note that the leader's own engine is gone; it may start again at a moment (seconds on the same clock)."""
    if lead.order is Order.HOLD:
        return replace(lead, may_start=may_start)  # the fault was elsewhere, and is known
    return replace(lead, order=Order.HOLD, since=now, may_start=may_start, fault=told(fault, 0))


def finish(lead: Lead, fault: Termination | None) -> Lead:
    """End the group: as asked, or because of a fault."""
    return replace(lead, order=Order.OVER, fault=None if fault is None else told(fault, 0))


def missing(lead: Lead, now: float) -> tuple[int, ...]:
    """List the ranks that are not known to wait since HOLD was said."""
    return tuple(
        rank
        for rank in lead.ranks
        if not (
            _is_fresh(lead, rank, now)
            and lead.peers[rank].heard_at >= lead.since
            and lead.peers[rank].report.condition is Condition.WAITING
        )
    )


def present(lead: Lead, now: float) -> tuple[int, ...]:
    """List the ranks whose agents live and could still hear something."""
    return tuple(
        rank
        for rank, peer in sorted(lead.peers.items())
        if _is_fresh(lead, rank, now) and peer.report.condition is not Condition.FAILED
    )


def silent(lead: Lead, now: float) -> str:
    """Name the ranks that missed more than two heartbeats, as a part of a sentence; empty if none did."""
    limit = 2 * lead.rules.launch.heartbeat_seconds
    quiet = [rank for rank, peer in lead.peers.items() if now - peer.heard_at > limit]
    return "; ".join(f"rank {rank} is silent for {now - lead.peers[rank].heard_at:.1f} s" for rank in sorted(quiet))


def _is_fresh(lead: Lead, rank: int, now: float) -> bool:
    peer = lead.peers.get(rank)
    return peer is not None and now - peer.heard_at <= lead.rules.launch.lost_seconds


def _while_held(lead: Lead, now: float) -> Step:
    if not lead.waits:
        return lead, ()  # its own engine is still to be buried, or its own weights to be checked
    for rank, peer in sorted(lead.peers.items()):
        report = peer.report
        if report.condition is Condition.FAILED and report.fault is not None:
            fault = told(report.fault, rank)
            return finish(lead, fault), (GiveUp(fault),)
    absent = missing(lead, now)
    if now >= lead.may_start and not absent and not lead.asked:
        epoch = 1 + max(lead.epoch, *(lead.peers[rank].report.epoch for rank in lead.ranks))
        cast = {rank: lead.peers[rank].report.agent for rank in lead.ranks}
        return replace(lead, order=Order.RUN, epoch=epoch, since=now, cast=cast, fault=None), (Begin(epoch),)
    waited = now - max(lead.since, lead.may_start)
    if absent and waited > lead.rules.launch.join_seconds:
        named = " and ".join(f"rank {rank}" for rank in absent)
        fault = lost(f"{named} did not come within {lead.rules.launch.join_seconds:g} s")
        return finish(lead, fault), (GiveUp(fault),)
    return lead, ()


def _while_running(lead: Lead, now: float) -> Step:
    for rank in lead.ranks:
        fault = _trouble(lead, rank, now)
        if fault is not None:
            held = replace(lead, order=Order.HOLD, since=now, may_start=NEVER, fault=fault)
            return held, (EndEngine(fault),)
    return lead, ()


def _trouble(lead: Lead, rank: int, now: float) -> Termination | None:
    peer, limit = lead.peers[rank], lead.rules.launch.lost_seconds
    report, unheard = peer.report, now - peer.heard_at
    if report.fault is not None and (report.condition is Condition.FAILED or report.epoch == lead.epoch):
        return told(report.fault, rank)
    if report.agent != lead.cast[rank]:
        return lost(f"rank {rank}: its agent was started again, and its engine ended with the former one")
    if unheard > limit:
        return lost(f"rank {rank} is silent for {unheard:.1f} s, {limit:g} s allowed")
    if report.epoch != lead.epoch and now - lead.since > limit:
        return lost(f"rank {rank} did not start its engine within {limit:g} s")
    return None
