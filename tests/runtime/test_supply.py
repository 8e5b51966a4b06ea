"""A server whose launch names a source of weights, as a real process around a fake engine: it brings them itself."""

import json
import os
import signal
import subprocess
import time

import pytest
from fakes.object_server import FOREVER, Fault, ObjectServer

from plinth_runtime.weights.publish import PublishOptions, publish
from plinth_runtime.weights.sources.opening import open_store

pytestmark = pytest.mark.processes

CANCELLED_SECONDS = 2.0
EXITED_SECONDS = 1.0
"""What the agent itself may need to leave after its fetch did, on a loaded machine."""


@pytest.fixture
def store(make_model, tmp_path):
    """A server of a published model."""
    root = make_model(tmp_path / "published", manifest=False)
    publish(root, open_store(str(root)), PublishOptions(), lambda _: None)
    with ObjectServer(root) as server:
        yield server


@pytest.fixture
def launch_from(launch_document, tmp_path):
    """A function that makes the launch fetch from an address into a folder that is not there yet."""

    def change(address, **model):
        source = {"uri": address, "cache": str(tmp_path / "cache")}
        launch_document["model"].update({"folder": str(tmp_path / "fetched"), "source": source, **model})

    return change


def fetches(folder):
    """Process ids of fetches into a folder."""
    found = []
    for entry in (path for path in os.listdir("/proc") if path.isdigit()):  # noqa: PTH208 names, not paths
        try:
            with open(f"/proc/{entry}/cmdline", "rb") as file:  # noqa: PTH123 not a file with a path of its own
                words = file.read().split(b"\0")
        except OSError:
            continue
        if b"fetch" in words and str(folder).encode() in words:
            found.append(int(entry))
    return found


def test_weights_are_fetched_verified_and_served(store, launch_from, start_agent, tmp_path):
    """From the address to ready: bytes, files and time of the fetch are told as JSON and to Prometheus."""
    launch_from(store.address)
    agent = start_agent()
    status = agent.wait_phase("ready")
    assert status["weights"] == "verified"
    assert list(status["elapsed"])[:3] == ["fetching", "verifying", "starting"]
    fetch = status["fetch"]
    assert fetch["bytesDone"] == fetch["bytesTotal"] == fetch["bytesFetched"] > 0
    assert (fetch["filesDone"], fetch["filesTotal"]) == (2, 2)
    assert json.loads(agent.get("/startupz")[1])["fetch"] == fetch
    text = agent.get("/metrics")[1]
    assert f"plinth_transfer_bytes_done {float(fetch['bytesTotal'])}" in text
    assert "plinth_transfer_percent 100.0" in text
    assert (tmp_path / "fetched").is_symlink()
    agent.send()
    assert agent.wait() == 0


def test_weights_that_are_ready_start_at_once(store, launch_from, start_agent):
    """The second start asks nobody: the store may be gone."""
    launch_from(store.address)
    for _ in range(2):
        agent = start_agent()
        assert agent.wait_phase("ready")["weights"] == "verified"
        agent.send()
        assert agent.wait() == 0
        store.faults = [Fault("status", code=503, times=FOREVER)]
        store.root.rename(store.root.with_name("gone")) if store.root.exists() else None
    assert not [row for row in store.requests if row.status in {404, 503}]


REFUSALS = {
    "nothing there": ([Fault("status", code=404, times=FOREVER)], {}, "source-refused", 6),
    "a flipped bit that stays": ([Fault("flip", "safetensors", times=FOREVER, at=999)], {}, "corrupt-weights", 11),
    "another manifest than planned": ([], {"manifestDigest": "0" * 64}, "corrupt-weights", 11),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_refusals_keep_their_class(store, launch_from, start_agent, case):
    """What the fetch ends with is what the server ends with: cause, exit code, a sentence and advice."""
    faults, model, cause, code = REFUSALS[case]
    store.faults = faults
    launch_from(store.address, **model)
    agent = start_agent()
    assert agent.wait() == code
    end = agent.termination()
    assert (end["cause"], end["exitCode"]) == (cause, code)
    assert end["advice"]


def test_no_room_for_weights(store, launch_from, start_agent, tmp_path):
    """A disk that cannot take the weights ends the server with no-space and both numbers."""
    disk = tmp_path / "cache"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(disk)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("may not mount here")
    try:
        launch_from(store.address)
        agent = start_agent()
        assert agent.wait() == 7
        end = agent.termination()
        assert (end["cause"], "bytes for the missing files and has" in end["message"]) == ("no-space", True)
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_ended_within_two_seconds(store, launch_from, start_agent, until, tmp_path):
    """SIGTERM while nothing arrives ends fetch and server within two seconds and leaves no process."""
    store.faults = [Fault("stall", "safetensors", times=FOREVER, at=9)]
    launch_from(store.address)
    agent = start_agent()
    until(lambda: store.bodies("safetensors"))
    assert json.loads(agent.get("/startupz")[1])["phase"] == "fetching"
    assert agent.get("/readyz")[0] == 503
    began = time.monotonic()
    agent.send()
    assert agent.wait() == 0
    assert time.monotonic() - began < CANCELLED_SECONDS + EXITED_SECONDS
    assert not fetches(tmp_path / "fetched")


def test_a_killed_agent_leaves_no_fetch(store, launch_from, start_agent, until, tmp_path):
    """The fetch of an agent that was killed ends by itself."""
    store.faults = [Fault("stall", "safetensors", times=FOREVER, at=9)]
    launch_from(store.address)
    agent = start_agent()
    until(lambda: store.bodies("safetensors"))
    agent.send(signal.SIGKILL)
    agent.wait()
    until(lambda: not fetches(tmp_path / "fetched"))


def test_a_killed_fetch_is_told(store, launch_from, start_agent, until, tmp_path):
    """A fetch that is killed without a word ends the server with a fault that says so."""
    store.faults = [Fault("stall", "safetensors", times=FOREVER, at=9)]
    launch_from(store.address)
    agent = start_agent()
    until(lambda: store.bodies("safetensors"))
    os.kill(fetches(tmp_path / "fetched")[0], signal.SIGKILL)
    assert agent.wait() == 70
    assert "ended without an answer" in agent.termination()["message"]
