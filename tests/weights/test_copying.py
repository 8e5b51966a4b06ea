"""Copies from store to store: the same model under the same digest, checked on the way, nothing kept here."""

import json
import threading

import pytest
from click.testing import CliRunner
from fakes.object_server import FOREVER, Fault, ObjectServer
from weights.making import PART, SHARD, contents, flip, noise, safetensors, settled

from plinth_runtime.cli import cli
from plinth_runtime.errors import CorruptWeightsError, FetchCancelledError, SourceRefusedError, SourceUnavailableError
from plinth_runtime.weights.copying import copy
from plinth_runtime.weights.offer import Wishes
from plinth_runtime.weights.publish import PublishOptions, publish
from plinth_runtime.weights.sources import RefusedError, TransientError
from plinth_runtime.weights.sources.local import LocalFolder, LocalUpload
from plinth_runtime.weights.sources.opening import open_source, open_store

pytestmark = [pytest.mark.processes, pytest.mark.timeout(180)]

MANIFEST = "plinth-manifest.json"
HEADER = 2
"""Requests for a shard's header, which come before any copy."""


@pytest.fixture
def bring(tmp_path):
    """A function that copies an address into a store that is a folder; gives what was copied."""

    def run(address, store=None, watch=lambda _: None, **wishes):
        return copy(open_source(address), store or open_store(str(tmp_path / "there")), Wishes(**wishes), watch)

    return run


def test_a_model_keeps_its_digest(origin, bring, weights, published, tmp_path):
    """A model with a manifest arrives with the same manifest, letter for letter; each byte is asked for once."""
    done = bring(origin.address)
    assert done.unvouched == ()
    assert (tmp_path / "there" / MANIFEST).read_bytes() == (published / MANIFEST).read_bytes()
    assert contents(tmp_path / "there") == contents(weights)
    large = [row for row in settled(origin).bodies("safetensors") if row.sent >= PART]
    assert len(large) == sum(len(data) // PART for name, data in contents(weights).items() if name.endswith("tensors"))


def test_nothing_vouches(bare_origin, bring, weights, tmp_path):
    """A model without a manifest gets one that says that its digests were learned."""
    done = bring(bare_origin.address)
    assert len(done.unvouched) == 4
    assert json.loads((tmp_path / "there" / MANIFEST).read_text())["learned"] is True
    assert contents(tmp_path / "there") == contents(weights)


SURVIVED = {
    "a body that ends early": [Fault("short", SHARD, times=3, at=1000, after=HEADER)],
    "a reset": [Fault("reset", SHARD, times=3, at=70000, after=HEADER)],
    "a flipped bit": [Fault("flip", SHARD, at=PART + 5)],
    "a burst of 503": [Fault("status", SHARD, code=503, times=4, retry_after="0", after=HEADER)],
}


@pytest.mark.parametrize("fault", SURVIVED)
def test_survived(origin, bring, weights, tmp_path, fault):
    """Parts that come late or damaged are asked for again."""
    origin.faults = SURVIVED[fault]
    times = origin.faults[0].times
    done = bring(origin.address)
    assert contents(tmp_path / "there") == contents(weights)
    assert done.published.counters.parts_again == times


def test_damage_that_stays(origin, bring, tmp_path):
    """A part that is always damaged ends the copy with its place; there is no manifest, so no model."""
    origin.faults = [Fault("flip", SHARD, times=FOREVER, at=PART + 5)]
    with pytest.raises(CorruptWeightsError, match=rf"{SHARD}, part 1, offset {PART}: expected CRC32C .*, found"):
        bring(origin.address)
    assert not (tmp_path / "there" / MANIFEST).exists()
    assert not (tmp_path / "there" / SHARD).exists()


def test_broken_weight_files(bare_origin, bring, weights, tmp_path):
    """A shard that was cut is noticed by its header before anything is stored."""
    with (weights / SHARD).open("r+b") as file:
        file.truncate(2 * PART)
    with pytest.raises(CorruptWeightsError, match="cut short or appended to"):
        bring(bare_origin.address)
    assert not (tmp_path / "there").exists()


def test_an_object_that_changes(bare_origin, bring, tmp_path):
    """An object that is overwritten meanwhile ends the copy with both versions."""
    bare_origin.faults = [Fault("overwrite", SHARD, after=HEADER)]
    with pytest.raises(SourceUnavailableError, match=r"changed while it was fetched: version .*, now "):
        bring(bare_origin.address)
    assert not (tmp_path / "there" / MANIFEST).exists()


class Stumbling(LocalFolder):
    """A store whose uploads fail as often as they are told to."""

    def __init__(self, folder, error, times):
        super().__init__(folder)
        self.error, self.times = error, times

    def begin(self, name, size, part_size):
        """Start a file that fails at first."""
        store = self

        class Upload(LocalUpload):
            def put_part(self, number, data, crc32c):
                store.times -= 1
                if store.times >= 0:
                    raise store.error
                super().put_part(number, data, crc32c)

        return Upload(self.folder / name, size, part_size)


@pytest.mark.parametrize("send", ["a folder", "a store"])
def test_a_store_that_stumbles(origin, bring, weights, tmp_path, send):
    """Parts that a store does not take are stored again; one that refuses ends it with its words."""

    def run(store):
        if send == "a store":
            bring(origin.address, store)
        else:
            publish(weights, store, PublishOptions(), lambda _: None)

    run(Stumbling(tmp_path / "there", TransientError("not now"), 3))
    assert contents(tmp_path / "there") == contents(weights)
    with pytest.raises(SourceRefusedError, match="not you"):
        run(Stumbling(tmp_path / "other", RefusedError("not you"), 1))
    assert not (tmp_path / "other" / MANIFEST).exists()


def test_cancelled(origin, bring, tmp_path):
    """A copy that is told to stop while its streams stand still stops at once, and there is no model."""
    origin.faults = [Fault("stall", "safetensors", times=FOREVER, at=9, after=8)]

    def stop(_):
        if origin.bodies("safetensors"):
            raise FetchCancelledError("told to")

    with pytest.raises(FetchCancelledError):
        bring(origin.address, watch=stop)
    assert not (tmp_path / "there" / MANIFEST).exists()


END_SECONDS = 20
"""For threads that have nothing to wait for; what they would wait for takes longer."""


@pytest.mark.parametrize("place", ["sending", "copying"])
def test_cancelled_in_a_pause(origin, bring, tmp_path, monkeypatch, place):
    """A copy that is told to stop while it waits to ask a store again does not wait any longer."""
    monkeypatch.setattr(f"plinth_runtime.weights.{place}.FIRST_PAUSE_SECONDS", 3 * END_SECONDS)
    monkeypatch.setattr("plinth_runtime.weights.copying.LONGEST_PAUSE_SECONDS", 3 * END_SECONDS)
    store, before = None, set(threading.enumerate())
    if place == "sending":
        store = Stumbling(tmp_path / "there", TransientError("not now"), FOREVER)
    else:
        origin.faults = [Fault("status", SHARD, code=503, times=FOREVER, after=HEADER)]

    def stop(counters):
        if counters.parts_again or any(row.status == 503 for row in origin.requests):
            raise FetchCancelledError("told to")

    with pytest.raises(FetchCancelledError):
        bring(origin.address, store, watch=stop)
    for thread in set(threading.enumerate()) - before:
        if thread.name.startswith("ThreadPool"):
            thread.join(END_SECONDS)
            assert not thread.is_alive()


def run(*arguments):
    """A command's exit code and what it says."""
    result = CliRunner().invoke(cli, [*map(str, arguments), "--json"])
    return result.exit_code, json.loads(result.stdout)


def test_the_command(origin, bare_origin, tmp_path, weights):
    """`publish URI URI` ends with 0, 4, 5 or 6 as a fetch does."""
    code, row = run("publish", origin.address, tmp_path / "a")
    assert (code, row["state"], row["files"]) == (0, "verified", 4)
    assert run("fetch", tmp_path / "a", "--to", tmp_path / "out", "--expect", row["manifest"])[0] == 0
    code, row = run("publish", bare_origin.address, tmp_path / "b")
    assert (code, row["state"], len(row["unvouched"])) == (4, "unverified", 4)
    flip(tmp_path / "a" / SHARD, PART + 1)
    code, row = run("publish", f"local://{tmp_path / 'a'}", tmp_path / "c")
    assert (code, row["state"]) == (5, "corrupt-weights")
    assert run("publish", f"{origin.address}/nothing", tmp_path / "d")[0] == 6


def test_through_a_cache(origin, tmp_path, weights, published):
    """A copy by way of a cache fetches nothing that is there already; the manifest is the same."""
    arguments = ("--cache", tmp_path / "cache")
    assert run("publish", origin.address, tmp_path / "a", *arguments)[0] == 0
    before = len(origin.bodies())
    code, row = run("publish", origin.address, tmp_path / "b", *arguments)
    assert (code, row["state"], len(origin.bodies())) == (0, "verified", before)
    assert (tmp_path / "b" / MANIFEST).read_bytes() == (published / MANIFEST).read_bytes()
    assert contents(tmp_path / "b") == contents(weights)


def test_parts_are_as_large_as_stores_want_them(tmp_path, bring):
    """Parts of 1 MiB, as published, are checked one by one and stored eight at a time: stores take none below 5 MiB."""
    root = tmp_path / "here"
    root.mkdir()
    (root / "model.safetensors").write_bytes(safetensors({"a": 20 * PART}, noise(20 * PART)))
    publish(root, open_store(str(root)), PublishOptions(part_size=PART), lambda _: None)
    sizes = []

    class Noting(LocalFolder):
        def begin(self, name, size, part_size):
            sizes.append((name, part_size))
            return super().begin(name, size, part_size)

    with ObjectServer(root) as server:
        bring(server.address, Noting(tmp_path / "there"))
        assert len(server.bodies("safetensors")) >= 20
    assert dict(sizes)["model.safetensors"] == 8 * PART
    assert contents(tmp_path / "there") == contents(root)
