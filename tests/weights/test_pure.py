"""The rooms that only decide: checksums, parts, windows, names, structure."""

import google_crc32c.cext
import google_crc32c.python
import pytest
from hypothesis import given
from hypothesis import strategies as st
from weights.making import UNHURRIED, noise, safetensors

from plinth_runtime.contract.manifest import ManifestFile, WeightManifest
from plinth_runtime.weights.crc import combine, combine_all
from plinth_runtime.weights.names import is_bookkeeping, name_faults
from plinth_runtime.weights.parts import PART_BYTES, partial_key, plan_parts
from plinth_runtime.weights.reader import LEND_BYTES, extend_crc
from plinth_runtime.weights.sources import Checksums, RemoteObject
from plinth_runtime.weights.structure import structure_faults
from plinth_runtime.weights.window import StreamState, Window, adapt, first_window, streams_to_cut


@UNHURRIED
@given(st.binary(max_size=3000), st.lists(st.integers(1, 400), max_size=12), st.randoms(use_true_random=False))
def test_behaviour_08_parts_combine_to_the_whole(data, sizes, chance):
    """CRC32C of parts of any sizes, computed in any order, combine to that of the whole."""
    pieces, rest = [], data
    for size in sizes:
        pieces.append(rest[:size])
        rest = rest[size:]
    pieces.append(rest)
    order = list(range(len(pieces)))
    chance.shuffle(order)
    crcs = {number: google_crc32c.value(pieces[number]) for number in order}
    rows = [(crcs[number], len(pieces[number])) for number in range(len(pieces))]
    assert combine_all(rows) == google_crc32c.value(data)


def test_combining_long_lengths():
    """A length beyond 32 bits is combined as repeated appending would."""
    crc, length = google_crc32c.value(b"plinth"), (1 << 33) + 12345
    first = combine(crc, 0, length)
    assert combine(combine(crc, 0, length // 2), 0, length - length // 2) == first


@pytest.mark.parametrize("length", [0, 1, LEND_BYTES - 1, LEND_BYTES, 3 * LEND_BYTES + 7])
@pytest.mark.parametrize("lent", [True, False])
@pytest.mark.parametrize("extend", [google_crc32c.cext.extend, google_crc32c.python.extend])
def test_crc_of_memory_that_is_lent_or_not(monkeypatch, length, lent, extend):
    """Memory that can be written is lent to the hash, other is copied; in C and in Python it is the same checksum."""
    monkeypatch.setattr("google_crc32c.extend", extend)
    data = noise(length)
    view = memoryview(bytearray(data) if lent else data)
    assert extend_crc(google_crc32c.value(b"before"), view) == google_crc32c.value(b"before" + data)
    view.release()  # nothing holds it any longer


@pytest.mark.parametrize(
    ("size", "count", "last"),
    [(0, 0, None), (1, 1, 1), (PART_BYTES, 1, PART_BYTES), (2 * PART_BYTES, 2, PART_BYTES), (PART_BYTES + 1, 2, 1)],
)
def test_parts_cover_an_object(size, count, last):
    """Parts tile the object: none for nothing, no empty one behind a whole number of them."""
    parts = plan_parts(RemoteObject("x", size, "x"))
    assert len(parts) == count
    assert sum(part.length for part in parts) == size
    assert last is None or parts[-1].length == last
    assert all(part.start == part.number * PART_BYTES for part in parts)


def test_published_parts_are_used_where_they_fit():
    """Parts are those of the manifest, so that each can be checked; odd sizes are left to the whole's checksum."""
    sums = Checksums(part_size=1 << 20, part_crc32c=(1, 2))
    assert [part.expected for part in plan_parts(RemoteObject("x", 1 << 21, "x", checksums=sums))] == [1, 2]
    odd = Checksums(part_size=1000, part_crc32c=(1, 2))
    assert [part.expected for part in plan_parts(RemoteObject("x", 2000, "x", checksums=odd))] == [None]


def test_an_unfinished_file_is_known_by_its_version():
    """Another version, name or size is another unfinished file; without any version nothing can be continued."""
    base = RemoteObject("x", 5, "x", '"1"')
    others = [RemoteObject("x", 5, "x", '"2"'), RemoteObject("y", 5, "x", '"1"'), RemoteObject("x", 6, "x", '"1"')]
    assert len({partial_key(row) for row in [base, *others]}) == 4
    assert partial_key(RemoteObject("x", 5, "x")) is None


def test_behaviour_17_the_window_grows_halves_and_recovers():
    """More streams are kept while they bring 15 % of what they could, doubled while they bring as much as the others,
    taken away if they brought nothing, halved by a complaint, and tried again afterwards.
    """
    grown = adapt(Window(), 100.0, throttled=False, full=True)
    assert grown.streams == 32
    assert adapt(grown, 114.0, throttled=False, full=True) == Window()
    assert adapt(grown, 116.0, throttled=False, full=True).streams == 48
    assert adapt(grown, 199.0, throttled=False, full=True).streams == 64
    assert adapt(grown, 106.0, throttled=False, full=False) == grown
    halved = adapt(grown, 106.0, throttled=True, full=True)
    assert halved.streams == 16
    assert adapt(halved, 10.0, throttled=False, full=True).streams == 32
    assert adapt(Window(streams=1), 0.0, throttled=True, full=True).streams == 1
    assert adapt(Window(streams=127), 9.0, throttled=False, full=True).streams == 128
    assert adapt(Window(streams=128), 9.0, throttled=False, full=True) == Window(streams=128)


def test_busy_processors_end_growth_unless_the_connections_are_the_limit():
    """Where the processors are busy, streams that brought a little more are kept, and those that brought as much as the
    others are doubled, unless no processor is left; no trial begins.
    """
    grown = adapt(Window(), 100.0, throttled=False, full=True)
    assert adapt(grown, 116.0, throttled=False, full=True, busy=0.3) == Window(streams=32)
    assert adapt(grown, 104.0, throttled=False, full=True, busy=0.3) == Window()
    assert adapt(grown, 199.0, throttled=False, full=True, busy=0.3).streams == 64
    assert adapt(grown, 199.0, throttled=False, full=True, busy=0.6) == Window(streams=32)
    assert adapt(Window(), 100.0, throttled=False, full=True, busy=0.3) == Window()


@pytest.mark.parametrize(("processors", "streams"), [(1, 4), (2, 8), (4, 16), (64, 16)])
def test_the_first_window(processors, streams):
    """A fetch starts with 16 streams, or four for each processor where there are few."""
    assert first_window(processors).streams == streams


def test_streams_that_stand_still_are_cut():
    """A silent stream is cut; a slow one only when others are idle, and only once."""
    silent, slow, cut = StreamState(1, 9, 9), StreamState(2, 9, 0.1), StreamState(3, 9, 0.1, cuts=1)
    rows = [silent, slow, cut]
    assert streams_to_cut(rows, silence_limit=5, typical=1.0, idle=False) == (1,)
    assert streams_to_cut(rows, silence_limit=5, typical=1.0, idle=True) == (1, 2)
    assert streams_to_cut(rows, silence_limit=10, typical=3.0, idle=True) == ()
    assert streams_to_cut(rows, silence_limit=10, typical=None, idle=True) == ()


NAMES = {
    "../x": "leads out",
    "a/../../x": "leads out",
    "/etc/passwd": "leads out",
    "a//b": "leads out",
    "a\\b": "backslash",
    "a\nb": "control character",
    "x" * 256: "longer than",
    "pytorch_model.bin": "pickle",
    "a/b.PT": "pickle",
}


@pytest.mark.parametrize("name", NAMES)
def test_names_that_are_refused(name):
    """A name that leads out of the folder, cannot be written, or holds programs is refused with the reason."""
    assert NAMES[name] in " ".join(name_faults([name]))


def test_names_that_meet_each_other():
    """A name given twice and a file that is a folder as well are refused; other scripts are welcome."""
    assert "listed twice" in " ".join(name_faults(["a", "a"]))
    assert "a file and a folder" in " ".join(name_faults(["a", "a/b"]))
    assert name_faults(["模型/Größe.txt", "a b.json", "..x/y..z"]) == ()
    assert name_faults(["x.bin"], allow_pickle=True) == ()
    assert [is_bookkeeping(name) for name in ("a/.x", "plinth-manifest.json", "a.json")] == [True, True, False]


def test_an_old_manifest_keeps_its_digest():
    """A manifest without parts is written as before they existed, so that pinned digests stay right."""
    old = '{"files":[{"path":"x","sha256":"' + "0" * 64 + '","size":3}],"source":"","version":1}'
    assert WeightManifest.model_validate_json(old).canonical_json() == old


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"partSize": 2}, "come together"),
        ({"partSize": 2, "partCrc32c": "00000000"}, "has 1 parts, 3 bytes make 2"),
        ({"partSize": 2, "partCrc32c": "0000000"}, "pattern"),
    ],
)
def test_parts_that_do_not_fit_are_refused(changes, words):
    """A manifest whose parts do not make up the file is refused."""
    with pytest.raises(ValueError, match=words):
        ManifestFile.model_validate({"path": "x", "size": 3, "sha256": "0" * 64, **changes})


def faults_of(files):
    """Structure faults of files in memory."""
    sizes = {name: len(data) for name, data in files.items()}
    return " ".join(structure_faults(sizes, lambda name, start, length: files[name][start : start + length]))


def test_behaviour_10_broken_weight_files_are_found():
    """A cut or grown safetensors file, a missing shard and a tensor that no shard has are found; good ones are not."""
    good = safetensors({"a": 100}, noise(100))
    index = b'{"weight_map": {"a": "x.safetensors"}}'
    assert faults_of({"x.safetensors": good, "model.safetensors.index.json": index}) == ""
    assert "cut short or appended to" in faults_of({"x.safetensors": good[:-1]})
    assert "cut short or appended to" in faults_of({"x.safetensors": good + b"x"})
    assert "no safetensors file" in faults_of({"x.safetensors": bytes(500)})
    assert "names x.safetensors, which is not there" in faults_of({"model.safetensors.index.json": index})
    other = b'{"weight_map": {"b": "x.safetensors"}}'
    assert "names 1 tensors" in faults_of({"x.safetensors": good, "model.safetensors.index.json": other})
