"""Launch files for a fake engine, and agents as real processes that a test may start and must not leave behind."""

import copy
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.project import free_ports, lives

from plinth_runtime.contract.launch import LaunchConfig
from plinth_runtime.contract.rundir import RunDir

PATIENCE_SECONDS = 20


def wait_until(condition, seconds=PATIENCE_SECONDS):
    """Wait for something that other processes bring about; the bound is for a loaded machine."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        result = condition()
        if result:
            return result
        time.sleep(0.01)
    raise AssertionError(f"not within {seconds} s: {condition}")


def processes_of(folder):
    """Process ids whose environment names the folder: an engine's and whatever it started."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and lives(int(entry.name)):
            try:
                if str(folder).encode() in (entry / "environ").read_bytes():
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


@dataclass
class Agent:
    """A `plinth-runtime serve` process."""

    process: subprocess.Popen
    run_dir: RunDir
    document: dict
    stderr: str = ""

    @property
    def launch(self):
        """The launch file, parsed."""
        return LaunchConfig.model_validate(self.document)

    @property
    def pid(self):
        """The agent's process id."""
        return self.process.pid

    def get(self, path, port=None, method="GET"):
        """(status, body) of a management answer, (None, '') without one."""
        url = f"http://127.0.0.1:{port or self.launch.management.port}{path}"
        try:
            with urllib.request.urlopen(urllib.request.Request(url, method=method), timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except OSError:
            return None, ""

    def status(self):
        """The status file's document, or None."""
        try:
            return json.loads(self.run_dir.status.read_text())
        except (OSError, ValueError):
            return None

    def wait_phase(self, *phases):
        """Wait for one of the phases and return the status."""
        return wait_until(lambda: (s := self.status()) and s["phase"] in phases and s)

    def send(self, number=signal.SIGTERM):
        """Signal the agent."""
        os.kill(self.pid, number)

    def wait(self, seconds=PATIENCE_SECONDS):
        """Exit code; reads stderr."""
        _, self.stderr = self.process.communicate(timeout=seconds)
        return self.process.returncode

    def termination(self):
        """The termination file's document."""
        return json.loads(self.run_dir.termination.read_text())


@pytest.fixture
def free_port():
    """A function that names a port nobody uses."""
    return lambda: free_ports(1)[0]


@pytest.fixture
def fake_engine(tmp_path, project_root):
    """An executable that stands in for an engine environment's interpreter."""
    script = tmp_path / "engine-python"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -I -S "{project_root}/tests/fakes/engine.py" "$@"\n')
    script.chmod(0o755)
    return script


@pytest.fixture
def launch_document(tmp_path, make_model, fake_engine, free_port):
    """A valid launch file's document, free to be changed."""
    return {
        "deployment": "test",
        "model": {"servedName": "tiny", "folder": str(make_model(tmp_path / "model")), "maxModelLen": 128},
        "engine": {
            "python": str(fake_engine),
            "kvCacheBytes": 1 << 30,
            "maxNumSeqs": 4,
            "environment": {"FAKE_DIR": str(tmp_path)},
        },
        "api": {"port": free_port()},
        "management": {"port": free_port()},
        "lifecycle": {"restartBackoffSeconds": 0.05, "shutdownTimeoutSeconds": 5, "killAfterSeconds": 1},
    }


@pytest.fixture
def start_agent(tmp_path, launch_document):
    """A function that starts an agent on the launch document, with faults for its engine."""
    agents = []

    def start(*faults, arguments=()):
        launch_document["engine"]["environment"]["FAKE_FAULTS"] = ",".join(faults)
        config = tmp_path / f"launch-{len(agents)}.json"
        config.write_text(json.dumps(launch_document))
        run_dir = RunDir(tmp_path / "run")
        command = [sys.executable, "-m", "plinth_runtime", "serve", "--config", str(config), "--run-dir", run_dir.path]
        process = subprocess.Popen(
            [*command, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL
        )
        agents.append(Agent(process, run_dir, copy.deepcopy(launch_document)))
        return agents[-1]

    yield start
    for agent in agents:
        if agent.process.returncode is None:
            agent.process.kill()
            agent.process.communicate()
    wait_until(lambda: not processes_of(tmp_path))


@pytest.fixture
def engine_processes(tmp_path):
    """A function that lists the living processes of this test's engines."""
    return lambda: processes_of(tmp_path)


@pytest.fixture
def until():
    """`wait_until`."""
    return wait_until


@pytest.fixture
def alive():
    """`lives`."""
    return lives
