"""The cache of a node: one download for all, snapshots beside each other, leases respected, the rest collected."""

import hashlib
import os
import time

import pytest
from fakes.object_server import ObjectServer
from hypothesis import given
from hypothesis import strategies as st
from weights.making import PART, SHARD, UNHURRIED, contents, flip, noise, safetensors

from plinth_runtime.errors import NoSpaceError
from plinth_runtime.weights.cache import Cache, model_name
from plinth_runtime.weights.cache_shelf import CacheShelf
from plinth_runtime.weights.collection import DiskState, SnapshotState, choose_victims
from plinth_runtime.weights.fetch import FetchOptions, fetch
from plinth_runtime.weights.plan_fetch import How
from plinth_runtime.weights.publish import PublishOptions, publish
from plinth_runtime.weights.sources.opening import open_source, open_store

pytestmark = pytest.mark.processes


@pytest.fixture
def cache(tmp_path):
    """An empty cache."""
    return Cache(tmp_path / "cache")


@pytest.fixture
def bring(cache):
    """A function that fetches an address into the cache."""

    def run(address, **how):
        source = open_source(address)
        shelf = CacheShelf(cache, model_name(source.describe()))
        return fetch(source, shelf, FetchOptions(how=How(**how)), lambda _: None)

    return run


@pytest.fixture
def republish(weights, published):
    """A function that publishes another version of the model's first shard."""

    def run(seed):
        (weights / SHARD).write_bytes(safetensors({"a": 3 * PART + 77}, noise(4 * PART, seed)))
        publish(weights, open_store(str(published)), PublishOptions(part_size=PART), lambda _: None)

    return run


def age(cache, seconds=10_000):
    """Make everything in the cache older."""
    then = time.time() - seconds
    for path in cache.root.rglob("*"):
        os.utime(path, (then, then), follow_symlinks=False)


def test_behaviour_13_the_second_pod_fetches_nothing(origin, bring, weights):
    """A model arrives in the cache once; the second to ask gets the same snapshot without a byte, in under a second."""
    first = bring(origin.address)
    assert (first.state, contents(first.folder)) == ("verified", contents(weights))
    before = len(origin.bodies())
    began = time.monotonic()
    second = bring(origin.address)
    assert time.monotonic() - began < 1
    assert (second.folder, len(origin.bodies())) == (first.folder, before)


def test_files_are_shared_by_content(origin, bring, cache, weights, tmp_path):
    """The same file of another model is not fetched again, and is on the disk once."""
    bring(origin.address)
    other = tmp_path / "other"
    other.mkdir()
    (other / "model.safetensors").write_bytes((weights / SHARD).read_bytes())
    publish(other, open_store(str(other)), PublishOptions(part_size=PART), lambda _: None)
    with ObjectServer(other) as server:
        result = bring(server.address)
        assert not server.bodies()
    assert contents(result.folder) == contents(other)
    assert (result.folder / "model.safetensors").stat().st_nlink == 3
    assert len(list(cache.blobs.iterdir())) == 4


def test_a_new_version_stands_beside_the_old(origin, bring, cache, republish, tmp_path):
    """A changed model is another snapshot; a link switches at once, and who has the old one keeps it."""
    link = tmp_path / "current"
    old = bring(origin.address)
    cache.link(old.folder, link)
    before = contents(old.folder)
    republish(5)
    new = bring(origin.address)
    assert new.folder != old.folder
    assert contents(link.resolve()) == before
    cache.link(new.folder, link)
    assert contents(link.resolve()) == contents(new.folder)
    assert contents(old.folder) == before != contents(new.folder)


def test_behaviour_16_collection(origin, bring, cache, republish):
    """Snapshots in use and the newest one stay; the others go, least recently used first, with their own blobs."""
    folders = [bring(origin.address).folder]
    for seed in (5, 6, 7):
        republish(seed)
        folders.append(bring(origin.address).folder)
    age(cache)
    for number, folder in enumerate(folders):
        os.utime(folder / ".plinth/READY", (number, number))
    cache.lease(folders[1], "pod-1")
    os.utime(folders[1] / ".plinth/READY", (0, 0))
    assert len(list(cache.blobs.iterdir())) == 7
    assert cache.make_room(1 << 60) == 2
    assert [folder.exists() for folder in folders] == [False, True, False, True]
    assert len(list(cache.blobs.iterdir())) == 5
    cache.release(folders[1], "pod-1")
    assert cache.make_room(1 << 60) == 1
    assert len(contents(folders[3])) == 4


def test_behaviour_16_leases_end(origin, bring, cache, republish, tmp_path):
    """A lease that is not renewed ends after ten minutes; a link holds as long as it points there."""
    first = bring(origin.address).folder
    republish(5)
    bring(origin.address)
    cache.lease(first, "pod-1")
    cache.link(first, tmp_path / "link")
    age(cache)
    assert cache.make_room(1 << 60) == 0
    (tmp_path / "link").unlink()
    assert cache.make_room(1 << 60) == 1
    assert not first.exists()


def test_behaviour_16_orphans_go(cache, origin, bring):
    """Unfinished files that nobody touched for a day, and blobs without a model, are removed; young ones stay."""
    bring(origin.address)
    (cache.snapshots / "m" / ".tmp-1").mkdir(parents=True)
    for name in ("partial/x-old.data", "blobs/sha256-0"):
        (cache.root / name).write_bytes(b"x")
    cache.collect()
    assert (cache.root / "partial/x-old.data").exists()
    assert (cache.root / "blobs/sha256-0").exists()
    age(cache, 3 * 24 * 3600)
    cache.collect()
    assert not (cache.root / "partial/x-old.data").exists()
    assert not (cache.root / "blobs/sha256-0").exists()
    assert not (cache.snapshots / "m" / ".tmp-1").exists()
    assert len(list(cache.blobs.iterdir())) == 4


def test_behaviour_11_room_is_made_first(origin, bring, cache, republish, monkeypatch):
    """Before a fetch gives up for want of room the cache forgets what nobody uses."""
    bring(origin.address)
    republish(5)
    bring(origin.address)
    age(cache)
    republish(6)
    monkeypatch.setattr("plinth_runtime.weights.fetch.free_bytes", lambda _: 0)
    monkeypatch.setattr("plinth_runtime.weights.cache.free_bytes", lambda _: 0)
    with pytest.raises(NoSpaceError, match=r"needs \d+ bytes"):
        bring(origin.address)
    assert len(list(cache.snapshots.glob("*/*"))) == 1


def test_a_blob_is_what_it_is_called(origin, bring, cache):
    """Blobs are read-only and named by the sha256 of their bytes, whatever a manifest says."""
    bring(origin.address)
    for blob in cache.blobs.iterdir():
        assert blob.name == f"sha256-{hashlib.sha256(blob.read_bytes()).hexdigest()}"
        assert blob.stat().st_mode & 0o777 == 0o444


def test_rot_in_the_cache_is_mended(origin, bring, cache, weights):
    """A blob that rotted is found when everything is read again; one part is fetched, and the snapshot is right."""
    folder = bring(origin.address).folder
    flip((folder / SHARD).resolve(), PART + 1)
    before = len(origin.bodies())
    assert contents(bring(origin.address, recheck=True).folder) == contents(weights)
    assert len(origin.bodies()) == before + 1


@UNHURRIED
@given(
    st.lists(
        st.builds(
            SnapshotState,
            st.sampled_from("ab"),
            st.uuids().map(str),
            st.floats(0, 100),
            st.integers(0, 100),
            st.booleans(),
            st.booleans(),
        )
    ),
    st.integers(0, 500),
)
def test_behaviour_16_nothing_needed_is_chosen(snapshots, wanted):
    """Whatever lies there: no live snapshot, no newest complete one, and no more than what frees the room."""
    victims = choose_victims(snapshots, wanted)
    assert not any(victim.live for victim in victims)
    for model in "ab":
        ready = [row for row in snapshots if row.model == model and row.ready]
        assert not ready or max(ready, key=lambda row: row.used_at) not in victims or len(ready) > 1
    assert sum(victim.own_bytes for victim in victims[:-1]) < wanted or not victims


@pytest.mark.parametrize(("free", "wanted"), [(11, 0), (10, 0), (9, 11), (0, 20)])
def test_watermarks(free, wanted):
    """Above 90 % used, room is made until 80 %."""
    assert DiskState(100, free).wanted_by_watermarks() == wanted
