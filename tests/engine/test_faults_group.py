"""Two real engines, one model: a tensor-parallel group on two hosts (namespaces) that fails and starts as one."""

import json
import os
import signal
import threading
import time
from pathlib import Path

import pytest
from support.engine import PROMPT, free_ports, wait_until
from support.hosts import Group, Hosts
from support.project import lives

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]

ALL_ENDED_SECONDS = 15
WORKS_SECONDS = 240
STREAM = PROMPT | {"max_tokens": 400, "ignore_eos": True, "stream": True}
HEADERS = {"content-type": "application/json"}
STREAMS = 4


@pytest.fixture(scope="module")
def group(world, tiny, tmp_path_factory):
    """A group that works; each test leaves it working."""
    world.close()
    hosts = Hosts.make()
    api, management = free_ports(2)
    document = {
        "deployment": "group-test",
        "model": {"servedName": "smollm2", "folder": str(tiny), "maxModelLen": 512, "dtype": "bfloat16"},
        "engine": {
            "python": str(world.python),
            "kvCacheBytes": 1 << 30,
            "maxNumSeqs": 8,
            "extraArgs": ["--tensor-parallel-size", "2"],
        },
        "api": {"port": api},
        "management": {"port": management},
        "lifecycle": {"shutdownTimeoutSeconds": 30, "maxRestarts": 99},
        "group": {"nodes": 2, "seat": "environment"},
    }
    # Each host has a processor of its own.
    environment = {rank: {"VLLM_CPU_OMP_THREADS_BIND": str(rank)} for rank in range(2)}
    made = Group(hosts, document, tmp_path_factory.mktemp("group"), environment)
    for rank in range(2):
        made.start(rank)
    try:
        wait_works(made)
        yield made
    finally:
        made.close()
        hosts.close()


def wait_works(group):
    """Wait until both are ready in one epoch, and return it."""

    def look():
        ended = [member for member in group.members if member.process.poll() is not None]
        assert not ended, ended[0].log()[-3000:]
        return group.works()

    return wait_until(look, WORKS_SECONDS)


def ask(group, body=None):
    """(status, text) of a completion."""
    return group.members[0].call("/v1/completions", body or PROMPT | {"max_tokens": 8}, HEADERS)


def first_process(member):
    """The engine's first process."""
    return member.status()["enginePid"]


def working_process(member):
    """Rank 0's core, or rank 1's worker."""
    word = b"EngineCore" if member.rank == 0 else b"Worker"
    return next(pid for pid in member.engine_processes() if word in Path(f"/proc/{pid}/cmdline").read_bytes())


def test_two_engines_answer_as_one(group, record_property):
    """Half of the model on each host: it answers, always the same, and only where the leader is."""
    status, text = ask(group)
    assert status == 200, text
    assert ask(group)[1].split('"text"')[1][:40] == text.split('"text"')[1][:40]
    assert group.members[1].call("/health")[0] is None
    assert working_process(group.members[1])
    record_property("ready after", [f"{member.status()['readyAfterSeconds']:.0f} s" for member in group.members])


def busy(group):
    """Streams that are open for some seconds; their answers come into a list."""
    answers = []
    clients = [threading.Thread(target=lambda: answers.append(ask(group, STREAM))) for _ in range(STREAMS)]
    for client in clients:
        client.start()
    time.sleep(1)
    return clients, answers


def slow(*values):
    """A row of `make test-all` only."""
    return pytest.param(*values, marks=pytest.mark.exhaustive)


@pytest.mark.parametrize(
    ("victim", "rank", "load"),
    [
        ("engine", 1, False),
        slow("engine", 0, True),
        slow("worker", 0, False),
        slow("worker", 1, True),
        slow("agent", 0, True),
        slow("agent", 1, False),
    ],
)
def test_killed_member(group, victim, rank, load, record_property):
    """Kill -9 of any rank's engine, worker or agent: all engines are gone in 15 s, the cause told, all work again."""
    before = wait_works(group)
    engines = [pid for member in group.members for pid in member.engine_processes()]
    clients, answers = busy(group) if load else ([], [])
    pick = {"engine": first_process, "worker": working_process, "agent": lambda member: member.process.pid}[victim]
    begun = time.monotonic()
    os.kill(pick(group.members[rank]), signal.SIGKILL)
    wait_until(lambda: not any(lives(pid) for pid in engines), ALL_ENDED_SECONDS)
    ended = time.monotonic() - begun
    assert ended < ALL_ENDED_SECONDS
    if victim == "agent":
        group.members[rank].process.wait()
        group.start(rank)
    assert wait_works(group) > before
    record_property("all ended after, working again after", f"{ended:.1f} s, {time.monotonic() - begun:.0f} s")
    told = [end for member in group.members if (end := member.status()["lastEnd"])]
    record_property("told", [end["message"][:90] for end in told])
    assert len(told) == (1 if victim == "agent" else 2)
    # The other's engine may end by itself over the lost connection, before its agent has heard of the loss.
    others = [end for end in told if victim == "agent" or told.index(end) != rank]
    assert all(f"rank {rank}" in end["message"] or end["cause"] == "engine-died" for end in others)
    for client in clients:
        client.join(60)
    assert all(status != 200 or "[DONE]" not in text or "error" in text for status, text in answers)
    assert ask(group)[0] == 200


@pytest.mark.exhaustive
def test_a_split(group, record_property):
    """When nothing comes through the cable, both sides end in 15 s; when it does again, both work again."""
    before = wait_works(group)
    engines = [pid for member in group.members for pid in member.engine_processes()]
    begun = time.monotonic()
    group.hosts.plug(joined=False)
    wait_until(lambda: not any(lives(pid) for pid in engines), ALL_ENDED_SECONDS)
    record_property("all ended after", f"{time.monotonic() - begun:.1f} s")
    group.hosts.plug(joined=True)
    assert wait_works(group) > before
    assert ask(group)[0] == 200


@pytest.mark.exhaustive
@pytest.mark.parametrize("rank", [0, 1])
def test_drain(group, rank, record_property):
    """SIGTERM to any member with streams open: they end whole, then both agents with 0; started again, they work."""
    wait_works(group)
    clients, answers = busy(group)
    begun = time.monotonic()
    group.members[rank].send(signal.SIGTERM)
    assert [member.process.wait(60) for member in group.members] == [0, 0]
    record_property("ended after", f"{time.monotonic() - begun:.1f} s")
    for client in clients:
        client.join(60)
    assert len(answers) == STREAMS
    for status, text in answers:
        assert status == 200
        assert text.count("data: {") == STREAM["max_tokens"], text[-300:]
        assert json.loads(text.split("data: ")[-2])["choices"][0]["finish_reason"] == "length"
    for number in range(2):
        group.start(number)
    wait_works(group)
    assert ask(group)[0] == 200
