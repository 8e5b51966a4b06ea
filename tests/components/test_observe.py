"""Looking at model folders and ports."""

import json
import os
import socket

import pytest

from pulumi_plinth.observe import observe, observe_model
from pulumi_plinth.stack import StackSpec


def cut_one_byte(folder):
    """Shorten the weights by one byte."""
    path = folder / "model.safetensors"
    os.truncate(path, path.stat().st_size - 1)


def zero_a_region(folder):
    """Overwrite tensor data without changing any size; the file held zeros, so ones are written."""
    path = folder / "model.safetensors"
    with path.open("r+b") as stream:
        stream.seek(path.stat().st_size - 100)
        stream.write(b"\1" * 50)


def remove_the_config(folder):
    """Take the configuration away."""
    (folder / "config.json").unlink()


def break_the_header(folder):
    """Claim a header longer than the file."""
    with (folder / "model.safetensors").open("r+b") as stream:
        stream.write(b"\xff" * 8)


def break_the_manifest(folder):
    """Leave half a manifest."""
    path = folder / "plinth-manifest.json"
    path.write_bytes(path.read_bytes()[:40])


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (cut_one_byte, "model.safetensors has"),
        (zero_a_region, "model.safetensors has other bytes than the manifest says"),
        (remove_the_config, "config.json is missing"),
        (break_the_header, "model.safetensors is no safetensors file or is cut inside its header"),
        (break_the_manifest, "plinth-manifest.json is not a manifest"),
    ],
)
def test_damage_is_found_before_anything_starts(make_model, tmp_path, damage, expected):
    """A damaged folder is refused with the file and what is wrong with it."""
    folder = make_model(tmp_path / "tiny")
    damage(folder)
    facts = observe_model(folder)
    assert facts.card is None
    assert any(expected in fault for fault in facts.faults), facts.faults


def test_every_damaged_file_is_told(make_model, tmp_path):
    """A fault of one file does not hide that of another whose name begins alike."""
    folder = make_model(tmp_path / "tiny")
    document = json.loads((folder / "plinth-manifest.json").read_text())
    names = ["model-with-a-long-name-00001.bin", "model-with-a-long-name-00002.bin"]
    document["files"] += [{"path": name, "size": 4, "sha256": "0" * 64} for name in names]
    (folder / "plinth-manifest.json").write_text(json.dumps(document))
    told = " ".join(observe_model(folder).faults)
    assert all(name in told for name in names)


def test_a_good_folder_is_described_and_checked(make_model, tmp_path):
    """Card, manifest digest and the fact that every byte was compared."""
    facts = observe_model(make_model(tmp_path / "tiny"))
    assert facts.faults == ()
    assert facts.card.parameters == 128 * 64 + 64 * 64
    assert facts.digests_checked
    assert len(facts.manifest_digest) == 64


def test_a_folder_without_manifest_is_not_called_checked(make_model, tmp_path):
    """Structure alone is not verification."""
    facts = observe_model(make_model(tmp_path / "tiny", manifest=False))
    assert facts.faults == ()
    assert not facts.digests_checked
    assert facts.manifest_digest is None


def test_a_missing_folder_is_a_fault(tmp_path):
    """Nothing is raised; the fault names the folder."""
    assert "does not exist" in observe_model(tmp_path / "nowhere").faults[0]


def test_ports_in_use_are_seen_with_their_holder(make_model, tmp_path, document):
    """A foreign listener on the wanted port is named by its process."""
    make_model(tmp_path / "models" / "tiny")
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        document["deployments"]["chat"] |= {"port": port, "managementPort": 1}
        facts = observe(StackSpec.parse(document), tmp_path, "local")
    assert facts.host.ports_taken[port] == f"process {os.getpid()}"
