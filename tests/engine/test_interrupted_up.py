"""`plinth up` killed while the engine loads: the server lives on, and the next `up` takes it over with its key."""

import os
import signal
import subprocess
import sys

import pytest
from support.project import make_project, wait_until

pytestmark = [pytest.mark.engine, pytest.mark.exhaustive, pytest.mark.timeout(600)]


@pytest.fixture
def project(tmp_path):
    """A project of its own, down at the end."""
    made = make_project(tmp_path / "project")
    yield made
    made.plinth("down", "--yes", check=False)
    for process in made.processes():
        process.send_signal(signal.SIGKILL)


def test_the_next_up_adopts_the_server_and_knows_its_key(project):
    """Kill -9 of `up` and all it started: the agent goes on; the next `up` waits for the same one, and it answers."""
    up = subprocess.Popen(
        [sys.executable, "-m", "pulumi_plinth", "up", "--yes"],
        cwd=project.folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    status = project.run_dir / "status.json"
    wait_until(lambda: status.exists() and "loading" in status.read_text(), 120, "a loading engine")
    os.killpg(up.pid, signal.SIGKILL)
    up.wait()
    agent = int((project.run_dir / "lock").read_text())
    project.plinth("up", "--yes")
    assert project.status()["pid"] == agent
    assert "Paris" in project.plinth("ask", "--timeout", "120", "What is the capital of France?").stdout
