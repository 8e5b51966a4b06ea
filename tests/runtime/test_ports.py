"""Ports, probes, locks: the small effects."""

import os
import socket

import pytest

from plinth_runtime.contract.rundir import RunDir
from plinth_runtime.errors import AlreadyRunningError, BadConfigError, PortTakenError
from plinth_runtime.serving import files
from plinth_runtime.serving.oom import count_oom_kills
from plinth_runtime.serving.ports import find_holder, require_free
from plinth_runtime.serving.probe import Question, Target, ask, belongs, reachable_host


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
