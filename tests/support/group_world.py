"""A group in virtual time: members with clocks of their own, engines that die slowly, and a network that loses much."""

import heapq
import itertools
import random
from dataclasses import dataclass, field

from plinth_runtime.contract.group import Condition, LaunchGroup
from plinth_runtime.contract.status import Cause, Termination
from plinth_runtime.serving import follower, leader
from plinth_runtime.serving.group import Asked, Begin, EndEngine, GiveUp, Released, Rules, Shown

LAUNCH = LaunchGroup(nodes=3, join_seconds=300)
DIGEST = "d" * 64
LONGEST_END = 2.5
"""Seconds that a killed engine may take to be gone: the guard's grace for an orphan and a bit."""


def died(message="the engine ended"):
    """An engine's own death."""
    return Termination(cause=Cause.ENGINE_DIED, message=message, advice="Look.", exit_code=17)


@dataclass(eq=False)
class Member:
    """An agent and its engine. `engine`: the epoch of a living one."""

    rank: int
    agent: str
    side: object
    engine: int | None = None
    alive: bool = True
    ended: str = ""
    number: int = 0
    heard: list = field(default_factory=list)
    why: Termination | None = None


class World:
    """Members, a heap of what is due, and the invariant that engines of two epochs never live at the same time."""

    def __init__(self, seed=0, loss=0.0, launch=LAUNCH):
        self.random, self.loss, self.launch = random.Random(seed), loss, launch  # noqa: S311 no secret
        self.now, self.due, self.order = 0.0, [], itertools.count()
        self.cut = set()
        self.agents = itertools.count(1)
        self.skew = [self.random.uniform(0, 1000) for _ in range(launch.nodes)]
        self.members = [self.enlist(rank) for rank in range(launch.nodes)]
        self.epochs = []

    def enlist(self, rank):
        """Start an agent."""
        agent = f"agent-{next(self.agents)}"
        rules = Rules(self.launch, DIGEST, agent)
        side = leader.Lead(rules, self.clock(rank)) if rank == 0 else follower.Follow(rules, rank, self.clock(rank))
        member = Member(rank, agent, side)
        self.after(self.random.uniform(0.1, 3), lambda: self.prepare(member))
        self.after(self.random.uniform(0, 1), lambda: self.beat(member))
        return member

    def clock(self, rank):
        """What a member's clock says."""
        return self.now + self.skew[rank]

    def after(self, seconds, act):
        """Do something later."""
        heapq.heappush(self.due, (self.now + seconds, next(self.order), act))

    def run(self, seconds):
        """Let time pass."""
        end = self.now + seconds
        while self.due and self.due[0][0] <= end:
            self.now, _, act = heapq.heappop(self.due)
            act()
            running = {member.engine for member in self.members if member.engine is not None}
            assert len(running) <= 1, f"engines of epochs {running} at {self.now}"
        self.now = end

    def prepare(self, member):
        """Its weights are good, and no engine of a former agent lives."""
        if member.alive:
            room = leader if member.rank == 0 else follower
            member.side = room.prepare(member.side, self.clock(member.rank))

    def beat(self, member):
        """One heartbeat, and the next after the usual time."""
        if not member.alive:
            return
        if member.rank:
            self.ask(member)
        room = leader if member.rank == 0 else follower
        self.take(member, *room.look(member.side, self.clock(member.rank)))
        self.after(self.launch.heartbeat_seconds, lambda: self.beat(member))

    def ask(self, member):
        """A report goes to the leader, and its answer comes back, unless one of them is lost."""
        report, head = member.side.report(member.number), self.members[0]
        member.number += 1
        if member.rank in self.cut or self.random.random() < self.loss or not head.alive:
            return
        self.take(head, *leader.hear(head.side, report, self.clock(0)))
        answer = head.side.said(ready=head.engine is not None)
        if self.random.random() >= self.loss:
            self.take(member, *follower.hear(member.side, answer, self.clock(member.rank)))

    def take(self, member, side, news):
        """Do what an agent does."""
        member.side = side
        for item in news:
            match item:
                case Begin(epoch):
                    member.engine = epoch
                    self.epochs.append((member.rank, epoch))
                case EndEngine(fault):
                    member.why = fault
                    self.kill_engine(member, self.random.uniform(0, LONGEST_END))
                case GiveUp(fault):
                    member.why, member.ended = fault, "failed"
                case Released():
                    self.kill_engine(member, 0)
                    member.ended = "stopped"
                case Asked(by):
                    self.stop(member, by)
                case Shown(ready):
                    member.heard.append(ready)

    def stop(self, member, by):
        """The leader drains at once."""
        self.kill_engine(member, 0)
        member.side, member.ended, member.why = leader.finish(member.side, None), "stopped", by

    def kill_engine(self, member, seconds, fault=None):
        """An engine is gone some seconds later; with a fault it died by itself."""
        epoch = member.engine

        def gone():
            if epoch is None or member.engine != epoch:
                return
            member.engine = None
            if member.alive and not member.ended:
                self.bury(member, fault)

        self.after(seconds, gone)

    def bury(self, member, fault):
        """An agent notes that its engine is gone."""
        at = self.clock(member.rank)
        if member.rank == 0:
            why = fault or member.why
            member.side = leader.end_epoch(member.side, why, at + 1, at)
        else:
            member.side = follower.end_epoch(member.side, fault)
            self.ask(member)

    def kill_agent(self, rank, seconds=None):
        """Kill -9 of an agent: its guard ends the engine; the agent may be started again, and waits for that."""
        member = self.members[rank]
        if not member.alive:
            return
        member.alive = False
        end = self.random.uniform(0, LONGEST_END)
        self.kill_engine(member, end)
        if seconds is not None:
            self.after(max(seconds, end), lambda: self.replace(rank))

    def replace(self, rank):
        """Another agent takes the place."""
        self.members[rank] = self.enlist(rank)

    def engines(self):
        """The epochs of the living engines, by rank."""
        return [member.engine for member in self.members]

    def works(self):
        """Whether every member has an engine of the same epoch, and the leader knows it."""
        engines = set(self.engines())
        return len(engines) == 1 and None not in engines

    def conditions(self):
        """What the followers say of themselves."""
        return [member.side.condition for member in self.members[1:]]


__all__ = ["DIGEST", "LAUNCH", "Condition", "World", "died"]
