"""How far a start is and how long the rest takes: without a clock, without a guess."""

import pytest

from plinth_runtime.contract.rundir import RunDir
from plinth_runtime.contract.status import Phase, StartRecord
from plinth_runtime.serving import files
from plinth_runtime.serving.board import Board
from plinth_runtime.serving.progress import Moment, eta_seconds

KNOWN = {Phase.VERIFYING: 4.0, Phase.STARTING: 20.0, Phase.LOADING: 10.0, Phase.WARMING: 6.0}


@pytest.mark.parametrize(
    ("moment", "known", "eta"),
    [
        (Moment(Phase.VERIFYING, 1.0, 0.25), KNOWN, 3 + 36),
        (Moment(Phase.VERIFYING, 8.0, 0.5), KNOWN, 8 + 36),  # the present rate, not the former time
        (Moment(Phase.VERIFYING, 1.0), KNOWN, 3 + 36),
        (Moment(Phase.STARTING, 5.0), KNOWN, 15 + 16),
        (Moment(Phase.STARTING, 20.5), KNOWN, None),  # longer than ever
        (Moment(Phase.LOADING, 2.0, 0.0), KNOWN, 8 + 6),
        (Moment(Phase.LOADING, 9.0, 0.9), KNOWN, 1 + 6),
        (Moment(Phase.LOADING, 9.0, 1.0), KNOWN, 0 + 6),
        (Moment(Phase.WARMING, 6.0), KNOWN, 0),
        (Moment(Phase.READY, 6.0), {}, 0),
        (Moment(Phase.RESTARTING, 1.0), KNOWN, None),
        (Moment(Phase.DRAINING, 1.0), KNOWN, None),
        (Moment(Phase.VERIFYING, 1.0, 0.5), {}, None),  # the rest of the way is unknown
        (Moment(Phase.STARTING, 1.0), {Phase.STARTING: 2.0}, None),
    ],
)
def test_eta(moment, known, eta):
    """The present phase by its rate or its former time, later ones by their former times; otherwise nothing."""
    assert eta_seconds(moment, known) == (None if eta is None else pytest.approx(eta))


class Hands:
    """A clock that is set by hand."""

    now = 0.0

    def __call__(self):
        """Seconds."""
        return self.now


@pytest.fixture
def clock():
    """A clock at 0."""
    return Hands()


@pytest.fixture
def board(clock):
    """A board that knows a former start."""
    return Board("test", "ab" * 32, 1, clock, KNOWN)


def at(board, seconds, phase=None):
    """The status at a moment, after entering a phase."""
    board.clock.now = seconds
    if phase is not None:
        board.enter(phase)
    return board.status()


def test_a_start_told(board):
    """From the first moment on: time in each phase, what is done of it, and what is left."""
    first = at(board, 0.0)
    assert (first.phase, first.phase_percent, first.eta_seconds) == (Phase.VERIFYING, None, 40)
    board.bytes_total, board.bytes_done = 200, 50
    assert (at(board, 1.0).phase_percent, at(board, 1.0).eta_seconds) == (25, 39)
    assert at(board, 4.0, Phase.STARTING).phase_percent is None
    at(board, 20.0, Phase.LOADING)
    board.advance(60, 0.5)
    told = at(board, 24.0)
    assert (told.phase_percent, told.eta_seconds) == (50, 10)
    assert told.elapsed == {Phase.VERIFYING: 4, Phase.STARTING: 16, Phase.LOADING: 4}
    at(board, 26.0, Phase.WARMING)
    board.advance(82, 0.1)  # a line that comes late changes no other phase
    assert at(board, 27.0).phase_percent is None
    assert at(board, 30.0, Phase.READY).eta_seconds == 0


def test_a_new_engine_starts_anew(board):
    """After a restart the times are those of the new engine; the weights were checked only once."""
    for seconds, phase in [(4, Phase.STARTING), (24, Phase.RESTARTING), (25, Phase.STARTING)]:
        at(board, seconds, phase)
    assert at(board, 28).elapsed == {Phase.VERIFYING: 4, Phase.STARTING: 3}


@pytest.mark.parametrize(
    ("text", "known"),
    [
        (StartRecord(launch_digest="a", seconds=KNOWN).model_dump_json(), KNOWN),
        (StartRecord(launch_digest="b", seconds=KNOWN).model_dump_json(), {}),
        ("{", {}),
        (None, {}),
    ],
    ids=["the same launch", "another launch", "damaged", "none"],
)
def test_only_the_same_launch_is_comparable(tmp_path, text, known):
    """A record of another launch, a damaged one or none: nothing is known."""
    run_dir = RunDir(tmp_path)
    if text is not None:
        run_dir.last_start.write_text(text)
    assert files.last_start(run_dir, "a") == known
