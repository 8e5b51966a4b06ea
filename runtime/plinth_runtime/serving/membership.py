"""A member of a group, as its agent sees it: threads, clock and wire around the pure `leader.py` and `follower.py`.

Each step is made under a lock, together with its answer, so what is said is what is known. News go to the inbox.
"""

from __future__ import annotations

import socket
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from threading import Event as Flag
from threading import Lock, Thread

from pydantic import ValidationError

from plinth_runtime.contract.group import Condition, GroupReport, Order
from plinth_runtime.contract.status import GroupStatus, Termination
from plinth_runtime.serving import follower, leader
from plinth_runtime.serving.answers import Answer, Call, json_answer
from plinth_runtime.serving.group import News, Rules
from plinth_runtime.serving.group_wire import CONFLICT, OK, PATH, SilentLeaderError, ask_leader
from plinth_runtime.serving.management import Port
from plinth_runtime.serving.seat import Seat

LOOK_SECONDS = 0.5
"""How often it is looked who is silent."""

FAREWELL_PAUSE_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Desk:
    """What a member works with: its rules, and where news, words and the answer to *ready?* go or come from."""

    rules: Rules
    put: Callable[[News], None]
    say: Callable[[str], None]
    ready: Callable[[], bool]
    clock: Callable[[], float] = time.monotonic


class Membership(ABC):
    """One of a group. Called from the agent's loop; `status` from any thread."""

    def __init__(self, seat: Seat, desk: Desk) -> None:
        self.seat = seat
        self._desk = desk
        self._lock = Lock()
        self._stopped = Flag()
        Thread(target=self._watch, name="group-watch", daemon=True).start()

    def _watch(self) -> None:
        while not self._stopped.wait(LOOK_SECONDS):
            self._look()

    def _put(self, news: tuple[News, ...]) -> None:
        for item in news:
            self._desk.put(item)

    @property
    def _limit(self) -> float:
        return self._desk.rules.launch.lost_seconds

    @abstractmethod
    def _look(self) -> None: ...

    @abstractmethod
    def status(self) -> GroupStatus:
        """Tell how the group stands."""

    @abstractmethod
    def prepare(self) -> None:
        """Note that this member's weights are good."""

    @abstractmethod
    def leave(self) -> None:
        """Note that somebody asked this member to end."""

    @abstractmethod
    def bury(self, end: Termination, wait: float, *, own: bool) -> None:
        """Note that the engine is gone, by its `own` doing or the group's; the leader may start again after a while."""

    @abstractmethod
    def blame(self, end: Termination) -> Termination:
        """Say why this member's engine ended, if somebody elsewhere may be behind it."""

    @abstractmethod
    def close(self, fault: Termination | None) -> None:
        """Tell the others how it ended here (None: as asked), as far as they listen, and be no member any more."""


class LeadingMember(Membership):
    """Rank 0: listens on the group's port. Raises PortTakenError."""

    def __init__(self, seat: Seat, desk: Desk) -> None:
        self._lead = leader.Lead(desk.rules, desk.clock())
        self._aware: set[int] = set()
        self._missing: tuple[int, ...] = ()
        launch = desk.rules.launch
        host = "::" if socket.has_dualstack_ipv6() else "0.0.0.0"  # noqa: S104 the others are on other hosts
        self._port = Port(host, launch.port, "the group of agents", self.answer)
        super().__init__(seat, desk)

    def answer(self, call: Call) -> Answer:
        """Take a report in and give the order that holds from now on."""
        if (call.method, call.path) != ("POST", PATH) or call.body is None:
            return json_answer(404, {"error": f"members of a group POST their report to {PATH} as JSON"})
        try:
            report = GroupReport.model_validate_json(call.body)
        except ValidationError as error:
            return json_answer(400, {"error": f"no report of a member: {error.error_count()} faults"})
        if refusal := leader.refusal(self._desk.rules, report):
            return json_answer(CONFLICT, {"error": refusal})
        with self._lock:
            self._lead, news = leader.hear(self._lead, report, self._desk.clock())
            said = self._lead.said(ready=self._desk.ready())
            if said.order is Order.OVER:
                self._aware.add(report.rank)
            self._put(news)
        return Answer(OK, said.model_dump_json().encode())

    def _look(self) -> None:
        with self._lock:
            now = self._desk.clock()
            self._lead, news = leader.look(self._lead, now)
            self._put(news)
            absent = leader.missing(self._lead, now) if self._lead.waits else ()
        if absent != self._missing and absent:
            self._desk.say(f"group: waiting for {', '.join(f'rank {rank}' for rank in absent)}")
        self._missing = absent

    def status(self) -> GroupStatus:
        """Tell how the group stands."""
        nodes = self._desk.rules.launch.nodes
        return GroupStatus(rank=0, nodes=nodes, leader=self.seat.leader, epoch=self._lead.epoch, missing=self._missing)

    def prepare(self) -> None:
        """Note that this member's weights are good."""
        with self._lock:
            self._lead = leader.prepare(self._lead, self._desk.clock())

    def leave(self) -> None:
        """Change nothing: the others run until the leader has drained."""

    def bury(self, end: Termination, wait: float, *, own: bool) -> None:
        """Note that the engine is gone; whose doing it was stands in the end."""
        del own
        with self._lock:
            now = self._desk.clock()
            self._lead = leader.end_epoch(self._lead, end, now + wait, now)

    def blame(self, end: Termination) -> Termination:
        """Tell what another member reported, or at least who is silent."""
        with self._lock:
            lead = self._lead
            if lead.order is Order.HOLD and not lead.waits and lead.fault is not None:
                return lead.fault
            return _suspecting(end, leader.silent(lead, self._desk.clock()))

    def close(self, fault: Termination | None) -> None:
        """Say that it is over until every living member has heard it, or for as long as one may be silent."""
        with self._lock:
            self._lead = leader.finish(self._lead, fault)
        deadline = self._desk.clock() + self._limit
        while self._desk.clock() < deadline and self._unaware():
            self._stopped.wait(FAREWELL_PAUSE_SECONDS)
        self._stopped.set()
        self._port.close()

    def _unaware(self) -> set[int]:
        with self._lock:
            return set(leader.present(self._lead, self._desk.clock())) - self._aware


class FollowingMember(Membership):
    """Any other rank: asks the leader, again and again."""

    def __init__(self, seat: Seat, desk: Desk) -> None:
        self._follow = follower.Follow(desk.rules, seat.rank, desk.clock())
        self._number = 0
        self._wake = Flag()
        self._asking = Lock()
        self._complaint = ""
        super().__init__(seat, desk)
        Thread(target=self._run, name="group", daemon=True).start()

    def _run(self) -> None:
        while not self._stopped.is_set():
            self._wake.clear()
            self._ask()
            self._wake.wait(self._desk.rules.launch.heartbeat_seconds)

    def _ask(self) -> bool:
        """Report once and take the answer in; say whether there was one. One question is open at a time."""
        with self._asking:
            with self._lock:
                report = self._follow.report(self._number)
                self._number += 1
            try:
                order = ask_leader(self.seat.leader, self._desk.rules.launch.port, report)
            except SilentLeaderError as error:
                self._complain(str(error))
                return False
            self._complain("")
            with self._lock:
                self._follow, news = follower.hear(self._follow, order, self._desk.clock())
                self._put(news)
            return True

    def _complain(self, why: str) -> None:
        if why and why != self._complaint:
            self._desk.say(f"group: the leader {self.seat.leader} gives no order: {why}")
        self._complaint = why

    def _look(self) -> None:
        with self._lock:
            self._follow, news = follower.look(self._follow, self._desk.clock())
            self._put(news)

    def _change(self, change: Callable[[follower.Follow], follower.Follow]) -> None:
        with self._lock:
            self._follow = change(self._follow)
        self._wake.set()  # the leader hears of it at once

    def status(self) -> GroupStatus:
        """Tell how the group stands."""
        nodes = self._desk.rules.launch.nodes
        return GroupStatus(rank=self.seat.rank, nodes=nodes, leader=self.seat.leader, epoch=self._follow.epoch)

    def prepare(self) -> None:
        """Note that this member's weights are good."""
        self._change(lambda follow: follower.prepare(follow, self._desk.clock()))

    def leave(self) -> None:
        """Note that somebody asked this member to end: the leader drains, and says when it is over."""
        self._change(follower.leave)

    def bury(self, end: Termination, wait: float, *, own: bool) -> None:
        """Note that the engine is gone; when it starts again is the leader's decision."""
        del wait
        self._change(lambda follow: follower.end_epoch(follow, end if own else None))

    def blame(self, end: Termination) -> Termination:
        """Name the leader, if it is silent."""
        silence = self._desk.clock() - self._follow.answered_at
        limit = 2 * self._desk.rules.launch.heartbeat_seconds
        return _suspecting(end, f"rank 0, the leader, is silent for {silence:.1f} s" if silence > limit else "")

    def close(self, fault: Termination | None) -> None:
        """Tell the leader what the others must know: a fault until it is heard, a leave once."""
        if fault is not None:
            self._change(lambda follow: follower.fail(follow, fault))
        deadline = self._desk.clock() + self._limit
        with self._lock:
            must_tell = self._follow.condition in (Condition.FAILED, Condition.LEAVING) and not self._follow.over
        while must_tell and not self._ask() and fault is not None and self._desk.clock() < deadline:
            self._stopped.wait(self._desk.rules.launch.heartbeat_seconds)
        self._stopped.set()
        self._wake.set()


def _suspecting(end: Termination, who: str) -> Termination:
    return end.model_copy(update={"message": f"{end.message}; {who}"}) if who else end


def join(seat: Seat, desk: Desk) -> Membership:
    """Take a seat in the group. Raises PortTakenError."""
    return (LeadingMember if seat.leads else FollowingMember)(seat, desk)
