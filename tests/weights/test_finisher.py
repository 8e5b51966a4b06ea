"""What has arrived and is not durable is bounded, however slow the disk."""

import threading
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from plinth_runtime.weights import finisher
from plinth_runtime.weights.finisher import BATCH_BYTES, Arrival, Finisher
from plinth_runtime.weights.journal import Journal
from plinth_runtime.weights.parts import Part

WAIT_SECONDS = 10


@dataclass
class Endless:
    """A file that is never complete."""

    key: str = "endless"
    parts: tuple = (1, 2)
    crcs: dict = field(default_factory=dict)
    is_complete: bool = False

    def open(self):
        """Give something to sync."""
        return Path()


@pytest.mark.slow
@pytest.mark.parametrize("size", [1 << 20, 24 << 20, 100 << 20])
def test_behaviour_03_a_slow_disk_holds_up_the_streams(tmp_path, monkeypatch, size):
    """While nothing becomes durable, no more than a batch and one part is taken; afterwards everything is."""
    durable, taken, told = threading.Event(), threading.Semaphore(0), []
    monkeypatch.setattr(finisher, "sync_files", lambda _: durable.wait(WAIT_SECONDS))
    made = Finisher(Journal(tmp_path / "journal"), None, lambda _: None, told.append)
    made.start()
    count, limit = 4 * BATCH_BYTES // size + 4, BATCH_BYTES // size + 1

    def pour():
        for number in range(count):
            made.arrived(Arrival(Endless(), Part(number, number * size, size), 0))
            taken.release()

    stream = threading.Thread(target=pour, daemon=True)
    stream.start()
    for _ in range(min(limit, BATCH_BYTES // size)):
        assert taken.acquire(timeout=WAIT_SECONDS)
    stream.join(0.3)
    over = sum(taken.acquire(blocking=False) for _ in range(count))
    assert over <= 1
    durable.set()
    stream.join(WAIT_SECONDS)
    assert not stream.is_alive()
    made.close(WAIT_SECONDS)
    assert told == []
    assert (tmp_path / "journal").read_text().count('"part"') == count
