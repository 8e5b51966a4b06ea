"""Keeping up with a cluster in threads, the loop around the agent, health and metrics."""

import socket
import sys
import threading
import time

import pytest
from click.testing import CliRunner
from fakes.model_cluster import ModelCluster
from node.simulation import World, cluster_model, source

from plinth_runtime.cli import cli
from plinth_runtime.contract.model_names import ModelKind
from plinth_runtime.errors import BadConfigError, PortTakenError
from plinth_runtime.node.agent import KindListed, ModelGone, ModelSeen, NodeSeen
from plinth_runtime.node.api import DownError, ExpiredError, ThrottledError
from plinth_runtime.node.attempts import Patience
from plinth_runtime.node.board import STILL_SECONDS, Board
from plinth_runtime.node.seen import Place
from plinth_runtime.node.watching import Watcher, follow_models, follow_node

QUICK = Patience(first=0.01, longest=0.02)
PLACE = Place("a", "/mnt/models")
LLAMA = cluster_model("llama")


def test_a_kind_is_listed_and_then_watched():
    """Everything that is there, that this was all, then what changes."""
    cluster = ModelCluster()
    cluster.declare(LLAMA, source("llama"))
    told = []

    def tell(news):
        told.append(news)
        if isinstance(news, KindListed):
            cluster.declare(cluster_model("later"), source("later"))
            cluster.remove(LLAMA)

    follow_models(cluster, ModelKind.CLUSTER_BASE_MODEL, PLACE, tell)
    assert [type(news) for news in told] == [ModelSeen, KindListed, ModelSeen, ModelGone]
    assert told[1].keys == {LLAMA}
    assert told[3].key == LLAMA


def test_the_node_is_followed():
    """Its labels, then other labels."""
    cluster = ModelCluster()
    cluster.add_node("a", pool="x")
    told = []

    def tell(news):
        told.append(news)
        if len(told) == 1:
            cluster.add_node("a", pool="y")

    follow_node(cluster, "a", tell)
    assert [(type(news), news.labels) for news in told] == [(NodeSeen, {"pool": "x"}), (NodeSeen, {"pool": "y"})]


def test_a_watcher_begins_anew_whatever_happens():
    """After errors with pauses, after an expired version and after an end at once; until it is stopped."""
    answers = [DownError("x"), ThrottledError("y", 0.02), ExpiredError("z"), None]
    calls, done, said = [], threading.Event(), []

    def follow():
        calls.append(time.monotonic())
        if len(calls) > len(answers):
            done.set()
            watcher.stop()
        elif (answer := answers[len(calls) - 1]) is not None:
            raise answer

    watcher = Watcher(follow, QUICK, lambda: 0.0, said.append)
    watcher.start()
    assert done.wait(10)
    assert len(said) == 2
    assert calls[2] - calls[1] >= 0.02


def test_health_tells_a_loop_that_stands_still():
    """Alive while the loop turns, ready once the cluster was seen, metrics by phase."""
    now = [0.0]
    world = World()
    node = world.add("a")
    board = Board(0, lambda: now[0])
    assert (board.answer("/livez")[0], board.answer("/readyz")[0], board.answer("/nothing")[0]) == (200, 503, 404)
    world.api.declare(LLAMA, source("llama"))
    world.run(20)
    board.turned(node.agent)
    assert board.answer("/readyz")[0] == 200
    metrics = board.answer("/metrics")[1].decode()
    assert 'plinth_node_models{phase="Ready"} 1.0' in metrics
    assert f"plinth_node_api_writes_total {float(node.agent.publisher.writes)}" in metrics
    now[0] += STILL_SECONDS
    assert board.answer("/livez")[0] == 503


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--root", "models"], "is not absolute"),
        (["--root", "/x", "--kubeconfig", "{empty}"], "cluster's access cannot be read"),
    ],
)
def test_what_cannot_work_is_said_at_once(tmp_path, arguments, words):
    """A relative root and a kubeconfig without a cluster end the program with a sentence."""
    empty = tmp_path / "empty"
    empty.write_text("{}")
    done = CliRunner().invoke(cli, ["node", "--node", "a", *(word.format(empty=empty) for word in arguments)])
    assert done.exit_code
    assert words in f"{done.output}{done.exception}"


def test_a_port_that_is_taken_is_named():
    """The class and the exit code of a taken port, not a traceback."""
    with socket.socket() as taken:
        taken.bind(("", 0))
        taken.listen()
        with pytest.raises(PortTakenError, match=str(taken.getsockname()[1])):
            Board(taken.getsockname()[1], time.monotonic)


def test_a_missing_library_is_named(tmp_path, monkeypatch):
    """Without the client library the program says what to install."""
    monkeypatch.setitem(sys.modules, "lightkube", None)
    monkeypatch.delitem(sys.modules, "plinth_runtime.node.kube", raising=False)
    done = CliRunner().invoke(cli, ["node", "--node", "a", "--root", str(tmp_path)])
    assert isinstance(done.exception, BadConfigError)
    assert "plinth-runtime[kubernetes]" in done.exception.hint
