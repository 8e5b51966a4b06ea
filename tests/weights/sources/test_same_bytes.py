"""Behaviour 20: the same model from every store, and nothing asked for twice."""

from contextlib import ExitStack

import pytest
from fakes.certificates import key_pem, private_key
from fakes.hub import COMMIT, FakeHub, FakeStorage
from fakes.object_server import ObjectServer
from fakes.oci_object_storage import FakeObjectStorage
from fakes.s3 import FakeS3
from weights.making import PART, contents

from plinth_runtime.contract.manifest import WeightManifest
from plinth_runtime.errors import CorruptWeightsError
from plinth_runtime.weights.publish import PublishOptions, publish
from plinth_runtime.weights.sources.local import LocalSession
from plinth_runtime.weights.sources.opening import open_store
from plinth_runtime.weights.sources.s3_account import S3Account

pytestmark = pytest.mark.processes

PERSON = ("ocid1.tenancy.oc1..t", "ocid1.user.oc1..u", ":".join(["aa"] * 16))
S3_KEY, S3_SECRET = "AKIAEXAMPLE", "the/secret+key"


class Oci:
    """A bucket, published to by our own store."""

    address = "oci://n/ns/b/models/o/llama"

    def __init__(self, stack, monkeypatch, folder):
        self.server = stack.enter_context(FakeObjectStorage())
        self.server.keys["/".join(PERSON)] = private_key().public_key()
        (folder / "key.pem").write_bytes(key_pem())
        rows = [f"{name}={value}" for name, value in zip(("tenancy", "user", "fingerprint"), PERSON, strict=True)]
        (folder / "config").write_text("\n".join(["[DEFAULT]", *rows, f"key_file={folder / 'key.pem'}"]))
        for name, value in {
            "OCI_CONFIG_FILE": str(folder / "config"),
            "OCI_CLI_AUTH": "api_key",
            "OCI_REGION": "us-phoenix-1",
            "PLINTH_OCI_ENDPOINT": self.server.address,
        }.items():
            monkeypatch.setenv(name, value)

    def put(self, weights, published):
        """Publish."""
        publish(weights, open_store(self.address), PublishOptions(part_size=PART), lambda _: None)

    def bodies(self):
        """How often weights were asked for."""
        return len(self.server.asked("GET", "safetensors$"))


class S3(Oci):
    """A bucket of another kind. Its parts cannot be as small as those of the test's manifest."""

    address = "s3://models/llama"

    def __init__(self, stack, monkeypatch, folder):
        self.server = stack.enter_context(FakeS3({S3_KEY: S3_SECRET}))
        monkeypatch.setenv("AWS_ENDPOINT_URL", self.server.address)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", S3_KEY)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", S3_SECRET)
        make = S3Account._make

        def closed_at_the_end(account):
            client = make(account)
            stack.callback(client.close)
            return client

        monkeypatch.setattr(S3Account, "_make", closed_at_the_end)

    def put(self, weights, published):
        """Store what was published elsewhere."""
        store = open_store(self.address)
        store._account.client.create_bucket(Bucket="models")
        for path in published.rglob("*"):
            if path.is_file():
                upload = store.begin(str(path.relative_to(published)), path.stat().st_size, 1 << 30)
                upload.put_part(0, memoryview(path.read_bytes()), 0)
                upload.complete(0)


class Hub(Oci):
    """A model hub, with the weights in large-file storage."""

    address = "hf://acme/llama"

    def __init__(self, stack, monkeypatch, folder):
        self.server = stack.enter_context(FakeStorage())
        self.hub = stack.enter_context(FakeHub(self.server))
        monkeypatch.setenv("HF_ENDPOINT", self.hub.address)
        monkeypatch.setenv("HF_TOKEN", "hf_Token")

    def put(self, weights, published):
        """Commit."""
        for path in published.rglob("*"):
            if path.is_file():
                name = str(path.relative_to(published))
                self.hub.add(name, path.read_bytes(), large=name.endswith(".safetensors"))

    def bodies(self):
        """How often weights were asked for."""
        return len(self.server.asked("GET"))


class Web(Oci):
    """A web server."""

    def __init__(self, stack, monkeypatch, folder):
        self.stack = stack

    def put(self, weights, published):
        """Serve the folder."""
        self.server = self.stack.enter_context(ObjectServer(published))
        self.address = self.server.address

    def bodies(self):
        """How often weights were asked for."""
        return len(self.server.bodies("safetensors"))


class Folder(Oci):
    """A folder of this machine, named as a file. It keeps no log: how often a part of it was opened is counted."""

    scheme = "file"

    def __init__(self, stack, monkeypatch, folder):
        self.opened = []
        read = LocalSession.open_range

        def note(session, target, start, length):
            self.opened.append(target.name)
            return read(session, target, start, length)

        monkeypatch.setattr(LocalSession, "open_range", note)
        monkeypatch.setenv("PLINTH_CLAIMS_DIR", str(folder / "claims"))

    def put(self, weights, published):
        """Say where it lies."""
        self.address = f"{self.scheme}://{published}"

    def bodies(self):
        """How often weights were read."""
        return len([name for name in self.opened if name.endswith(".safetensors")])


class Local(Folder):
    """The same by our own scheme."""

    scheme = "local"


class Claim(Folder):
    """A persistent volume claim where claims are mounted."""

    scheme = "pvc"

    def put(self, weights, published):
        """Mount it."""
        (published.parent / "claims").mkdir()
        (published.parent / "claims" / "models").symlink_to(published.parent)
        self.address = f"pvc://models/{published.name}"


@pytest.fixture(params=[Oci, S3, Hub, Web, Folder, Local, Claim])
def origin_of_weights(request, monkeypatch, tmp_path, weights, published):
    """A store of each kind that holds the published model."""
    with ExitStack() as stack:
        origin = request.param(stack, monkeypatch, tmp_path)
        origin.put(weights, published)
        yield origin


def test_behaviour_20_same_bytes_from_every_store(origin_of_weights, get, weights, published):
    """The model arrives verified with the same bytes and the same manifest; the next fetch asks for no weights."""
    result = get(origin_of_weights.address)
    assert contents(result.folder) == contents(weights)
    assert result.state == "verified"
    fetched = WeightManifest.model_validate_json((result.folder / "plinth-manifest.json").read_bytes())
    assert fetched.files == WeightManifest.model_validate_json((published / "plinth-manifest.json").read_bytes()).files
    before = origin_of_weights.bodies()
    assert before
    assert get(origin_of_weights.address).counters.bytes_fetched == 0
    assert origin_of_weights.bodies() == before


def test_the_commit_is_recorded(monkeypatch, tmp_path, weights, get):
    """What comes from a hub without a manifest is described by one that names the commit, and is verified by it."""
    with ExitStack() as stack:
        origin = Hub(stack, monkeypatch, tmp_path)
        origin.put(weights, weights)
        result = get(origin.address)
    manifest = WeightManifest.model_validate_json((result.folder / "plinth-manifest.json").read_bytes())
    assert (manifest.commit, manifest.source) == (COMMIT, "hf://acme/llama@main")
    assert (result.state, result.unvouched) == ("verified", ())


def test_a_small_file_that_is_not_the_commits_is_noticed(monkeypatch, tmp_path, weights, get):
    """A file that git names is checked against its name."""
    with ExitStack() as stack:
        origin = Hub(stack, monkeypatch, tmp_path)
        origin.put(weights, weights)
        monkeypatch.setattr("fakes.hub.git_id", lambda _: "0" * 40)
        with pytest.raises(CorruptWeightsError, match=r"expected git's name 0{40}, found another one, 2 times"):
            get(origin.address)
