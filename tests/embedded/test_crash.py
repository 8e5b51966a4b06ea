"""Interruptions at any moment: nothing is lost, nothing is left running, the next run goes on."""

import contextlib
import json
import os
import signal
import subprocess
import time

import psutil
import pytest

from pulumi_plinth import embedded

pytestmark = pytest.mark.processes

PROGRAM = """
    import pulumi
    from boxes import Box
    c = pulumi.Config()
    a = Box("a", c.require("a"))
    b = Box("b", pulumi.Output.concat("a has ", a.size.apply(int).apply(str)))
    Box("c", b.content, opts=pulumi.ResourceOptions(depends_on=[b]))
"""
FINAL = {"a": "fine", "b": "a has 4", "c": "a has 4"}


@pytest.fixture
def shelf(box):
    """A project of three boxes in a row."""
    box.program(PROGRAM)
    box.config(a="fine")
    return box


def _children(process):
    return psutil.Process(process.pid).children(recursive=True)


def test_killed_in_the_middle_of_a_create(shelf, kill_process):
    """After kill -9 in a create no child lives, the operation is pending, and the next run reports it and finishes."""
    shelf.config(a="slow")
    process = shelf.spawn("up")
    shelf.wait_for((shelf.root / "slow").exists)
    children = _children(process)
    assert len(children) == 3
    kill_process(process)
    psutil.wait_procs(children, timeout=5)
    assert not [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]
    (pending,) = shelf.latest["pending_operations"]
    assert (pending["type"], pending["resource"]["urn"].rpartition("::")[2]) == ("creating", "a")
    shelf.config(a="fine")
    assert shelf.up().changes == {"same": 1, "create": 3}
    warnings = shelf.messages("warning")
    assert any("took over the lock" in message for message in warnings)
    assert any("interrupted while creating" in message for message in warnings)
    assert shelf.files() == FINAL
    assert "pending_operations" not in shelf.latest


@pytest.mark.parametrize(
    "moment",
    [
        "StepFinished a",
        pytest.param("StepStarted b", marks=pytest.mark.exhaustive),
        pytest.param("StepFinished c", marks=pytest.mark.exhaustive),
    ],
)
def test_killed_between_steps(shelf, moment):
    """After kill -9 between steps, what was done is in the state and is not done again."""
    hook = f"""
        def on_event(event):
            if f"{{type(event).__name__}} {{getattr(event, 'name', '')}}" == {moment!r}:
                os.kill(os.getpid(), 9)
    """
    process = shelf.spawn("up", hook)
    process.communicate(timeout=30)
    assert process.returncode == -signal.SIGKILL
    made = [r["urn"].rpartition("::")[2] for r in shelf.latest["resources"]]
    assert "a" in made
    result = shelf.up()
    assert "a" not in shelf.steps("create")
    assert result.changes["same"] == made.count("a") + made.count("b") + made.count("c") + 1
    assert shelf.files() == FINAL


@pytest.mark.parametrize("write", [4, *(pytest.param(n, marks=pytest.mark.exhaustive) for n in (1, 2, 3, 5, 6, 7, 8))])
def test_killed_while_the_state_is_written(shelf, write):
    """After kill -9 around a checkpoint's rename there is a whole checkpoint, and the next run ends well."""
    hook = f"""
        replace, count = Path.replace, []
        def counting(self, target):
            if Path(target).name == "dev.json":
                count.append(1)
                if len(count) == {write}: os.kill(os.getpid(), 9)
            result = replace(self, target)
            if Path(target).name == "dev.json" and len(count) == {write} - 1 and {write} % 2: os.kill(os.getpid(), 9)
            return result
        Path.replace = counting
    """
    process = shelf.spawn("up", hook)
    process.communicate(timeout=30)
    assert process.returncode == -signal.SIGKILL
    if shelf.checkpoint.exists():
        json.loads(shelf.checkpoint.read_text())
    shelf.up()
    assert shelf.files() == FINAL
    assert not shelf.up().has_changes
    assert "pending_operations" not in shelf.latest


@pytest.mark.exhaustive
def test_killed_in_the_middle_of_a_replacement(shelf):
    """A crash after the replacement was made and before the old one was deleted leaves only the delete to do."""
    shelf.up()
    hook = """
        def on_event(event):
            if isinstance(event, embedded.StepStarted) and event.op == "delete-replaced": os.kill(os.getpid(), 9)
    """
    shelf.program(PROGRAM.replace('c.require("a"))', 'c.require("a"), path="moved")'))
    shelf.spawn("up", hook).communicate(timeout=30)
    assert sorted(shelf.files()) == ["a", "b", "c", "moved"]
    assert shelf.up().changes == {"same": 4}
    assert shelf.steps("delete-replaced") == ["a"]
    assert sorted(shelf.files()) == ["b", "c", "moved"]


def test_interrupt_lets_the_running_step_finish(shelf):
    """Ctrl-C: the running step ends and is saved, no other starts, and the run says that it was interrupted."""
    shelf.config(a="late")
    process = shelf.spawn("up")
    shelf.wait_for((shelf.root / "slow").exists)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=20)
    assert process.returncode == 3, said
    assert "Cancelled interrupted" in said
    assert [r["urn"].rpartition("::")[2] for r in shelf.latest["resources"]] == ["box-dev", "default", "a"]
    assert "pending_operations" not in shelf.latest
    assert shelf.up().changes == {"same": 2, "create": 2}


def test_second_interrupt_ends_at_once(shelf):
    """A second Ctrl-C ends the plugin in the middle of its call, and the operation stays pending."""
    shelf.config(a="slow")
    process = shelf.spawn("up")
    shelf.wait_for((shelf.root / "slow").exists)
    process.send_signal(signal.SIGINT)
    for _ in range(4):  # two that come together count as one
        time.sleep(1)
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(4)
            break
    assert process.returncode == 3
    process.communicate()
    assert shelf.latest["pending_operations"][0]["type"] == "creating"


def test_a_detached_process_outlives_the_engine(box, kill_process):
    """What a provider starts in its own session is not ended with the run, not even by a crash."""
    box.write(
        "daemon.py",
        """
        import subprocess, time, pulumi
        from pathlib import Path
        from pulumi.dynamic import CreateResult, Resource, ResourceProvider
        class P(ResourceProvider):
            def create(self, props):
                child = subprocess.Popen(["sleep", "60"], start_new_session=True)
                Path("pid.tmp").write_text(str(child.pid))
                Path("pid.tmp").rename("pid")
                time.sleep(30)
                return CreateResult("1", {})
        class D(Resource):
            def __init__(self):
                super().__init__(P(), "d", {})
        """,
    )
    box.program("import daemon\ndaemon.D()\n")
    process = box.spawn("up")
    box.wait_for((box.root / "pid").exists)
    children = _children(process)
    kill_process(process)
    pid = int((box.root / "pid").read_text())
    try:
        psutil.wait_procs([c for c in children if c.pid != pid], timeout=5)
        assert psutil.pid_exists(pid)
    finally:
        os.kill(pid, signal.SIGKILL)


def test_second_run_while_locked(shelf):
    """A second up refuses, naming the holder, and the first one ends well."""
    shelf.config(a="late")
    process = shelf.spawn("up")
    shelf.wait_for((shelf.root / "slow").exists)
    with pytest.raises(embedded.LockedError, match=rf"locked by .*pid {process.pid}.* at 20"):
        shelf.up()
    assert embedded.exists(shelf.project, "dev")
    said, _ = process.communicate(timeout=30)
    assert process.returncode == 0, said
    assert not shelf.up().has_changes


def test_locks_of_others(shelf):
    """A lock of another host is respected until it is cancelled; that of a dead process here is taken over."""
    import socket

    lock = shelf.write(
        ".pulumi/locks/organization/box/dev/x.json",
        json.dumps({"pid": 1, "username": "ann", "hostname": "elsewhere", "timestamp": "2026-01-01T00:00:00Z"}),
    )
    with pytest.raises(embedded.LockedError, match="ann@elsewhere"):
        shelf.up()
    assert embedded.cancel(shelf.project, "dev") == ("x.json",)
    lock.write_text(
        json.dumps(
            # Process 1 lives, but is younger than this lock: its number was used again.
            {"pid": 1, "username": "ann", "hostname": socket.gethostname(), "timestamp": "2001-01-01T00:00:00Z"}
        )
    )
    shelf.run("preview")
    shelf.up()
    assert not list(lock.parent.iterdir())


def test_state_that_cannot_be_written(shelf, monkeypatch):
    """A full disk ends the run with a sentence that names the file; the last whole checkpoint stays."""
    from pulumi_plinth.embedded import backend

    shelf.up()
    before = shelf.checkpoint.read_bytes()
    shelf.config(a="more")

    def full(path, content, *, sync):
        if path.name == "dev.json":
            raise OSError(28, "No space left on device")
        return write(path, content, sync=sync)

    write = backend._replace
    monkeypatch.setattr(backend, "_replace", full)
    with pytest.raises(embedded.EmbeddedError, match=r"dev.json: No space left on device; free space"):
        shelf.up()
    assert shelf.checkpoint.read_bytes() == before
    monkeypatch.setattr(backend, "_replace", write)
    shelf.up()
    assert shelf.files()["a"] == "more"


def test_read_only_state(shelf, monkeypatch):
    """A state folder without write permission is told before the program runs."""
    from pathlib import Path

    def denied(self, *args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", denied)
    with pytest.raises(embedded.StateError, match="Permission denied; free space or fix the permissions"):
        shelf.up()
    assert shelf.files() == {}
