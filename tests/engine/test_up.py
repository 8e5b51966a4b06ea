"""From a stack file to an answering model, with the real engine, in the order of a server's life."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import httpx
import psutil
import pytest
from support.project import MODEL, ROOT, alive, is_free, make_project, tree, wait_until, words

pytestmark = [pytest.mark.engine, pytest.mark.timeout(900)]

QUESTION = "What is the capital of France?"


def test_up_prints_outputs_as_json_on_its_last_line(served):
    """The endpoint is there, the key is not."""
    assert served.outputs["endpoints"] == {MODEL: f"http://127.0.0.1:{served.port}/v1"}
    assert served.outputs["keys"] == "[secret]"
    assert "weights verified 273 MB" in served.log
    assert "ready in" in served.log


def test_ask_answers(served):
    """The capital of France is Paris."""
    assert "Paris" in served.plinth("ask", "--timeout", "120", QUESTION).stdout


def test_the_openai_client_works_unchanged(served):
    """Chat, streaming and the list of models through the ordinary client."""
    from openai import OpenAI

    with OpenAI(base_url=served.outputs["endpoints"][MODEL], api_key=served.key(), timeout=120) as client:
        assert [model.id for model in client.models.list()] == [MODEL]
        messages = [{"role": "user", "content": QUESTION}]
        answer = client.chat.completions.create(model=MODEL, messages=messages, temperature=0)
        assert "Paris" in answer.choices[0].message.content
        pieces = client.chat.completions.create(model=MODEL, messages=messages, temperature=0, stream=True)
        texts = [piece.choices[0].delta.content or "" for piece in pieces if piece.choices]
    assert len(texts) > 3
    assert "Paris" in "".join(texts)


@pytest.mark.parametrize(
    "path", ["/v1/models", "/v1/chat/completions", "/invocations", "/tokenize", "/metrics", "/docs"]
)
def test_nothing_answers_without_a_key(served, path):
    """Refused or not there; what bare vLLM leaves open is closed."""
    for headers in ({}, {"Authorization": "Bearer wrong"}):
        answer = httpx.get(f"http://127.0.0.1:{served.port}{path}", headers=headers, timeout=30)
        assert answer.status_code in (401, 404)
        assert answer.json()["error"]["message"]


def test_a_second_up_changes_nothing(served):
    """No changes, the same process, no new state."""
    before = served.status()["pid"]
    state = next((served.folder / ".plinth/.pulumi/stacks").glob("*/local.json"))
    written = state.stat().st_mtime_ns
    began = time.monotonic()
    assert "no changes" in served.plinth("up", "--yes").stdout
    assert time.monotonic() - began < 60
    assert served.status()["pid"] == before
    assert state.stat().st_mtime_ns == written


def test_the_key_is_nowhere_in_plain(served):
    """Not in a command line, an environment, the state or the log."""
    key = served.key()
    for process in tree(served.status()["pid"]):
        assert key not in words(process)
        assert key not in " ".join(process.environ().values())
    for file in (path for path in (served.folder / ".plinth").rglob("*") if path.is_file()):
        assert key.encode() not in file.read_bytes(), file


def test_the_agent_is_small_and_quiet(served):
    """At most 60 MB resident and no measurable CPU while the server idles."""
    agent = psutil.Process(served.status()["pid"])
    assert agent.memory_info().rss <= 60e6
    used = sum(agent.cpu_times()[:2])
    time.sleep(10)
    assert sum(agent.cpu_times()[:2]) - used <= 0.1


def test_a_second_copy_is_refused(served):
    """The lock holds: another agent on the same run directory ends at once and disturbs nothing."""
    command = [sys.executable, "-m", "plinth_runtime", "serve", "--config", str(served.run_dir / "launch.json")]
    run = subprocess.run(
        [*command, "--run-dir", str(served.run_dir)], capture_output=True, text=True, timeout=60, check=False
    )
    assert run.returncode != 0
    assert str(served.status()["pid"]) in run.stderr
    assert served.status()["phase"] == "ready"


@pytest.mark.exhaustive  # test_agent_engine kills one in make test
def test_a_killed_engine_is_restarted_with_the_cause_told(served):
    """Kill -9 of the engine's core: the agent says so and brings it back."""
    row = served.status()
    core = next(process for process in tree(row["pid"]) if "EngineCore" in words(process))
    core.send_signal(signal.SIGKILL)
    management = served.outputs["management"][MODEL]
    wait_until(lambda: httpx.get(f"{management}/startupz", timeout=10).json()["restarts"] == 1, 60, "a restart")
    told = httpx.get(f"{management}/startupz", timeout=10).json()["lastEnd"]
    assert told["cause"] == "engine-died"
    wait_until(lambda: httpx.get(f"{management}/readyz", timeout=10).status_code == 200, 300, "ready again")
    assert served.status()["pid"] == row["pid"]
    assert "Paris" in served.plinth("ask", QUESTION).stdout


def test_a_changed_field_is_one_update(served):
    """A new context length: one resource updated, a new process, the old one and its engine gone, the same key."""
    key, old = served.key(), tree(served.status()["pid"])
    served.write(maxModelLen=1024)
    out = served.plinth("up", "--yes").stdout
    update = out[out.index("update:") :]
    assert update.count(" update done ") == 1
    assert "LocalServer" in update
    assert "1 update" in update
    assert served.status()["pid"] != old[0].pid
    assert not [process for process in old if alive(process)]
    assert served.key() == key
    answer = httpx.get(f"{served.outputs['endpoints'][MODEL]}/models", headers={"x-api-key": key}, timeout=30)
    assert answer.json()["data"][0]["max_model_len"] == 1024


def test_a_killed_agent_leaves_no_orphan_and_up_repairs(served):
    """Kill -9 of the agent: the engine is gone within seconds, the next `up` starts a new one."""
    old = tree(served.status()["pid"])
    os.kill(old[0].pid, signal.SIGKILL)
    wait_until(lambda: not any(alive(process) for process in old), 30, "the engine to be gone")
    assert served.status()["phase"] == "stopped"
    assert "is not running, will be started" in served.plinth("up", "--yes").stdout
    assert served.status()["phase"] == "ready"
    assert "Paris" in served.plinth("ask", QUESTION).stdout


def test_logs_show_the_engine(served):
    """What the engine said is there, and nothing of the key."""
    assert "Application startup complete" in served.plinth("logs", "-n", "1000").stdout


def test_down_leaves_nothing_but_the_weights(served):
    """No process, no port, no file of the server; the weights stay; a second `down` is quiet."""
    old = tree(served.status()["pid"])
    served.plinth("down", "--yes")
    assert not [process for process in old if alive(process)]
    assert is_free(served.port)
    assert is_free(served.port + 1000)
    assert not (served.folder / ".plinth/run/local").exists()
    assert (served.folder / "models" / MODEL / "model.safetensors").exists()
    assert served.processes() == []
    served.plinth("down", "--yes")
    assert json.loads(served.plinth("status", "--json").stdout)["deployments"] == []


def test_truncated_weights_are_refused_before_anything_starts(tmp_path):
    """One byte less: refused by name, and no process was started."""
    project = make_project(tmp_path / "project")
    (project.folder / "models").unlink()
    shutil.copytree(ROOT / "models" / MODEL, project.folder / "models" / MODEL)
    weights = project.folder / "models" / MODEL / "model.safetensors"
    os.truncate(weights, weights.stat().st_size - 1)
    run = project.plinth("up", "--yes", check=False)
    assert run.returncode == 1
    assert "model.safetensors" in run.stderr
    assert "its header describes 269030016: cut short" in run.stderr
    assert not project.run_dir.exists()
