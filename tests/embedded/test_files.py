"""Projects, stack files and state files, without any deployment."""
# ruff: noqa: D102 - a stand-in follows its protocol

import base64
import hashlib
import json
import re
import subprocess
import sys

import pytest

from pulumi_plinth import embedded
from pulumi_plinth.embedded.backend import Backend
from pulumi_plinth.embedded.state import (
    Resource,
    SecretMemo,
    Snapshot,
    resource_from_json,
    resource_to_json,
    snapshot_from_json,
)
from pulumi_plinth.embedded.values import Secret, compact, from_struct, has_unknown, to_struct


class Plain:
    """A crypter that shows its work."""

    salt = "v1:salt"

    def encrypt(self, plain):
        return f"<{plain}>"

    def decrypt(self, cipher):
        return cipher[1:-1]


@pytest.fixture
def memo():
    """A memo over the plain crypter."""
    return SecretMemo(Plain)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: p\nruntime: nodejs\n", "runtime 'nodejs' .only python. is not supported"),
        ("name: p\nruntime: python\nmain: stacks\n", "the key 'main' is not supported"),
        ("name: p\nruntime: python\nplugins: {providers: [{name: x}]}\n", "the key 'plugins'"),
        ("name: p\nruntime: python\noptions: {refresh: always}\n", "options.refresh"),
        ("name: p\nruntime: python\nconfig: stacks\n", "use stackConfigDir"),
        ("name: p\nruntime: python\nbackend: {url: 's3://bucket'}\n", "backend s3:// .only file"),
        ("name: p\nruntime: python\n", "no backend; write"),
        ("name: a/b\nruntime: python\n", "name is 'a/b'"),
        ("- a\n", "is not a mapping"),
        ("a: [", "cannot be read"),
    ],
)
def test_projects_that_are_refused(box, text, message):
    """A project this engine cannot deploy is refused with the key that says so."""
    box.write("Pulumi.yaml", text)
    with pytest.raises(embedded.EmbeddedError, match=message):
        _ = box.project


def test_a_folder_without_a_project(tmp_path):
    """A missing Pulumi.yaml is named."""
    with pytest.raises(embedded.ProjectError, match=r"Pulumi.yaml does not exist"):
        embedded.Project.load(tmp_path)


def test_where_state_lies(box, monkeypatch):
    """The environment's backend wins; relative paths start at the project."""
    box.write(
        "Pulumi.yaml", "name: p\nruntime: {name: python}\nbackend: {url: 'file://state'}\nstackConfigDir: stacks\n"
    )
    assert box.project.backend_dir == box.root / "state"
    assert box.project.stack_file("dev").path == box.root / "stacks/Pulumi.dev.yaml"
    monkeypatch.setenv("PULUMI_BACKEND_URL", "file:///var/state")
    assert str(box.project.backend_dir) == "/var/state"


def test_configuration_as_programs_get_it(box):
    """Scalars become text, objects JSON text, secrets are decrypted wherever they are; defaults fill the rest."""
    box.write(
        "Pulumi.yaml",
        """
        name: box
        runtime: python
        backend: {url: 'file://.'}
        config:
          color: blue
          other:region: here
          size: {type: integer, default: 3}
          key: {type: string, secret: true}
        """,
    )
    box.write(
        "Pulumi.dev.yaml",
        """
        config:
          box:flag: true
          box:count: 8
          box:ratio: 0.5
          box:key: {secure: <k>}
          box:deep: {b: [{secure: <v>}], a: "<&"}
          box:config:old: x
        """,
    )
    config = box.project.config(box.project.stack_file("dev"), Plain().decrypt)
    assert config.values == {
        "box:color": "blue",
        "box:count": "8",
        "box:deep": '{"a":"\\u003c\\u0026","b":["v"]}',
        "box:flag": "true",
        "box:key": "k",
        "box:old": "x",
        "box:ratio": "0.5",
        "box:size": "3",
        "other:region": "here",
    }
    assert config.secret_keys == {"box:key", "box:deep"}


def test_required_configuration_is_listed_together(box):
    """All keys without a value are named in one error."""
    box.write(
        "Pulumi.yaml",
        "name: box\nruntime: python\nbackend: {url: 'file://.'}\nconfig: {a: {type: string}, b: {type: integer}}\n",
    )
    with pytest.raises(embedded.ProjectError, match="no value for box:a, box:b"):
        box.project.config(box.project.stack_file("dev"), Plain().decrypt)


def test_other_secrets_providers_are_refused(box):
    """A stack encrypted by a cloud key is refused by name."""
    box.write("Pulumi.dev.yaml", "secretsprovider: awskms://alias/x\n")
    with pytest.raises(embedded.Unsupported, match="awskms"):
        box.project.stack_file("dev")


def test_recorded_checkpoints_round_trip(traces, memo):
    """Each recorded resource, read and written, has the same members in the same order."""
    document = json.loads(
        re.sub('"ciphertext": "([^"]*)"', '"ciphertext": "<7>"', (traces / "state-after-fail.json").read_text())
    )
    snapshot = snapshot_from_json(document, memo, "x")
    recorded = document["checkpoint"]["latest"]["resources"]
    written = [resource_to_json(resource, memo) for resource in snapshot.resources]
    assert json.dumps(written) == json.dumps(recorded)


def test_members_of_newer_checkpoints_survive(memo):
    """What this engine does not know stays in the state."""
    document = {"urn": "u", "custom": True, "type": "t", "taint": True, "viewOf": "v", "importID": "7"}
    assert resource_to_json(resource_from_json(document, memo), memo) == document


def test_unchanged_secrets_keep_their_ciphertext():
    """A secret that did not change is written with the ciphertext it was read with."""

    class Fresh(Plain):
        count = 0

        def encrypt(self, plain):
            Fresh.count += 1
            return f"{Fresh.count}{plain}-"

    memo = SecretMemo(Fresh)
    document = {"urn": "u", "custom": True, "type": "t", "inputs": {"k": {Secret.__name__: 1}}}
    resource = Resource("u", custom=True, type="t", inputs={"k": Secret(5)})
    document = resource_to_json(resource, memo)
    again = SecretMemo(Fresh)
    assert resource_to_json(resource_from_json(document, again), again) == document


@pytest.mark.parametrize(
    "document", [{"version": 4, "checkpoint": {}}, {"version": 3}, {}, {"version": 3, "checkpoint": {"latest": [1]}}]
)
def test_what_is_no_checkpoint(memo, document):
    """A file that is not a checkpoint of version 3 is refused, with where to find a good one."""
    with pytest.raises(embedded.StateError, match="here"):
        snapshot_from_json(document, memo, "here")


def test_damaged_state_file(box):
    """Half a file is refused and named."""
    box.write(".pulumi/stacks/box/dev.json", '{"version": 3, "che')
    with pytest.raises(embedded.StateError, match=r"dev.json cannot be read .*backups"):
        box.run("preview")


def test_files_have_their_twins(tmp_path):
    """Each object has the attributes file of the Pulumi CLI's blob library, and no temporary file stays."""
    backend = Backend(tmp_path, "p", "s")
    backend.prepare()
    backend.write({"version": 3})
    names = sorted(path.name for path in tmp_path.rglob("*") if path.is_file())
    assert names == ["meta.yaml", "meta.yaml.attrs", "s.json", "s.json.attrs"]
    attrs = json.loads((tmp_path / ".pulumi/stacks/p/s.json.attrs").read_text())
    assert attrs["md5"] == base64.b64encode(hashlib.md5(b'{"version":3}').digest()).decode()  # noqa: S324
    assert (tmp_path / ".pulumi/meta.yaml").read_text() == "version: 1\n"


def test_a_legacy_backend_is_refused(tmp_path):
    """A backend of another version is left to the Pulumi CLI."""
    backend = Backend(tmp_path, "p", "s")
    backend.prepare()
    (tmp_path / ".pulumi/meta.yaml").write_text("version: 0\n")
    with pytest.raises(embedded.StateError, match="pulumi state upgrade"):
        backend.prepare()


def test_stacks_that_do_not_exist(box):
    """Reading, refreshing or destroying a stack that was never made says so."""
    for call in (
        lambda: box.run("destroy"),
        lambda: box.run("refresh"),
        lambda: embedded.export(box.project, "dev"),
        lambda: embedded.outputs(box.project, "dev"),
    ):
        with pytest.raises(embedded.StateError, match="stack dev does not exist"):
            call()
    assert not embedded.exists(box.project, "dev")


def test_wire_values():
    """Numbers come back as they were meant, secrets keep their mark, unknown parts are seen."""
    values = {"i": 5, "f": 0.5, "big": 1e300, "n": None, "t": True, "l": [1, "x"], "d": {"s": Secret({"k": [1]})}}
    assert from_struct(to_struct(values, secrets=True)) == values
    assert from_struct(to_struct(values, secrets=False))["d"] == {"s": {"k": [1]}}
    assert has_unknown({"a": [Secret("04da6b54-80e4-46f7-96ec-b56ff0331ba9")]})
    assert not has_unknown(values)
    assert compact({"b": 1, "a": Secret("ü")}) == '{"a":"ü","b":1}'
    assert "5" not in repr(Secret(5))


def test_two_snapshots_are_values():
    """A snapshot without resources has no stack."""
    assert Snapshot().stack() is None


def test_importing_is_cheap():
    """Importing the package starts neither grpc nor pulumi."""
    code = (
        "import sys, pulumi_plinth.embedded as e; print({'grpc', 'pulumi', 'cryptography', 'yaml'} & set(sys.modules))"
    )
    said = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert said.strip() == "set()"


def test_public_names_are_sorted_and_there():
    """The public names are what the package says they are."""
    assert embedded.__all__ == sorted(embedded.__all__)
    assert all(hasattr(embedded, name) for name in embedded.__all__)


def test_leftovers_of_a_killed_run_go(tmp_path):
    """Half-written files of a killed run are removed by the next one, before the Pulumi CLI takes them for locks."""
    backend = Backend(tmp_path, "p", "s")
    for name in ("locks/organization/p/s/.x.json.1.tmp", "stacks/p/.s.json.1.tmp"):
        path = tmp_path / ".pulumi" / name
        path.parent.mkdir(parents=True)
        path.touch()
    with backend.lock(print):
        assert [path.suffix for path in sorted(tmp_path.rglob("*.tmp"))] == []
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
