"""Several models at once: one bound for all streams of a process, shared fairly, and each fetch ends by itself."""

import mmap
import subprocess
import sys
import threading
import time
import weakref

import pytest
from fakes.object_server import FOREVER, Fault, ObjectServer
from hypothesis import given
from hypothesis import strategies as st
from weights.conftest import QUICK
from weights.making import PART, UNHURRIED, contents, noise, safetensors

from plinth_runtime.errors import FetchCancelledError
from plinth_runtime.weights.board import Patience
from plinth_runtime.weights.fetch import FetchOptions, fetch
from plinth_runtime.weights.neighbours import Neighbours
from plinth_runtime.weights.publish import PublishOptions, publish
from plinth_runtime.weights.reader import BUFFER_BYTES
from plinth_runtime.weights.shelf import FolderShelf
from plinth_runtime.weights.sources.opening import open_source, open_store
from plinth_runtime.weights.streams import (
    LARGE_BUFFER_BYTES,
    LARGE_BUFFERS,
    ROOM_BYTES,
    Streams,
    large_buffer_bytes,
)

MODELS = 3
BOUND = 6
PATIENT_SECONDS = 60


def test_one_transfer_may_have_all():
    """Who is alone gets every stream, and none beyond."""
    share = Streams(3).join()
    assert [share.take() is not None for _ in range(4)] == [True, True, True, False]


def test_who_comes_later_gets_an_equal_part():
    """Permits that come back go to the one that has less, until the parts are equal."""
    streams = Streams(4)
    first = streams.join()
    held = [first.take() for _ in range(4)]
    second = streams.join()
    assert second.take() is None
    first.give_back(held.pop())
    assert first.take() is None  # the second one waits
    assert second.take() is not None
    first.give_back(held.pop())
    assert second.take() is not None
    assert second.take() is None
    second.leave()
    assert not streams.most - first.held - second.held


@UNHURRIED
@given(st.integers(1, 8), st.lists(st.tuples(st.integers(0, 2), st.booleans()), max_size=60))
def test_never_more_than_the_bound(most, steps):
    """Whatever the order of taking and giving back: never more permits than the bound, and memory is used again."""
    streams = Streams(most)
    members = [(streams.join(), []) for _ in range(3)]
    seen = set()
    for number, takes in steps:
        share, held = members[number]
        if takes and (buffer := share.take()) is not None:
            held.append(buffer)
            seen.add(id(buffer))
        elif not takes and held:
            share.give_back(held.pop())
        assert sum(len(rows) for _, rows in members) <= most
    assert len(seen) <= most


def test_the_first_buffers_share_the_room_that_is_left(monkeypatch):
    """A small program has larger first buffers, of whole pages; a large one, and every later stream, has the usual."""
    at = ROOM_BYTES - LARGE_BUFFERS * (1 << 20)
    assert [large_buffer_bytes(resident) for resident in (0, at, at + 9000, ROOM_BYTES, 1 << 30)] == [
        LARGE_BUFFER_BYTES,
        2 << 20,
        (2 << 20) - mmap.PAGESIZE,
        BUFFER_BYTES,
        BUFFER_BYTES,
    ]
    monkeypatch.setattr("plinth_runtime.weights.streams.resident_bytes", lambda: at)
    share = Streams().join()
    sizes = [len(share.take().view) for _ in range(LARGE_BUFFERS + 2)]
    assert sizes == [2 << 20] * LARGE_BUFFERS + [BUFFER_BYTES] * 2


def test_memory_goes_when_nobody_fetches():
    """Buffers are used again while there is a transfer, and given back to the system after the last."""
    streams = Streams()
    first, second = streams.join(), streams.join()
    buffer = first.take()
    memory = weakref.ref(buffer)
    first.give_back(buffer)
    del buffer
    first.leave()
    assert memory() is not None
    buffer = second.take()
    assert buffer is memory()
    second.give_back(buffer)
    del buffer
    second.leave()
    assert memory() is None


@pytest.fixture
def servers(tmp_path):
    """Servers of one published model each, of many parts."""
    running = []
    for number in range(MODELS):
        root = tmp_path / f"published-{number}"
        root.mkdir()
        data = noise(24 * PART, number)
        (root / "model.safetensors").write_bytes(safetensors({"a": 24 * PART}, data))
        publish(root, open_store(str(root)), PublishOptions(part_size=PART), lambda _: None)
        running.append(ObjectServer(root).__enter__())
    yield running
    for server in running:
        server.__exit__()


def bring(server, folder, streams, watch=lambda _: None, patience=QUICK):
    """Fetch a server's model."""
    options = FetchOptions(patience=patience, streams=streams)
    return fetch(open_source(server.address), FolderShelf(folder), options, watch)


@pytest.mark.processes
def test_models_share_the_bound(servers, tmp_path):
    """Three models at once arrive over no more streams than one bound allows, and each has some all the time."""
    streams, open_at_once = Streams(BOUND), []
    for server in servers:
        server.delay = 0.02

    def watch(_):
        open_at_once.append([server.open for server in servers])

    ends = []

    def run(number):
        ends.append(bring(servers[number], tmp_path / f"out-{number}", streams, watch).state)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(MODELS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENT_SECONDS)
    assert ends == ["verified"] * MODELS
    # The server lets go of a request a moment after its client did.
    assert max(map(sum, open_at_once)) <= BOUND * 1.5
    for number, server in enumerate(servers):
        assert contents(tmp_path / f"out-{number}") == contents(server.root)


@pytest.mark.processes
def test_one_of_several_is_cancelled(servers, tmp_path):
    """A fetch that is told to stop while its streams stand still ends within two seconds; the other gets them."""
    streams, stop = Streams(BOUND), threading.Event()
    servers[0].faults = [Fault("stall", "safetensors", times=FOREVER, at=9)]
    told = []

    def watch(_):
        if stop.is_set():
            raise FetchCancelledError("told to")

    def run():
        with pytest.raises(FetchCancelledError):
            bring(servers[0], tmp_path / "out-0", streams, watch, Patience(silence=PATIENT_SECONDS))
        told.append(time.monotonic())

    thread = threading.Thread(target=run)
    thread.start()
    while servers[0].open < BOUND:
        time.sleep(0.01)
    other = threading.Thread(target=lambda: told.append(bring(servers[1], tmp_path / "out-1", streams).state))
    other.start()
    began = time.monotonic()
    stop.set()
    thread.join(PATIENT_SECONDS)
    assert told[0] - began < 2
    other.join(PATIENT_SECONDS)
    assert told[1] == "verified"


def test_processes_share_the_bound(tmp_path):
    """Fetches into one cache divide the streams between them, by how many they are at the moment."""
    now = [0.0]
    first, second = (Streams(6, Neighbours(tmp_path / "fetches", lambda: now[0])) for _ in range(2))
    one, other = first.join(), second.join()
    held = [one.take() for _ in range(6)]
    assert all(held)
    assert [other.take() is not None for _ in range(4)] == [True, True, True, False]
    one.give_back(held.pop())
    assert one.take() is not None  # its count is not old enough
    now[0] = 2.0
    one.give_back(held.pop())
    assert one.take() is None  # it holds more than its part
    other.leave()
    now[0] = 4.0
    assert one.take() is not None


def test_who_was_killed_does_not_count(tmp_path):
    """A process that died with its file is no neighbour, and its file goes."""
    code = (
        "import sys, pathlib; from plinth_runtime.weights.neighbours import Neighbours; "
        "print(Neighbours(pathlib.Path(sys.argv[1])).count(), flush=True); sys.stdin.read()"
    )
    folder, pipe = tmp_path / "fetches", subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", code, str(folder)], stdin=pipe, stdout=pipe) as process:
        assert process.stdout.readline() == b"1\n"
        now = [0.0]
        neighbours = Neighbours(folder, lambda: now[0])
        assert neighbours.count() == 2
        process.kill()
        process.wait()
        now[0] = 2.0
        assert neighbours.count() == 1
        assert len(list(folder.iterdir())) == 1
        neighbours.leave()
