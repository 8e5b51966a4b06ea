"""A follower's side of a group: the leader's answers and the time in, reports and news out. Pure; see `group.py`."""

from __future__ import annotations

from dataclasses import dataclass, replace

from plinth_runtime.contract.group import Condition, GroupOrder, GroupReport, Order
from plinth_runtime.contract.status import Termination
from plinth_runtime.serving.group import Begin, EndEngine, GiveUp, News, Released, Rules, Shown, lost


@dataclass(frozen=True, slots=True)
class Follow:
    """All that a follower knows. `answered_at`: when its leader spoke last; `leader`: the agent that led its last
    epoch; `ending`: its engine was told to end for the group's sake; `over`: the group's end was heard.
    """

    rules: Rules
    rank: int
    answered_at: float
    condition: Condition = Condition.PREPARING
    has_engine: bool = False
    epoch: int = 0
    leader: str = ""
    ending: bool = False
    fault: Termination | None = None
    shown: bool = False
    over: bool = False

    def report(self, number: int) -> GroupReport:
        """Put the present state into words; each report has a higher number."""
        return GroupReport(
            rank=self.rank,
            agent=self.rules.agent,
            number=number,
            launch_digest=self.rules.launch_digest,
            condition=self.condition,
            epoch=self.epoch,
            fault=self.fault,
        )


Step = tuple[Follow, tuple[News, ...]]


def hear(follow: Follow, order: GroupOrder, now: float) -> Step:
    """Take the leader's answer into account."""
    follow = replace(follow, answered_at=now)
    if follow.condition is Condition.FAILED:
        return follow, ()
    if order.order is Order.OVER:
        return _over(follow, order)
    if follow.has_engine:
        return _with_engine(follow, order)
    fresh = order.epoch > follow.epoch or order.leader != follow.leader
    if order.order is Order.RUN and fresh and follow.condition is Condition.WAITING:
        begun = replace(follow, condition=Condition.RUNNING, has_engine=True, epoch=order.epoch, leader=order.leader)
        return replace(begun, fault=None, ending=False, shown=False), (Begin(order.epoch),)
    return follow, ()


def look(follow: Follow, now: float) -> Step:
    """Decide what it means that nothing was heard until now."""
    launch, silence = follow.rules.launch, now - follow.answered_at
    if follow.has_engine and silence > launch.lost_seconds:
        return _end(
            follow, lost(f"rank 0, the leader, is silent for {silence:.1f} s, {launch.lost_seconds:g} s allowed")
        )
    if follow.condition is Condition.WAITING and silence > launch.join_seconds:
        fault = lost(f"rank 0, the leader, did not answer within {launch.join_seconds:g} s")
        return fail(follow, fault), (GiveUp(fault),)
    return follow, ()


def prepare(follow: Follow, now: float) -> Follow:
    """Its weights are good: from now on it can have an engine."""
    waiting = follow.condition is Condition.PREPARING
    return replace(follow, condition=Condition.WAITING, answered_at=now) if waiting else follow


def end_epoch(follow: Follow, fault: Termination | None) -> Follow:
    """Its engine is gone: by itself, with the reason, or (None) because it was told to."""
    leaving = follow.condition is Condition.LEAVING
    condition = Condition.LEAVING if leaving else Condition.WAITING
    return replace(follow, condition=condition, has_engine=False, fault=fault, shown=False)


def leave(follow: Follow) -> Follow:
    """Somebody asked it to end."""
    return replace(follow, condition=Condition.LEAVING)


def fail(follow: Follow, fault: Termination) -> Follow:
    """Say that it will not come back by itself."""
    return replace(follow, condition=Condition.FAILED, has_engine=False, fault=fault)


def _over(follow: Follow, order: GroupOrder) -> Step:
    if follow.over:
        return follow, ()
    follow = replace(follow, over=True)
    if order.fault is None:
        return follow, (Released(),)
    if follow.has_engine:
        return replace(follow, ending=True), (EndEngine(order.fault, final=True),)
    return follow, (GiveUp(order.fault),)


def _with_engine(follow: Follow, order: GroupOrder) -> Step:
    if order.leader != follow.leader:
        return _end(follow, lost("rank 0: its agent was started again, and its engine ended with the former one"))
    if order.order is Order.HOLD:
        return _end(follow, order.fault or lost("rank 0, the leader, has no engine any more"))
    if order.epoch != follow.epoch:
        return _end(follow, lost(f"the group is in epoch {order.epoch}, this engine was started in {follow.epoch}"))
    if order.ready is follow.shown:
        return follow, ()
    return replace(follow, shown=order.ready), (Shown(order.ready),)


def _end(follow: Follow, fault: Termination) -> Step:
    return (follow, ()) if follow.ending else (replace(follow, ending=True), (EndEngine(fault),))
