"""Real engines that run out of memory: killed by the kernel at start and in run, and refused what they ask for."""

import json
import os
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.engine import PROMPT, wait_until

from plinth_runtime.serving.deaths import Circumstances, Exit, explain

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]

MIB = 1 << 20
GROUPS = Path("/sys/fs/cgroup")
RELEASE_SECONDS = 20


@dataclass(frozen=True)
class MemoryGroup:
    """A control group with a memory limit, as a container has one."""

    path: Path
    limit_file: str

    def add(self, pid):
        """Take a process in; its children will be in too."""
        (self.path / "cgroup.procs").write_text(str(pid))

    def limit(self, size):
        """Set the limit, in bytes."""
        (self.path / self.limit_file).write_text(str(size))

    def used(self):
        """Bytes that no reclaim gives back: what processes have written to."""
        rows = dict(line.split() for line in (self.path / "memory.stat").read_text().splitlines())
        return int(rows["rss"] if "rss" in rows else rows["anon"]) + int(rows["shmem"])

    def remove(self):
        """Remove it, once its last process is gone."""

        def gone():
            with suppress(OSError):
                self.path.rmdir()
            return not self.path.exists()

        wait_until(gone, RELEASE_SECONDS)


def make_group():
    """Make one beside those that there are, in whichever form this host has them, or skip."""
    name = f"plinth-test-{os.getpid()}"
    try:
        if (GROUPS / "memory").is_dir():
            group = MemoryGroup(GROUPS / "memory" / name, "memory.limit_in_bytes")
        else:
            (GROUPS / "cgroup.subtree_control").write_text("+memory")
            group = MemoryGroup(GROUPS / name, "memory.max")
        group.path.mkdir()
    except OSError as error:
        pytest.skip(f"needs a control group of its own: {error}")
    return group


@pytest.fixture
def group():
    """A memory group for this test."""
    made = make_group()
    yield made
    made.remove()


@pytest.fixture
def start_in(group, start):
    """A function that starts an agent in the group: as in a pod, the agent is inside too."""

    def go(*arguments):
        server = start(*arguments)
        group.add(server.process.pid)  # long before there is an engine: Python has not even started
        return server

    return go


@pytest.mark.exhaustive
def test_out_of_memory_at_start(group, start_in, record_property):
    """An engine that the kernel kills while it starts: the agent lives, names the cause, tries once more, gives up."""
    group.limit(700 * MIB)
    server = start_in()
    begun = time.monotonic()
    assert server.process.wait(300) == 15
    record_property("seconds until it gave up", f"{time.monotonic() - begun:.0f}")
    end = json.loads(server.run_dir.termination.read_text())
    record_property("told", end["message"])
    assert end["cause"] == "out-of-memory"
    assert end["message"] == "the kernel killed a process of the engine for memory before it was ready"
    assert "larger machine" in end["advice"]
    assert server.run_dir.log.read_text().count("phase starting") == 2
    assert "out-of-memory before ready, 2 times in a row" in server.run_dir.log.read_text()
    assert not server.engine_processes()


EATER = "import sys; held = b'x' * int(sys.stdin.readline()); print(len(held), flush=True); sys.stdin.read()"
"""A neighbour that is told how much memory to take, writes to all of it and keeps it until its input ends."""


@pytest.mark.exhaustive
def test_out_of_memory_in_run(group, start_in, record_property):
    """When memory runs out the kernel takes the engine, not agent or neighbour; it is told, and the server is back."""
    server = start_in()
    server.wait_ready()
    assert server.call("/v1/completions", PROMPT | {"max_tokens": 1})[0] == 200
    before = group.used()
    group.limit(before + 300 * MIB)
    begun = time.monotonic()
    eater = subprocess.Popen([sys.executable, "-c", EATER], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        group.add(eater.pid)
        eater.stdin.write(b"%d\n" % (500 * MIB))
        eater.stdin.flush()
        status = wait_until(lambda: (s := server.status()) and s["phase"] == "restarting" and s, 60)
        record_property("engine and agent, MiB", f"{before / MIB:.0f}")
        record_property("told after", f"{time.monotonic() - begun:.1f} s: {status['lastEnd']['message']}")
        assert status["lastEnd"]["cause"] == "out-of-memory"
        assert "killed a process of the engine for memory after it had been ready" in status["lastEnd"]["message"]
        assert status["lastEnd"]["exitCode"] == 15
        assert int(eater.stdout.readline()) == 500 * MIB
    finally:
        eater.communicate()
    assert server.wait_ready()["restarts"] == 1
    assert server.call("/v1/completions", PROMPT | {"max_tokens": 1})[0] == 200


@pytest.mark.exhaustive
def test_more_cache_than_memory(start, record_property):
    """A KV cache that is larger than the machine is out-of-memory in the engine's own words, with advice."""
    server = start({"engine": {"kvCacheBytes": 64 << 40}, "lifecycle": {"maxRestarts": 0}})
    begun = time.monotonic()
    assert server.process.wait(200) == 15
    end = json.loads(server.run_dir.termination.read_text())
    record_property("told after", f"{time.monotonic() - begun:.0f} s: {end['message']}")
    assert end["cause"] == "out-of-memory"
    assert "less than requested memory for kv" in end["message"]
    assert "KV cache" in end["advice"]
    assert not server.engine_processes()


@pytest.mark.parametrize(
    ("module", "words"),
    [
        ("v1/worker/utils.py", "is less than desired GPU memory utilization"),
        ("v1/worker/cpu_worker.py", "is less than desired CPU memory utilization"),
        ("v1/worker/cpu_worker.py", "is less than requested memory for kv"),
        ("v1/core/kv_cache_utils.py", "No available memory for the cache blocks"),
        ("v1/core/kv_cache_utils.py", "larger than the available KV cache"),
    ],
)
def test_words_of_the_engine(world, module, words):
    """What the pinned engine says where memory is short, on processors that are not here too, is known by its words."""
    (folder,) = world.python.parent.parent.glob("lib/python3*/site-packages/vllm")
    assert words in (folder / module).read_text()
    line = f"(EngineCore pid=7) ERROR [core.py:1] ValueError: Free memory (1.0/8.0 GiB) {words} memory (0.9)."
    assert explain(Exit(code=1), Circumstances((line,))).cause == "out-of-memory"
