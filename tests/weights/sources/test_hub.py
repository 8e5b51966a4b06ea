"""hf://: the real client library against a stand-in, our ranges, and what a refusal says."""

import hashlib

import pytest
from fakes.hub import COMMIT, FakeHub, FakeStorage
from fakes.store_server import read_all
from huggingface_hub import close_session

from plinth_runtime.errors import SourceRefusedError
from plinth_runtime.weights.sources import NotFoundError, RefusedError, TransientError
from plinth_runtime.weights.sources.hub import HubAccess, HubModel
from plinth_runtime.weights.sources.opening import open_source

pytestmark = pytest.mark.processes

TOKEN = "hf_SecretTokenOfAPerson"
CONTENT = bytes(range(256)) * 40
STEP = 3000


@pytest.fixture
def storage():
    """The server that large files lie on."""
    with FakeStorage() as server:
        yield server


@pytest.fixture
def hub(storage, monkeypatch):
    """A hub with one model of five files in two folders, one of them large."""
    for name in ("HF_TOKEN", "HF_TOKEN_PATH", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    with FakeHub(storage) as server:
        server.add("config.json", b'{"model_type": "llama"}')
        server.add("model.safetensors", CONTENT, large=True)
        server.add("tokenizer/Größe 模型 #1.json", b"{}")
        server.add("tokenizer/vocab.json", b'{"a": 1}')
        server.add("empty", b"")
        monkeypatch.setenv("HF_ENDPOINT", server.address)
        yield server
    close_session()


def rows_of(source):
    """The listing by name."""
    return {row.name: row for row in source.list_objects().objects}


def test_a_model_is_listed_at_its_commit(hub):
    """Every file of every page is listed with its size; the branch becomes a commit, large files have their sha256."""
    listing = open_source("hf://acme/llama").list_objects()
    assert listing.revision == COMMIT
    assert {row.name: row.size for row in listing.objects} == {name: len(text) for name, text in hub.files.items()}
    assert all(COMMIT in row.key and row.etag for row in listing.objects)
    digests = {row.name: row.checksums.sha256 for row in listing.objects if row.checksums.sha256}
    assert digests == {"model.safetensors": hashlib.sha256(CONTENT).hexdigest()}


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer/Größe 模型 #1.json"])
def test_files_are_read_by_ranges(hub, name):
    """Small files come from the hub, large ones from where it sends us, byte for byte."""
    source = open_source("hf://acme/llama@main")
    assert read_all(source, rows_of(source)[name], STEP) == hub.files[name]


def test_a_large_file_is_resolved_once(hub, storage):
    """The hub is asked once where a file lies, however many ranges are read of it."""
    source = open_source("hf://acme/llama")
    target = rows_of(source)["model.safetensors"]
    assert read_all(source, target, STEP) + read_all(source, target, STEP) == CONTENT * 2
    assert len(hub.asked("HEAD", "/resolve/")) == 1
    assert len(storage.log) == 8


def test_an_address_that_ended_is_asked_for_again(hub, storage, stream):
    """A presigned address that ends in the middle costs one more question, not the file."""
    source = open_source("hf://acme/llama")
    target = rows_of(source)["model.safetensors"]
    session = stream(source)
    session.open_range(target, 0, 10).close()
    storage.signature = 2
    body = session.open_range(target, 10, 4)
    buffer = memoryview(bytearray(4))
    assert body.readinto(buffer) == 4
    assert bytes(buffer) == CONTENT[10:14]
    assert len(hub.asked("HEAD", "/resolve/")) == 2


@pytest.mark.parametrize("given", ["variable", "file"])
def test_the_token_goes_to_the_hub_only(hub, storage, monkeypatch, tmp_path, given):
    """A private model is read with the token of the environment or of a secret's file; the storage never sees it."""
    hub.token = TOKEN
    (tmp_path / "token").write_text(TOKEN + "\n")
    monkeypatch.setenv(*{"variable": ("HF_TOKEN", TOKEN), "file": ("HF_TOKEN_PATH", str(tmp_path / "token"))}[given])
    source = open_source("hf://acme/llama")
    rows = rows_of(source)
    assert read_all(source, rows["config.json"], STEP) == hub.files["config.json"]
    assert read_all(source, rows["model.safetensors"], STEP) == CONTENT
    assert storage.log


@pytest.mark.parametrize(
    ("break_it", "kind", "words"),
    [
        (lambda hub: setattr(hub, "token", "another"), RefusedError, "answered 401 .* check that the token"),
        (lambda hub: setattr(hub, "gated", True), RefusedError, "answered 403 .*gated.*was given access"),
        (lambda hub: setattr(hub, "model", "acme/other"), NotFoundError, "answered 404 .*no such model"),
        (lambda hub: hub.revisions.clear(), NotFoundError, "answered 404 .*no such revision"),
        (lambda hub: hub.files.clear(), NotFoundError, "has no files"),
        (lambda hub: hub.fail(500, times=9), TransientError, "answered 500"),
    ],
)
def test_refusals_when_listing(hub, monkeypatch, break_it, kind, words):
    """What can never succeed fails at once with what to do, the rest can be tried again; no message has the token."""
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    break_it(hub)
    with pytest.raises(kind, match=words) as fault:
        open_source("hf://acme/llama").list_objects()
    assert fault.type is kind
    assert TOKEN not in str(fault.value)
    if kind is not TransientError:
        assert len(hub.log) <= 2


@pytest.mark.parametrize(("status", "kind"), [(401, RefusedError), (403, RefusedError), (404, NotFoundError)])
def test_refusals_of_a_range(hub, storage, stream, status, kind):
    """A refusal of a fresh address is final, and says neither the token nor the address."""
    source = HubModel("acme/llama", "main", HubAccess(hub.address, TOKEN))
    target = rows_of(source)["model.safetensors"]
    storage.fail(status, times=9)
    with pytest.raises(kind, match=rf"model\.safetensors.* answered {status}") as fault:
        stream(source).open_range(target, 0, 10)
    assert TOKEN not in str(fault.value)
    assert "signed-1" not in str(fault.value)
    assert len(storage.log) == 1


@pytest.mark.parametrize("status", [429, 503])
def test_throttling_says_how_long(hub, storage, status, stream):
    """Too many requests, at the hub or at its storage, can be tried again after the time that was asked for."""
    source = open_source("hf://acme/llama")
    target = rows_of(source)["model.safetensors"]
    storage.fail(status, headers={"Retry-After": "7"})
    with pytest.raises(TransientError) as fault:
        stream(source).open_range(target, 0, 10)
    assert (fault.value.throttled, fault.value.retry_after) == (True, 7.0)


def test_a_place_without_encryption_is_refused():
    """A hub on the network may not send us to where others listen, nor can one be named in the environment."""
    from plinth_runtime.weights.sources.hub import _judge_location

    _judge_location("https://cdn.example/x", "https://hub.example", "x")
    _judge_location("http://127.0.0.1:1/x", "http://127.0.0.1:2", "x")
    with pytest.raises(RefusedError, match="not encrypted"):
        _judge_location("http://127.0.0.1/x", "https://hub.example", "x")
    for address in ("http://hub.example", "hub.example", f"https://user:{TOKEN}@hub.example"):
        with pytest.raises(SourceRefusedError, match="HF_ENDPOINT") as fault:
            HubAccess.read({"HF_ENDPOINT": address})
        assert TOKEN not in str(fault.value)


def test_nothing_answers():
    """A hub that cannot be reached may be reached later."""
    with pytest.raises(TransientError, match=r"hf://a/b@main at http://127\.0\.0\.1:9"):
        HubModel("a/b", "main", HubAccess("http://127.0.0.1:9", TOKEN)).list_objects()


def test_a_hub_that_may_not_be_asked(hub, monkeypatch):
    """Where the library was told to stay offline, that is what the refusal says."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    close_session()
    with pytest.raises(RefusedError, match="HF_HUB_OFFLINE is set; unset it"):
        open_source("hf://acme/llama").list_objects()
    assert not hub.log


def test_secrets_are_not_printed():
    """Neither the access nor a permit shows what it holds."""
    assert TOKEN not in repr(HubAccess(token=TOKEN))
    with pytest.raises(SourceRefusedError, match="HF_TOKEN_PATH names /no/such"):
        HubAccess.read({"HF_TOKEN_PATH": "/no/such"})
