"""One engine as its agent holds it: its process, those who watch it, and why it ended."""

from __future__ import annotations

from dataclasses import dataclass

from plinth_runtime.contract.status import Termination
from plinth_runtime.serving import files, inbox
from plinth_runtime.serving.assignment import Assignment
from plinth_runtime.serving.command import held_back
from plinth_runtime.serving.deaths import Circumstances, Exit, explain
from plinth_runtime.serving.drain import QuietWatch
from plinth_runtime.serving.engine_http import Target
from plinth_runtime.serving.membership import Membership
from plinth_runtime.serving.oom import count_oom_kills
from plinth_runtime.serving.phases import read_line
from plinth_runtime.serving.probe import Prober
from plinth_runtime.serving.process import EngineProcess, Listener, Place
from plinth_runtime.serving.states import Event


@dataclass(eq=False)
class Engine:
    """The present engine and what is known of it. `foreign`: why it must end although it did nothing itself; `last`:
    there will be no other; `held`: it was started early and waits for its weights.
    """

    process: EngineProcess
    oom_kills_before: int
    target: Target | None = None
    prober: Prober | None = None
    quiet: QuietWatch | None = None
    was_ready: bool = False
    overdue: bool = False
    hung: str = ""
    foreign: Termination | None = None
    last: bool = False
    held: bool = False

    def watch(self, work: Assignment, generation: int, pid: int) -> None:
        """Have an eye on its API from now on."""
        launch, box = work.launch, work.inbox

        def report(event: Event, why: str) -> None:
            box.put(inbox.EngineProbed(generation, event, why))

        self.target = Target(launch.api.host, launch.api.port, pid, work.token, launch.model.served_name)
        self.prober = Prober(self.target, launch.lifecycle, report)

    def stop_watching(self) -> None:
        """Hear no more of it when it is to end: an opinion of it would bring it back on stage."""
        for watch in (self.prober, self.quiet):
            if watch is not None:
                watch.stop()

    def explain(self, end: Exit, group: Membership | None) -> Termination:
        """Say why it ended although nobody here asked it to."""
        if self.foreign is not None:
            return self.foreign
        kills = count_oom_kills() - self.oom_kills_before
        seen = Circumstances(tuple(self.process.tail), self.was_ready, self.overdue, kills, self.hung)
        found = explain(end, seen)
        return found if group is None else group.blame(found)


def start_engine(work: Assignment, generation: int, lock: int, *, hold: bool) -> Engine:
    """Start an engine whose guard holds the lock; one that is held imports what it needs and waits.

    Raises OSError if not even the guard can be started.
    """
    box = work.inbox

    def read(line: str) -> None:
        work.log.pass_on(line)
        sighting = read_line(line)
        if sighting is not None:
            box.put(inbox.EngineSighted(generation, sighting))

    listener = Listener(
        line=read,
        started=lambda pid: box.put(inbox.EngineStarted(generation, pid)),
        ended=lambda end: box.put(inbox.EngineEnded(generation, end)),
    )
    files.remove(work.run_dir.start)
    command = work.command()
    command = held_back(command, str(work.run_dir.start)) if hold else command
    process = EngineProcess.start(command, Place(work.run_dir.path, lock), listener)
    return Engine(process, count_oom_kills(), held=hold)
