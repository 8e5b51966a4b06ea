"""Frozen engines: SIGSTOP of the real engine's core, idle and under load, and engines that only look frozen."""

import json
import os
import signal
import threading
import time

import pytest
from support.engine import PROMPT, wait_until

pytestmark = [pytest.mark.engine, pytest.mark.timeout(400)]

LONG = PROMPT | {"max_tokens": 900, "ignore_eos": True}


def unready(server):
    """Whether clients are sent elsewhere."""
    return server.call("/readyz", management=True)[0] == 503


def freeze(server, load):
    """Stop the engine's core, with a request under way or none; return the moment."""
    client = threading.Thread(target=server.call, args=("/v1/completions", LONG))
    if load:
        client.start()
        time.sleep(1.5)
    os.kill(server.core(), signal.SIGSTOP)
    return time.monotonic()


def frozen_and_replaced(server, load):
    """Freeze; return seconds until unready and until the engine is started again; it then becomes ready."""
    restarts = server.wait_ready()["restarts"]
    time.sleep(2 * server.launch.lifecycle.probe_seconds + 1)  # the engine has proved that it moves
    begun = freeze(server, load)
    wait_until(lambda: unready(server), 60)
    hidden = time.monotonic() - begun
    assert server.call("/v1/models")[0] == 200  # its server sees nothing
    status = wait_until(lambda: (s := server.status()) and s["restarts"] == restarts + 1 and s, 120)
    replaced = time.monotonic() - begun
    assert status["lastEnd"]["cause"] == "hung"
    server.wait_ready()
    return hidden, replaced


def test_frozen_under_load(server, record_property):
    """A core that stops in the middle of a request is hidden, killed and replaced."""
    hidden, replaced = frozen_and_replaced(server, load=True)
    record_property("not ready after, replaced after", f"{hidden:.1f} s, {replaced:.1f} s")
    assert hidden < 8


def test_a_pause_is_forgiven(server):
    """A core that stops for less than the hang limit is hidden meanwhile and then goes on where it was."""
    server.wait_ready()
    time.sleep(5)
    restarts, answers = server.status()["restarts"], []
    client = threading.Thread(target=lambda: answers.append(server.call("/v1/completions", LONG | {"max_tokens": 60})))
    client.start()
    time.sleep(0.5)
    core = server.core()
    os.kill(core, signal.SIGSTOP)
    wait_until(lambda: unready(server), 8)
    os.kill(core, signal.SIGCONT)
    wait_until(lambda: not unready(server), 8)
    client.join(60)
    assert json.loads(answers[0][1])["usage"]["completion_tokens"] == 60
    assert server.status()["restarts"] == restarts


def test_a_full_engine_is_never_restarted(server):
    """Six times more requests than are computed at once, longer than the hang limit: slow, but moving, and ready."""
    restarts = server.wait_ready()["restarts"]
    codes = []
    clients = [
        threading.Thread(target=lambda: codes.append(server.call("/v1/completions", LONG | {"max_tokens": 60})[0]))
        for _ in range(48)
    ]
    begun = time.monotonic()
    for client in clients:
        client.start()
    while any(client.is_alive() for client in clients):
        assert not unready(server)
        time.sleep(0.2)
    assert codes == [200] * 48
    assert server.status()["restarts"] == restarts
    assert time.monotonic() - begun > server.launch.lifecycle.stall_seconds


LONG_STEP = {
    "model": {"maxModelLen": 8192},
    "engine": {"extraArgs": ["--max-num-batched-tokens", "8192", "--no-enable-prefix-caching"]},
    "lifecycle": {"stallSeconds": 3, "hangSeconds": 5, "probeSeconds": 1},
}
"""Prompts are read in one step however long they are, and the hang limit is shorter than that."""


@pytest.mark.exhaustive
def test_a_step_longer_than_the_hang_limit(start, record_property):
    """An engine that computes one long step is neither hidden nor restarted; stopped in the middle it is, in time."""
    server = start(LONG_STEP)
    server.wait_ready()
    time.sleep(2)
    assert server.call("/v1/completions", PROMPT | {"max_tokens": 2})[0] == 200
    answers = []
    prompt = PROMPT | {"prompt": list(range(100, 5100)), "max_tokens": 1}
    client = threading.Thread(target=lambda: answers.append(server.call("/v1/completions", prompt)[0]))
    begun = time.monotonic()
    client.start()
    while client.is_alive():
        assert not unready(server)
        time.sleep(0.05)
    record_property("seconds of the step", f"{time.monotonic() - begun:.1f}")
    assert answers == [200]
    assert time.monotonic() - begun > server.launch.lifecycle.hang_seconds
    assert server.status()["restarts"] == 0
    threading.Thread(target=server.call, args=("/v1/completions", prompt)).start()
    time.sleep(1)
    for pid in server.engine_processes():
        if pid != server.status()["enginePid"]:
            os.kill(pid, signal.SIGSTOP)
    wait_until(lambda: unready(server), 10)
    assert wait_until(lambda: (s := server.status()) and s["restarts"] == 1 and s, 20)["lastEnd"]["cause"] == "hung"


@pytest.mark.exhaustive
def test_frozen_with_the_default_limits(start, record_property):
    """Idle: out of rotation within 15 seconds and replaced within 120, as a deployment without settings is."""
    hidden, replaced = frozen_and_replaced(start(), load=False)
    record_property("not ready after, replaced after", f"{hidden:.1f} s, {replaced:.1f} s")
    assert hidden < 15
    assert replaced < 120
