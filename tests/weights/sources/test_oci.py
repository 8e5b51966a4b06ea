"""oci://: listing, ranges under one signature, checksums, refusals, publishing, against a stand-in."""

import os
import time
from types import SimpleNamespace

import google_crc32c
import pytest
from fakes.certificates import key_pem, private_key
from fakes.oci_object_storage import FakeObjectStorage, Stored
from fakes.store_server import read_all
from weights.making import ceiling, fetch_for_memory, noise, safetensors

from plinth_runtime.errors import SourceRefusedError
from plinth_runtime.weights.sources import ChangedError, NotFoundError, RefusedError, TransientError
from plinth_runtime.weights.sources.oci import OciAccount, OciFolder, OciPlace
from plinth_runtime.weights.sources.opening import open_source, open_store
from plinth_runtime.weights.sources.permits import Permits

pytestmark = pytest.mark.processes

TENANCY, USER = "ocid1.tenancy.oc1..t", "ocid1.user.oc1..u"
FINGERPRINT = ":".join(["aa"] * 16)
KEY_ID = f"{TENANCY}/{USER}/{FINGERPRINT}"
SHARD = bytes(range(256)) * 5000
STEP = 300_000
ADDRESS = "oci://n/ns/b/models/o/llama"


@pytest.fixture
def storage(monkeypatch, tmp_path):
    """A bucket with one model, and a configuration file of a person who may read it."""
    for name in ("OCI_CLI_AUTH", "OCI_CLI_PROFILE", "OCI_REGION", "OCI_RESOURCE_PRINCIPAL_VERSION"):
        monkeypatch.delenv(name, raising=False)
    key = tmp_path / "key.pem"
    key.write_bytes(key_pem())
    person = [f"user={USER}", f"tenancy={TENANCY}", f"fingerprint={FINGERPRINT}"]
    (tmp_path / "config").write_text("\n".join(["[DEFAULT]", *person, f"key_file={key}", "region=us-phoenix-1"]))
    monkeypatch.setenv("OCI_CONFIG_FILE", str(tmp_path / "config"))
    with FakeObjectStorage() as server:
        server.keys[KEY_ID] = private_key().public_key()
        server.objects = {
            "llama/": Stored(b""),
            "llama/config.json": Stored(b"{}"),
            "llama/model-1.safetensors": Stored(SHARD, part_size=1 << 20),
            "llama/sub/Größe 模型 #1?.txt": Stored(b"x"),
            "llama-2/config.json": Stored(b"{ }"),
        }
        monkeypatch.setenv("PLINTH_OCI_ENDPOINT", server.address)
        yield server


def rows_of(source):
    """The listing by name."""
    return {row.name: row for row in source.list_objects().objects}


@pytest.mark.parametrize(
    "address",
    [
        ADDRESS,
        ADDRESS + "/",
        "oci://ns@us-phoenix-1/models/llama",
        "oci://models/llama",
        "ocios://n/ns/b/models/o/llama",
    ],
)
def test_every_form_of_the_address_lists_the_folder(storage, address):
    """All ways to write a folder give its objects in pages, without the console's folders and without neighbours."""
    storage.page = 2
    source = open_source(address)
    assert {name: row.size for name, row in rows_of(source).items()} == {
        "config.json": 2, "model-1.safetensors": len(SHARD), "sub/Größe 模型 #1?.txt": 1,
    }  # fmt: skip
    assert source.describe() == address


@pytest.mark.parametrize("name", ["config.json", "model-1.safetensors", "sub/Größe 模型 #1?.txt"])
def test_objects_are_read_by_ranges(storage, name):
    """Every name is read byte for byte."""
    source = open_source(ADDRESS)
    assert read_all(source, rows_of(source)[name], STEP) == storage.objects[f"llama/{name}"].content


def test_one_object_can_be_named(storage):
    """An address of an object is that object."""
    source = open_source(f"{ADDRESS}/model-1.safetensors")
    assert read_all(source, rows_of(source)["model-1.safetensors"], STEP) == SHARD


@pytest.mark.parametrize(
    ("stored", "sums"),
    [
        (Stored(SHARD, part_size=1 << 20), ("crc", "multipart")),
        (Stored(SHARD, part_size=1 << 20, crc=False), ("multipart",)),
        (Stored(SHARD, crc=False), ("md5",)),
        (Stored(b"small", crc=False), ("md5",)),
        (Stored(b"small", part_size=2), ("crc", "multipart")),
    ],
)
def test_checksums_of_objects(storage, stored, sums):
    """The CRC32C of the whole, the MD5, or that of an upload's parts, are told as OCI tells them."""
    storage.objects["llama/x"] = stored
    found = rows_of(open_source(ADDRESS))["x"].checksums
    assert found.crc32c == (google_crc32c.value(stored.content) if "crc" in sums else None)
    assert (found.md5 is not None, found.multipart_md5 is not None) == ("md5" in sums, "multipart" in sums)


def test_behaviour_19_memory_with_the_library_of_the_store(storage, tmp_path):
    """A fetch that OCI's library signs stays below the same 64 MB and 1 MiB per stream."""
    storage.objects = {"llama/model.safetensors": Stored(safetensors({"a": 96 << 20}, noise(96 << 20)))}
    row, peak, _ = fetch_for_memory(ADDRESS, tmp_path / "out")
    assert row["state"] == "verified"
    assert peak <= ceiling(row)


def test_a_manifest_spares_questions(storage):
    """Where a manifest lies, no object is asked for its checksums; else only those worth it are."""
    open_source(ADDRESS).list_objects()
    assert len(storage.asked("HEAD")) == 1
    storage.objects["llama/plinth-manifest.json"] = Stored(b"{}")
    open_source(ADDRESS).list_objects()
    assert len(storage.asked("HEAD")) == 1


def test_behaviour_18_one_signature_serves_an_object_and_is_renewed(storage, stream):
    """All ranges of an object carry one signature until it is 240 s old; then there is another."""
    now, made = [1000.0], []
    account = OciAccount({"PLINTH_OCI_ENDPOINT": storage.address, "OCI_CONFIG_FILE": os.environ["OCI_CONFIG_FILE"]})
    source = OciFolder(OciPlace.read(ADDRESS), account)
    source._permits = Permits(lambda target: made.append(target) or source._permit(target), clock=lambda: now[0])
    target = rows_of(source)["model-1.safetensors"]
    session = stream(source)
    for seconds in (0, 120, 119, 2, 200):
        now[0] += seconds
        session.open_range(target, 0, 100).close()
    assert len(storage.asked("GET", "safetensors")) == 5
    assert len(made) == 2


def test_behaviour_18_a_signature_that_ended_is_made_anew(storage, stream):
    """A signature that is refused in the middle costs one more request, not the part."""
    source = open_source(ADDRESS)
    target = rows_of(source)["model-1.safetensors"]
    session = stream(source)
    session.open_range(target, 0, 10).close()
    storage.fail(401)
    body = session.open_range(target, 10, 4)
    buffer = memoryview(bytearray(4))
    assert body.readinto(buffer) == 4
    assert bytes(buffer) == SHARD[10:14]


def test_a_changed_object_is_noticed(storage, stream):
    """Another version than the listed one is refused, with both versions."""
    source = open_source(ADDRESS)
    target = rows_of(source)["model-1.safetensors"]
    storage.objects["llama/model-1.safetensors"] = Stored(SHARD[::-1], etag="another")
    with pytest.raises(ChangedError, match=rf"{target.etag}.*another"):
        stream(source).open_range(target, 0, 10)


@pytest.mark.parametrize(
    ("break_it", "kind", "words"),
    [
        (lambda storage: storage.forgotten.add(KEY_ID), RefusedError, "answered 401 .*signed as api_key.*clock"),
        (lambda storage: setattr(storage, "bucket", "other"), NotFoundError, "answered 404 .*policy"),
        (lambda storage: storage.objects.clear(), NotFoundError, "there are no objects"),
        (lambda storage: storage.fail(403), RefusedError, "answered 403 .*policy"),
        (lambda storage: storage.fail(500), TransientError, "answered 500"),
    ],
)
def test_refusals_when_listing(storage, break_it, kind, words):
    """What can never succeed fails at once with what to do; nothing tells the key or a signature."""
    break_it(storage)
    with pytest.raises(kind, match=words) as fault:
        open_source(ADDRESS).list_objects()
    assert fault.type is kind
    assert not {"Signature", "PRIVATE", FINGERPRINT} & set(str(fault.value).split())
    assert len(storage.log) <= 2


def test_a_clock_that_is_wrong(storage, monkeypatch):
    """A machine whose clock is ten minutes off is refused at once, and told to look at its clock."""
    now = time.time()
    monkeypatch.setattr("fakes.oci_object_storage.time", SimpleNamespace(time=lambda: now + 600))
    with pytest.raises(RefusedError, match=r"answered 401 .*this machine's clock is right"):
        open_source(ADDRESS).list_objects()
    assert len(storage.log) == 1


@pytest.mark.parametrize(("status", "kind"), [(401, RefusedError), (403, RefusedError), (404, NotFoundError)])
def test_refusals_of_a_range(storage, stream, status, kind):
    """A refusal of a fresh signature is final."""
    source = open_source(ADDRESS)
    target = rows_of(source)["model-1.safetensors"]
    storage.fail(status, times=9)
    with pytest.raises(kind, match=f"answered {status}"):
        stream(source).open_range(target, 0, 10)
    assert len(storage.asked("GET", "safetensors")) == 1


@pytest.mark.parametrize("status", [429, 503])
def test_throttling(storage, stream, status):
    """OCI's throttling can be tried again, and asks for fewer streams."""
    source = open_source(ADDRESS)
    target = rows_of(source)["model-1.safetensors"]
    storage.fail(status)
    with pytest.raises(TransientError) as fault:
        stream(source).open_range(target, 0, 10)
    assert fault.value.throttled


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("oci://registry.example/llama:3", "names a registry"),
        ("oci://n/ns/b", "lacks the markers|not a oci"),
    ],
)
def test_addresses_that_are_no_folders(address, words):
    """A registry is no Object Storage."""
    with pytest.raises(SourceRefusedError, match=words):
        open_source(address)


@pytest.mark.parametrize("endpoint", ["http://objectstorage.example", "objectstorage.example", "https://u:hunter2@x"])
def test_endpoints_without_encryption_are_refused(endpoint):
    """Another endpoint must be https, or this machine."""
    with pytest.raises(SourceRefusedError, match="PLINTH_OCI_ENDPOINT") as fault:
        OciAccount({"PLINTH_OCI_ENDPOINT": endpoint})
    assert "hunter2" not in str(fault.value)


@pytest.mark.parametrize(
    ("address", "environment", "endpoint"),
    [
        ("oci://ns@eu-frankfurt-1/b/p", {}, "https://objectstorage.eu-frankfurt-1.oraclecloud.com"),
        ("oci://ns@uk-gov-london-1/b/p", {}, "https://objectstorage.uk-gov-london-1.oraclegovcloud.uk"),
        (ADDRESS, {"OCI_REGION": "ap-tokyo-1"}, "https://objectstorage.ap-tokyo-1.oraclecloud.com"),
        (ADDRESS, {}, "https://objectstorage.us-phoenix-1.oraclecloud.com"),
    ],
)
def test_endpoints_of_regions(storage, address, environment, endpoint):
    """The region is that of the address, of the environment, or of who signs; its realm gives the domain."""
    account = OciAccount({"OCI_CONFIG_FILE": os.environ["OCI_CONFIG_FILE"], **environment})
    assert account.endpoint(OciPlace.read(address)) == endpoint


@pytest.mark.parametrize(("size", "part"), [(0, 100), (100, 100), (101, 100), (1000, 256)])
def test_publishing(storage, size, part):
    """What is published appears whole, with a CRC32C that the store checked, whatever the order of its parts."""
    content = SHARD[:size]
    upload = open_store(f"{ADDRESS}/new").begin("a/b.bin", size, part)
    for number in reversed(range(-(-size // part))):
        piece = content[number * part : (number + 1) * part]
        upload.put_part(number, memoryview(piece), google_crc32c.value(piece))
    assert "llama/new/a/b.bin" not in storage.objects
    upload.complete(google_crc32c.value(content))
    assert rows_of(open_source(f"{ADDRESS}/new"))["a/b.bin"].size == size
    assert storage.objects["llama/new/a/b.bin"] == Stored(content, part_size=part if size > part else None, crc=True)


def test_publishing_that_fails(storage, monkeypatch):
    """A part that was altered on its way is refused by the store; what was stored can be removed; 503 is no end."""
    monkeypatch.setattr("time.sleep", lambda _: None)
    store = open_store(f"{ADDRESS}/new")
    assert store.describe() == f"{ADDRESS}/new"
    upload = store.begin("x", 10, 6)
    with pytest.raises(RefusedError, match=r"publishing x to oci://.*answered 400 \(UnmatchedContentCRC32C\)"):
        upload.put_part(0, memoryview(b"012345"), 1)
    upload.abort()
    upload.abort()
    assert not storage.uploads
    storage.fail(503, fits=lambda asked: asked.method == "PUT")
    upload = store.begin("x", 10, 6)
    upload.put_part(0, memoryview(b"012345"), google_crc32c.value(b"012345"))
    upload.put_part(1, memoryview(b"6789"), google_crc32c.value(b"6789"))
    with pytest.raises(TransientError, match="OCI holds CRC32C"):
        upload.complete(1)
    assert "llama/new/x" not in storage.objects
