"""Adapters of a running server: what may be loaded from where, and what the engine is told."""

import http.server
import json
import os
import threading

import pytest

from plinth_runtime.contract.launch import LaunchConfig
from plinth_runtime.errors import BadConfigError
from plinth_runtime.server import check_host
from plinth_runtime.serving.adapter_folder import AdapterError, highest_rank, read_rank
from plinth_runtime.serving.adapters import AdapterDesk, RefusedError
from plinth_runtime.serving.engine_http import Target


def make_adapter(folder, config='{"r": 4}', weights="adapter_model.safetensors"):
    """A folder that looks like an adapter."""
    folder.mkdir(parents=True)
    (folder / "adapter_config.json").write_text(config)
    (folder / weights).write_bytes(b"x")
    return folder


@pytest.mark.parametrize(
    ("config", "rank"),
    [
        ({"r": 8}, 8),
        ({"r": 8, "rank_pattern": {"q_proj": 32, "k_proj": 4}}, 32),
        ({"r": 8, "rank_pattern": None}, 8),
        ({"r": 0}, None),
        ({"r": True}, None),
        ({"r": "8"}, None),
        ({"r": 8, "rank_pattern": {"q_proj": "big"}}, None),
        ({}, None),
        ([], None),
    ],
)
def test_rank(config, rank):
    """The highest rank that any module needs; a configuration that does not say it is none."""
    assert highest_rank(config) == rank


@pytest.mark.parametrize(
    ("config", "weights", "words"),
    [
        ('{"r": 4}', "adapter_model.bin", "safe_serialization"),
        ("{", "adapter_model.safetensors", "cannot be read"),
        ("{}", "adapter_model.safetensors", "names no rank"),
        (" " * 2_000_000, "adapter_model.safetensors", "larger than"),
    ],
    ids=["a pickle", "damaged", "no rank", "huge"],
)
def test_what_is_no_adapter(tmp_path, config, weights, words):
    """Pickles, damaged and strange configurations are refused with the reason."""
    with pytest.raises(AdapterError, match=words):
        read_rank(make_adapter(tmp_path / "a", config, weights))


class Engine(http.server.BaseHTTPRequestHandler):
    """Takes every order but those for names that begin with "bad"."""

    def do_POST(self):
        """Answer as vLLM does."""
        order = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.orders.append((self.path, order, self.headers["x-plinth-agent"]))
        bad = order["lora_name"].startswith("bad")
        text = b'{"error": {"message": "no such module"}}' if bad else b"Success"
        self.send_response(500 if bad else 200)
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture
def engine():
    """An engine's server, with the orders it got."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Engine)
    server.orders = []
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    server.target = Target("127.0.0.1", server.server_port, 1, "token")
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def roots(tmp_path):
    """A folder from which adapters may come, with some inside and one outside."""
    for name in ("a", "b", "bad"):
        make_adapter(tmp_path / "allowed" / name)
    make_adapter(tmp_path / "allowed" / "wide", '{"r": 64}')
    make_adapter(tmp_path / "elsewhere" / "c")
    (tmp_path / "allowed" / "link").symlink_to(tmp_path / "elsewhere" / "c")
    (tmp_path / "allowed" / "loop").symlink_to(tmp_path / "allowed" / "loop")
    return tmp_path


@pytest.fixture
def desk(launch_document, roots):
    """A desk with one adapter from the launch; `said` are its words for the log."""
    launch_document["model"] |= {
        "adapters": [{"name": "first", "folder": str(roots / "allowed/a"), "rank": 4}],
        "adapterFolders": [str(roots / "allowed")],
    }
    said = []
    made = AdapterDesk(LaunchConfig.model_validate(launch_document), said.append)
    made.said = said
    return made


def names(desk):
    """Names of the adapters there are."""
    return [adapter["name"] for adapter in desk.tell()["adapters"]]


def test_add_and_remove(desk, engine, roots):
    """The engine is told with the agent's token, the log keeps it, and the list is what the next engine starts with."""
    added = desk.add("second", str(roots / "allowed/../allowed/b"), engine.target)
    assert (added.rank, names(desk)) == (4, ["first", "second"])
    desk.remove("first", engine.target)
    assert names(desk) == [adapter.name for adapter in desk.usable()] == ["second"]
    load = {"lora_name": "second", "lora_path": str(roots / "allowed/b")}
    assert engine.orders == [
        ("/v1/load_lora_adapter", load, "token"),
        ("/v1/unload_lora_adapter", {"lora_name": "first"}, "token"),
    ]
    assert len(desk.said) == 2


REFUSED = {
    "outside": ("x", "{}/elsewhere/c", 403, "outside model.adapterFolders"),
    "a way out": ("x", "{}/allowed/../elsewhere/c", 403, "outside"),
    "a link to the outside": ("x", "{}/allowed/link", 403, "outside"),
    "a link to itself": ("x", "{}/allowed/loop", 400, "loop"),
    "a neighbour of the same beginning": ("x", "{}/allowed-too", 403, "outside"),
    "relative": ("x", "allowed/b", 400, "absolute"),
    "a null byte": ("x", "{}/allowed/\0", 400, "absolute"),
    "empty": ("x", "", 400, "absolute"),
    "nothing there": ("x", "{}/allowed/nothing", 400, "adapter_model.safetensors"),
    "too high a rank": ("x", "{}/allowed/wide", 400, "above engine.maxAdapterRank = 16"),
    "a taken name": ("first", "{}/allowed/b", 409, "taken"),
    "the model's name": ("tiny", "{}/allowed/b", 409, "taken"),
    "a strange name": ("../x", "{}/allowed/b", 400, "name: String should match"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_may_not_come(desk, engine, roots, case):
    """Refused with the reason, and the engine never hears of it."""
    name, path, status, words = REFUSED[case]
    with pytest.raises(RefusedError, match=words) as refused:
        desk.add(name, path.format(roots), engine.target)
    assert refused.value.status == status
    assert not engine.orders
    assert names(desk) == ["first"]


def test_the_engine_has_the_last_word(desk, engine, roots):
    """What it refuses is not listed, and its reason is handed on; without an engine nothing is promised."""
    with pytest.raises(RefusedError, match="no such module") as refused:
        desk.add("bad", str(roots / "allowed/bad"), engine.target)
    assert refused.value.status == 422
    with pytest.raises(RefusedError, match="not ready") as absent:
        desk.add("second", str(roots / "allowed/b"), None)
    assert absent.value.status == 503
    with pytest.raises(RefusedError, match="there are first") as unknown:
        desk.remove("second", engine.target)
    assert unknown.value.status == 404
    assert names(desk) == ["first"]


def test_ten_and_no_more(desk, engine, roots):
    """The eleventh is refused."""
    for number in range(9):
        desk.add(f"n{number}", str(roots / "allowed/b"), engine.target)
    with pytest.raises(RefusedError, match="remove one first"):
        desk.add("eleventh", str(roots / "allowed/b"), engine.target)


def test_an_adapter_whose_folder_is_gone(desk, roots):
    """It is left out of the next start, which would fail otherwise, and that is said."""
    os.remove(roots / "allowed/a/adapter_config.json")  # noqa: PTH107 shorter
    assert desk.usable() == ()
    assert names(desk) == []
    assert "first is left out" in desk.said[0]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"folder": "/nowhere"}, r"model\.adapters\.0\.folder: /nowhere has no adapter_model"),
        ({"rank": 2}, r"model\.adapters\.0\.rank: 2, but .* needs 4"),
    ],
)
def test_listed_adapters_are_looked_at_before_the_start(launch_document, roots, change, words):
    """A launch whose adapter is not there, or not as planned, is refused before the engine is started."""
    adapter = {"name": "first", "folder": str(roots / "allowed/a"), "rank": 4} | change
    launch_document["model"]["adapters"] = [adapter]
    with pytest.raises(BadConfigError, match=words):
        check_host(LaunchConfig.model_validate(launch_document))
