"""gs://, az:// and github://: lists, ranges, versions, checksums, who asks and refusals, as one table."""

import hashlib
from types import SimpleNamespace

import google_crc32c
import pytest
from fakes.azure import FakeAzure
from fakes.gcs import FakeGcs
from fakes.github import FakeGithub
from fakes.hub import FakeStorage
from fakes.store_server import read_all

from plinth_runtime.errors import SourceRefusedError
from plinth_runtime.weights.sources import ChangedError, NotFoundError, RefusedError, TransientError
from plinth_runtime.weights.sources.azure import AzureAccount, AzureFolder
from plinth_runtime.weights.sources.gcs import GcsAccount
from plinth_runtime.weights.sources.github import GithubAccess
from plinth_runtime.weights.sources.opening import open_source

CONTENT = bytes(range(256)) * 40
STEP = 3000
TOKEN = "a-very-secret-token"
NESTED = {"config.json": b"{}", "model.safetensors": CONTENT, "sub/Größe 模型 #1?&.txt": b"x"}
FLAT = {"config.json": b"{}", "model.safetensors": CONTENT, "notes.txt": b"x"}


@pytest.fixture
def gcs(monkeypatch):
    """A bucket that everybody may read."""
    monkeypatch.setattr(GcsAccount.__init__, "__defaults__", (lambda: None,))
    with FakeGcs() as server:
        for name, content in NESTED.items():
            server.add(f"llama/{name}", content)
        server.add("llama-2/x", b"")
        server.add("llama/sub/", b"")
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", server.address)
        yield SimpleNamespace(server=server, data=server, address="gs://models/llama", files=NESTED)


@pytest.fixture
def azure(monkeypatch):
    """A container that a signature opens."""
    with FakeAzure() as server:
        server.objects = {f"llama/{name}": content for name, content in NESTED.items()} | {"llama-2/x": b""}
        monkeypatch.setenv("PLINTH_AZURE_ENDPOINT", server.address)
        monkeypatch.setenv("AZURE_STORAGE_SAS_TOKEN", f"?sv=2021&sig={server.signature}")
        yield SimpleNamespace(server=server, data=server, address="az://account/models/llama", files=NESTED)


@pytest.fixture
def github(monkeypatch):
    """A release with three assets."""
    monkeypatch.delenv("GITHUB_TOKEN", raising=False)
    with FakeStorage() as storage, FakeGithub(storage) as server:
        for name, content in FLAT.items():
            server.add(name, content)
        monkeypatch.setenv("GITHUB_API_URL", server.address)
        yield SimpleNamespace(server=server, data=storage, address="github://acme/llama@v1", files=FLAT)


@pytest.fixture(params=["gcs", "azure", "github"])
def store(request):
    """Each of the stores in turn."""
    return request.getfixturevalue(request.param)


def rows_of(source):
    """The listing by name."""
    return {row.name: row for row in source.list_objects().objects}


def test_a_folder_is_listed_and_read(store):
    """Every file of every page is listed, without neighbours, and read byte for byte."""
    source = open_source(store.address)
    assert source.describe() == store.address
    rows = rows_of(source)
    assert {name: row.size for name, row in rows.items()} == {name: len(text) for name, text in store.files.items()}
    assert {name: read_all(source, row, STEP) for name, row in rows.items()} == store.files


@pytest.mark.parametrize("scheme", ["gs://models", "az://account/models"])
def test_one_object_can_be_named(gcs, azure, scheme):
    """An address of an object is that object."""
    source = open_source(f"{scheme}/llama/model.safetensors")
    assert read_all(source, rows_of(source)["model.safetensors"], STEP) == CONTENT


def test_checksums(gcs, azure, github):
    """Google tells CRC32C and MD5, Azure the MD5, GitHub the sha256."""
    github.server.add("old.txt", b"old", digest=False)
    found = {store.address[:2]: rows_of(open_source(store.address)) for store in (gcs, azure, github)}
    md5 = hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()
    sums = {scheme: rows["model.safetensors"].checksums for scheme, rows in found.items()}
    assert (sums["gs"].crc32c, sums["gs"].md5) == (google_crc32c.value(CONTENT), md5)
    assert (sums["az"].crc32c, sums["az"].md5) == (None, md5)
    assert sums["gi"].sha256 == hashlib.sha256(CONTENT).hexdigest()
    assert not found["gi"]["old.txt"].checksums.can_verify


def test_changed_objects_are_noticed(gcs, azure, stream):
    """Another generation, or another ETag, is refused."""
    found = [(source, rows_of(source)) for source in (open_source(store.address) for store in (gcs, azure))]
    gcs.server.add("llama/model.safetensors", CONTENT[::-1], generation=2)
    azure.server.objects["llama/model.safetensors"] = CONTENT[::-1]
    for source, rows in found:
        target = rows["model.safetensors"]
        with pytest.raises(ChangedError):
            stream(source).open_range(target, 0, 10)


def test_the_newest_release_is_named(github):
    """Without a tag the newest release is taken, and its tag is told."""
    assert open_source("github://acme/llama").list_objects().revision == "v1"


def test_an_asset_is_looked_for_once(github, stream):
    """Where an asset lies is asked once, and again when that place has ended; the token stays with the interface."""
    github.server.token = TOKEN
    source = type(open_source(github.address))(("acme/llama", "v1"), GithubAccess(github.server.address, TOKEN))
    target = rows_of(source)["model.safetensors"]
    session = stream(source)
    session.open_range(target, 0, 10).close()
    session.open_range(target, 10, 10).close()
    assert len(github.server.asked("GET", "/assets/1$")) == 1
    github.data.signature = 2
    session.open_range(target, 20, 10).close()
    assert len(github.server.asked("GET", "/assets/1$")) == 2


@pytest.mark.parametrize("status", [401, 403, 404, 429, 500, 503])
def test_refusals(store, stream, status):
    """Lists and ranges that are refused fail at once, with advice and without secrets; the rest can be tried again."""
    kind = {401: RefusedError, 403: RefusedError, 404: NotFoundError}.get(status, TransientError)
    source = open_source(store.address)
    target = rows_of(source)["model.safetensors"]
    store.server.log.clear()
    store.server.fail(status, headers={"Retry-After": "3"})
    with pytest.raises(kind, match=f"answered {status}") as listing:
        source.list_objects()
    assert len(store.server.log) == 1
    store.data.fail(status, headers={"Retry-After": "3"})
    with pytest.raises(kind, match=f"answered {status}") as reading:
        stream(source).open_range(target, 0, 10)
    for fault in (listing, reading):
        assert fault.type is kind
        assert "sig" not in str(fault.value).replace("signature", "")
        assert getattr(fault.value, "throttled", False) == (status in {429, 503})
    assert kind is TransientError or "check" in str(listing.value) or "GITHUB_TOKEN" in str(listing.value)


def test_who_asks_google(gcs):
    """Google's credentials give the token, which is renewed when it has ended."""
    renewed = []
    credentials = SimpleNamespace(valid=False, token=None)
    credentials.refresh = lambda request: renewed.append(request) or vars(credentials).update(token=TOKEN, valid=True)
    account = GcsAccount({}, lambda: credentials)
    assert [account.headers(), account.headers()] == [{"Authorization": f"Bearer {TOKEN}"}] * 2
    credentials.valid = False
    account.headers()
    assert len(renewed) == 2


def test_google_without_credentials(monkeypatch, tmp_path):
    """Where Google's library finds nobody, requests are anonymous; what it cannot use is refused."""
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    assert GcsAccount({}).headers() == {}

    def refresh(_):
        from google.auth.exceptions import RefreshError

        raise RefreshError(TOKEN)

    with pytest.raises(RefusedError, match="RefreshError; check") as fault:
        GcsAccount({}, lambda: SimpleNamespace(valid=False, refresh=refresh)).headers()
    assert TOKEN not in str(fault.value)


def test_who_asks_azure(azure):
    """Without a signature, the credential's token opens the container."""
    credential = SimpleNamespace(get_token=lambda _: SimpleNamespace(token=azure.server.token))
    account = AzureAccount("account", {"PLINTH_AZURE_ENDPOINT": azure.server.address}, lambda: credential)
    source = AzureFolder(azure.address, ("models", "llama"), account)
    assert read_all(source, rows_of(source)["model.safetensors"], STEP) == CONTENT


@pytest.mark.parametrize(
    ("variable", "make"),
    [
        ("STORAGE_EMULATOR_HOST", GcsAccount),
        ("PLINTH_AZURE_ENDPOINT", lambda given: AzureAccount("account", given)),
        ("GITHUB_API_URL", GithubAccess.read),
    ],
)
def test_endpoints_without_encryption_are_refused(variable, make):
    """Another endpoint must be https, or this machine."""
    with pytest.raises(SourceRefusedError, match=variable) as fault:
        make({variable: f"http://store.example/{TOKEN}"})
    assert TOKEN not in str(fault.value)


def test_azure_accounts_have_their_own_address():
    """An account is reached under its own name."""
    assert AzureAccount("acct", {}).endpoint == "https://acct.blob.core.windows.net"
