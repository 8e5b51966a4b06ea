"""Processor time of processes that call themselves as an engine's do."""

import os
import signal
import subprocess
import sys
import time

import pytest

from plinth_runtime.serving import computing, guard
from plinth_runtime.serving.computing import processor_time

pytestmark = pytest.mark.slow

BURN = "import sys\nprint(flush=True)\nwhile True: pass"
REST = "import sys, time\nprint(flush=True)\ntime.sleep(60)"


@pytest.fixture
def start():
    """A function that starts a session of processes with these titles and programs; it returns their group."""
    started = []

    def go(*members):
        for title, program in members:
            leader = started[0].pid if started else 0
            process = subprocess.Popen(
                [title, "-I", "-S", "-c", program],
                executable=sys.executable,
                stdout=subprocess.PIPE,
                process_group=leader,
            )
            process.stdout.readline()
            started.append(process)
        return started[0].pid

    yield go
    for process in started:
        process.kill()
        process.communicate()


def used(group, seconds=0.4):
    """Share of a processor that is used for a while."""
    first = processor_time(group)
    time.sleep(seconds)
    second = processor_time(group)
    return (second.seconds - first.seconds) / (second.at - first.at)


@pytest.mark.parametrize(
    ("members", "computes"),
    [
        ((("VLLM::EngineCore", BURN),), True),
        ((("VLLM::EngineCore_DP0", REST),), False),
        ((("VLLM::EngineCore", REST), ("VLLM::Worker_TP0", BURN)), True),
        ((("VLLM::EngineCore", BURN), ("VLLM::Worker", REST)), False),  # it waits for its worker, however busily
        ((("VLLM::EngineCore", REST), ("api", BURN)), False),  # the server is not asked
    ],
)
def test_who_computes(start, members, computes):
    """Workers if there are any, the core otherwise; nobody else counts."""
    assert (used(start(*members)) > 0.1) is computes


def test_waiting_for_a_processor_counts(start):
    """Two that want the same processor compute both, although each gets a part of it only."""
    group = start(*(("VLLM::Worker", BURN) for _ in range(4)))
    for pid in guard.members(group):
        os.sched_setaffinity(pid, {min(os.sched_getaffinity(0))})
    assert used(group) > 2


def test_a_kernel_without_schedstat(start, monkeypatch):
    """Then the processor time itself must do."""
    monkeypatch.setattr(computing, "SCHEDULE", "nothing")
    assert used(start(("VLLM::Worker", BURN))) > 0.1


def test_what_cannot_be_told(start):
    """Strangers and stopped processes: no figure."""
    assert processor_time(start(("stranger", REST))) is None
    group = start(("VLLM::Worker", BURN))
    assert processor_time(group) is not None
    os.killpg(group, signal.SIGSTOP)
    time.sleep(0.1)
    assert processor_time(group) is None
