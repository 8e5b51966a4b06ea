"""What a store's own checksums prove: full-object CRC32C, sha256, MD5 of one piece or of guessable parts."""

import base64
import hashlib
from dataclasses import replace

import google_crc32c
import pytest
from fakes.object_server import Fault, ObjectServer
from weights.making import noise

from plinth_runtime.errors import CorruptWeightsError
from plinth_runtime.weights.digests import md5_agrees
from plinth_runtime.weights.fetch import FetchOptions, fetch
from plinth_runtime.weights.shelf import FolderShelf
from plinth_runtime.weights.sources import Checksums, Listing
from plinth_runtime.weights.sources.opening import open_source

pytestmark = pytest.mark.slow

SIZE = 18 << 20


class Telling:
    """A source that says more of its objects than a web server can."""

    def __init__(self, address, **sums):
        self._real = open_source(address)
        self._sums = Checksums(**sums)
        self.describe, self.session = self._real.describe, self._real.session

    def list_objects(self):
        """The real list, with checksums."""
        rows = self._real.list_objects().objects
        return Listing(tuple(replace(row, checksums=self._sums) for row in rows))


@pytest.fixture
def server(tmp_path):
    """A server of one file of two parts."""
    root = tmp_path / "one"
    root.mkdir()
    (root / "data.txt").write_bytes(noise(SIZE))
    with ObjectServer(root, listing=True) as running:
        yield running


def multipart_md5(data, part):
    """As OCI and S3 make it of a multipart upload."""
    parts = [hashlib.md5(data[start : start + part]).digest() for start in range(0, len(data), part)]  # noqa: S324
    return f"{base64.b64encode(hashlib.md5(b''.join(parts)).digest()).decode()}-{len(parts)}"  # noqa: S324


DATA = noise(SIZE)
TOLD = {
    "full-object CRC32C": ({"crc32c": google_crc32c.value(DATA)}, "verified"),
    "sha256": ({"sha256": hashlib.sha256(DATA).hexdigest()}, "verified"),
    "MD5": ({"md5": hashlib.md5(DATA).hexdigest()}, "verified"),  # noqa: S324
    "nothing": ({}, "unverified"),
}


@pytest.mark.parametrize("told", TOLD)
def test_what_a_store_tells(server, tmp_path, told):
    """Each checksum that can be checked makes a file verified; what cannot be checked leaves it unverified."""
    sums, state = TOLD[told]
    source = Telling(server.address, **sums)
    assert fetch(source, FolderShelf(tmp_path / "out"), FetchOptions(), lambda _: None).state == state


@pytest.mark.parametrize(("mib", "state"), [(8, "verified"), (16, "verified"), (7, "unverified")])
def test_behaviour_09_only_the_md5_of_parts(server, tmp_path, mib, state):
    """An object with nothing but the MD5 of its parts' MD5s: verified if their size is usual, else said to be not."""
    source = Telling(server.address, multipart_md5=multipart_md5(DATA, mib << 20))
    assert fetch(source, FolderShelf(tmp_path / "out"), FetchOptions(), lambda _: None).state == state


@pytest.mark.parametrize("told", ["full-object CRC32C", "sha256", "MD5"])
def test_damage_on_the_way(server, tmp_path, told):
    """A bit that flips once on the way is found in the whole, and the file is fetched once more."""
    server.faults = [Fault("flip", "data", at=SIZE - 9)]
    source = Telling(server.address, **TOLD[told][0])
    assert fetch(source, FolderShelf(tmp_path / "out"), FetchOptions(), lambda _: None).state == "verified"
    assert (tmp_path / "out/data.txt").read_bytes() == DATA
    assert len(server.bodies("data")) == 4


@pytest.mark.parametrize("told", ["full-object CRC32C", "sha256", "MD5"])
def test_damage_at_the_source(server, tmp_path, told):
    """A file that is always damaged ends the fetch with the file and both checksums."""
    server.faults = [Fault("flip", "data", at=SIZE - 9, times=9)]
    source = Telling(server.address, **TOLD[told][0])
    with pytest.raises(CorruptWeightsError, match=r"data\.txt: expected (CRC32C|sha256|MD5) \w+, found .* 2 times"):
        fetch(source, FolderShelf(tmp_path / "out"), FetchOptions(), lambda _: None)
    assert not (tmp_path / "out/data.txt").exists()


@pytest.mark.parametrize(("size", "part"), [(16 << 20, 8 << 20), (5 << 20, 5 << 20), (1, 5 << 20)])
def test_behaviour_09_parts_that_fit_exactly(tmp_path, size, part):
    """A file of exactly n parts, or of one, has the MD5 that uploaders give it."""
    path = tmp_path / "x"
    path.write_bytes(DATA[:size])
    assert md5_agrees(path, Checksums(multipart_md5=multipart_md5(DATA[:size], part)))
