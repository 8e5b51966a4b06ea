"""Models made of something else: checked before, checked after, and the manifest says what they were made of."""

import json
import shutil
import sys
import time

import pytest
from click.testing import CliRunner
from weights.making import flip

from plinth_runtime.cli import cli
from plinth_runtime.contract.manifest import WeightManifest
from plinth_runtime.errors import CorruptWeightsError, FetchCancelledError, NoSpaceError
from plinth_runtime.weights.conversion import Job, convert
from plinth_runtime.weights.inspect import make_manifest, write_manifest
from plinth_runtime.weights.publish import PublishOptions, publish
from plinth_runtime.weights.sources.opening import open_store

pytestmark = [pytest.mark.processes, pytest.mark.timeout(180)]


@pytest.fixture
def base(make_model, tmp_path):
    """A model that somebody vouches for."""
    return make_model(tmp_path / "base")


@pytest.fixture
def adapter(tmp_path):
    """An adapter folder with a manifest."""
    folder = tmp_path / "adapter"
    folder.mkdir()
    config = {"r": 4, "base_model_name_or_path": "base", "peft_type": "LORA", "target_modules": ["q_proj"]}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    (folder / "adapter_model.safetensors").write_bytes(b"\2\0\0\0\0\0\0\0{}")
    publish(folder, open_store(str(folder)), PublishOptions(source="trained here"), lambda _: None)
    return folder


@pytest.fixture
def gguf(tmp_path, base):
    """A GGUF file without a manifest beside it."""
    path = tmp_path / "files" / "tiny.gguf"
    path.parent.mkdir()
    path.write_bytes(b"GGUF and more")
    shutil.copy(base / "config.json", f"{path}.json")
    return path


@pytest.fixture
def make(tmp_path, project_root):
    """A function that converts with the stand-in; gives what came of it."""

    def run(kind, *inputs, faults="", watch=lambda _: None):
        program = (sys.executable, str(project_root / "tests/fakes/converter.py"), faults)
        return convert(Job(kind, inputs, tmp_path / "made" / "new", program), watch)

    return run


def test_a_merge_is_recorded(make, base, adapter, tmp_path):
    """Base and adapter stand in the manifest with their digests; the result is verified because they were."""
    done = make("merge", base, adapter)
    assert done.state == "verified"
    manifest = WeightManifest.model_validate_json((done.folder / "plinth-manifest.json").read_bytes())
    record = manifest.conversion
    assert (record.kind, record.tool, [row.name for row in record.inputs]) == (
        "merge",
        "converter 1.0",
        ["base", "adapter"],
    )
    assert [row.source for row in record.inputs] == ["test", "trained here"]
    assert all(row.verified for row in record.inputs)
    assert manifest.learned is None
    assert all(row.part_crc32c is not None for row in manifest.files)
    assert CliRunner().invoke(cli, ["verify", str(done.folder)]).exit_code == 0
    assert [path.name for path in (tmp_path / "made").iterdir()] == ["new"]


def test_the_record_goes_where_the_model_goes(make, base, adapter, tmp_path):
    """A model that was made of something keeps the record when it is published."""
    done = make("merge", base, adapter)
    publish(done.folder, open_store(str(tmp_path / "store")), PublishOptions(), lambda _: None)
    manifest = WeightManifest.model_validate_json((tmp_path / "store" / "plinth-manifest.json").read_bytes())
    assert manifest.conversion == done.conversion


def test_nobody_vouches(make, gguf):
    """A file without a manifest makes a model that is not called verified, now and later."""
    done = make("gguf", gguf)
    assert (done.state, done.conversion.inputs[0].verified) == ("unverified", False)
    assert CliRunner().invoke(cli, ["verify", str(done.folder)]).exit_code == 4


def test_a_manifest_beside_a_file_vouches(make, gguf):
    """A file that a manifest in its folder names is compared with it."""
    publish(gguf.parent, open_store(str(gguf.parent)), PublishOptions(source="hub"), lambda _: None)
    done = make("gguf", gguf)
    assert (done.state, done.conversion.inputs[0].source) == ("verified", "hub")
    shutil.rmtree(done.folder)
    flip(gguf, 3)
    with pytest.raises(CorruptWeightsError, match=r"tiny\.gguf has sha256 .*, plinth-manifest\.json beside it says"):
        make("gguf", gguf)


def test_a_base_without_manifest_is_known_by_its_bytes(make, make_model, adapter, tmp_path):
    """The digest of a folder without a manifest is that of the manifest it would have."""
    bare = make_model(tmp_path / "bare", manifest=False)
    done = make("merge", bare, adapter)
    expected = write_manifest(bare, make_manifest(bare).model_copy(update={"source": ""}))
    assert (done.state, done.conversion.inputs[0].sha256) == ("unverified", expected)


WRONG = {
    "fail": "adapter merged into base: .*ValueError: this is no model",
    "lose": "1 tensors are missing, the first is layer",
    "cut": "is not intact: .*cut inside its header",
}


@pytest.mark.parametrize("fault", WRONG)
def test_what_does_not_come_out_whole(make, base, adapter, tmp_path, fault):
    """A program that fails, loses a tensor or cuts a file leaves nothing under the final name, or beside it."""
    with pytest.raises(CorruptWeightsError, match=WRONG[fault]):
        make("merge", base, adapter, faults=fault)
    assert list((tmp_path / "made").iterdir()) == []


def test_a_damaged_base_is_not_used(make, base, adapter, tmp_path):
    """Damage is found before anything is made."""
    flip(base / "model.safetensors", 999)
    with pytest.raises(CorruptWeightsError, match=r"model\.safetensors has sha256"):
        make("merge", base, adapter)
    assert not (tmp_path / "made").exists()


def test_too_little_room(make, base, adapter, monkeypatch):
    """A disk that cannot take the result is refused before the program starts."""
    monkeypatch.setattr("plinth_runtime.weights.conversion.free_bytes", lambda _: 5)
    with pytest.raises(NoSpaceError, match=r"needs \d+ bytes or more, .* has 5 free"):
        make("merge", base, adapter)


def test_cancelled(make, base, adapter, tmp_path):
    """A conversion that is told to stop ends its program, which would take a minute, and nothing is left."""
    began = time.monotonic()

    def stop(counters):
        if counters.files_total == 0:
            raise FetchCancelledError("told to")

    with pytest.raises(FetchCancelledError):
        make("merge", base, adapter, faults="slow", watch=stop)
    assert time.monotonic() - began < 40
    assert list((tmp_path / "made").iterdir()) == []


def test_the_command_refuses_what_is_there(base, adapter, tmp_path):
    """Nobody's folder is written over, and a Python without torch is told apart from a bad model."""
    words = ["convert", "merge", str(base), str(adapter)]
    taken = CliRunner().invoke(cli, [*words, str(base)])
    assert (taken.exit_code, "is there already" in taken.stderr) == (2, True)
    bare = CliRunner().invoke(cli, [*words, str(tmp_path / "new"), "--json"])
    row = json.loads(bare.stdout)
    assert (bare.exit_code, row["state"]) == (5, "corrupt-weights")
    assert "No module named" in row["message"]
    assert "`--python`" in row["advice"]
