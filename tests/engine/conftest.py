"""One real server for all tests of this folder: a start costs half a minute."""

import json
import shutil
import signal
import subprocess

import pytest
from support.engine import make_world
from support.project import make_project
from truth.tiny import BASE


@pytest.fixture(scope="session")
def project(tmp_path_factory):
    """The shared project, not yet up; whatever happens, nothing of it outlives the tests."""
    made = make_project(tmp_path_factory.mktemp("engine") / "project")
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


@pytest.fixture(scope="session")
def world(tmp_path_factory, project_root):
    """What agents on a real engine are made of."""
    made = make_world(project_root, tmp_path_factory.mktemp)
    yield made
    made.close()


@pytest.fixture
def start(world):
    """A function that starts an agent on the sample model; the shared server makes room, and nothing stays behind."""

    def go(*arguments, **keywords):
        world.close()
        return world.start(*arguments, **keywords)

    yield go
    world.close()


TINY = {"model_type": "llama", **BASE, "vocab_size": 49152}
"""Heads that two workers can share, which the sample model's nine are not; its tokenizer fits."""


@pytest.fixture(scope="session")
def tiny(world, project_root, tmp_path_factory):
    """A folder with random weights of such a model."""
    folder = tmp_path_factory.mktemp("tiny")
    case = {"folder": str(folder), "config": TINY, "dtype": "bfloat16"}
    command = [world.python, project_root / "tests/truth/make_models.py"]
    subprocess.run(command, input=json.dumps([case]), text=True, capture_output=True, check=True)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(world.model / name, folder)
    return folder


SHARED = {
    "api": {"generate": True},
    "lifecycle": {"stallSeconds": 4, "hangSeconds": 10, "probeSeconds": 2},
}
"""The shared server loses patience early, so that tests need less of it."""


@pytest.fixture
def server(world):
    """The server that most tests share: the last one if it still lives, a new one otherwise; it may not be ready."""
    if world.servers and world.servers[-1].process.poll() is None:
        return world.servers[-1]
    world.close()
    return world.start(SHARED)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Keep what a test promises, for the table below."""
    report = yield
    report.promise = (getattr(item.function, "__doc__", None) or "").splitlines()[0]
    return report


def pytest_terminal_summary(terminalreporter):
    """Print the fault suite as a table: which fault, what was seen, in how many seconds, of which promise."""
    rows = [
        _row(outcome, report)
        for outcome in ("passed", "failed")
        for report in terminalreporter.stats.get(outcome, [])
        if report.when == "call" and "engine/test_faults_" in report.nodeid
    ]
    if rows:
        terminalreporter.section("faults: test, outcome, time in all, expectation, and what was measured")
        terminalreporter.write_line("\n".join(rows))


def _row(outcome, report):
    name = report.nodeid.rpartition("::")[2]
    seen = "".join(f" [{key}: {value}]" for key, value in report.user_properties)
    return f"{name:<45} {outcome:<6} {report.duration:6.1f} s  {report.promise}{seen}"
