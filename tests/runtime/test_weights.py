"""A model folder is served only if it is what it should be, and called verified only if that was checked."""

import hashlib
import os

import pytest

from plinth_runtime.contract.manifest import MANIFEST_NAME, WeightManifest
from plinth_runtime.errors import CorruptWeightsError
from plinth_runtime.weights import inspect
from plinth_runtime.weights.verify import corrupt


@pytest.fixture
def folder(tmp_path, make_model):
    """A good folder with its manifest."""
    return make_model(tmp_path / "model")


def flip(path):
    """Change the last byte and nothing else."""
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def test_manifest_describes_and_hides(folder):
    """A manifest lists every file but itself and hidden ones, and its file's sha256 is its digest."""
    (folder / ".gitattributes").write_text("x")
    (folder / ".cache").mkdir()
    (folder / ".cache" / "y").write_text("y")
    digest = inspect.write_manifest(folder, inspect.make_manifest(folder, "here"))
    text = (folder / MANIFEST_NAME).read_bytes()
    assert digest == hashlib.sha256(text).hexdigest()
    manifest = WeightManifest.model_validate_json(text)
    assert [file.path for file in manifest.files] == ["config.json", "model.safetensors"]
    assert manifest.source == "here"
    assert not list(folder.glob(f".{MANIFEST_NAME}*"))


@pytest.mark.parametrize(("pinned", "state"), [(True, "verified"), (False, "unverified")])
def test_good_folder(folder, pinned, state):
    """A good folder is verified only against the manifest that the launch names; progress reaches the total."""
    digest = hashlib.sha256((folder / MANIFEST_NAME).read_bytes()).hexdigest() if pinned else None
    seen = []
    facts = inspect.check_folder(folder, digest, lambda done, total: seen.append((done, total)))
    assert facts.state == state
    assert seen[-1][0] == seen[-1][1] == sum(inspect.list_files(folder).values())


def test_no_manifest(tmp_path, make_model):
    """A folder without a manifest is unverified, and refused if the launch names one."""
    folder = make_model(tmp_path / "bare", manifest=False)
    assert inspect.check_folder(folder).state == "unverified"
    with pytest.raises(CorruptWeightsError, match="is missing, the launch was planned with"):
        inspect.check_folder(folder, "0" * 64)


def truncate(folder):
    """Cut a shard."""
    os.truncate(folder / "model.safetensors", 20000)


FAULTS = {
    "a flipped byte": (lambda f: flip(f / "model.safetensors"), "model.safetensors has sha256"),
    "a cut shard": (truncate, "cut short"),
    "a missing config": (lambda f: (f / "config.json").unlink(), "config.json is missing"),
    "an extra shard": (
        lambda f: (f / "extra.safetensors").write_bytes((f / "model.safetensors").read_bytes()),
        "extra.safetensors is not in",
    ),
    "an extra pickle": (lambda f: (f / "pytorch_model.bin").write_bytes(b"x"), "pytorch_model.bin is not in"),
    "a grown config": (lambda f: (f / "config.json").open("a").write(" "), "config.json has"),
    "a broken manifest": (lambda f: (f / MANIFEST_NAME).write_text("{}"), "is not a manifest: files"),
    "no folder": (lambda f: f.rename(f.with_name("gone")), "there is no model folder"),
}


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("fault", FAULTS)
def test_bad_folder(folder, fault):
    """Every kind of damage is refused with a sentence that names the file."""
    damage, words = FAULTS[fault]
    damage(folder)
    with pytest.raises(CorruptWeightsError, match=words):
        inspect.check_folder(folder)


def test_another_manifest(folder):
    """A manifest other than the planned one is refused even if the folder agrees with it."""
    with pytest.raises(CorruptWeightsError, match="the launch was planned with"):
        inspect.check_folder(folder, "0" * 64)


def test_many_faults_are_cut():
    """A sentence stays readable with many faults."""
    assert "(and 2 more)" in str(corrupt("f", tuple(f"fault {number}" for number in range(7))))


def test_progress_may_stop_hashing(folder):
    """What the progress callback raises ends the hashing."""

    def stop(_done, _total):
        raise InterruptedError

    with pytest.raises(InterruptedError):
        inspect.hash_files(folder, inspect.list_files(folder), stop)
