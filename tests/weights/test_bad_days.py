"""Servers that misbehave: each fault is survived with the right bytes, or refused with the right words."""

import hashlib
import json
import os
import resource
import time
from dataclasses import replace
from pathlib import Path

import pytest
from fakes.object_server import FOREVER, Fault, ObjectServer
from weights.making import PART, SHARD, contents, flip, noise, safetensors, settled

from plinth_runtime.errors import (
    CorruptWeightsError,
    FetchCancelledError,
    NoSpaceError,
    SourceRefusedError,
    SourceUnavailableError,
)
from plinth_runtime.weights.board import Patience
from plinth_runtime.weights.publish import PublishOptions, publish
from plinth_runtime.weights.sources.opening import open_store

pytestmark = pytest.mark.processes


def survive(origin, get, weights, *faults):
    """Fetch from a server that stumbles: the model arrives whole and verified, and every fault came."""
    origin.faults = list(faults)
    result = get(origin.address)
    assert contents(result.folder) == contents(weights)
    assert result.state == "verified"
    assert all(row.times == 0 for row in origin.faults)
    return result


@pytest.mark.parametrize("kind", ["short", "reset"])
@pytest.mark.parametrize("at", [0, 1, 1000, 70000])
def test_behaviour_04_a_body_that_ends_early(origin, get, weights, kind, at):
    """A body that ends, by FIN or by RST, is asked for again: there is never a hole."""
    survive(origin, get, weights, Fault(kind, SHARD, times=3, at=at))


@pytest.mark.parametrize("kind", ["whole", "shifted"])
def test_behaviour_05_wrong_answers_are_asked_again(origin, get, weights, kind):
    """200 for a range, or another range, twice: nothing of it lands, and the third answer is taken."""
    survive(origin, get, weights, Fault(kind, SHARD, times=2))


BURSTS = {
    "429": Fault("status", code=429, times=12),
    "503 with Retry-After": Fault("status", code=503, times=6, retry_after="1"),
    "503 without": Fault("status", code=503, times=6),
}


@pytest.mark.parametrize("burst", BURSTS)
def test_behaviour_17_bursts_are_outlived(origin, get, weights, burst):
    """A store that complains is given time, and then gives everything."""
    assert survive(origin, get, weights, replace(BURSTS[burst])).counters.throttled


def test_behaviour_17_a_silent_stream_is_cut(origin, get, weights):
    """A stream that gives nothing is cut within its deadline and asked anew, while the others go on."""
    began = time.monotonic()
    survive(origin, get, weights, Fault("stall", SHARD, at=5000))
    assert time.monotonic() - began < 20  # the server would stay silent for a minute


def test_survived_everything_at_once(origin, get, weights):
    """Whatever comes together is survived too."""
    survive(
        origin,
        get,
        weights,
        Fault("short", times=2, at=10),
        Fault("reset", SHARD, times=2, at=100),
        Fault("status", code=503, times=3),
        Fault("status", code=500, times=4),
        Fault("flip", SHARD, at=9),
        Fault("whole", SHARD),
    )


def test_behaviour_07_a_flipped_bit_costs_one_part(origin, get):
    """One damaged part is fetched once more, and nothing else."""
    origin.faults = [Fault("flip", SHARD, at=PART + 5)]
    result = get(origin.address)
    assert result.counters.parts_again == 1
    assert len(origin.bodies(SHARD)) == 5


def test_behaviour_07_a_flipped_bit_that_stays(origin, get, published):
    """A part that is always damaged ends the fetch, with file, part, offset, and both checksums."""
    flip(published / SHARD, 2 * PART + 9)
    words = rf"{SHARD}, part 2, offset {2 * PART} .*: expected CRC32C [0-9a-f]{{8}}, found [0-9a-f]{{8}}, 3 times"
    with pytest.raises(CorruptWeightsError, match=words):
        get(origin.address)
    assert not (published.parent / "out/.plinth/READY").exists()
    assert not (published.parent / "out" / SHARD).exists()


@pytest.mark.parametrize("kind", ["whole", "shifted"])
def test_behaviour_05_wrong_answers_are_refused(origin, get, tmp_path, kind):
    """An origin that always answers another range is refused soon, and not a byte of it lands."""
    origin.faults = [Fault(kind, SHARD, times=FOREVER)]
    with pytest.raises(SourceRefusedError, match=r"to a range request|the store sent 'bytes"):
        get(origin.address)
    assert not (tmp_path / "out" / SHARD).exists()


def test_behaviour_06_an_object_that_is_overwritten(bare_origin, get, weights):
    """An object overwritten while it is fetched starts anew: the result is one version, never a mixture."""
    (weights / "data.txt").write_bytes(noise(17 << 20, 7))
    bare_origin.faults = [Fault("overwrite", "data.txt", after=1)]
    result = get(bare_origin.address, patience=Patience(first_backoff=0.01))
    assert (result.folder / "data.txt").read_bytes() == (weights / "data.txt").read_bytes()
    assert any(row.status == 412 for row in bare_origin.requests)


def test_behaviour_06_an_object_that_never_stands_still(bare_origin, get, weights):
    """An object that changes again and again ends the fetch with both versions named."""
    (weights / "data.txt").write_bytes(noise(17 << 20, 7))
    bare_origin.faults = [Fault("overwrite", "data.txt", times=FOREVER, after=1)]
    with pytest.raises(
        SourceUnavailableError, match=r'changed while it was fetched: version "\w+", now "\w+" \(3 times'
    ):
        get(bare_origin.address, patience=Patience(first_backoff=0.01))


@pytest.mark.parametrize("code", [400, 401, 403, 404])
def test_refusals_end_the_fetch_at_once(origin, get, code):
    """A server that says no is asked no more."""
    origin.faults = [Fault("status", SHARD, times=FOREVER, code=code)]
    began = time.monotonic()
    with pytest.raises(SourceRefusedError, match=f"{SHARD}: the store answered {code}") as refusal:
        get(origin.address)
    assert not refusal.value.retryable
    assert time.monotonic() - began < 3
    assert len([row for row in origin.bodies(SHARD) if row.status == code]) <= 5


@pytest.mark.parametrize("fault", [Fault("status", times=FOREVER, code=503), Fault("stall", times=FOREVER, at=10)])
def test_a_server_that_stays_away(origin, get, fault):
    """A server that never recovers ends the fetch after a while, with the advice to continue later."""
    origin.faults = [fault]
    with pytest.raises(SourceUnavailableError, match=r"no byte|tries") as refusal:
        get(origin.address)
    assert "continues where this one ended" in refusal.value.hint


def test_behaviour_17_throttling_takes_streams_away(origin, get):
    """A burst of complaints is counted, and the fetch waits as the server wishes."""
    origin.faults = [Fault("status", code=503, times=3, retry_after="1")]
    began = time.monotonic()
    result = get(origin.address)
    assert result.counters.throttled == 3
    assert time.monotonic() - began > 0.29


def test_behaviour_10_a_zeroed_region(origin, get, published):
    """A hole of zeros under a valid header is found by the parts' checksums."""
    with (published / SHARD).open("r+b") as file:
        file.seek(PART)
        file.write(bytes(PART))
    with pytest.raises(CorruptWeightsError, match=rf"{SHARD}, part 1, offset {PART} "):
        get(origin.address)


def test_behaviour_10_broken_structure_is_never_ready(bare_origin, get, weights, tmp_path):
    """A shard that is cut at the source is found before READY, even where no digest is known."""
    with (weights / SHARD).open("r+b") as file:
        file.truncate(2 * PART)
    with pytest.raises(CorruptWeightsError, match="cut short or appended to"):
        get(bare_origin.address)
    assert not (tmp_path / "out/.plinth/READY").exists()


def test_unverified_is_a_state(bare_origin, get, weights):
    """Without any checksum the model arrives, is called unverified, and its learned manifest says so."""
    result = get(bare_origin.address)
    assert (result.state, len(result.unvouched)) == ("unverified", 4)
    assert contents(result.folder) == contents(weights)
    assert json.loads((result.folder / "plinth-manifest.json").read_text())["learned"] is True


def test_expected_digests_vouch(bare_origin, get, weights):
    """Digests that the caller knows make a model without manifest verified; one that does not turn up is corrupt."""
    digests = [hashlib.sha256(data).hexdigest() for data in contents(weights).values()]
    assert get(bare_origin.address, expected=digests).state == "verified"
    with pytest.raises(CorruptWeightsError, match="was expected and no file has it"):
        get(bare_origin.address, expected=["0" * 64])


def test_a_pinned_manifest(origin, get):
    """A manifest's digest can be expected; another one is refused before a body is fetched."""
    digest = get(origin.address).manifest
    before = len(origin.bodies())
    assert get(origin.address, expected=[digest]).state == "verified"
    with pytest.raises(CorruptWeightsError, match="was expected; its plinth-manifest"):
        get(origin.address, expected=["0" * 64])
    assert len(origin.bodies()) == before


@pytest.mark.parametrize("name", ["../evil", "a/../../evil", "/etc/evil"])
def test_names_that_lead_out(origin, get, published, tmp_path, name):
    """A manifest whose names lead out of the folder is refused before anything is written."""
    path = published / "plinth-manifest.json"
    manifest = json.loads(path.read_text())
    manifest["files"][0]["path"] = name
    path.write_text(json.dumps(manifest))
    with pytest.raises(SourceRefusedError, match="leads out of the model folder"):
        get(origin.address)
    assert not list(tmp_path.rglob("evil"))


def test_links_in_the_target_are_not_followed(bare_origin, get, weights, tmp_path):
    """A link in the target folder that leads elsewhere is not written through."""
    (weights / "sub").mkdir()
    (weights / "sub" / "x.txt").write_text("x")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "sub").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SourceRefusedError, match="is a link"):
        get(bare_origin.address)
    assert not list((tmp_path / "elsewhere").iterdir())


def test_pickles_are_refused_unless_asked_for(bare_origin, get, weights):
    """A pickle file is refused before anything is fetched, and fetched when it is wanted."""
    (weights / "pytorch_model.bin").write_bytes(b"program")
    with pytest.raises(SourceRefusedError, match="pickle"):
        get(bare_origin.address)
    assert not bare_origin.bodies(SHARD)
    assert (get(bare_origin.address, allow_pickle=True).folder / "pytorch_model.bin").is_file()


def test_odd_files(bare_origin, get, weights):
    """An empty file, one of exactly n parts, a folder in a folder and names in other scripts arrive as they are."""
    (weights / "empty").touch()
    (weights / "two-parts.txt").write_bytes(noise(32 << 20, 3))
    (weights / "tief" / "模型 ü").mkdir(parents=True)
    (weights / "tief" / "模型 ü" / "a+b&c%20 (1).json").write_text("{}")
    result = get(bare_origin.address)
    assert contents(result.folder) == contents(weights)
    assert [row.range for row in bare_origin.bodies("two-parts")] != [None]


@pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY", "all_proxy", "https_proxy"])
def test_a_proxy_in_the_environment(origin, get, monkeypatch, name):
    """A proxy setting never stands between this machine and itself."""
    monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert get(origin.address).state == "verified"


def test_behaviour_11_a_disk_that_is_too_small(origin, get, monkeypatch, tmp_path):
    """Too little room is said within a second with both numbers, before any byte is fetched and nothing is left."""
    monkeypatch.setattr("plinth_runtime.weights.fetch.free_bytes", lambda _: 4096)
    began = time.monotonic()
    with pytest.raises(NoSpaceError, match=r"needs \d+ bytes for the missing files and has 4096 free"):
        get(origin.address)
    assert time.monotonic() - began < 1
    assert not origin.bodies()
    assert not list((tmp_path / "out/.plinth/partial").iterdir())


def test_cancel_within_two_seconds(origin, get, weights):
    """A fetch that is told to stop while streams stand still ends within two seconds, and the next one goes on."""
    origin.faults = [Fault("stall", SHARD, times=2, at=9)]

    def stop(counters):
        if counters.bytes_done > PART:
            stop.at = stop.at or time.monotonic()
            raise FetchCancelledError("told to")

    stop.at = 0.0
    with pytest.raises(FetchCancelledError):
        get(origin.address, watch=stop)
    assert time.monotonic() - stop.at < 2
    origin.faults = []
    origin.released.set()  # nobody waits for the streams that stood still any more
    before = sum(row.sent for row in settled(origin).bodies())
    result = get(origin.address)
    assert contents(result.folder) == contents(weights)
    assert sum(row.sent for row in settled(origin).bodies()) - before < sum(map(len, contents(weights).values()))


def test_behaviour_20_again_costs_nothing(origin, get):
    """A second run finds everything and asks for no body; it takes less than a second."""
    get(origin.address)
    before = len(origin.bodies())
    began = time.monotonic()
    assert get(origin.address).state == "verified"
    assert time.monotonic() - began < 1
    assert len(origin.bodies()) == before


def test_a_damaged_folder_is_mended(origin, get, weights):
    """A file that was altered after it arrived is mended by fetching only its damaged part."""
    folder = get(origin.address).folder
    flip(folder / SHARD, PART + 1)
    (folder / "config.json").unlink()
    before = len(origin.bodies())
    assert get(origin.address).state == "verified"
    assert contents(folder) == contents(weights)
    assert len(origin.bodies()) - before == 2


def test_silent_rot_is_found_by_looking_again(origin, get, weights):
    """Damage that changed no time stamp is found and mended when everything is to be read again."""
    folder = get(origin.address).folder
    state = (folder / SHARD).stat()
    flip(folder / SHARD, 5)
    os.utime(folder / SHARD, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert contents(get(origin.address, recheck=True).folder) == contents(weights)


def test_a_new_version_replaces_the_old(origin, get, published, weights, tmp_path):
    """A model published anew is fetched anew where it differs; files that it no longer has are removed."""
    (weights / "old.txt").write_text("old")
    publish(weights, open_store(str(published)), PublishOptions(part_size=PART), lambda _: None)
    folder = get(origin.address).folder
    assert (folder / "old.txt").exists()
    (weights / "old.txt").unlink()
    (weights / SHARD).write_bytes(safetensors({"a": 3 * PART + 77}, noise(4 * PART, 9)))
    publish(weights, open_store(str(published)), PublishOptions(part_size=PART), lambda _: None)
    before = len(origin.bodies("00002-of-00002"))
    get(origin.address)
    assert contents(folder) == contents(weights)
    assert len(origin.bodies("00002-of-00002")) == before


def test_many_small_files(tmp_path, get):
    """Hundreds of small files arrive, synced together."""
    root = tmp_path / "many"
    root.mkdir()
    for number in range(300):
        (root / f"{number}.txt").write_bytes(noise(1 + number % 4096, number))
    with ObjectServer(root, listing=True) as server:
        assert contents(get(server.address).folder) == contents(root)


@pytest.mark.parametrize("manifest", [True, False])
def test_few_files_are_open_at_once(tmp_path, get, manifest):
    """A thousand files are fetched by a process that may open two hundred."""
    root = tmp_path / "many"
    root.mkdir()
    for number in range(1000):
        (root / f"{number}.txt").write_bytes(b"%d" % number)
    if manifest:
        publish(root, open_store(str(root)), PublishOptions(), lambda _: None)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = len(list(Path("/proc/self/fd").iterdir()))
    resource.setrlimit(resource.RLIMIT_NOFILE, (used + 200, before[1]))
    try:
        assert contents(get(str(root)).folder) == contents(root)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
