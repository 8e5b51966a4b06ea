"""Ports, probes, locks: the small effects."""

import os
import socket
import threading
import time
from contextlib import suppress

import pytest

from plinth_runtime.contract.rundir import RunDir
from plinth_runtime.errors import AlreadyRunningError, BadConfigError, PortTakenError
from plinth_runtime.serving import engine_http, files
from plinth_runtime.serving.engine_http import Question, Target, ask, belongs, reachable_host, scrape
from plinth_runtime.serving.oom import count_oom_kills
from plinth_runtime.serving.ports import find_holder, require_free


@pytest.fixture
def listener():
    """A socket of this process that listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_taken_port(listener):
    """A taken port is refused, and the holder named."""
    with pytest.raises(PortTakenError, match=f"port {listener}, meant for tests, is taken by process {os.getpid()}"):
        require_free("127.0.0.1", listener, "tests")
    assert find_holder(listener).pid == os.getpid()


def test_free_port(free_port):
    """A free port is free, and nobody holds it."""
    port = free_port()
    require_free("127.0.0.1", port, "tests")
    assert find_holder(port) is None


def test_foreign_address():
    """An address that is not this host's is a fault of the configuration."""
    with pytest.raises(BadConfigError, match=r"cannot listen on 192\.0\.2\.1"):
        require_free("192.0.2.1", 80, "tests")


def test_a_stranger_is_not_the_engine(listener):
    """A listener counts as the engine only if it is in the engine's group."""
    assert belongs(Target("127.0.0.1", listener, os.getpgid(0)))
    assert not belongs(Target("127.0.0.1", listener, 1))


def test_nobody_answers(free_port):
    """Without a listener a probe has no answer."""
    assert ask(Target("127.0.0.1", free_port(), 1), Question("/health"), timeout=1)[0] is None


@pytest.fixture
def engine_says():
    """A function that listens and answers one connection with these pieces; it returns where."""
    servers = []

    def listen(*pieces):
        server = socket.create_server(("127.0.0.1", 0))
        servers.append(server)

        def answer():
            with suppress(OSError):
                client, _ = server.accept()
                with client:
                    client.recv(10_000)
                    for piece in pieces:
                        time.sleep(piece) if isinstance(piece, float) else client.sendall(piece)

        threading.Thread(target=answer, daemon=True).start()
        return Target("127.0.0.1", server.getsockname()[1], 1)

    yield listen
    for server in servers:
        server.close()


HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n"
METRICS = b"vllm:num_requests_running 1\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("pieces", "text"),
    [
        ((HEAD % len(METRICS), METRICS), METRICS),
        ((b"HTTP/1.1 503 X\r\ncontent-length: 1\r\n\r\n", b"x"), b""),
        ((HEAD % 99, METRICS), b""),
        ((HEAD % 2000, b"x" * 2000), b""),
        ((HEAD % 9, *(b"x", 0.2) * 9), b""),
        ((9.0,), b""),
        ((b"nonsense",), b""),
    ],
    ids=["whole", "refused", "cut", "too large", "dripping", "silent", "no HTTP"],
)
def test_scrapes_are_bounded(engine_says, monkeypatch, pieces, text):
    """The engine's metrics come whole and in time, or not at all."""
    monkeypatch.setattr(engine_http, "MOST_BYTES", 1000)
    monkeypatch.setattr(engine_http, "SCRAPE_SECONDS", 0.5)
    begun = time.monotonic()
    assert scrape(engine_says(*pieces)) == text
    assert time.monotonic() - begun < 5


def test_without_an_engine_nothing_is_scraped():
    """Before an engine was ready there is nobody to ask."""
    assert scrape(None) == b""


@pytest.mark.parametrize(("host", "reached"), [("0.0.0.0", "127.0.0.1"), ("::", "::1"), ("10.0.0.1", "10.0.0.1")])  # noqa: S104
def test_reachable_host(host, reached):
    """A wildcard is reached over loopback."""
    assert reachable_host(host) == reached


def test_agent_lock(tmp_path):
    """One agent at a time; the second learns the first one's process id, and afterwards no id is left."""
    run_dir = RunDir(tmp_path)
    lock = files.take_agent_lock(run_dir)
    with pytest.raises(AlreadyRunningError, match=f"process id {os.getpid()}"):
        files.take_agent_lock(run_dir, sleep=lambda _: None)
    files.release_agent_lock(lock)
    assert run_dir.lock.read_text() == ""
    os.close(files.take_agent_lock(run_dir))


def test_engine_lock_waits_for_a_bounded_time(tmp_path):
    """A former engine is waited for, but not for ever."""
    run_dir, naps = RunDir(tmp_path), []
    lock = files.take_engine_lock(run_dir)
    with pytest.raises(AlreadyRunningError):
        files.take_engine_lock(run_dir, sleep=naps.append)
    assert sum(naps) == pytest.approx(10)
    os.close(lock)


CGROUPS = {
    "v2": ("0::/pod/x\n", "sys/fs/cgroup/pod/x/memory.events", "max 3\noom 2\noom_kill 2\n"),
    "v2 in a namespace": ("0::/\n", "sys/fs/cgroup/memory.events", "oom_kill 2\n"),
    "v1": ("4:memory:/pod\n0::/\n", "sys/fs/cgroup/memory/pod/memory.oom_control", "oom_kill_disable 0\noom_kill 2\n"),
    "host": ("0::/\n", "proc/vmstat", "nr_free 1\noom_kill 2\n"),
}


@pytest.mark.parametrize("kind", CGROUPS)
def test_oom_counter(tmp_path, kind):
    """The kernel's counter is found in each kind of control group, and 0 without any."""
    groups, path, text = CGROUPS[kind]
    assert count_oom_kills(tmp_path) == 0
    for name, content in (("proc/self/cgroup", groups), (path, text)):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    assert count_oom_kills(tmp_path) == 2
