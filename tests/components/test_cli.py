"""The command line as a person uses it, on a project whose engine is a fake process: the whole flow without vLLM."""

import hashlib
import json
import os
import signal
import subprocess
import sys

import pytest
import yaml
from click.testing import CliRunner
from support.project import MODEL, Project, alive, free_port, is_free, tree, wait_until, words

from pulumi_plinth.cli import main

pytestmark = pytest.mark.timeout(180)
processes = pytest.mark.processes


@pytest.fixture
def project(tmp_path, project_root, make_model, request):
    """A project with a tiny model and an engine that starts in milliseconds."""
    folder = tmp_path / "project"
    folder.mkdir()
    for name in ("Pulumi.yaml", "__main__.py"):
        (folder / name).write_bytes((project_root / name).read_bytes())
    (folder / ".plinth").mkdir()
    make_model(folder / "models" / MODEL)
    python = folder / "runtime/engines/vllm-cpu/.venv/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" -I -S "{project_root}/tests/fakes/engine.py" "$@"\n')
    python.chmod(0o755)
    made = Project(folder, free_port())
    made.write()
    yield made
    made.plinth("down", "--yes", check=False)
    for process in made.processes():
        process.send_signal(signal.SIGKILL)


@processes
def test_the_life_of_a_stack(project):
    """Up, no change, status, a changed field, a killed agent repaired, logs, outputs, state, down: nothing is left."""
    up = project.plinth("up", "--yes", "--json")
    assert json.loads(up.stdout) == {
        "endpoints": {MODEL: f"http://127.0.0.1:{project.port}/v1"},
        "keys": "[secret]",
        "management": {MODEL: f"http://127.0.0.1:{project.port + 1000}"},
        "totals": {"nodes": {}, "perMonth": [0, 0]},
    }
    first = project.status()
    assert (first["phase"], first["weights"]) == ("ready", "verified")
    assert "no changes" in project.plinth("up", "--yes").stdout
    assert project.status()["pid"] == first["pid"]

    key, old = project.key(), tree(first["pid"])
    project.write(maxNumSeqs=2)
    assert "update" in project.plinth("up", "--yes").stdout
    second = project.status()
    assert second["pid"] != first["pid"]
    assert not any(alive(process) for process in old)
    assert project.key() == key

    os.kill(second["pid"], signal.SIGKILL)
    assert project.status()["phase"] == "stopped"
    assert "is not running, will be started" in project.plinth("preview").stdout
    project.plinth("up", "--yes")
    assert project.status()["phase"] == "ready"
    assert project.key() == key

    assert "Application startup complete" in project.plinth("logs").stdout
    assert project.plinth("logs", "-n", "0").stdout == ""
    state = json.loads(project.plinth("state", "export").stdout)
    assert state["version"] == 3
    assert key not in json.dumps(state)

    project.plinth("down", "--yes")
    assert project.processes() == []
    assert is_free(project.port)
    assert not (project.folder / ".plinth/run/local").exists()
    assert json.loads(project.plinth("status", "--json").stdout)["deployments"] == []
    assert (project.folder / "models" / MODEL / "model.safetensors").exists()


@processes
def test_a_failed_start_says_why_and_the_next_up_goes_on(project):
    """The engine's own complaint, the cause and the advice are in the message; nothing keeps running."""
    project.write(environment={"FAKE_FAULTS": "bad-arguments"})
    run = project.plinth("up", "--yes", check=False)
    assert run.returncode == 1
    assert "bad-arguments" in run.stdout + run.stderr
    assert "unrecognized arguments: --no-such" in run.stdout + run.stderr
    assert "Traceback" not in run.stderr
    assert [process for process in project.processes() if alive(process)] == []
    project.write(environment={})
    project.plinth("up", "--yes")
    assert project.status()["phase"] == "ready"


@processes
def test_a_killed_deployment_is_picked_up(project):
    """Kill -9 of `plinth up` while the server starts: the next one adopts what runs and finishes."""
    command = [sys.executable, "-m", "pulumi_plinth", "up", "--yes"]
    first = subprocess.Popen(command, cwd=project.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_until((project.run_dir / "status.json").exists, 60, "the agent to start")
    first.kill()
    first.wait()
    agent = project.run_dir.joinpath("lock").read_text()
    project.plinth("up", "--yes")
    assert project.status()["phase"] == "ready"
    assert project.run_dir.joinpath("lock").read_text() == agent
    known = project.run_dir.joinpath("keys").read_text().split()
    assert known == [hashlib.sha256(project.key().encode()).hexdigest()]


@processes
def test_a_deleted_deployment_is_stopped(project):
    """A deployment taken out of the stack file is deleted by the next `up`."""
    project.plinth("up", "--yes")
    path = project.folder / "stacks/Pulumi.local.yaml"
    document = yaml.safe_load(path.read_text())
    del document["config"]["plinth:stack"]["deployments"][MODEL]
    path.write_text(yaml.safe_dump(document))
    project.plinth("up", "--yes")
    assert json.loads(project.plinth("status", "--json").stdout)["deployments"] == []
    assert project.processes() == []


@processes
def test_down_after_agent_and_guard_were_killed_leaves_nothing(project):
    """Kill -9 of everything but the engine: `down` finds what is left and ends it."""
    project.plinth("up", "--yes")
    for process in tree(project.status()["pid"]):
        if "plinth_runtime" in words(process) and "fakes/engine.py" not in words(process):
            process.send_signal(signal.SIGKILL)
    project.plinth("down", "--yes")
    assert [process for process in project.processes() if alive(process)] == []
    assert is_free(project.port)


def invoke(*arguments):
    """Run a command in this process."""
    return CliRunner().invoke(main, list(arguments))


@processes
def test_plan_prints_json_with_launch_and_reasons(project):
    """What is launched, digest and reasons, without starting anything."""
    run = invoke("plan", "--json", "-C", str(project.folder))
    assert run.exit_code == 0, run.output
    (deployment,) = json.loads(run.output)["deployments"]
    assert deployment["launch"]["model"]["maxModelLen"] == 2048
    assert {reason["subject"] for reason in deployment["reasons"]} >= {"weights", "memory: total", "context"}


@processes
def test_plan_refuses_with_all_faults(project):
    """Three faults in one file are three lines on stderr and exit code 1."""
    project.write(port=0, prot=1, kvCacheMemory="1Gb")
    run = invoke("plan", "-C", str(project.folder))
    assert run.exit_code == 1
    assert "3 faults in the stack, nothing was started" in run.stderr
    assert run.stderr.count("\n  - plinth:stack.deployments.") == 3


@processes
@pytest.mark.parametrize(
    ("arguments", "code", "expected"),
    [
        (["up"], 2, "say --yes"),
        (["down"], 2, "say --yes"),
        (["plan", "-s", "nowhere"], 1, "there is no stack 'nowhere'"),
        (["logs"], 1, "nothing is deployed; run `plinth up` first"),
        (["ask", "hello"], 1, "nothing is deployed; run `plinth up` first"),
        (["ask", "--timeout", "0", "hello"], 2, "Invalid value for '--timeout'"),
        (["up", "--yes", "--deployer", "pulumi"], 1, "the Pulumi CLI is not on PATH"),
        (["fly"], 2, "No such command 'fly'"),
    ],
)
def test_misuse_has_an_exit_code_and_a_sentence(project, monkeypatch, arguments, code, expected):
    """Wrong usage is 2, a refusal is 1; both say what to do."""
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.chdir(project.folder)
    run = invoke(*arguments)
    assert (run.exit_code, expected in run.stderr) == (code, True), run.stderr


def test_outside_a_project_the_message_says_where_to_go(tmp_path, monkeypatch):
    """No Pulumi.yaml: a sentence, not a traceback."""
    monkeypatch.chdir(tmp_path)
    assert "no Pulumi.yaml in" in invoke("plan").stderr


@processes
def test_a_stack_file_that_is_no_yaml_is_named(project):
    """The file and the place of the error are in the message."""
    path = project.folder / "stacks/Pulumi.local.yaml"
    path.write_text("config: [")
    run = invoke("plan", "-C", str(project.folder))
    assert run.exit_code == 1
    assert str(path) in run.stderr


@pytest.mark.parametrize("command", ["plan", "up", "ask", "schema", "convert", "card", "models", "fit"])
def test_help_has_examples_that_keep_their_lines(command):
    """Every example stands on a line of its own."""
    lines = [line.strip() for line in invoke(command, "--help").output.splitlines()]
    examples = lines[lines.index("Examples:") + 1 :]
    assert len([line for line in examples if line.startswith(("plinth ", "kubectl "))]) >= 2


@processes
def test_completion_and_schema_print(project):
    """Shell completion for three shells; a JSON schema with the deployments in it."""
    for shell in ("bash", "zsh", "fish"):
        assert "_PLINTH_COMPLETE" in invoke("completion", shell).output
    assert json.loads(invoke("schema").output)["properties"]["deployments"]
    assert json.loads(invoke("schema", "model").output)["properties"]["servedName"]
