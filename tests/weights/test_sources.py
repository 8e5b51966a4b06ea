"""Sources: what is listed, that a range is exactly a range, and which addresses are refused."""

import pytest

from plinth_runtime.errors import SourceRefusedError
from plinth_runtime.weights.sources import ChangedError, NotFoundError, RefusedError
from plinth_runtime.weights.sources.opening import open_source, open_store


@pytest.fixture
def folder(tmp_path):
    """A folder with a nested file, an empty one, a hidden one and a name in another script."""
    root = tmp_path / "model"
    (root / "sub").mkdir(parents=True)
    (root / "a.json").write_bytes(b"0123456789")
    (root / "sub" / "Größe 模型.txt").write_bytes(b"x")
    (root / "empty").touch()
    (root / ".hidden").touch()
    return root


def read(source, target, start, length):
    """The bytes of one range."""
    session = source.session()
    body = session.open_range(target, start, length)
    buffer = memoryview(bytearray(64))
    got = b""
    while count := body.readinto(buffer):
        got += bytes(buffer[:count])
    session.close()
    return got


@pytest.mark.parametrize("form", ["{}", "local://{}", "file://{}"])
def test_a_folder_is_listed_and_read(folder, form):
    """Every way to write a folder lists its files without hidden ones, and gives exactly the range asked for."""
    source = open_source(form.format(folder))
    rows = {row.name: row for row in source.list_objects().objects}
    assert {name: row.size for name, row in rows.items()} == {"a.json": 10, "empty": 0, "sub/Größe 模型.txt": 1}
    assert read(source, rows["a.json"], 3, 4) == b"3456"


def test_behaviour_20_a_claim_is_a_mounted_folder(folder, tmp_path, monkeypatch):
    """pvc:// is read where claims are mounted; without being told where that is, it is refused with what to do."""
    with pytest.raises(SourceRefusedError, match="was not told where that is") as refusal:
        open_source("pvc://claims/model")
    assert "PLINTH_CLAIMS_DIR" in refusal.value.hint
    monkeypatch.setenv("PLINTH_CLAIMS_DIR", str(tmp_path))
    source = open_source("pvc://serving:model/sub")
    assert [row.name for row in source.list_objects().objects] == ["Größe 模型.txt"]


def test_a_replaced_file_is_another_version(folder):
    """A file that changed since it was listed is refused before a byte of it is given."""
    source = open_source(str(folder))
    row = next(row for row in source.list_objects().objects if row.name == "a.json")
    (folder / "a.json").write_bytes(b"9876543210!")
    with pytest.raises(ChangedError, match=r"a\.json changed .* version"):
        source.session().open_range(row, 0, 4)


def test_links_out_of_the_folder_are_refused(folder, tmp_path):
    """A link that leads out of the folder is not followed; one that stays inside is a file like others."""
    (folder / "inside").symlink_to(folder / "a.json")
    assert "inside" in {row.name for row in open_source(str(folder)).list_objects().objects}
    (tmp_path / "secret").write_text("s")
    (folder / "outside").symlink_to(tmp_path / "secret")
    with pytest.raises(RefusedError, match="leads out of"):
        open_source(str(folder)).list_objects()


def test_nothing_there(tmp_path):
    """A folder that does not exist is not found."""
    with pytest.raises(NotFoundError, match="there is no folder"):
        open_source(str(tmp_path / "no")).list_objects()


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("http://models.example/llama", "not encrypted"),
        ("http://127.0.0.1:1/../etc", "steps out"),
        ("http://user:hunter2@127.0.0.1/x", "user, query or fragment"),
        ("https://user:hunter2@models.example/x", "user, query or fragment"),
        ("vendor://acme/models/llama-3", "vendor:// cannot be fetched from"),
        ("ftp://models.example/x", "unknown scheme"),
        ("local:///a/../b", "steps out"),
    ],
)
def test_refused_addresses(address, words):
    """An address that cannot be meant is refused with what is wrong, and never repeats a password."""
    with pytest.raises(SourceRefusedError, match=words) as refusal:
        open_source(address)
    assert "hunter2" not in str(refusal.value)


def test_a_web_server_takes_nothing():
    """Publishing to a plain web server is refused."""
    with pytest.raises(SourceRefusedError, match="https:// cannot be published to"):
        open_store("https://models.example/x")


def test_an_upload_appears_whole(tmp_path):
    """A file that is published has its name only when it is complete; one that is given up leaves nothing."""
    store = open_store(str(tmp_path / "out"))
    upload = store.begin("sub/x", 10, 6)
    upload.put_part(1, memoryview(b"6789"), 0)
    upload.put_part(0, memoryview(b"012345"), 0)
    assert not (tmp_path / "out/sub/x").exists()
    upload.complete(0)
    assert (tmp_path / "out/sub/x").read_bytes() == b"0123456789"
    store.begin("sub/y", 4, 4).abort()
    assert [path.name for path in (tmp_path / "out/sub").iterdir()] == ["x"]
