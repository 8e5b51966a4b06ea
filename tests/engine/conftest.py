"""One real server for all tests of this folder: a start costs half a minute."""

import json
import signal

import pytest
from support.project import make_project


@pytest.fixture(scope="session")
def project(tmp_path_factory):
    """The shared project, not yet up; whatever happens, nothing of it outlives the tests."""
    made = make_project(tmp_path_factory.mktemp("engine") / "project", 18100)
    yield made
    made.plinth("down", "--yes", check=False)
    for process in made.processes():
        process.send_signal(signal.SIGKILL)


@pytest.fixture(scope="session")
def served(project):
    """The shared project after `plinth up`: one real vLLM answers."""
    run = project.plinth("up", "--yes", "--json")
    project.outputs = json.loads(run.stdout.splitlines()[-1])
    project.log = run.stderr
    return project
