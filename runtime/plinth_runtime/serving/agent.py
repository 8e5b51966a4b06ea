"""The only orchestrator: feeds what happens into the table of `states.py` and performs the actions that come out.

One thread runs the loop and owns every decision; other threads (output, probe, weights, management) only report to the
inbox. Nothing here knows vLLM's arguments, its log or its exit codes.
"""

from __future__ import annotations

import math
import os
from contextlib import suppress
from dataclasses import dataclass, field
from queue import Empty
from threading import Event as Flag
from threading import Thread

from plinth_runtime.contract.status import Phase, StartRecord, Termination
from plinth_runtime.errors import InternalError, RuntimeFault, termination_of
from plinth_runtime.serving import files, group, inbox
from plinth_runtime.serving.assignment import Assignment
from plinth_runtime.serving.board import Board
from plinth_runtime.serving.drain import QuietWatch
from plinth_runtime.serving.engine import Engine, start_engine
from plinth_runtime.serving.engine_http import Target
from plinth_runtime.serving.leftovers import note_engine
from plinth_runtime.serving.ports import require_free
from plinth_runtime.serving.progress import WAY
from plinth_runtime.serving.restart import Death, Verdict, judge
from plinth_runtime.serving.states import ENDS, LOAD_GRACE_SECONDS, Action, Event, Step, step, timer_of

MOMENT_SECONDS = 0.5
"""The longest wait at once. A signal that the kernel gives to another thread, or that comes between the last look and
the wait, does not wake this one: its handler runs after the wait, so the wait must be short."""

ALIVE_SECONDS = 2.0
"""The loop answers a ping within this time, or it hangs."""

LAST_WAIT_SECONDS = 6.0
"""For a killed engine's end, when the agent leaves while it still runs."""


@dataclass(eq=False)
class Agent:
    """Runs one server from start to end."""

    work: Assignment
    board: Board
    engine: Engine | None = None
    generation: int = 0
    lock: int | None = None
    deaths: list[Death] = field(default_factory=list)
    timers: dict[Event, float] = field(default_factory=dict)
    end: Termination | None = None

    def run(self) -> int:
        """Serve until the end; return the exit code: 0 if it was asked for, the cause's otherwise."""
        self._publish()
        Thread(target=self._prepare, name="prepare", daemon=True).start()
        try:
            while self.board.phase not in ENDS:
                self._take(self._next())
        except Exception as error:  # noqa: BLE001 a fault of ours must still end the engine and be told
            self._fault(InternalError(f"{type(error).__name__}: {error}"))
            self._go(Phase.FAILED)
        self._leave()
        return 0 if self.board.phase is Phase.STOPPED or self.end is None else self.end.exit_code

    def is_alive(self) -> bool:
        """Say whether the loop turns. For other threads."""
        ping = inbox.Ping(Flag())
        self.work.inbox.put(ping)
        return ping.seen.wait(ALIVE_SECONDS)

    def target(self) -> Target | None:
        """Say where the engine answers; None until it was ready for the first time. For other threads."""
        engine = self.engine
        return engine.target if engine is not None and engine.was_ready else None

    def _next(self) -> inbox.Message | Event:
        """Wait for what happens next: a message, or a timer's event."""
        while True:
            event, due = min(self.timers.items(), key=lambda item: item[1], default=(None, math.inf))
            patience = due - self.board.clock()
            if event is not None and patience <= 0:
                return self._fire(event)
            with suppress(Empty):
                return self.work.inbox.get(timeout=min(patience, MOMENT_SECONDS))

    def _fire(self, event: Event) -> Event:
        del self.timers[event]
        return event

    def _arm(self, event: Event, seconds: float) -> None:
        self.timers[event] = self.board.clock() + seconds

    def _take(self, news: inbox.Message | Event) -> None:
        match news:
            case Event():
                self._on_timer(news)
            case inbox.StopAsked(by):
                self._on_stop(by)
            case inbox.ChildDied():
                self._collect_children()
            case inbox.Ping(seen):
                seen.set()
            case inbox.GroupNews(item):
                self._take_group_news(item)
            case inbox.Reserved() | inbox.Fetched() | inbox.Prepared() | inbox.Failed():
                self._take_preparations(news)
            case _:
                self._take_engine_news(news)

    def _take_preparations(self, news: inbox.Message) -> None:
        match news:
            case inbox.Reserved(lock):
                self.lock = lock
                self._spawn(hold=True)
            case inbox.Fetched():
                self._happen(Event.WEIGHTS_HERE)
            case inbox.Prepared():
                self._on_prepared(news)
            case inbox.Failed(fault):
                self._fault(fault)
                self._happen(Event.FAULT)

    def _take_engine_news(self, news: inbox.Message) -> None:
        match news:
            case inbox.EngineStarted(generation, pid) if generation == self.generation:
                self.board.engine_pid = pid
                note_engine(self.work.run_dir.engine_lock, pid)
                if self.engine is not None and self.work.serves_clients and not self.engine.held:
                    self.engine.watch(self.work, generation, pid)
                self._publish()
            case inbox.EngineSighted(generation, sighting) if generation == self.generation:
                if sighting.event is not None:
                    self._happen(sighting.event)
                self.board.advance(sighting.percent, sighting.share)
            case inbox.EngineProbed(generation, event, why) if generation == self.generation:
                self._on_opinion(event, why)
            case inbox.EngineQuiet(generation) if generation == self.generation:
                self._happen(Event.QUIET)
            case inbox.EngineEnded(generation) if generation == self.generation:
                self._on_engine_end(news)

    def _take_group_news(self, news: group.News) -> None:
        match news:
            case group.Begin(epoch):
                self.work.log.say(f"group: all members are there, epoch {epoch} begins")
                self._happen(Event.ASSEMBLED)
            case group.EndEngine(fault, final) if self.engine is not None:
                self.work.log.say(f"group: {fault.message}")
                self.engine.foreign, self.engine.last = self.engine.foreign or fault, final
                self._happen(Event.PEER_FAILED)
            case group.GiveUp(fault):
                self._note_end(fault)
                self._happen(Event.FAULT)
            case group.Asked(by):
                self.work.inbox.put(inbox.StopAsked(by))
            case group.Shown(ready):
                self._on_opinion(*((Event.HEALTHY, "") if ready else (Event.UNHEALTHY, "the leader is not ready")))
            case group.Released():
                self._happen_to_end()

    def _happen_to_end(self) -> None:
        """End with the leader, which has drained."""
        if self.board.phase is not Phase.DRAINING:
            self._happen(Event.STOP)
        self._happen(Event.QUIET)

    def _on_stop(self, by: str) -> None:
        self.work.log.say(f"asked to end ({by}) while {self.board.phase}")
        if self.work.group is not None:
            self.work.group.leave()
        self._happen(Event.STOP)

    def _on_prepared(self, news: inbox.Prepared) -> None:
        self.lock = self.lock if news.lock is None else news.lock
        self.board.weights, self.board.message = news.weights, news.message
        self._happen(Event.WEIGHTS_GOOD if self.work.group is None else Event.MUST_JOIN)
        if self.work.group is not None:
            self.work.group.prepare()

    def _on_timer(self, event: Event) -> None:
        if event is Event.STARTUP_OVERDUE and self.engine is not None:
            self.engine.overdue = True
        self._happen(event)

    def _on_opinion(self, event: Event, why: str) -> None:
        self.board.message = why
        if why:
            self.work.log.say(f"{event}: {why}")
        if event is Event.HUNG and self.engine is not None:
            self.engine.hung = why
        self._happen(event)

    def _on_engine_end(self, news: inbox.EngineEnded) -> None:
        """Bury an engine: find the cause, and ask for a verdict unless it was told to end."""
        engine, self.engine = self.engine, None
        if engine is None:
            return
        engine.stop_watching()
        self.timers.pop(Event.KILL_DUE, None)
        self.timers.pop(Event.STARTUP_OVERDUE, None)
        self.board.engine_pid = None
        if engine.held:
            self.generation -= 1  # it has done nothing yet; the next one will say what is wrong
            return
        if self.board.phase is Phase.DRAINING:
            self.work.log.say(f"the engine ended: {news.end}")
            self._happen(Event.DIED_FINAL)
            return
        end = engine.explain(news.end, self.work.group)
        self.deaths.append(Death(end.cause, self.board.clock(), engine.was_ready))
        verdict = self._judge(engine)
        self.board.last_end = self.end = end
        self.board.message = f"{end.message}; {verdict.reason}"
        self.work.log.say(f"{end.cause}: {end.message}. {verdict.reason}")
        if verdict.wait_seconds is None:
            self._happen(Event.DIED_FINAL)
        elif self.work.group is not None:
            self._happen(Event.DIED_JOIN)
            self.work.group.bury(end, verdict.wait_seconds, own=engine.foreign is None)
        else:
            self._arm(Event.BACKOFF_OVER, verdict.wait_seconds)
            self._happen(Event.DIED_RETRY)

    def _judge(self, engine: Engine) -> Verdict:
        """Decide whether there will be another engine; in a group that is its leader's business."""
        if engine.last:
            return Verdict(None, "the group has ended")
        if self.work.group is not None and not self.work.group.seat.leads:
            return Verdict(0.0, "the leader decides what comes next")
        return judge(self.deaths, self.work.launch.lifecycle)

    def _happen(self, event: Event) -> None:
        to = step(self.board.phase, event)
        if to == Step(self.board.phase):
            return
        if to.phase is not self.board.phase:
            self._go(to.phase)
        for action in to.actions:
            self._perform(action)
        self._publish()

    def _go(self, phase: Phase) -> None:
        self.board.enter(phase)
        self.work.log.say(f"phase {phase} after {self.board.clock() - self.board.started_at:.1f} s")

    def _perform(self, action: Action) -> None:
        match action:
            case Action.SPAWN:
                self._spawn()
            case Action.ARM_STARTUP | Action.ARM_GRACE | Action.ARM_DRAIN | Action.ARM_END:
                self._arm(*timer_of(action, self.work.launch.lifecycle))
            case Action.SHOW | Action.HIDE:
                self._show(visible=action is Action.SHOW)
            case Action.REFUSE_NEW:
                files.write_whole(self.work.run_dir.draining, "")
            case Action.AWAIT_QUIET if self.engine is not None and self.engine.target is not None:
                self.engine.stop_watching()
                quiet = inbox.EngineQuiet(self.generation)
                self.engine.quiet = QuietWatch(self.engine.target, lambda: self.work.inbox.put(quiet))
            case Action.TERMINATE | Action.KILL if self.engine is not None:
                self.engine.stop_watching()
                process = self.engine.process
                (process.terminate if action is Action.TERMINATE else process.kill)()
            case Action.AWAIT_QUIET | Action.TERMINATE | Action.KILL | Action.FINISH | Action.ARM_BACKOFF:
                pass  # no engine to end; the loop ends by itself; the verdict armed the backoff

    def _show(self, *, visible: bool) -> None:
        self.timers.pop(Event.STARTUP_OVERDUE, None)
        self.board.reachable = visible
        if self.engine is not None and visible:
            if not self.engine.was_ready:
                self._remember_start()
                if self.work.cache is not None:
                    Thread(target=self.work.cache.keep, name="cache", daemon=True).start()
            self.engine.was_ready = True
            self.engine.process.note_possessions()
            self.board.message = ""

    def _remember_start(self) -> None:
        took = self.board.elapsed()
        self.board.known = {phase: round(took.get(phase, 0.0), 3) for phase in WAY}
        record = StartRecord(launch_digest=self.board.launch_digest, seconds=dict(self.board.known))
        files.write_whole(self.work.run_dir.last_start, record.model_dump_json(indent=2))

    def _release(self, engine: Engine) -> None:
        """Let an engine load its weights that was started before they were there."""
        engine.held = False
        files.write_whole(self.work.run_dir.start, "")
        if self.board.engine_pid is not None:
            engine.watch(self.work, self.generation, self.board.engine_pid)

    def _spawn(self, *, hold: bool = False) -> None:
        if self.engine is not None:
            self._release(self.engine)
            return
        self.generation += 1
        self.board.restarts = self.generation - 1
        try:
            lock = files.take_engine_lock(self.work.run_dir) if self.lock is None else self.lock
            self.lock = None
            try:
                self._require_port()
                self.engine = start_engine(self.work, self.generation, lock, hold=hold)
            finally:
                os.close(lock)  # from here on the guard holds it
        except RuntimeFault as fault:
            self.work.inbox.put(inbox.Failed(fault))
        except OSError as error:
            message = f"the engine's guard could not be started: {error}"
            self.work.inbox.put(inbox.Failed(InternalError(message)))

    def _prepare(self) -> None:
        """Do, in a thread of its own, whatever may take long before there is an engine."""
        try:
            lock: int | None = files.take_engine_lock(self.work.run_dir)
            self._require_port()
            if lock is not None and self.work.starts_early:
                self.work.inbox.put(inbox.Reserved(lock))
                lock = None
            if self.work.fetch_weights is not None:
                self.work.fetch_weights(self.board.note_fetch)
                self.work.inbox.put(inbox.Fetched())
            report = self.work.check_weights(self._progress)
            if self.work.cache is not None:
                self.work.cache.prepare()
        except RuntimeFault as fault:
            self.work.inbox.put(inbox.Failed(fault))
        except Exception as error:  # noqa: BLE001 a thread's failure must reach the loop
            self.work.inbox.put(inbox.Failed(InternalError(f"{type(error).__name__}: {error}")))
        else:
            self.work.inbox.put(inbox.Prepared(lock, report.state, report.message))

    def _require_port(self) -> None:
        if self.work.serves_clients:
            require_free(self.work.launch.api.host, self.work.launch.api.port, "the engine")

    def _progress(self, done: int, total: int) -> None:
        self.board.bytes_total, self.board.bytes_done = total, done

    def _fault(self, fault: RuntimeFault) -> None:
        self._note_end(termination_of(fault))

    def _note_end(self, end: Termination) -> None:
        self.end = self.board.last_end = end
        self.board.message = end.message
        self.work.log.say(f"{end.cause}: {end.message}")

    @staticmethod
    def _collect_children() -> None:
        """Reap every dead child: as process 1, or as a subreaper, orphans of the engine may be ours."""
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass

    def _publish(self) -> None:
        files.write_whole(self.work.run_dir.status, self.board.status().model_dump_json(indent=2))

    def _leave(self) -> None:
        """Leave nothing running and nothing that would lie."""
        deadline = self.board.clock() + LAST_WAIT_SECONDS
        while self.engine is not None and (patience := deadline - self.board.clock()) > 0:
            self.engine.process.kill()
            with suppress(Empty):
                news = self.work.inbox.get(timeout=min(patience, LOAD_GRACE_SECONDS))
                if isinstance(news, inbox.EngineEnded):
                    self.engine = None
        self._publish()
        if self.work.group is not None:
            self.work.group.close(self.end if self.board.phase is Phase.FAILED else None)
        if self.work.cache is not None:
            self.work.cache.close()
        files.remove(self.work.run_dir.draining)
        files.remove(self.work.run_dir.start)
        files.clear_sockets(self.work.run_dir)
        if self.board.phase is Phase.FAILED and self.end is not None:
            files.write_whole(self.work.run_dir.termination, self.end.model_dump_json(indent=2))
