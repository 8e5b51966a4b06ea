"""Fetches as child processes: reports, ends, cancels within two seconds, secrets in the environment only; real disk."""

import hashlib
import json
import os
import queue
import sys
import time
from pathlib import Path

import pytest
from fakes.hub import FakeHub, FakeStorage

from plinth_runtime.contract.model_names import ModelKey, ModelKind
from plinth_runtime.contract.model_status import NodeProgress
from plinth_runtime.node.fetching import ChildFetcher, outcome, read_progress, reason_word
from plinth_runtime.node.record import Begun, Record
from plinth_runtime.node.shelves import DiskShelves
from plinth_runtime.node.tasks import Arrived, Failure, FetchTask
from plinth_runtime.weights.cache import Cache

KEY = ModelKey(ModelKind.CLUSTER_BASE_MODEL, "", "llama")
OTHER = ModelKey(ModelKind.CLUSTER_BASE_MODEL, "", "other")
SLOW = """
import json, signal, sys, time
row = {"bytesDone": 5, "bytesTotal": 10, "bytesPerSecond": 1}
print(json.dumps(row), file=sys.stderr, flush=True)
time.sleep(60)
"""
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + SLOW


def task(key=KEY, address="hf://acme/llama", folder="/nowhere", **environment):
    """A fetch."""
    return FetchTask(key, "wish", address, f"{folder}/{key.name}", environment)


@pytest.fixture
def reports():
    """What is reported."""
    return queue.SimpleQueue()


@pytest.fixture
def fetcher(tmp_path, reports):
    """A function that makes a fetcher whose fetches run this program; all end with the test."""
    made = []

    def make(program=None, capacity=2):
        command = (sys.executable, "-c", program) if program else None
        options = {"command": command} if command else {}
        made.append(ChildFetcher(tmp_path / "root", reports.put, capacity, **options))
        return made[-1]

    yield make
    for item in made:
        item.close()


@pytest.mark.processes
def test_a_model_is_fetched_and_described(make_model, tmp_path, fetcher, reports):
    """The real command: begun, progress, arrived; the link leads to the snapshot; the record survives on disk."""
    origin = make_model(tmp_path / "origin", manifest=False)
    with FakeStorage() as storage, FakeHub(storage) as hub:
        for path in origin.iterdir():
            hub.add(path.name, path.read_bytes())
        fetcher().start(task(folder=tmp_path / "root/models", HF_ENDPOINT=hub.address))
        news = [reports.get(timeout=50).news]
        while not isinstance(news[-1], (Arrived, Failure)):
            news.append(reports.get(timeout=50).news)
    assert news[0] is None
    arrived = news[-1]
    assert isinstance(arrived, Arrived), arrived
    assert (tmp_path / "root/models/llama").resolve() == Path(arrived.snapshot)
    assert arrived.described["modelArchitecture"] == "LlamaForCausalLM"
    assert arrived.bytes == sum(path.stat().st_size for path in origin.iterdir())


@pytest.mark.processes
@pytest.mark.parametrize("program", [SLOW, STUBBORN], ids=["willing", "stubborn"])
def test_a_fetch_ends_within_two_seconds(program, fetcher, reports):
    """Also one that does not listen; nothing is said of it afterwards, and the next one takes its place."""
    made = fetcher(program, capacity=1)
    made.start(task())
    while reports.get(timeout=20).news is None:
        pass
    made.start(task(OTHER))
    began = time.monotonic()
    made.cancel(KEY)
    assert reports.get(timeout=20).key == OTHER
    assert time.monotonic() - began < 2.5


@pytest.mark.processes
def test_a_queued_fetch_is_cancelled_before_it_starts(fetcher, reports):
    """With all workers busy a cancel takes effect at once."""
    made = fetcher(SLOW, capacity=1)
    made.start(task())
    made.start(task(OTHER))
    made.cancel(OTHER)
    made.cancel(KEY)
    time.sleep(0.5)
    seen = set()
    while not reports.empty():
        seen.add(reports.get().key)
    assert OTHER not in seen


@pytest.mark.processes
def test_secrets_are_in_the_environment_only(fetcher, reports):
    """Not among the arguments, which every process of the node can read, and not in what is printed of a task."""
    program = """
import json, os, sys
print(json.dumps({"state": "bad-config", "message": os.environ["HF_TOKEN"][:3] + " " + " ".join(sys.argv)}))
sys.exit(10)
"""
    wanted = task(HF_TOKEN="hf_secret")
    fetcher(program).start(wanted)
    while (news := reports.get(timeout=20).news) is None:
        pass
    assert news.message.startswith("hf_ ")
    assert "hf_secret" not in news.message
    assert "hf_secret" not in repr(wanted)
    assert "HF_TOKEN" not in os.environ


DONE = {"state": "verified", "folder": "/nowhere", "manifest": "m", "bytes": 5}


@pytest.mark.parametrize(
    ("code", "answer", "wanted"),
    [
        (0, json.dumps(DONE), ("m", True)),
        (4, json.dumps({**DONE, "state": "unverified"}), ("m", False)),
        (6, json.dumps({"state": "source-refused", "message": "404", "advice": "look", "retryable": False}),
         ("SourceRefused", False)),
        (6, json.dumps({"state": "source-refused", "message": "503", "advice": "wait", "retryable": True}),
         ("SourceRefused", True)),
        (7, json.dumps({"state": "no-space", "message": "full", "advice": "free", "retryable": False}),
         ("NoSpace", False)),
        (-9, "", ("Internal", True)),
        (1, "Traceback", ("Internal", True)),
    ],
)  # fmt: skip
def test_ends_are_read(code, answer, wanted):
    """Success with and without a voucher, refusals by class, and a child that died without a word."""
    news = outcome(task(), code, answer, "last words")
    found = (news.content, news.verified) if isinstance(news, Arrived) else (news.reason, news.retryable)
    assert found == wanted


HALF = NodeProgress(bytes_done=1, bytes_total=2, bytes_per_second=3)


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ('{"bytesDone": 1, "bytesTotal": 2, "bytesPerSecond": 3, "other": 4}', HALF),
        ('{"bytesDone": 1}', None),
        ("{", None),
        ("words", None),
    ],
)  # fmt: skip
def test_progress_is_read(line, wanted):
    """A line that is no progress is passed over."""
    assert read_progress(line) == wanted


def test_reasons_are_words():
    """Causes are spelled as Kubernetes spells reasons."""
    assert reason_word("corrupt-weights") == "CorruptWeights"


# The disk.


@pytest.fixture
def shelves(tmp_path):
    """The shelves of a root, and a function that puts a finished model there and gives its record."""
    root = tmp_path / "root"
    made = DiskShelves(root)

    def put(name, content=b"{}", key=KEY):
        cache = Cache(root / "cache")
        cache.prepare()
        blob = cache.blobs / f"sha256-{hashlib.sha256(content).hexdigest()}"
        blob.write_bytes(content)
        rows = [{"path": "config.json", "size": len(content), "sha256": blob.name.removeprefix("sha256-")}]
        manifest = json.dumps({"version": 1, "source": name, "files": rows})
        digest = hashlib.sha256(manifest.encode()).hexdigest()
        snapshot = cache.snapshot(name, digest)
        (snapshot / ".plinth").mkdir(parents=True)
        (snapshot / "config.json").hardlink_to(blob)
        (snapshot / "plinth-manifest.json").write_text(manifest)
        ready = {"state": "verified", "manifest": digest, "source": name, "files": 1, "bytes": len(content)}
        (snapshot / ".plinth/READY").write_text(json.dumps(ready))
        return Record(
            kind=key.kind, name=key.name, declared="wish", address=f"hf://acme/{name}",
            link=str(root / "models" / key.name), snapshot=str(snapshot), content=digest,
        )  # fmt: skip

    return made, put


def blobs(root):
    """What the cache holds."""
    return sorted(path.name for path in (root / "cache/blobs").iterdir())


def test_a_record_is_intact_while_link_and_snapshot_are(shelves):
    """Another target, a missing READY, other content: each is noticed by looking at one small file."""
    made, put = shelves
    record = put("llama")
    assert not made.is_intact(record)
    made.link(record)
    assert made.is_intact(record)
    assert not made.is_intact(record.model_copy(update={"content": "other"}))
    made.keep(record)
    assert list(made.read_all()) == [record]
    (Path(record.snapshot) / ".plinth/READY").unlink()
    assert not made.is_intact(record)


def test_dropped_content_gives_its_bytes_back(shelves, tmp_path):
    """Blobs that only this snapshot held go; those of another stay; what a link or a lease holds stays."""
    made, put = shelves
    first, second = put("llama", b'{"a": 1}'), put("other", b'{"a": 1}', OTHER)
    made.link(first)
    assert not made.drop(first.snapshot)
    made.unlink(first)
    Cache(tmp_path / "root/cache").lease(Path(first.snapshot), "server")
    assert not made.drop(first.snapshot)
    Cache(tmp_path / "root/cache").release(Path(first.snapshot), "server")
    assert made.drop(first.snapshot)
    assert len(blobs(tmp_path / "root")) == 1
    assert made.drop(second.snapshot)
    assert blobs(tmp_path / "root") == []
    assert made.drop(second.snapshot)


def test_only_links_that_were_made_are_removed(shelves):
    """A folder or another link at that place belongs to somebody."""
    made, put = shelves
    record = put("llama")
    place = Path(record.link)
    place.mkdir(parents=True)
    made.unlink(record)
    assert place.is_dir()
    place.rmdir()
    place.symlink_to("/etc")
    made.unlink(record)
    assert place.is_symlink()


def test_what_a_fetch_brought_unseen_is_adopted(shelves):
    """The agent died between link and record: the link tells; a fetch that is under way is left alone."""
    made, put = shelves
    record = put("llama")
    begun = Begun(kind=KEY.kind, name=KEY.name, declared="wish", address=record.address, link=record.link)
    made.begin(begun)
    assert list(made.adopt({KEY})) == []
    made.link(record)
    (found,) = made.adopt(set())
    assert (found.snapshot, found.content, found.verified) == (record.snapshot, record.content, True)
    assert list(made.adopt(set())) == []


def test_a_link_that_leads_elsewhere_is_not_adopted(shelves, tmp_path):
    """Whatever stands at the place of a link that was never made is not content of the cache."""
    made, _ = shelves
    link = tmp_path / "root/models/llama"
    link.parent.mkdir(parents=True)
    link.symlink_to(tmp_path)
    made.begin(Begun(kind=KEY.kind, name=KEY.name, declared="w", address="hf://a/b", link=str(link)))
    assert list(made.adopt(set())) == []


def test_old_content_is_not_taken_for_what_was_to_come(shelves):
    """The agent died before anything came: the link still leads to what the model was before, which is nothing new."""
    made, put = shelves
    record = put("llama")
    made.link(record)
    made.begin(Begun(kind=KEY.kind, name=KEY.name, declared="new", address="hf://acme/new", link=record.link))
    assert list(made.adopt(set())) == []


def test_damaged_records_are_passed_over(shelves, tmp_path):
    """A file that is no record costs nothing but a fetch that finds its bytes in the cache."""
    made, put = shelves
    made.keep(put("llama"))
    (tmp_path / "root/records/broken.json").write_text("{")
    assert len(list(made.read_all())) == 1
