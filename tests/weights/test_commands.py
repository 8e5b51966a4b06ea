"""The commands fetch, verify and publish: exit codes, JSON, progress, signals."""

import errno
import json
import signal
import socket
import subprocess
import sys
import time

import pytest
from click.testing import CliRunner
from fakes.object_server import FOREVER, Fault
from weights.making import PART, SHARD, contents, flip

from plinth_runtime import cli_reporting, cli_weights
from plinth_runtime.cli import cli
from plinth_runtime.weights import board, transfer


@pytest.fixture
def run():
    """A function that runs a command and returns (exit code, JSON object)."""

    def call(*arguments):
        result = CliRunner().invoke(cli, [*map(str, arguments), "--json"])
        return result.exit_code, json.loads(result.stdout)

    return call


def test_publish_fetch_verify(run, weights, tmp_path):
    """A model that is published, fetched and verified is the same model, and each step says so with code 0."""
    code, published = run("publish", weights, f"local://{tmp_path / 'store'}", "--source", "here")
    assert (code, published["files"]) == (0, 4)
    code, fetched = run("fetch", tmp_path / "store", "--to", tmp_path / "out", "--expect", published["manifest"])
    assert (code, fetched["state"], fetched["manifest"]) == (0, "verified", published["manifest"])
    assert contents(tmp_path / "out") == contents(weights)
    code, verdict = run("verify", tmp_path / "out", "--digest", published["manifest"])
    assert (code, verdict["state"], verdict["files"]) == (0, "verified", 4)


def test_publishing_where_it_lies(run, weights):
    """Publishing a folder to itself writes the manifest with part checksums, and nothing else."""
    before = {name: (weights / name).stat().st_ino for name in contents(weights)}
    assert run("publish", weights, f"local://{weights}")[0] == 0
    assert {name: (weights / name).stat().st_ino for name in contents(weights)} == before
    assert "partCrc32c" in (weights / "plinth-manifest.json").read_text()


def test_code_4_nothing_vouches(run, bare_origin, tmp_path):
    """Bytes that nothing vouches for end with 4, when fetched, verified and published."""
    code, row = run("fetch", bare_origin.address, "--to", tmp_path / "out")
    assert (code, row["state"], len(row["unvouched"])) == (4, "unverified", 4)
    assert run("verify", tmp_path / "out")[0] == 4
    assert run("fetch", bare_origin.address, "--to", tmp_path / "out")[0] == 4
    assert run("publish", tmp_path / "out", tmp_path / "store")[0] == 4


def test_code_5_corrupt(run, origin, published, tmp_path):
    """Damage ends with 5 and names file, part, offset and both checksums, when fetched and when verified."""
    run("fetch", origin.address, "--to", tmp_path / "out")
    flip(tmp_path / "out" / SHARD, PART + 3)
    code, row = run("verify", tmp_path / "out")
    assert code == 5
    assert f"{SHARD} has sha256" in row["message"]
    assert f"part 1, offset {PART}, expected CRC32C" in row["message"]
    flip(published / SHARD, 7)
    code, row = run("fetch", origin.address, "--to", tmp_path / "other")
    assert (code, row["state"], row["exitCode"]) == (5, "corrupt-weights", 5)


def test_zeros_are_named(run, published):
    """A part that is nothing but zeros is called that."""
    with (published / SHARD).open("r+b") as file:
        file.seek(PART)
        file.write(bytes(PART))
    assert "(nothing but zeros)" in run("verify", published)[1]["message"]


def test_code_6_refused(run, origin, tmp_path):
    """A source that refuses, an address that cannot be, and a store that takes nothing end with 6."""
    origin.faults = [Fault("status", code=403, times=FOREVER)]
    assert run("fetch", origin.address, "--to", tmp_path / "out")[0] == 6
    assert run("fetch", f"{origin.address}/nothing", "--to", tmp_path / "out")[0] == 6
    assert run("fetch", "http://models.example/x", "--to", tmp_path / "out")[0] == 6
    assert run("publish", origin.root, "https://models.example/x")[0] == 6
    assert run("fetch", tmp_path / "no-such", "--to", tmp_path / "out")[0] == 6


def test_code_7_no_space(run, origin, tmp_path, monkeypatch):
    """Too small a disk ends with 7 and both numbers."""
    monkeypatch.setattr("plinth_runtime.weights.fetch.free_bytes", lambda _: 1)
    code, row = run("fetch", origin.address, "--to", tmp_path / "out")
    assert (code, "has 1 free" in row["message"]) == (7, True)


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("config.json/x", "Not a directory"),
        ("x" * 300, "File name too long"),
        ("/proc/x", "No such file or directory"),
    ],
)
def test_code_7_no_such_place(run, weights, tmp_path, place, words):
    """A place where no folder can be made ends with 7, the place and the system's words, for fetches and copies."""
    for command in (("fetch", weights, "--to", weights / place), ("publish", f"local://{weights}", weights / place)):
        code, row = run(*command)
        assert (code, row["state"]) == (7, "no-space")
        assert f"{weights / place}" in row["message"]
        assert words in row["message"]


@pytest.mark.parametrize("address", ["", "file://", "local://"])
def test_an_empty_address_is_no_folder(run, weights, tmp_path, monkeypatch, address):
    """An address that is empty, as that of a variable nobody set, is refused: it is not the folder one stands in."""
    monkeypatch.chdir(weights)
    assert run("fetch", address, "--to", tmp_path / "out")[0] == 6
    assert run("publish", weights, address)[0] == 6
    assert run("publish", address, tmp_path / "out")[0] == 6
    assert not (tmp_path / "out").exists()


def test_code_5_what_cannot_be_read(run, published, monkeypatch):
    """A file that the disk does not give is named by `verify`, which ends with 5."""

    def broken(*_):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("plinth_runtime.weights.check._read_part", broken)
    code, row = run("verify", published)
    assert (code, f"{SHARD} cannot be read: Input/output error" in row["message"]) == (5, True)


def test_a_digest_that_is_none(tmp_path):
    """What is no sha256 is wrong use, with what to write instead."""
    result = CliRunner().invoke(cli, ["fetch", "x", "--to", str(tmp_path), "--expect", "abc"])
    assert (result.exit_code, "write 64 hex digits" in result.output) == (2, True)
    assert cli_weights._digest("sha256:" + "A" * 64) == "a" * 64


def test_fetch_through_a_cache(run, origin, tmp_path, weights):
    """With --cache the folder is a link into the cache; a folder that exists is not replaced."""
    arguments = ("fetch", origin.address, "--cache", tmp_path / "cache", "--to")
    assert run(*arguments, tmp_path / "one")[0] == 0
    before = len(origin.bodies())
    assert run(*arguments, tmp_path / "two")[0] == 0
    assert len(origin.bodies()) == before
    assert (tmp_path / "one").resolve() == (tmp_path / "two").resolve() != tmp_path / "one"
    assert contents(tmp_path / "one") == contents(weights)
    assert run("verify", tmp_path / "one")[0] == 0
    result = CliRunner().invoke(cli, [*map(str, arguments), str(weights)])
    assert (result.exit_code, "write another name" in result.output) == (2, True)
    result = CliRunner().invoke(cli, ["fetch", origin.address, "--to", str(tmp_path / "one")])
    assert (result.exit_code, "is a model of a cache" in result.output) == (2, True)


def test_progress_for_prometheus(run, origin, published, tmp_path):
    """Fetches and publications keep their figures in a file that the node exporter reads."""
    path = tmp_path / "weights.prom"
    for arguments in (
        ("fetch", origin.address, "--to", tmp_path / "out"),
        ("publish", published, tmp_path / "there"),
        ("publish", origin.address, tmp_path / "elsewhere"),
    ):
        assert run(*arguments, "--metrics-file", path)[0] == 0
        text = path.read_text()
        assert "plinth_transfer_percent 100.0" in text
        assert "plinth_transfer_files_done 4.0" in text
        path.unlink()
    nowhere = CliRunner().invoke(cli, ["verify", str(published), "--metrics-file", str(tmp_path / "no" / "a.prom")])
    assert nowhere.exit_code == 2
    assert "is not a folder" in nowhere.stderr


def test_progress_lines(origin, tmp_path):
    """--progress json writes lines of counters to standard error, the last with everything done."""
    arguments = ["fetch", origin.address, "--to", str(tmp_path / "out"), "--progress", "json"]
    lines = [json.loads(line) for line in CliRunner().invoke(cli, arguments).stderr.splitlines()]
    assert lines[-1]["bytesDone"] == lines[-1]["bytesTotal"] > 5 * PART
    assert lines[-1]["filesDone"] == 4


def test_a_cancelled_fetch_has_two_seconds():
    """What a cancelled fetch may wait for, one after the other, is less than two seconds."""
    assert cli_reporting.INTERRUPT_SECONDS + board.WAIT_SECONDS < 2
    assert transfer.TICK_SECONDS + transfer.STREAM_END_SECONDS + transfer.CANCEL_FLUSH_SECONDS < 2


ENDED_SECONDS = 8
"""On a busy machine. A silent stream is cut after ten seconds, a silent server given up after thirty."""


@pytest.mark.timeout(180)
@pytest.mark.processes
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_code_8_cancelled(origin, tmp_path, number):
    """A signal ends the fetch with 8, not waiting for streams that stand still; the next one finishes it."""
    origin.faults = [Fault("stall", SHARD, times=FOREVER, at=100)]
    command = [sys.executable, "-m", "plinth_runtime", "fetch", origin.address, "--to", str(tmp_path / "out"), "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    limit = time.monotonic() + 30
    while sum(row.sent for row in origin.bodies(SHARD)) < 100 and time.monotonic() < limit:
        time.sleep(0.05)
    began = time.monotonic()
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert time.monotonic() - began < ENDED_SECONDS
    assert process.returncode == 8, err
    assert json.loads(out)["state"] == "cancelled"
    origin.faults.clear()
    assert subprocess.run(command, capture_output=True, check=False, timeout=60).returncode == 0


@pytest.mark.timeout(180)
@pytest.mark.processes
def test_code_8_cancelled_while_listing(origin, tmp_path):
    """A signal ends a fetch that still waits for a silent server's list."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/x"
        command = [sys.executable, "-m", "plinth_runtime", "fetch", address, "--to", str(tmp_path / "out")]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        silent.settimeout(30)
        peer, _ = silent.accept()
        with peer:
            began = time.monotonic()
            process.send_signal(signal.SIGTERM)
            _, err = process.communicate(timeout=60)
    assert time.monotonic() - began < ENDED_SECONDS
    assert process.returncode == 8, err
