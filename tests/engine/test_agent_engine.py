"""The agent around a real vLLM: what the fake engine's tests promise, proved on the thing itself."""

import json
import os
import signal
import time
from pathlib import Path

import psutil
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
    """What is served wants a key; what tells about the server or changes it does not exist, with a key or without."""
    server.wait_ready()
    for path in ("/v1/models", "/v1/completions", "/invocations", "/tokenize", "/v1/embeddings"):
        assert server.call(path, headers={})[0] == 401, path
    for path in ("/health", "/metrics", "/ping", "/load", "/version", "/docs", "/openapi.json", "/scale_elastic_ep"):
        assert server.call(path, headers={})[0] == server.call(path)[0] == 404, path
    assert server.call("/v1/models")[0] == 200


def test_every_way_to_ask_works_with_a_key(server):
    """Routes beside OpenAI's reach the same model: tokens there and back, SageMaker's path, Anthropic's words."""
    server.wait_ready()
    code, text = server.call("/tokenize", {"model": "smollm2", "prompt": "Paris"})
    tokens = json.loads(text)["tokens"]
    assert code == 200
    assert "Paris" in server.call("/detokenize", {"model": "smollm2", "tokens": tokens})[1]
    assert "Paris" in server.call("/invocations", PROMPT | {"max_tokens": 3})[1]
    message = {"model": "smollm2", "max_tokens": 5, "messages": [{"role": "user", "content": "Say hello."}]}
    assert json.loads(server.call("/v1/messages", message)[1])["content"]


def test_one_scrape_gives_both(server):
    """The management port's metrics are the agent's and the engine's own."""
    server.wait_ready()
    code, text = server.call("/metrics", management=True)
    assert code == 200
    assert "plinth_engine_scraped 1.0" in text
    assert "vllm:num_requests_running{" in text
    assert "vllm:kv_cache_usage_perc{" in text


def test_agent_is_small_and_quiet(server):
    """A ready agent that looks every two seconds stays below 60 MiB and a fifth of a percent of one processor."""
    server.wait_ready()
    pid = server.process.pid
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    assert int(fields["VmRSS"].split()[0]) < 60 * 1024
    # The least of three: what others compute meanwhile takes its caches away, and the same work costs more.
    shares = (used(pid, seconds=20) for _ in range(3))
    assert any(share <= 0.002 for share in shares)


def used(pid, seconds):
    """Share of a processor that a process uses for a while."""
    before, began = psutil.Process(pid).cpu_times(), time.monotonic()
    time.sleep(seconds)
    after = psutil.Process(pid).cpu_times()
    return (after.user + after.system - before.user - before.system) / (time.monotonic() - began)


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
