"""What an engine compiled is kept, brought back and shipped; in doubt it is not used, and the log says why."""

import io
import json
import os
import re
import shutil
import tarfile
from pathlib import Path

import pytest

from plinth_runtime.contract.cache import CacheFacts, compiled_settings
from plinth_runtime.contract.launch import LaunchConfig
from plinth_runtime.serving import engine_cache
from plinth_runtime.serving.cache_bundle import BundleError, read_table, unpack
from plinth_runtime.serving.engine_cache import EngineCache, describe_device, import_bundle

FACTS = {"engine": {"vllm": "0.32.0"}, "device": "cpu x", "model": "m" * 64, "settings": {"dtype": "auto"}}


@pytest.fixture
def node(tmp_path):
    """A function that makes the cache of a server with the given facts, ready for its engine, and collects its log."""
    caches, said = [], []

    def prepare(folder=tmp_path / "cache", **changes):
        made = EngineCache(folder, lambda place: CacheFacts(**(FACTS | changes), place=place), said.append)
        made.prepare()
        caches.append(made)
        return made

    prepare.said = said
    yield prepare
    for cache in caches:
        cache.close()


def compile_into(cache, **files):
    """What an engine does: files below its folder, in one start that became ready."""
    root = Path(cache.variables()["VLLM_CACHE_ROOT"])
    for name, text in files.items():
        path = root / "torch_compile_cache" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    cache.keep()
    return root


def seen(cache):
    """The files that an engine finds."""
    root = Path(cache.variables()["VLLM_CACHE_ROOT"])
    return {path.name: path.read_text() for path in root.rglob("*") if path.is_file()}


def test_the_second_start_finds_what_the_first_compiled(node):
    """Same facts, same files, at the same place; nothing is written when nothing is new."""
    first = node()
    root = compile_into(first, a="one", b="two")
    bundle, written = first.bundle, first.bundle.stat().st_ino
    first.close()
    second = node()
    assert seen(second) == {"a": "one", "b": "two"}
    assert second.live == root
    second.keep()
    assert bundle.stat().st_ino == written
    assert "cache: 2 compiled files" in node.said[-1]


@pytest.mark.parametrize(
    "change", [{"engine": {"vllm": "0.33.0"}}, {"device": "cpu y"}, {"model": "n" * 64}, {"settings": {"dtype": "f"}}]
)
def test_other_facts_are_another_cache(node, change):
    """A new engine, processor, model or setting finds nothing."""
    first = node()
    compile_into(first, a="one")
    first.close()
    assert seen(node(**change)) == {}


def test_what_a_dead_engine_left_is_not_used(node):
    """An engine that died before it was ready gets no cache the next time: it may have been the cause."""
    cache = node()
    compile_into(cache, a="one")
    assert seen(cache) == {"a": "one"}
    assert seen(cache) == {}
    assert "compiles anew" in node.said[-1]


def test_two_servers_do_not_share_a_folder(node):
    """The second starts without, and is told why."""
    node()
    assert node().variables() == {}
    assert "another server of this node uses it" in node.said[-1]


def flip(bundle):
    """Change one byte of the last file."""
    content = bytearray(bundle.read_bytes())
    content[content.rindex(b"precious")] ^= 1
    bundle.write_bytes(content)


def rewrite(bundle, change):
    """Write a bundle anew with other entries."""
    with tarfile.open(bundle) as archive:
        entries = [(entry, archive.extractfile(entry).read()) for entry in archive]
    with tarfile.open(bundle, "w") as archive:
        for entry, content in change(entries):
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))


def outside(entries):
    """A table and a file that lead out of the folder."""
    table = json.loads(entries[0][1])
    table["files"][0]["path"] = entries[1][0].name = "../../escaped"
    return [(entries[0][0], json.dumps(table).encode()), entries[1]]


def linked(entries):
    """A link in the place of the file."""
    entries[1][0].type, entries[1][0].linkname = tarfile.SYMTYPE, "/etc/passwd"
    return [entries[0], (entries[1][0], b"")]


DAMAGES = {
    "a changed byte": (flip, "is damaged"),
    "cut": (lambda bundle: os.truncate(bundle, bundle.read_bytes().rindex(b"precious") + 3), "cannot be unpacked"),
    "empty": (lambda bundle: os.truncate(bundle, 0), "is no bundle|begins with"),
    "no tar file": (lambda bundle: bundle.write_bytes(os.urandom(4096)), "is no bundle|begins with"),
    "no table": (lambda bundle: rewrite(bundle, lambda entries: entries[1:]), "begins with"),
    "a broken table": (lambda bundle: rewrite(bundle, lambda e: [(e[0][0], b"{}"), e[1]]), "table cannot be read"),
    "a file too many": (lambda bundle: rewrite(bundle, lambda e: [*e, e[1]]), "more files"),
    "a file too few": (lambda bundle: rewrite(bundle, lambda entries: entries[:1]), "is missing"),
    "a path outside": (lambda bundle: rewrite(bundle, outside), "leads out"),
    "a link": (lambda bundle: rewrite(bundle, linked), "is missing or has another size"),
    "writable by all": (lambda bundle: bundle.chmod(0o666), "written by everybody"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_bundle_that_is_not_whole_is_not_used(node, tmp_path, damage):
    """Nothing of it is unpacked, the reason is in the log, and the next good start replaces it."""
    spoil, reason = DAMAGES[damage]
    first = node()
    compile_into(first, a="precious")
    first.close()
    spoil(first.bundle)
    second = node()
    assert seen(second) == {}
    assert re.search(f"cache: not used: .*({reason})", node.said[-1]), node.said
    assert not list(tmp_path.rglob("escaped"))
    second.close()
    third = node()
    compile_into(third, a="again")
    third.close()
    assert seen(node()) == {"a": "again"}


def test_a_bundle_is_shipped(node, tmp_path):
    """Exported here and imported there, another node's first start finds it; its place must be the same."""
    first = node()
    compile_into(first, a="one")
    first.close()
    facts = read_table(first.bundle).facts
    shipped = tmp_path / "shipped.tar"
    shutil.copy(first.bundle, shipped)
    shutil.rmtree(tmp_path / "cache")
    assert import_bundle(shipped, facts, tmp_path / "cache").exists()
    assert seen(node()) == {"a": "one"}
    for changes in ({"device": "cpu y"}, {"engine": {"vllm": "1"}}, {"place": "/x"}):
        with pytest.raises(BundleError, match=f"made for another {next(iter(changes))}"):
            import_bundle(shipped, facts.model_copy(update=changes), tmp_path / "other")
    assert not list((tmp_path / "other").iterdir())


def test_the_oldest_bundles_go(node, monkeypatch):
    """A folder does not grow for ever."""
    monkeypatch.setattr(engine_cache, "MOST_BUNDLES", 2)
    for number in range(4):
        cache = node(device=f"cpu {number}")
        compile_into(cache, a="one")
        os.utime(cache.bundle, (number, number))
        cache.close()
    assert len(list(cache.bundle.parent.glob("*.tar"))) == 2


def test_a_folder_that_cannot_be_written_is_told(node, tmp_path):
    """The server starts without."""
    (tmp_path / "file").write_text("")
    assert node(folder=tmp_path / "file").variables() == {}
    assert "cache: not used" in node.said[-1]


def test_unpacking_leaves_nothing_half_done(node, tmp_path):
    """Where it fails there is no folder, not even a temporary one."""
    first = node()
    compile_into(first, a="precious")
    flip(first.bundle)
    target = tmp_path / "new" / "folder"
    target.parent.mkdir()
    with pytest.raises(BundleError):
        unpack(first.bundle, read_table(first.bundle).facts, target)
    assert not list(target.parent.iterdir())


CHANGES = [
    ("engine", "maxNumSeqs", 9),
    ("engine", "extraArgs", ["-O3"]),
    ("engine", "enforceEager", False),
    ("engine", "environment", {"VLLM_X": "1"}),
    ("model", "maxModelLen", 64),
    ("model", "dtype", "float32"),
    ("model", "kind", "embed"),
    ("model", "adapterFolders", ["/a"]),
]
SAME = [("engine", "cache", "/c"), ("engine", "environment", {"HELLO": "1"}), ("model", "servedName", "other")]


@pytest.mark.parametrize(("section", "field", "value"), CHANGES + SAME)
def test_what_compiled_code_depends_on(launch_document, section, field, value):
    """Settings that the compiler sees have a name of their own; those that it does not see share one."""
    launch_document["engine"].pop("environment")
    before = compiled_settings(LaunchConfig.model_validate(launch_document), 0)
    launch_document[section][field] = value
    after = compiled_settings(LaunchConfig.model_validate(launch_document), 0)
    assert (before == after) == ((section, field, value) in SAME)
    assert after != compiled_settings(LaunchConfig.model_validate(launch_document), 1)


def test_the_processor_is_described():
    """With its name or its features, whatever it is."""
    assert len(describe_device("cpu")) > 20
