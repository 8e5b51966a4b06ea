"""The agent around a real vLLM: what the fake engine's tests promise, proved on the thing itself."""

import json
import os
import signal
import threading
import time
from pathlib import Path

import pytest
from support.engine import ORPHAN_SECONDS, PROMPT, READY_SECONDS, wait_until

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
    """A ready agent stays below 60 MiB and half a percent of one processor."""
    server.wait_ready()
    pid = server.process.pid
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    assert int(fields["VmRSS"].split()[0]) < 60 * 1024
    ticks = [sum(int(n) for n in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13])]
    time.sleep(20)
    ticks.append(sum(int(n) for n in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]))
    assert ticks[1] - ticks[0] <= 10


def test_killed_core_is_told_and_cured(server):
    """A kill -9 of the engine's core is seen, called by its name although vLLM exits 0, and the server comes back."""
    server.wait_ready()
    shared_before = {path.name for path in Path("/dev/shm").glob("psm_*")}
    os.kill(server.core(), signal.SIGKILL)
    wait_until(lambda: server.call("/readyz", management=True)[0] == 503, 3)
    status = wait_until(lambda: (s := server.status()) and s["phase"] == "restarting" and s, 20)
    assert status["lastEnd"]["cause"] == "engine-died"
    assert "core process died" in status["lastEnd"]["message"]
    assert not shared_before & {path.name for path in Path("/dev/shm").glob("psm_*")}
    assert server.wait_ready()["restarts"] == 1


def test_open_stream_survives_sigterm(server):
    """SIGTERM: new requests are told to go elsewhere, the open stream ends whole, then all is gone with exit code 0."""
    server.wait_ready()
    text = []

    def stream():
        body = PROMPT | {"max_tokens": 200, "ignore_eos": True, "stream": True}
        text.append(server.call("/v1/completions", body)[1])

    client = threading.Thread(target=stream)
    client.start()
    time.sleep(1.5)
    server.process.send_signal(signal.SIGTERM)
    wait_until(lambda: server.call("/readyz", management=True)[0] == 503, 2)
    wait_until(server.run_dir.draining.exists, 2)
    code, refusal = server.call("/v1/completions", PROMPT)
    assert (code, json.loads(refusal)["error"]["code"]) == (503, "draining")
    client.join(60)
    assert text[0].count("data: {") == 200
    assert '"finish_reason":"length"' in text[0]
    assert text[0].endswith("data: [DONE]\n\n")
    assert server.process.wait(40) == 0
    assert not server.engine_processes()


@pytest.mark.parametrize("moment", [1, 14])
def test_sigterm_during_load(start, moment):
    """SIGTERM while vLLM loads ends everything in less than five seconds."""
    server = start()
    time.sleep(moment)
    assert server.engine_processes()
    code, seconds = server.stop()
    assert code == 0
    assert seconds < 5
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
