"""The number of streams over a whole transfer, in virtual time: capped connections, and busy processors."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from plinth_runtime.weights.board import Board, Clocks, Patience
from plinth_runtime.weights.parts import plan_parts
from plinth_runtime.weights.sources import RemoteObject
from plinth_runtime.weights.streams import Streams
from plinth_runtime.weights.window import first_window
from plinth_runtime.weights.work import FileWork, Job

STEP_SECONDS = 0.01
SIZE = 16 << 30


@dataclass
class Line:
    """What brings the bytes: each stream at most `cap`, all together at most `uncapped`, in bytes per second.

    `cost` is the processor time of each byte, in seconds and as a share of all processors; from the first to the second
    of `bad` seconds little arrives.
    """

    cap: float
    uncapped: float
    cost: float = 0.0
    bad: tuple[float, float] = (0.0, 0.0)
    now: float = 0.0
    busy: float = 0.0
    most_streams: int = 0
    lanes: dict = field(default_factory=dict)

    def fetch(self, streams):
        """Fetch 16 GiB; give the seconds it took."""
        work = FileWork(RemoteObject("x", SIZE, "x"), plan_parts(RemoteObject("x", SIZE, "x")), Path("x"), None)
        jobs = [Job(work, part) for part in work.parts]
        board = Board(jobs, Patience(), Streams().join(), Clocks(lambda: self.now, lambda: self.busy, lambda: 0.5))
        board.window = streams
        left = len(jobs)
        while left:
            while len(self.lanes) < min(board.window.streams, left):
                number = next(number for number in range(left) if number not in self.lanes)
                job, _ = board.take(number)
                self.lanes[number] = [job.part.length, board.attach(number, Silent())]
            self.most_streams = max(self.most_streams, len(self.lanes))
            left -= self._pass(board)
            board.tick()
        return self.now

    def _pass(self, board):
        """Let a moment pass; give the number of parts that were finished in it."""
        self.now += STEP_SECONDS
        share = 0.1 if self.bad[0] <= self.now < self.bad[1] else 1.0
        each = share * min(self.cap, self.uncapped / len(self.lanes)) * STEP_SECONDS
        done = 0
        for number, (missing, arrived) in list(self.lanes.items()):
            count = int(min(each, missing))
            arrived(count)
            self.busy += count * self.cost
            self.lanes[number][0] -= count
            if self.lanes[number][0] <= int(each) - count or not self.lanes[number][0]:
                arrived(self.lanes[number][0])
                board.succeeded(number)
                del self.lanes[number]
                done += 1
        return done


class Silent:
    """A session that nobody cuts."""

    def abort(self):
        """Do nothing."""


@pytest.mark.slow
@pytest.mark.parametrize("processors", [2, 16])
@pytest.mark.parametrize("uncapped", [1.2e9, 1.9e9])
def test_behaviour_02_capped_connections_over_a_whole_fetch(processors, uncapped):
    """With 60 MB/s a connection, nine tenths of what streams or line can give arrive, the way there included."""
    line = Line(60e6, uncapped)
    seconds = line.fetch(first_window(processors))
    assert SIZE / seconds >= 0.9 * min(line.most_streams * 60e6, uncapped)


def test_busy_processors_get_no_more_streams():
    """Where the processor is the limit, the fetch stays with the streams that it began with."""
    line = Line(1e9, 1.2e9, cost=0.5 / 2 / 1e9)
    line.fetch(first_window(2))
    assert line.most_streams == first_window(2).streams


def test_streams_that_bring_nothing_are_taken_away():
    """Where the line is the limit, a step that brought nothing is taken back."""
    line = Line(1e9, 1.2e9)
    line.fetch(first_window(2))
    assert line.most_streams <= first_window(2).streams + 16


def test_a_line_that_was_slow_for_a_moment_is_tried_again():
    """One bad measurement, during the first trial, does not keep a fetch with few streams to its end."""
    line = Line(60e6, 1.2e9, bad=(0.2, 0.4))
    seconds = line.fetch(first_window(2))
    assert SIZE / seconds >= 0.9 * 1.2e9
