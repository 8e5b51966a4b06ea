"""Disks under a real engine: weights that were damaged after the plan, and caches that cannot be written."""

import json
import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from support.engine import PROMPT

pytestmark = [pytest.mark.engine, pytest.mark.timeout(400)]

WEIGHTS = "model.safetensors"


def truncate(path):
    """The last megabyte never came."""
    os.truncate(path, path.stat().st_size - (1 << 20))


def zero_tail(path):
    """Blocks that were never written, as after a crash."""
    with path.open("r+b") as file:
        file.seek(-(1 << 20), os.SEEK_END)
        file.write(bytes(1 << 20))


def zero_all(path):
    """A file of the right size and nothing in it."""
    size = path.stat().st_size
    path.write_bytes(b"")
    os.truncate(path, size)


def empty(path):
    """Nothing at all."""
    path.write_bytes(b"")


def long_header(path):
    """A header that claims to be longer than the file."""
    with path.open("r+b") as file:
        file.write((1 << 40).to_bytes(8, "little"))


DAMAGES = [
    (truncate, WEIGHTS, "has 267981"),
    (zero_tail, WEIGHTS, "has sha256"),
    (zero_all, WEIGHTS, WEIGHTS),
    (empty, WEIGHTS, WEIGHTS),
    (long_header, WEIGHTS, WEIGHTS),
    (empty, "config.json", "config.json"),
    (truncate, "tokenizer.json", "tokenizer.json"),
    (Path.unlink, "tokenizer.json", "tokenizer.json"),
]


def name_of(value):
    """A case's name for the table."""
    return f"{value[1]}-{value[0].__name__}"


@pytest.fixture
def folder(world, tmp_path):
    """A copy of the sample model that may be damaged."""
    copy = shutil.copytree(world.model, tmp_path / "model")
    yield copy
    shutil.rmtree(copy)


def refused(server):
    """The agent's last word, after making sure that no engine was started."""
    assert server.process.wait(60) == 11
    log = server.run_dir.log.read_text()
    assert "phase starting" not in log
    assert not server.engine_processes()
    end = json.loads(server.run_dir.termination.read_text())
    assert end["cause"] == "corrupt-weights"
    assert end["advice"]
    return end["message"]


@pytest.mark.parametrize("case", DAMAGES, ids=name_of)
def test_weights_damaged_after_the_plan(start, folder, record_property, case):
    """What differs from the plan is refused before an engine starts, and the file is named."""
    damage, file, words = case
    damage(folder / file)
    said = refused(start({"model": {"folder": str(folder)}}))
    record_property("told", said.rpartition("is not intact: ")[2])
    assert file in said
    assert words in said


@pytest.mark.parametrize("case", DAMAGES[:1] + DAMAGES[2:6], ids=name_of)
def test_weights_damaged_without_a_manifest(start, folder, record_property, case):
    """Weights that cannot be whole are refused even where nobody wrote down what they should be."""
    (folder / "plinth-manifest.json").unlink()
    damage, file, _ = case
    damage(folder / file)
    said = refused(start({"model": {"folder": str(folder), "manifestDigest": None}}))
    record_property("told", said.rpartition("is not intact: ")[2])
    assert file in said


@pytest.fixture
def full_disk(tmp_path):
    """A file system of 64 KiB that is full."""
    place = tmp_path / "full"
    place.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", place], capture_output=True, check=False)
    if made.returncode:
        pytest.skip(f"needs to mount a file system: {made.stderr.decode().strip()}")
    try:
        (place / "filler").write_bytes(bytes(64 << 10))
        yield place
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)


@pytest.fixture
def read_only_disk(full_disk):
    """The same, read-only: as a container's root often is."""
    subprocess.run(["mount", "-o", "remount,ro", full_disk], check=True)
    return full_disk


CACHES = ("HOME", "XDG_CACHE_HOME", "VLLM_CACHE_ROOT", "VLLM_CONFIG_ROOT", "HF_HOME")
INDUCTOR = "TORCHINDUCTOR_CACHE_DIR"
"""The one folder that torch makes while it is imported, and ends if it cannot."""


@pytest.mark.exhaustive
@pytest.mark.parametrize("disk", ["full_disk", "read_only_disk"])
def test_no_room_for_caches(start, request, record_property, disk):
    """Caches are a convenience: without room for one byte of them the server becomes ready and answers."""
    place = request.getfixturevalue(disk)
    folders = CACHES if disk == "read_only_disk" else (*CACHES, INDUCTOR)
    with pytest.raises(OSError, match=r"No space|Read-only"):
        (place / "probe").write_bytes(bytes(1 << 16))
    server = start({"engine": {"environment": {name: str(place / name.lower()) for name in folders}}})
    status = server.wait_ready()
    record_property("ready after", f"{status['readyAfterSeconds']:.1f} s")
    assert status["restarts"] == 0
    assert server.call("/v1/completions", PROMPT | {"max_tokens": 8})[0] == 200
    code, _ = server.stop()
    assert code == 0


@pytest.mark.exhaustive
def test_a_folder_that_torch_cannot_make(start, read_only_disk, record_property):
    """An engine that cannot even be imported without a folder names it, is not tried again, and says what to set."""
    server = start({"engine": {"environment": {INDUCTOR: str(read_only_disk / "inductor")}}})
    begun = time.monotonic()
    assert server.process.wait(150) == 10
    end = json.loads(server.run_dir.termination.read_text())
    record_property("told after", f"{time.monotonic() - begun:.0f} s: {end['message']}")
    assert end["cause"] == "bad-config"
    assert f"Read-only file system: '{read_only_disk}/inductor'" in end["message"]
    assert INDUCTOR in end["advice"]
    assert server.run_dir.log.read_text().count("phase starting") == 1
