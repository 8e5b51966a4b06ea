"""The benchmark: its arithmetic, its words, and what it says of servers that answer well, badly, or not at all."""

import json
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import click
import pytest
from click.testing import CliRunner

from plinth_runtime.bench.chart import histogram, lines_of
from plinth_runtime.bench.cli_bench import bench, read_url
from plinth_runtime.bench.client import read_answer, request_of
from plinth_runtime.bench.figures import Wait, benchmark_file, figures_of
from plinth_runtime.bench.wish import Outcome, Run, Server, Wish

pytestmark = pytest.mark.processes

KEY = "sk-bench"
PAUSE_SECONDS = 0.02
USAGE = {"prompt_tokens": 128, "completion_tokens": 3}


def event(**content):
    """One event of a stream."""
    return b"data: " + json.dumps(content).encode() + b"\n\n"


PIECE = event(choices=[{"text": " a"}])
STREAMS = {
    "good": [PIECE, PIECE, b": keep-alive\n\n", PIECE, event(choices=[], usage=USAGE), b"data: [DONE]\n\n"],
    "cut": [PIECE, PIECE],
    "error": [PIECE, event(error={"message": "the core died"}), b"data: [DONE]\n\n"],
    "uncounted": [PIECE, b"data: [DONE]\n\n"],
    "strange": [b"data: [5]\n\n", b"data: [DONE]\n\n"],
    "no-json": [b"data: {\n\n", b"data: [DONE]\n\n"],
    "empty": [event(choices=[], usage=USAGE), b"data: [DONE]\n\n"],
}


class Handler(BaseHTTPRequestHandler):
    """A server whose streams are those of a table; the Nth request gets the Nth kind, the last one for ever."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        """List one model, to who has the key."""
        allowed = self.headers["authorization"] == f"Bearer {KEY}"
        self._whole(200 if allowed else 401, {"data": [{"id": "tiny"}]} if allowed else {"error": "no key"})

    def do_POST(self):
        """Answer as the table says."""
        document = json.loads(self.rfile.read(int(self.headers["content-length"])))
        with self.server.lock:
            self.server.asked.append(document)
            kind = self.server.kinds[min(len(self.server.asked), len(self.server.kinds)) - 1]
        if kind == "full":
            self._whole(429, {"error": {"message": "too many"}})
            return
        self.send_response(200)
        self.send_header("connection", "close")
        self.end_headers()
        for piece in STREAMS[kind]:
            time.sleep(PAUSE_SECONDS)
            self.wfile.write(piece)
        self.close_connection = True

    def _whole(self, status, document):
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture
def serve():
    """A function that starts a server with the given kinds of answers."""
    servers = []

    def start(*kinds):
        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.kinds, server.asked, server.lock = kinds, [], threading.Lock()
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def run(tmp_path):
    """A function that runs the command on a server of ours."""
    (tmp_path / "key").write_text(KEY + "\n")

    def call(server, *options):
        url = f"http://127.0.0.1:{server.server_address[1]}/v1"
        return CliRunner().invoke(bench, [url, "--key-file", str(tmp_path / "key"), *options])

    return call


def test_a_good_server(serve, run):
    """Every request is one of its own, as wished; the file has real waits, counts and the stack file's field."""
    server = serve("good")
    result = run(server, "--clients", "2", "--requests", "6", "--max-tokens", "3", "--json")
    assert result.exit_code == 0, result.output
    said = json.loads(result.stdout)
    assert said["requests"] == {"succeeded": 6, "failed": 0, "errors": {}}
    assert len(server.asked) == 7  # the first warms up
    assert len({tuple(document["prompt"]) for document in server.asked}) == 7
    assert {(len(document["prompt"]), document["max_tokens"], document["model"]) for document in server.asked} == {
        (128, 3, "tiny")
    }
    waits = said["milliseconds"]
    pause = 1000 * PAUSE_SECONDS
    assert pause <= waits["timeToFirstToken"]["p50"] <= waits["endToEndLatency"]["p50"]
    assert pause / 2 < waits["interTokenLatency"]["p50"]
    assert 4 * pause <= waits["endToEndLatency"]["p50"]
    assert all(row["p50"] <= row["p90"] <= row["p99"] for row in waits.values())
    rate = said["throughput"]["outputTokensPerSecond"]
    assert rate == said["tokensPerSecond"]["value"] == pytest.approx(18 / said["seconds"], rel=0.01)
    assert said["throughput"]["totalTokensPerSecond"] == pytest.approx((18 + 768) / said["seconds"], rel=0.01)
    assert "2 clients" in said["tokensPerSecond"]["source"]


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("full", "status 429"),
        ("cut", "ended before its [DONE]"),
        ("error", "the core died"),
        ("uncounted", "no usage"),
        ("empty", "no usage or no text"),
        ("strange", "AttributeError"),
        ("no-json", "JSONDecodeError"),
    ],
)
def test_failures_are_counted(serve, run, kind, words):
    """A request without a whole answer is counted with its reason and takes part in no figure; the command fails."""
    result = run(serve("good", "good", kind, kind, "good"), "--clients", "1", "--requests", "4", "--json")
    assert result.exit_code == 1
    said = json.loads(result.stdout)
    assert (said["requests"]["succeeded"], said["requests"]["failed"]) == (2, 2)
    ((error, times),) = said["requests"]["errors"].items()
    assert words in error
    assert times == 2
    text = run(serve("good", "good", kind, kind, "good"), "--clients", "1", "--requests", "4").stdout
    assert "2 failed" in text
    assert words in text


def test_a_server_that_fails_at_once(serve, run):
    """If the first request fails nothing is measured, and the server's own words are told."""
    server = serve("full")
    result = run(server)
    assert result.exit_code == 1
    assert "model tiny failed: status 429" in result.stderr
    assert "too many" in result.stderr
    assert len(server.asked) == 1


def test_all_fail_after_the_first(serve, run):
    """Without one answer there is no rate, and none is written."""
    said = json.loads(run(serve("good", "cut"), "--requests", "3", "--json").stdout)
    assert said["tokensPerSecond"] is None
    assert said["milliseconds"] == {}
    assert said["throughput"]["outputTokensPerSecond"] == 0


def test_no_server(free_port):
    """Nobody listens: one line that says so, exit code 1."""
    result = CliRunner().invoke(bench, [f"http://127.0.0.1:{free_port()}"])
    assert result.exit_code == 1
    assert "does not answer" in result.stderr


def test_a_listener_that_is_no_server(run):
    """One that talks something else is told as it is."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def talk():
            connection, _ = listener.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"220 mail.example ESMTP\r\n")

        threading.Thread(target=talk, daemon=True).start()
        result = run(SimpleNamespace(server_address=listener.getsockname()))
    assert result.exit_code == 1
    assert "does not answer" in result.stderr


def test_wrong_key(serve, tmp_path):
    """The server's refusal is told, and no key is shown."""
    (tmp_path / "key").write_text("sk-wrong")
    url = f"http://127.0.0.1:{serve('good').server_address[1]}"
    result = CliRunner().invoke(bench, [url, "--key-file", str(tmp_path / "key")])
    assert (result.exit_code, "answered 401" in result.stderr, "sk-wrong" in result.output) == (1, True, False)


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("http://a.example/v1/", "http://a.example:80"),
        ("https://a.example/team/v1", "https://a.example:443/team"),
    ],
)
def test_addresses(url, address):
    """With and without port, path and `/v1`."""
    assert str(read_url(url, "")) == address


@pytest.mark.parametrize("url", ["127.0.0.1:8000", "ftp://a", "http://", "http://a:b", "http://u@a", "http://a?x=1"])
def test_no_addresses(url):
    """What is no base address is refused, with what to write."""
    with pytest.raises(click.BadParameter, match="write http://HOST:PORT"):
        read_url(url, "")


@pytest.mark.parametrize("text", ["", "two keys", "sk-é"])
def test_no_keys(tmp_path, text):
    """A file that does not hold one key is refused by its name."""
    (tmp_path / "key").write_text(text)
    result = CliRunner().invoke(bench, ["http://127.0.0.1:1", "--key-file", str(tmp_path / "key")])
    assert result.exit_code == 2
    assert "must hold one key" in result.stderr


def test_the_same_number_asks_the_same():
    """Requests are made from their number alone, so that two runs ask the same."""
    wish = Wish("tiny", prompt_tokens=5)
    assert request_of(wish, 3) == request_of(wish, 3) != request_of(wish, 4)


@pytest.mark.parametrize(
    ("values", "percent", "expected"),
    [((7.0,), 99, 7), ((1.0, 2.0, 3.0), 50, 2), (tuple(map(float, range(101))), 90, 90)],
)
def test_percentiles(values, percent, expected):
    """Between neighbours in proportion, as numpy and the engine's benchmark do it."""
    assert Wait("", "", values).percentile(percent) == pytest.approx(expected)


def test_arithmetic():
    """Two answers and one failure: waits, sums and rates by hand."""
    good = (Outcome((0.1, 0.2, 0.5), 10, 3), Outcome((0.3, 0.4), 20, 2), Outcome(error="no"))
    figures = figures_of(Wish("m"), Run(good, 2.0))
    first, between, whole = (wait.values for wait in figures.waits)
    assert first == pytest.approx((100, 300))
    assert between == pytest.approx((100, 100, 300))
    assert whole == pytest.approx((400, 500))
    assert (figures.output_tokens_per_second, figures.total_tokens_per_second) == (2.5, 17.5)
    assert (figures.requests_per_second, figures.failed, figures.errors) == (1.0, 1, (("no", 1),))


def test_key_is_not_written():
    """The benchmark file names the server and not its key."""
    figures = figures_of(Wish("m"), Run((Outcome((0.1,), 1, 1),), 1.0))
    server = Server(secure=False, host="a", port=1, key="sk-secret")
    assert "sk-secret" not in json.dumps(benchmark_file(figures, server, "now")) + repr(server)


@pytest.mark.parametrize(
    ("values", "drawn"),
    [([5.0], "█" + " " * 31), ([0.0, 32.0], "█" + " " * 30 + "█"), ([0.0] * 1000 + [32.0], "█" + " " * 30 + "▁")],
)
def test_histogram(values, drawn):
    """32 columns; the rarest value is still seen."""
    assert histogram(values) == drawn


def test_rows_for_people():
    """Throughput, then one row for each wait with three percentiles."""
    run = Run((Outcome((0.1, 0.2), 10, 2), Outcome((0.3, 0.5), 10, 2)), 2.0)
    lines = list(lines_of(figures_of(Wish("tiny"), run)))
    assert lines[0].startswith("tiny: 2 answers in 2.0 s; 8 clients")
    assert lines[1].startswith("2.0 generated tokens a second, 12.0 with prompts, 1.00 requests")
    assert [line[:15].strip() for line in lines[4:]] == ["first token", "between tokens", "whole answer"]
    assert lines[4].split()[2:5] == ["200.0", "280.0", "298.0"]


def test_a_stream_that_says_nothing():
    """No event at all is no answer."""
    assert read_answer([]).error == "the stream ended before its [DONE]"
