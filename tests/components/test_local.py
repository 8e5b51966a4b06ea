"""Errors of a local start as people read them; time is a parameter, nothing is waited for."""

import subprocess
import sys

import pytest

from plinth_runtime.contract.launch import LaunchConfig
from plinth_runtime.contract.rundir import RunDir
from pulumi_plinth.deployment import local
from pulumi_plinth.errors import LocalError


class Time:
    """A clock that moves only when somebody sleeps."""

    def __init__(self):
        self.value = 0.0

    def now(self):
        """Seconds."""
        return self.value

    def sleep(self, seconds):
        """Move on."""
        self.value += seconds


@pytest.fixture
def clock():
    """A clock for `local`."""
    time = Time()
    return local.Clock(time.now, time.sleep)


@pytest.fixture
def launch(tmp_path):
    """Some launch."""
    return LaunchConfig.model_validate(
        {
            "deployment": "chat",
            "model": {"servedName": "m", "folder": str(tmp_path), "maxModelLen": 10},
            "engine": {"python": "/nowhere/python", "kvCacheBytes": 1, "maxNumSeqs": 1},
            "api": {"port": 1},
            "management": {"port": 2},
        }
    )


def test_an_agent_that_says_nothing_is_reported_with_its_last_words(tmp_path, launch, clock, monkeypatch):
    """The agent could not even start: what it printed is in the error."""
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(LocalError, match="chat ended without a word"):
        local.start(launch, RunDir(tmp_path / "run"), None, lambda _: None, clock)


def test_stopping_what_does_not_run_removes_its_folder(tmp_path, clock):
    """A stale run directory is no obstacle."""
    run_dir = RunDir(tmp_path / "run")
    run_dir.path.mkdir()
    run_dir.lock.write_text("12345\n")
    said = []
    local.stop(run_dir, said.append, clock)
    assert not run_dir.path.exists()
    assert said == []


def test_the_lock_tells_who_lives_there(tmp_path):
    """Held: the holder's process id; not held: nobody, whatever the file says."""
    run_dir = RunDir(tmp_path)
    code = (
        "import fcntl, os, sys; f = open(sys.argv[1], 'w'); fcntl.flock(f, fcntl.LOCK_EX); "
        "f.write(str(os.getpid())); f.flush(); print('held', flush=True); sys.stdin.read()"
    )
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", code, str(run_dir.lock)], stdin=pipe, stdout=pipe) as process:
        process.stdout.readline()
        assert local.is_locked(run_dir)
        assert local.holder(run_dir) == process.pid
    assert not local.is_locked(run_dir)
    assert local.holder(run_dir) is None


def test_a_key_lies_on_disk_only_as_its_hash(tmp_path, launch, clock, monkeypatch):
    """The keys file holds a sha256 and is readable by its owner alone."""
    monkeypatch.setattr(sys, "executable", "/bin/false")
    run_dir = RunDir(tmp_path / "run")
    with pytest.raises(LocalError):
        local.start(launch, run_dir, "my-key", lambda _: None, clock)
    assert "my-key" not in run_dir.keys.read_text()
    assert run_dir.keys.stat().st_mode & 0o077 == 0
