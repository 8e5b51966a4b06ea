"""s3://: lists, ranges of presigned addresses, checksums, refusals and publishing, against moto behind a gate."""

import base64
import hashlib

import google_crc32c
import pytest
from botocore.loaders import create_loader
from fakes.s3 import FakeS3
from fakes.store_server import read_all
from weights.making import ceiling, fetch_for_memory, noise, safetensors

from plinth_runtime.errors import SourceRefusedError
from plinth_runtime.weights.sources import ChangedError, NotFoundError, RefusedError, RemoteObject, TransientError
from plinth_runtime.weights.sources.opening import open_source, open_store
from plinth_runtime.weights.sources.s3 import S3Folder
from plinth_runtime.weights.sources.s3_account import S3Account
from plinth_runtime.weights.sources.s3_answers import read_checksums, region_of_endpoint
from plinth_runtime.weights.sources.s3_store import S3Store

pytestmark = pytest.mark.processes

KEY, SECRET = "AKIAEXAMPLE", "the/secret+key"
CONTENT = bytes(range(256)) * 400
STEP = 30_000
ADDRESS = "s3://models/llama"
NAMES = ("config.json", "model.safetensors", "sub/Größe 模型 #1?+.txt")
MEBIBYTE = 1 << 20


LOADER = create_loader()


@pytest.fixture(autouse=True)
def _quick_clients(monkeypatch):
    """Clients share what botocore reads from its own files, and are closed when a test ends."""
    monkeypatch.setattr("botocore.session.create_loader", lambda *_: LOADER)
    made, make = [], S3Account._make
    monkeypatch.setattr(S3Account, "_make", lambda account: made.append(make(account)) or made[-1])
    yield
    for client in made:
        client.close()


@pytest.fixture
def store(monkeypatch, tmp_path):
    """A store with one bucket, its credentials and endpoint in the environment."""
    for name in ("AWS_ENDPOINT_URL_S3", "AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    with FakeS3({KEY: SECRET}) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.address)
        client = client_of(server)
        client.create_bucket(Bucket="models")
        for name in NAMES:
            client.put_object(Bucket="models", Key=f"llama/{name}", Body=CONTENT[: 7 if name != NAMES[1] else None])
        client.put_object(Bucket="models", Key="llama/sub/", Body=b"")
        client.put_object(Bucket="models", Key="llama-2/config.json", Body=b"{}")
        server.log.clear()
        yield server


def client_of(server):
    """The client of botocore, as the account makes it."""
    return S3Account({"AWS_ENDPOINT_URL": server.address}).client


def rows_of(source):
    """The listing by name."""
    return {row.name: row for row in source.list_objects().objects}


@pytest.mark.parametrize("address", [ADDRESS, ADDRESS + "/", "s3://models@us-east-1/llama"])
def test_a_folder_is_listed(store, address):
    """All ways to write a folder give its objects, without the console's folders and without neighbours."""
    source = open_source(address)
    assert {name: row.size for name, row in rows_of(source).items()} == dict(
        zip(NAMES, (7, len(CONTENT), 7), strict=True)
    )
    assert source.describe() == address


def test_lists_go_on_over_pages(store, monkeypatch):
    """More objects than a page has are all listed."""
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "2")
    assert set(rows_of(open_source(ADDRESS))) == set(NAMES)
    assert len(store.asked("GET", "/models$")) == 2


@pytest.mark.parametrize("name", NAMES)
def test_objects_are_read_by_ranges(store, name):
    """Every name is read byte for byte over an address that was presigned once."""
    source = open_source(ADDRESS)
    target = rows_of(source)[name]
    assert read_all(source, target, STEP) == CONTENT[: target.size]
    signatures = {asked.query["X-Amz-Signature"] for asked in store.asked("GET", "/llama/")}
    assert len(signatures) == 1


def test_one_object_can_be_named(store):
    """An address of an object is that object."""
    source = open_source(f"{ADDRESS}/model.safetensors")
    assert read_all(source, rows_of(source)["model.safetensors"], STEP) == CONTENT


def test_a_changed_object_is_noticed(store, stream):
    """Another version than the listed one is refused."""
    source = open_source(ADDRESS)
    target = rows_of(source)["model.safetensors"]
    client_of(store).put_object(Bucket="models", Key="llama/model.safetensors", Body=CONTENT[::-1])
    with pytest.raises(ChangedError, match=r"model\.safetensors changed"):
        stream(source).open_range(target, 0, 10)


def test_an_address_that_ended_is_signed_anew(store, stream):
    """A presigned address that is refused in the middle costs one more request."""
    source = open_source(ADDRESS)
    target = rows_of(source)["model.safetensors"]
    session = stream(source)
    session.open_range(target, 0, 10).close()
    store.fail(403)
    session.open_range(target, 10, 10).close()
    assert len(store.asked("GET", "/llama/")) == 3


PLAIN = hashlib.md5(b"x", usedforsecurity=False).hexdigest()
CRC = base64.b64encode((305419896).to_bytes(4, "big")).decode()
SHA = base64.b64encode(hashlib.sha256(b"x").digest()).decode()


@pytest.mark.parametrize(
    ("head", "is_aws", "found"),
    [
        ({"ETag": f'"{PLAIN}"'}, True, {"md5": PLAIN}),
        ({"ETag": f'"{PLAIN}"', "ServerSideEncryption": "AES256"}, True, {"md5": PLAIN}),
        ({"ETag": f'"{PLAIN}"', "ServerSideEncryption": "AES256"}, False, {}),
        ({"ETag": f'"{PLAIN}"', "ServerSideEncryption": "aws:kms"}, True, {}),
        ({"ETag": f'"{PLAIN}"', "SSECustomerAlgorithm": "AES256"}, True, {}),
        ({"ETag": '"opaque"'}, True, {}),
        ({"ETag": f'"{PLAIN}-3"'}, True, {"multipart_md5": base64.b64encode(bytes.fromhex(PLAIN)).decode() + "-3"}),
        ({"ETag": '"o"', "ChecksumCRC32C": CRC, "ChecksumType": "FULL_OBJECT"}, True, {"crc32c": 0x12345678}),
        ({"ETag": '"o"', "ChecksumCRC32C": CRC, "ChecksumType": "COMPOSITE"}, True, {}),
        ({"ETag": '"o"', "ChecksumCRC32C": CRC + "-3"}, True, {}),
        ({"ETag": '"o"', "ChecksumSHA256": SHA}, True, {"sha256": hashlib.sha256(b"x").hexdigest()}),
    ],
)
def test_checksums_of_objects(head, is_aws, found):
    """Only what is certainly a checksum of the content is taken for one."""
    sums = read_checksums(head, is_aws=is_aws)
    names = ("md5", "multipart_md5", "crc32c", "sha256")
    assert {name: value for name in names if (value := getattr(sums, name)) is not None} == found


def test_a_manifest_spares_questions(store):
    """Where a manifest lies, no object is asked for its checksums."""
    client_of(store).put_object(Bucket="models", Key="llama/plinth-manifest.json", Body=b"{}")
    open_source(ADDRESS).list_objects()
    assert not store.asked("HEAD")


@pytest.mark.parametrize(
    ("environment", "refusal", "words"),
    [
        (
            {"AWS_SECRET_ACCESS_KEY": "another"},
            (ADDRESS, RefusedError),
            r"answered 403 \(SignatureDoesNotMatch\); check",
        ),
        (
            {"AWS_ACCESS_KEY_ID": "other"},
            (ADDRESS, RefusedError),
            r"answered 403 \(InvalidAccessKeyId\); check the cred",
        ),
        ({"AWS_REGION": "eu-west-1"}, (ADDRESS, RefusedError), r"answered 403 .*region"),
        ({}, ("s3://nowhere/llama", NotFoundError), r"answered 404 \(NoSuchBucket\)"),
        ({}, ("s3://models/nothing", NotFoundError), "there are no objects"),
        ({"AWS_ACCESS_KEY_ID": ""}, (ADDRESS, RefusedError), "no credentials; set AWS_ACCESS_KEY_ID"),
        ({"AWS_PROFILE": "nobody"}, (ADDRESS, RefusedError), "ProfileNotFound"),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, (ADDRESS, TransientError), "EndpointConnectionError"),
    ],
)
def test_refusals_when_listing(store, monkeypatch, environment, refusal, words):
    """What can never succeed fails at once with what to do; the secret is never told."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    address, kind = refusal
    with pytest.raises(kind, match=words) as fault:
        open_source(address).list_objects()
    assert fault.type is kind
    assert SECRET not in str(fault.value)
    assert len(store.log) <= 2


def test_a_clock_that_is_wrong(store):
    """A machine whose clock is off is refused at once, and told to look at its clock."""
    store.fail(403, times=9, body=b"<Error><Code>RequestTimeTooSkewed</Code></Error>")
    with pytest.raises(RefusedError, match=r"answered 403 \(RequestTimeTooSkewed\).* this clock"):
        open_source(ADDRESS).list_objects()
    assert len(store.log) == 1


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, RefusedError), (403, RefusedError), (404, NotFoundError), (429, TransientError), (503, TransientError)],
)
def test_refusals_of_a_range(store, stream, status, kind):
    """A refusal of a fresh address is final and does not show it; throttling may be tried again."""
    source = open_source(ADDRESS)
    target = rows_of(source)["model.safetensors"]
    store.fail(status, times=9)
    with pytest.raises(kind, match=rf"model\.safetensors.*answered {status}") as fault:
        stream(source).open_range(target, 0, 10)
    assert fault.type is kind
    assert "Signature" not in str(fault.value)
    assert getattr(fault.value, "throttled", False) == (status in {429, 503})
    assert len(store.asked("GET", "/llama/")) == 1


def test_a_store_without_encryption_is_refused():
    """Another endpoint must be https, or this machine."""
    with pytest.raises(SourceRefusedError, match="AWS_ENDPOINT_URL is not an address"):
        S3Account({"AWS_ENDPOINT_URL": "http://minio.example:9000"})


@pytest.mark.parametrize(
    ("endpoint", "region"),
    [
        ("https://ns.compat.objectstorage.us-ashburn-1.oci.customer-oci.com", "us-ashburn-1"),
        ("https://ns.compat.objectstorage.eu-frankfurt-1.oraclecloud.com", "eu-frankfurt-1"),
        ("https://minio.example", None),
        ("", None),
    ],
)
def test_the_region_of_an_endpoint(endpoint, region):
    """OCI's S3 endpoint is signed for the region in its name; others say nothing."""
    assert region_of_endpoint(endpoint) == region


@pytest.mark.parametrize(
    ("environment", "region", "host"),
    [
        ({}, "eu-west-1", "https://models.s3.eu-west-1.amazonaws.com/k"),
        ({"AWS_REGION": "eu-west-3"}, None, "https://models.s3.eu-west-3.amazonaws.com/k"),
        (
            {"AWS_ENDPOINT_URL": "https://ns.compat.objectstorage.us-ashburn-1.oci.customer-oci.com"},
            None,
            "https://ns.compat.objectstorage.us-ashburn-1.oci.customer-oci.com/models/k",
        ),
    ],
)
def test_addresses_are_presigned_for_the_right_place(monkeypatch, environment, region, host):
    """Amazon is asked by the bucket's name, other stores by path; the signature is for the place's region."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    account = S3Account(environment, region)
    source = S3Folder(ADDRESS, ("models", ""), account)
    url = source._permit(RemoteObject("k", 1, "k")).url
    assert url.startswith(f"{host}?X-Amz-Algorithm=AWS4-HMAC-SHA256")
    assert f"%2F{account.region}%2Fs3%2Faws4_request" in url


def test_behaviour_19_memory_with_the_library_of_the_store(store, tmp_path):
    """A fetch that botocore signs stays below the same 64 MB and 1 MiB per stream."""
    content = safetensors({"a": 96 << 20}, noise(96 << 20))
    client_of(store).put_object(Bucket="models", Key="large/model.safetensors", Body=content)
    row, peak, _ = fetch_for_memory("s3://models/large", tmp_path / "out")
    assert row["state"] == "verified"
    assert peak <= ceiling(row)


@pytest.mark.parametrize("whole_crc", [False, True])
@pytest.mark.parametrize(("size", "part"), [(0, 100), (100, 100), (11 * MEBIBYTE, 5 * MEBIBYTE)])
def test_publishing(store, monkeypatch, size, part, whole_crc):
    """What is published appears whole, whatever the order of its parts; Amazon keeps the CRC32C of the whole."""
    monkeypatch.setattr(S3Account, "is_aws", whole_crc)
    content = (CONTENT * (size // len(CONTENT) + 1))[:size]
    account = S3Account({"AWS_ENDPOINT_URL": store.address})
    upload = S3Store(ADDRESS, ("models", "new"), account).begin("a/b.bin", size, part)
    for number in reversed(range(-(-size // part))):
        piece = content[number * part : (number + 1) * part]
        upload.put_part(number, memoryview(piece), google_crc32c.value(piece))
    with pytest.raises(NotFoundError):
        open_source("s3://models/new").list_objects()
    upload.complete(google_crc32c.value(content))
    row = rows_of(open_source("s3://models/new"))["a/b.bin"]
    assert row.size == size
    assert row.checksums.can_verify or row.checksums.multipart_md5 or not size


def test_publishing_that_fails(store, monkeypatch):
    """A store that stumbles is asked again, one that refuses is not; what was stored can be removed."""
    monkeypatch.setattr("time.sleep", lambda _: None)
    place = open_store("s3://models/new")
    assert place.describe() == "s3://models/new"
    upload = place.begin("x", 10 * MEBIBYTE, 5 * MEBIBYTE)
    upload.put_part(0, memoryview(bytes(5 * MEBIBYTE)), 0)
    upload.abort()
    assert "Uploads" not in client_of(store).list_multipart_uploads(Bucket="models")
    store.fail(503)
    place.begin("z", 1, 1).complete(0)
    store.fail(403, times=9)
    upload.abort()
    with pytest.raises(RefusedError, match=r"publishing y to s3://models/new: the store answered 403"):
        place.begin("y", 1, 1).complete(0)
