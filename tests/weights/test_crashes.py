"""Fetches that are killed, crowded, or run out of disk: what has its final name is right, and READY is true."""

import hashlib
import json
import os
import random
import resource
import shlex
import signal
import subprocess
import sys
import threading
import time

import pytest
from fakes.object_server import ObjectServer
from weights.making import PART, SHARD, ceiling, contents, fetch_for_memory, noise, safetensors, settled

from plinth_runtime.errors import NoSpaceError
from plinth_runtime.weights import locking
from plinth_runtime.weights.finisher import BATCH_BYTES
from plinth_runtime.weights.publish import PublishOptions, publish
from plinth_runtime.weights.sources.opening import open_store

LIMIT_SECONDS = 60


def command(address, folder):
    """The fetch as people run it."""
    return [sys.executable, "-m", "plinth_runtime", "fetch", address, "--to", str(folder), "--json"]


def finish(address, folder):
    """Run a fetch to its end; return what it says."""
    done = subprocess.run(command(address, folder), capture_output=True, check=False, timeout=LIMIT_SECONDS)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def kill_when_sent(server, process, count):
    """Kill a process when the server has sent so many bytes, or when it is done."""
    limit = time.monotonic() + LIMIT_SECONDS
    while sum(row.sent for row in server.bodies()) < count and process.poll() is None and time.monotonic() < limit:
        time.sleep(0.002)
    process.kill()
    process.wait()


def assert_true_so_far(folder, weights):
    """Whatever has its final name is right; READY only beside everything."""
    found, wanted = contents(folder), contents(weights)
    assert all(wanted[name] == data for name, data in found.items())
    if (folder / ".plinth/READY").exists():
        assert found == wanted


def one_seed(origin, weights, folder, seed):
    """Kill a fetch at a random byte and once more, then let it finish."""
    chance = random.Random(seed)  # noqa: S311 a seed must give the same moment again
    size = sum(map(len, contents(weights).values()))
    origin.delay = 0.01
    for _ in range(2):
        process = subprocess.Popen(command(origin.address, folder), stdout=subprocess.DEVNULL)
        kill_when_sent(origin, process, chance.randrange(size))
        assert_true_so_far(folder, weights)
    assert finish(origin.address, folder)["state"] == "verified"
    assert contents(folder) == contents(weights)
    assert not list((folder / ".plinth/partial").iterdir())


@pytest.mark.processes
@pytest.mark.parametrize("seed", range(10))
def test_behaviour_15_killed_at_a_random_moment(origin, weights, tmp_path, seed):
    """Kill -9 at any moment leaves only true files, and the next run ends with the right model."""
    one_seed(origin, weights, tmp_path / "out", seed)


@pytest.mark.exhaustive
@pytest.mark.processes
@pytest.mark.parametrize("seed", range(10, 110))
def test_behaviour_15_killed_at_a_hundred_moments(origin, weights, tmp_path, seed):
    """The same with a hundred more seeds."""
    one_seed(origin, weights, tmp_path / "out", seed)


@pytest.fixture
def large(tmp_path):
    """A server of a published model of 192 MiB in parts of 1 MiB, and the model's size."""
    root = tmp_path / "large"
    root.mkdir()
    (root / "model.safetensors").write_bytes(safetensors({"a": 192 << 20}, noise(192 << 20)))
    publish(root, open_store(str(root)), PublishOptions(part_size=PART), lambda _: None)
    with ObjectServer(root) as server:
        yield server, (root / "model.safetensors").stat().st_size


@pytest.mark.processes
def test_behaviour_03_killed_at_half(large, tmp_path):
    """After kill -9 at half, the rerun fetches again at most the parts under way and one batch."""
    server, size = large
    process = subprocess.Popen(command(server.address, tmp_path / "out"), stdout=subprocess.DEVNULL)
    kill_when_sent(server, process, size // 2 + BATCH_BYTES // 2)
    done = finish(server.address, tmp_path / "out")
    again = sum(row.sent for row in settled(server).bodies()) - size
    assert 0 <= again <= BATCH_BYTES + 32 * PART
    assert done["bytesFetched"] < size
    digest = hashlib.sha256((tmp_path / "out/model.safetensors").read_bytes()).hexdigest()
    assert digest in (server.root / "plinth-manifest.json").read_text()


@pytest.mark.processes
def test_behaviour_19_memory_and_disk(large, tmp_path):
    """A fetch stays below 64 MB and 1 MiB per stream, and writes each byte once."""
    server, size = large
    row, peak, written = fetch_for_memory(server.address, tmp_path / "out")
    assert peak <= ceiling(row)
    assert written <= size * 1.05


@pytest.mark.processes
@pytest.mark.parametrize("kill", [False, True])
def test_behaviour_13_two_processes(origin, weights, tmp_path, kill):
    """Two fetches of one model into one folder share one download; when one is killed the other goes on."""
    origin.delay = 0.15
    both = [subprocess.Popen(command(origin.address, tmp_path / "out"), stdout=subprocess.PIPE) for _ in range(2)]
    if kill:
        holder = wait_for_holder(tmp_path / "out", both)
        kill_when_sent(origin, holder, 2 * PART)
    answers = [(process.communicate(timeout=LIMIT_SECONDS)[0], process.returncode) for process in both]
    codes = sorted(code for _, code in answers)
    assert codes == ([-signal.SIGKILL, 0] if kill else [0, 0])
    assert contents(tmp_path / "out") == contents(weights)
    if not kill:
        assert sum(row.sent for row in settled(origin).bodies()) == sum(map(len, contents(weights).values()))


def wait_for_holder(folder, processes):
    """Which process holds the folder's lock."""
    limit = time.monotonic() + LIMIT_SECONDS
    while time.monotonic() < limit:
        inode = str((folder / ".plinth/lock").stat().st_ino) if (folder / ".plinth/lock").exists() else "none"
        with open("/proc/locks") as file:  # noqa: PTH123 not a file with a path of its own
            held = [row.split() for row in file if f":{inode} " in row and "->" not in row]
        for process in processes:
            if any(row[4] == str(process.pid) for row in held):
                return process
        time.sleep(0.02)
    raise AssertionError("nobody holds the lock")


def test_behaviour_14_locks_that_mean_nothing(origin, get, weights, monkeypatch, tmp_path):
    """Where flock does nothing, two writers still cannot harm each other."""
    monkeypatch.setattr(locking, "_try", lambda _: True)
    origin.delay = 0.05
    ends = []
    threads = [threading.Thread(target=lambda: ends.append(get(origin.address).state)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LIMIT_SECONDS)
    assert ends == ["verified", "verified"]
    assert contents(tmp_path / "out") == contents(weights)


CRASH = """
import os, sys
import plinth_runtime.weights.{module} as module
from plinth_runtime.cli import cli
count = {count}
real = module.{name}
def crash(*arguments, **named):
    global count
    count -= 1
    if count < 0:
        os._exit(9)
    return real(*arguments, **named)
module.{name} = crash
cli(sys.argv[1:])
"""
POINTS = {
    "before anything is synced": ("finisher", "sync_files", 0),
    "between two files": ("finisher", "sync_files", 2),
    "before a file has its name": ("finisher", "stamp_of", 0),
    "before the folder is synced": ("shelf", "sync_folder", 1),
    "before the manifest": ("shelf", "write_durably", 0),
    "before READY": ("shelf", "write_durably", 1),
}


@pytest.mark.processes
@pytest.mark.parametrize("point", POINTS)
def test_behaviour_15_crash(origin, weights, tmp_path, point):
    """A crash at any step leaves READY with everything, or no READY; the next run finishes."""
    module, name, count = POINTS[point]
    code = CRASH.format(module=module, name=name, count=count)
    arguments = command(origin.address, tmp_path / "out")[3:]
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, check=False, timeout=60)
    assert done.returncode == 9, done.stderr
    assert not (tmp_path / "out/.plinth/READY").exists()
    assert_true_so_far(tmp_path / "out", weights)
    assert finish(origin.address, tmp_path / "out")["state"] == "verified"
    assert contents(tmp_path / "out") == contents(weights)


def test_behaviour_12_the_disk_fills_up(origin, get, weights, tmp_path):
    """A disk that gives out while files are made ends the fetch with a sentence, and the next one goes on."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3 * PART, before[1]))
    try:
        with pytest.raises(NoSpaceError, match="cannot be written: File too large"):
            get(origin.address)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not (tmp_path / "out/.plinth/READY").exists()
    assert_true_so_far(tmp_path / "out", weights)
    assert contents(get(origin.address).folder) == contents(weights)


def reserve_nothing(descriptor, size):
    """What a file system does that cannot reserve room: the file has its size and no blocks."""
    os.ftruncate(descriptor, size)


@pytest.fixture(params=["when room is reserved", "in the middle of a write"])
def _full(request, monkeypatch):
    """The moment at which a file system turns out to be full."""
    if "write" in request.param:
        monkeypatch.setattr("plinth_runtime.weights.disk._reserve", reserve_nothing)


@pytest.mark.usefixtures("_full")
def test_behaviour_12_a_small_disk(origin, get, weights, tmp_path, monkeypatch):
    """A full file system, although its free bytes promised more, is a sentence; when room returns the fetch goes on."""
    disk = tmp_path / "out"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(disk)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("may not mount here")
    try:
        with monkeypatch.context() as patch:
            patch.setattr("plinth_runtime.weights.fetch.free_bytes", lambda _: 1 << 40)
            with pytest.raises(NoSpaceError, match="No space left on device"):
                get(origin.address)
        assert_true_so_far(disk, weights)
        subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
        assert contents(get(origin.address).folder) == contents(weights)
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_folder_that_cannot_be_written(origin, get, tmp_path):
    """A read-only file system is a sentence about that, and nothing was fetched."""
    disk = tmp_path / "out"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(disk)], check=False).returncode:
        pytest.skip("may not mount here")
    try:
        with pytest.raises(NoSpaceError, match="Read-only file system") as refusal:
            get(origin.address)
        assert "mount that file system for writing" in refusal.value.hint
    finally:
        subprocess.run(["umount", str(disk)], check=True)
    assert not origin.bodies(SHARD)


READ_ONLY = """
set -e
mount --make-rprivate /
mount -t tmpfs tmpfs "$1"
mount -o remount,bind,ro / || mount -o remount,ro /
if touch /tmp/plinth-test 2>/dev/null; then exit 77; fi
shift
exec "$@"
"""


@pytest.mark.processes
def test_a_root_that_is_read_only(origin, tmp_path, weights):
    """With nothing but the model's own folder to write to, no home and no temporary folder, a fetch works."""
    folder = tmp_path / "out"
    folder.mkdir()
    script = ["unshare", "-m", "sh", "-c", READ_ONLY, "sh", str(folder)]
    verify = f"{shlex.join(command(origin.address, folder))} && cat {folder}/.plinth/READY"
    done = subprocess.run(
        [*script, "sh", "-c", verify], capture_output=True, text=True, check=False, timeout=LIMIT_SECONDS,
        env={**os.environ, "HOME": "/nonexistent", "TMPDIR": "/nonexistent"},
    )  # fmt: skip
    if done.returncode == 77 or "not permitted" in done.stderr:
        pytest.skip("may not mount here")
    assert done.returncode == 0, done.stderr
    assert '"state": "verified"' in done.stdout


@pytest.mark.exhaustive
@pytest.mark.processes
@pytest.mark.timeout(900)
def test_a_hundred_thousand_small_files(tmp_path):
    """A hundred thousand files arrive, and a second run finds them all."""
    root = tmp_path / "many"
    for number in range(100_000):
        if number % 1000 == 0:
            (root / str(number // 1000)).mkdir(parents=True)
        (root / str(number // 1000) / f"{number}.txt").write_bytes(b"%d" % number)
    publish(root, open_store(str(root)), PublishOptions(), lambda _: None)
    with ObjectServer(root) as server:
        subprocess.run(command(server.address, tmp_path / "out"), check=True, capture_output=True, timeout=800)
        before = len(server.bodies())
        subprocess.run(command(server.address, tmp_path / "out"), check=True, capture_output=True, timeout=800)
        assert len(server.bodies()) == before
    assert len(contents(tmp_path / "out")) == 100_000
