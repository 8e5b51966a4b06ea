"""Progress: what a bar and a line of JSON say at a given moment."""

import io
import json

import pytest

from plinth_runtime.weights.progress import Bar, Lines, Rate, Textfile, bar_text, size_text
from plinth_runtime.weights.work import Counters

HALF = Counters(bytes_total=4_000_000_000, bytes_done=2_000_000_000, files_total=4, files_done=1)


class Clock:
    """Seconds that pass when told to."""

    now = 0.0

    def __call__(self):
        """The time."""
        return self.now


def test_the_bar():
    """The bar tells share, bytes, files, rate and what is left; before anything is known it says so."""
    text = bar_text(HALF, 100e6)
    assert text == "[############            ]  50%  2 GB of 4 GB, 1 of 4 files, 100 MB/s, 20 s left"
    assert bar_text(Counters(), 0.0) == "looking at what is there"
    assert "left" not in bar_text(HALF, 0.0)


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (999, "999 B"), (1000, "1 kB"), (123_456_789, "123 MB"), (2.5e15, "2.5e+03 TB")]
)
def test_sizes(count, text):
    """Bytes have three digits at most."""
    assert size_text(count) == text


def test_the_rate_forgets():
    """The rate is that of the last seconds, and never negative."""
    rate = Rate()
    assert rate.update(0.0, 0) == 0.0
    assert rate.update(1.0, 100) == 100.0
    assert rate.update(20.0, 100) == 0.0
    assert rate.update(21.0, 50) == 0.0


def test_lines_and_bar_are_not_chatty():
    """However often they are called, a line comes once a second and a bar five times, and the last state at the end."""
    clock, lines_out, bar_out = Clock(), io.StringIO(), io.StringIO()
    lines, bar = Lines(lines_out, clock), Bar(bar_out, clock)
    for tick in range(20):
        clock.now = tick / 10
        lines(HALF)
        bar(HALF)
    lines.close()
    bar.close()
    rows = [json.loads(row) for row in lines_out.getvalue().splitlines()]
    assert len(rows) == 3
    assert rows[-1]["bytesDone"] == 2_000_000_000
    assert bar_out.getvalue().count("[####") == 10


def test_a_file_for_prometheus(tmp_path):
    """The file is whole at every moment, written at most once a second, and says at the end that nothing runs."""
    clock, path = Clock(), tmp_path / "fetch.prom"
    shown = Textfile(path, clock)
    shown(HALF)
    first = path.read_text()
    assert "plinth_transfer_running 1.0" in first
    assert "plinth_transfer_percent 50.0" in first
    assert "plinth_transfer_eta_seconds" not in first
    clock.now = 0.5
    shown(Counters())
    assert path.read_text() == first
    shown(HALF)
    shown.close()
    assert "plinth_transfer_running 0.0" in path.read_text()
    assert list(tmp_path.iterdir()) == [path]
