"""Two agents with fake engines on two hosts: what `test_group.py` tells in virtual time, with processes and a cable."""

import os
import signal
import threading
import time

import pytest
from support.hosts import Group, Hosts

pytestmark = [pytest.mark.processes, pytest.mark.timeout(120)]

ALL_ENDED_SECONDS = 15
WORKS_SECONDS = 40


@pytest.fixture
def hosts():
    """Two hosts and a cable."""
    made = Hosts.make()
    yield made
    made.close()


@pytest.fixture
def group(hosts, launch_document, tmp_path, until):
    """A group of two that works, in its first epoch."""
    document = launch_document | {"group": {"nodes": 2, "seat": "environment"}}
    document["engine"]["environment"]["FAKE_FAULTS"] = ""
    made = Group(hosts, document, tmp_path, {})
    for rank in range(2):
        made.start(rank)
    until(made.works, WORKS_SECONDS)
    yield made
    made.close()


def engine(member):
    """Process id of a member's engine."""
    return member.status()["enginePid"]


def causes(group):
    """Cause and message of each member's last end."""
    return [(member.status()["lastEnd"]["cause"], member.status()["lastEnd"]["message"]) for member in group.members]


def test_they_start_as_one(group):
    """Both are ready in epoch 1, only the leader has an API, and each says who it is."""
    assert group.epochs() == [1, 1]
    leader, other = group.members
    assert leader.call("/health")[0] == 200
    assert other.call("/health")[0] is None
    assert [member.status()["group"]["rank"] for member in group.members] == [0, 1]
    assert all(member.status()["weights"] == "unverified" for member in group.members)


@pytest.mark.parametrize("rank", [0, 1])
def test_a_killed_engine(group, rank, until):
    """Kill -9 of one engine ends both, the cause names the rank, and both work again in epoch 2."""
    engines = [engine(member) for member in group.members]
    begun = time.monotonic()
    os.kill(engines[rank], signal.SIGKILL)
    until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in engines), ALL_ENDED_SECONDS)  # noqa: PTH110
    assert time.monotonic() - begun < ALL_ENDED_SECONDS
    assert until(group.works, WORKS_SECONDS) == 2
    told = causes(group)
    assert [cause for cause, _ in told] == ["engine-died"] * 2
    assert told[1 - rank][1].startswith(f"rank {rank}: the engine ended")
    assert not any(member.status()["restarts"] != 1 for member in group.members)


@pytest.mark.parametrize("rank", [0, 1])
def test_a_killed_agent(group, rank, until):
    """Kill -9 of one agent ends both engines; when it is started again, both work in the next epoch."""
    engines = [engine(member) for member in group.members]
    group.members[rank].send(signal.SIGKILL)
    group.members[rank].process.wait()
    until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in engines), ALL_ENDED_SECONDS)  # noqa: PTH110
    survivor = group.members[1 - rank]
    end = until(lambda: survivor.status()["lastEnd"])
    assert end["cause"] == "peer-lost"
    assert f"rank {rank}" in end["message"]
    assert "is silent for" in end["message"]
    group.start(rank)
    assert until(group.works, WORKS_SECONDS) == 2


def test_an_agent_that_is_back_at_once(group, until):
    """Its restart is seen by its name, long before its silence would be."""
    group.members[1].send(signal.SIGKILL)
    group.members[1].process.wait()
    group.start(1)
    assert until(group.works, WORKS_SECONDS) == 2
    end = group.members[0].status()["lastEnd"]
    assert (end["cause"], "its agent was started again" in end["message"]) == ("peer-lost", True)


def test_a_split(group, until):
    """When nothing comes through, both end their engines, and they find each other again."""
    engines = [engine(member) for member in group.members]
    group.hosts.plug(joined=False)
    until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in engines), ALL_ENDED_SECONDS)  # noqa: PTH110
    until(lambda: {member.status()["phase"] for member in group.members} == {"joining"})
    group.hosts.plug(joined=True)
    assert until(group.works, WORKS_SECONDS) == 2
    assert {cause for cause, _ in causes(group)} == {"peer-lost"}


@pytest.mark.parametrize("rank", [0, 1])
def test_asked_to_end(group, rank, until):
    """Whoever gets SIGTERM: the leader's open stream ends whole, and then both agents end with 0."""
    texts = []
    client = threading.Thread(target=lambda: texts.append(group.members[0].call("/stream")))
    client.start()
    time.sleep(0.2)
    group.members[rank].send(signal.SIGTERM)
    assert [member.process.wait(20) for member in group.members] == [0, 0]
    client.join()
    assert texts[0][1].endswith("data: [DONE]\n\n")
    assert not any(member.engine_processes() for member in group.members)


def test_one_that_waits_can_be_ended(hosts, launch_document, tmp_path, until):
    """A member without the others says whom it waits for, and ends when it is asked to."""
    made = Group(hosts, launch_document | {"group": {"nodes": 2, "seat": "environment"}}, tmp_path, {})
    member = made.start(0)
    until(lambda: (s := member.status()) and s["group"]["missing"] == [1] and s["phase"] == "joining")
    member.send(signal.SIGTERM)
    assert member.process.wait(5) == 0
    assert "waiting for rank 1" in member.log()


def test_nobody_comes(hosts, launch_document, tmp_path):
    """After the time for joining the agent fails with the class that says so."""
    times = {"joinSeconds": 2, "lostSeconds": 1, "heartbeatSeconds": 0.2}
    made = Group(hosts, launch_document | {"group": {"nodes": 2, "seat": "environment"} | times}, tmp_path, {})
    member = made.start(0)
    assert member.process.wait(20) == 19
    assert "rank 1 did not come within 2 s" in member.run_dir.termination.read_text()
