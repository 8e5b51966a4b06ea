"""Faults before a real engine is ready: signals, arguments, weights that are not those planned."""

import json
import os
import shutil
import signal
import time

import pytest
from support.engine import ORPHAN_SECONDS, wait_until

pytestmark = [pytest.mark.engine, pytest.mark.timeout(400)]


MOMENTS = [0.05, 1, 3, 6, 9, 12, 15, 18, 22, 26]
"""Seconds after the start of the agent; an idle machine needs some thirty to be ready."""


@pytest.mark.parametrize(
    "moment", [moment if moment == 1 else pytest.param(moment, marks=pytest.mark.exhaustive) for moment in MOMENTS]
)
def test_sigterm_during_load(start, moment):
    """SIGTERM while vLLM loads ends everything in less than five seconds; one that just became ready is drained."""
    server = start()
    wait_until(server.run_dir.lock.exists, 5)
    time.sleep(moment)
    code, seconds = server.stop()
    assert code == 0
    loaded = "asked to end (SIGTERM) while ready" in server.run_dir.log.read_text()
    assert seconds < (server.launch.lifecycle.shutdown_timeout_seconds + 13 if loaded else 5)
    assert not server.engine_processes()


@pytest.mark.parametrize("moment", ["loading", pytest.param("ready", marks=pytest.mark.exhaustive)])
def test_killed_agent_leaves_no_orphan(start, moment):
    """A kill -9 of the agent ends every process of the engine within seconds."""
    server = start()
    wait_until(lambda: len(server.engine_processes()) > 1, 60)
    if moment == "ready":
        server.wait_ready()
    server.stop(signal.SIGKILL)
    wait_until(lambda: not server.engine_processes(), ORPHAN_SECONDS)


def test_bad_arguments_are_not_tried_again(start):
    """An argument that vLLM refuses is the cause, in its own words, after one start."""
    server = start({"engine": {"extraArgs": ["--no-such-argument", "1"]}})
    assert server.process.wait(90) == 14
    end = json.loads(server.run_dir.termination.read_text())
    assert end["cause"] == "bad-arguments"
    assert "--no-such-argument" in end["message"]


def test_weights_swapped_while_down(start, world, tmp_path):
    """Other weights of the same size in the same place are refused before an engine starts, with the file's name."""
    folder = tmp_path / "model"
    shutil.copytree(world.model, folder)
    with (folder / "model.safetensors").open("r+b") as file:
        file.seek(-1000, os.SEEK_END)
        file.write(bytes(1000))
    server = start({"model": {"folder": str(folder)}})
    assert server.process.wait(60) == 11
    end = json.loads(server.run_dir.termination.read_text())
    assert end["cause"] == "corrupt-weights"
    assert "model.safetensors has sha256" in end["message"]
    assert not server.engine_processes()


@pytest.mark.exhaustive
def test_killed_api_server(start):
    """A kill -9 of the engine's first process ends its core too, is told by its signal, and the server comes back."""
    server = start()
    engine = server.wait_ready()["enginePid"]
    os.kill(engine, signal.SIGKILL)
    status = wait_until(lambda: (s := server.status()) and s["restarts"] == 1 and s, 30)
    assert status["lastEnd"]["engineExit"] == "signal 9 (SIGKILL)"
    server.wait_ready()
    assert {os.getsid(pid) for pid in server.engine_processes()} == {server.status()["enginePid"]}


@pytest.mark.exhaustive
def test_frozen_api_server(start):
    """An engine whose web server is frozen answers nobody: hidden, and then replaced."""
    server = start({"lifecycle": {"stallSeconds": 4, "hangSeconds": 10, "probeSeconds": 2}})
    os.kill(server.wait_ready()["enginePid"], signal.SIGSTOP)
    wait_until(lambda: server.call("/readyz", management=True)[0] == 503, 15)
    status = wait_until(lambda: (s := server.status()) and s["restarts"] == 1 and s, 40)
    assert status["lastEnd"]["cause"] == "hung"
    server.wait_ready()
