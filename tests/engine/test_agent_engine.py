"""The agent around a real vLLM: what the fake engine's tests promise, proved on the thing itself."""

import json
import os
import signal
import time
from pathlib import Path

import pytest
from support.engine import PROMPT, READY_SECONDS, wait_until

from plinth_runtime.serving import guard

pytestmark = [pytest.mark.engine, pytest.mark.timeout(400)]


def test_becomes_ready_and_answers(server):
    """From second 0 the phase is told; then the model answers under its name and with the launch's fingerprint."""
    wait_until(server.status, 5)
    status = server.wait_ready()
    assert status["readyAfterSeconds"] < READY_SECONDS
    code, text = server.call("/v1/completions", PROMPT | {"max_tokens": 3})
    answer = json.loads(text)
    assert code == 200
    assert "Paris" in answer["choices"][0]["text"]
    assert answer["system_fingerprint"] == f"plinth-{server.launch.digest()[:16]}"


def test_surface_is_closed(server):
    """Without a key only health answers; with one, what is not on the list does not exist."""
    server.wait_ready()
    assert server.call("/health", headers={})[0] == 200
    for path in ("/v1/models", "/invocations", "/tokenize", "/metrics", "/docs", "/version", "/ping", "/load"):
        assert server.call(path, headers={})[0] == 401, path
    for path in ("/invocations", "/tokenize", "/docs", "/openapi.json", "/version", "/scale_elastic_ep"):
        assert server.call(path, body={})[0] == 404, path
    assert server.call("/v1/models")[0] == server.call("/metrics")[0] == 200


def test_agent_is_small_and_quiet(server):
    """A ready agent that looks every two seconds stays below 60 MiB and a fifth of a percent of one processor."""
    server.wait_ready()
    pid = server.process.pid
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    assert int(fields["VmRSS"].split()[0]) < 60 * 1024
    ticks = [sum(int(n) for n in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13])]
    time.sleep(20)
    ticks.append(sum(int(n) for n in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]))
    assert ticks[1] - ticks[0] <= 4


def test_killed_core_is_told_and_cured(server):
    """A kill -9 of the engine's core is seen, called by its name although vLLM exits 0, and the server comes back."""
    server.wait_ready()
    shared_before = guard.mapped_segments(server.engine_processes())
    assert shared_before
    os.kill(server.core(), signal.SIGKILL)
    wait_until(lambda: server.call("/readyz", management=True)[0] == 503, 3)
    status = wait_until(lambda: (s := server.status()) and s["phase"] == "restarting" and s, 20)
    assert status["lastEnd"]["cause"] == "engine-died"
    assert "core process died" in status["lastEnd"]["message"]
    assert not [path for path in shared_before if Path(path).exists()]
    assert server.wait_ready()["restarts"] == 1
