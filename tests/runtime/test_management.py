"""The management port: what is said to whom, and that nobody can block it."""

import json
import socket
import urllib.request
from dataclasses import replace

import pytest

from plinth_runtime.contract.launch import LaunchConfig
from plinth_runtime.contract.status import Phase
from plinth_runtime.errors import PortTakenError
from plinth_runtime.serving import management
from plinth_runtime.serving.adapters import AdapterDesk
from plinth_runtime.serving.answers import Call, Insight, answer
from plinth_runtime.serving.board import Board
from plinth_runtime.serving.management import ManagementPort
from plinth_runtime.serving.progress import WAY


@pytest.fixture
def board():
    """A board on a clock that stands still."""
    return Board("test", "ab" * 32, 1, clock=lambda: 0.0)


@pytest.fixture
def insight(board, launch_document):
    """What the port may know of it."""
    return Insight(
        status=board.status,
        ready=lambda: board.ready,
        alive=lambda: True,
        adapters=AdapterDesk(LaunchConfig.model_validate(launch_document), print),
        target=lambda: None,
        engine_metrics=lambda: b"",
        drain=lambda: None,
    )


@pytest.mark.parametrize(
    ("phase", "reachable", "codes"),
    [
        (Phase.VERIFYING, False, (503, 503, 200)),
        (Phase.LOADING, False, (503, 503, 200)),
        (Phase.READY, True, (200, 200, 200)),
        (Phase.READY, False, (503, 503, 200)),
        (Phase.DRAINING, True, (503, 503, 200)),
        (Phase.FAILED, True, (503, 503, 200)),
    ],
)
def test_codes(board, insight, phase, reachable, codes):
    """Startup and readiness are 200 exactly when clients may come; liveness is about the agent."""
    board.phase, board.reachable = phase, reachable
    got = tuple(answer(Call("GET", path), insight).status for path in ("/startupz", "/readyz", "/livez"))
    assert got == codes


def test_a_follower_does_its_part_while_it_lives(board, insight):
    """Whoever answers clients must be ready for that; another member of a group need not wait for its leader."""
    board.phase = Phase.READY
    cases = ((False, True, True, 200), (False, False, True, 503), (True, False, True, 200), (True, True, False, 503))
    for follows, ready, alive, code in cases:
        board.reachable = ready
        told = replace(insight, follows=follows, alive=lambda alive=alive: alive)
        assert answer(Call("GET", "/memberz"), told).status == code


@pytest.mark.parametrize(
    ("method", "path", "peer", "status"),
    [
        ("GET", "/", "127.0.0.1", 404),
        ("GET", "/readyz?x=1", "127.0.0.1", 503),
        ("POST", "/readyz", "127.0.0.1", 405),
        ("GET", "/drain", "127.0.0.1", 405),
        ("POST", "/drain", "127.0.0.1", 202),
        ("POST", "/drain", "::1", 202),
        ("POST", "/drain", "10.0.0.7", 403),
        ("POST", "/drain", "fe80::1%eth0", 403),
        ("HEAD", "/livez", "10.0.0.7", 200),
        ("GET", "/adapters", "10.0.0.7", 200),
        ("PUT", "/adapters", "127.0.0.1", 405),
        ("POST", "/adapters", "10.0.0.7", 403),
        ("POST", "/adapters", "127.0.0.1", 415),
        ("DELETE", "/adapters/x", "10.0.0.7", 403),
        ("DELETE", "/adapters/x", "127.0.0.1", 404),
        ("GET", "/adapters/x", "127.0.0.1", 405),
        ("DELETE", "/adapters/", "127.0.0.1", 404),
    ],
)
def test_routes(insight, method, path, peer, status):
    """Unknown paths, wrong methods and far-away drains are refused, in JSON."""
    said = answer(Call(method, path, peer), insight)
    assert said.status == status
    assert json.loads(said.body)


def test_metrics(board, insight):
    """Every figure of the status is there, under documented names."""
    board.phase, board.reachable, board.restarts, board.bytes_done = Phase.READY, True, 2, 7
    text = answer(Call("GET", "/metrics"), insight).body.decode()
    for line in (
        'plinth_phase{phase="ready"} 1.0',
        'plinth_phase{phase="failed"} 0.0',
        "plinth_ready 1.0",
        "plinth_engine_restarts_total 2.0",
        "plinth_weight_bytes_done 7.0",
        f'plinth_launch_info{{deployment="test",digest="{"ab" * 32}"}} 1.0',
    ):
        assert line in text


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"{", 400, "Invalid JSON"),
        (b"[]", 400, "body"),
        (b'{"name": 5, "path": "/a"}', 400, "name: Input should be a valid string"),
        (b'{"name": "a"}', 400, "path: Field required"),
        (b'{"name": "a", "path": "/a", "x": 1}', 400, "x: Extra inputs"),
        (b'{"name": "a", "path": "/a"}', 403, "model.adapterFolders is empty"),
    ],
)
def test_what_is_no_wish_for_an_adapter(insight, body, status, words):
    """Every fault of the body is told with its place."""
    said = answer(Call("POST", "/adapters", body=body), insight)
    assert said.status == status
    assert words in json.loads(said.body)["error"]


@pytest.mark.parametrize(("said", "scraped"), [(b"vllm:num_requests_running 3.0\n", 1.0), (b"", 0.0)])
def test_the_engines_metrics_follow(insight, said, scraped):
    """One scrape gives both; whether the engine answered is a figure of ours, and no family is there twice."""
    text = answer(Call("GET", "/metrics"), replace(insight, engine_metrics=lambda: said)).body.decode()
    assert f"plinth_engine_scraped {scraped}" in text
    assert text.endswith(said.decode())
    families = [line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")]
    assert len(set(families)) == len(families)
    assert all(family.startswith("plinth_") for family in families)


def test_percent_never_goes_back(board):
    """Progress within an engine's start is monotonic, and a restart begins anew."""
    board.enter(Phase.STARTING)
    board.advance(55)
    board.advance(20)
    assert board.status().percent == 55
    board.enter(Phase.READY)
    assert board.status().percent == 100
    board.enter(Phase.STARTING)
    assert board.status().percent == 10


def test_figures_of_a_start(board, insight):
    """What is not known is absent, not zero; what is known is there for every phase."""
    text = answer(Call("GET", "/metrics"), insight).body.decode()
    assert "plinth_startup_eta_seconds" not in text
    assert "plinth_phase_percent" not in text
    board.bytes_done, board.bytes_total = 5, 20
    board.known = dict.fromkeys(WAY, 3.0)
    text = answer(Call("GET", "/metrics"), insight).body.decode()
    for line in (
        "plinth_phase_percent 25.0",
        "plinth_startup_eta_seconds 9.0",
        'plinth_startup_elapsed_seconds{phase="verifying"} 0.0',
    ):
        assert line in text


@pytest.fixture
def port(insight, free_port):
    """A port that listens."""
    listening = ManagementPort("127.0.0.1", free_port(), insight)
    yield listening
    listening.close()


def test_it_listens_at_once(port):
    """An answer comes over the wire."""
    with socket.create_connection(("127.0.0.1", port.port), timeout=5) as client:
        client.sendall(b"GET /livez HTTP/1.0\r\n\r\n")
        assert client.recv(100).startswith(b"HTTP/1.0 200")


@pytest.mark.parametrize(
    ("head", "body", "status"),
    [
        (b"content-type: application/json\r\ncontent-length: 2", b"{}", b"400"),
        (b"content-type: text/plain\r\ncontent-length: 2", b"{}", b"415"),
        (b"content-type: application/json\r\ncontent-length: 70000", b"", b"413"),
        (b"content-type: application/json\r\ncontent-length: -1", b"", b"413"),
        (b"x: y", b"", b"415"),
    ],
)
def test_bodies_over_the_wire(port, head, body, status):
    """A body is read only with a length that is small, and counts only as JSON."""
    with socket.create_connection(("127.0.0.1", port.port), timeout=5) as client:
        client.sendall(b"POST /adapters HTTP/1.0\r\n" + head + b"\r\n\r\n" + body)
        assert client.recv(100).split()[1] == status


def test_taken(port, insight):
    """A second port on the same number is refused with the holder's name."""
    with pytest.raises(PortTakenError, match="the management port"):
        ManagementPort("127.0.0.1", port.port, insight)


def test_silent_clients_do_not_block_it(port, monkeypatch, until):
    """When silent clients fill all places, the old ones are ended and the next caller is answered."""
    monkeypatch.setattr(management, "CONNECTION_SECONDS", 0.0)
    silent = [socket.create_connection(("127.0.0.1", port.port)) for _ in range(management.CONNECTIONS)]

    def answered():
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port.port}/livez", timeout=2) as said:
                return said.status == 200
        except OSError:
            return False

    until(answered)
    for client in silent:
        client.close()
