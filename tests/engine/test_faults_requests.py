"""What clients do to a real engine: bad requests, lost keys, hang-ups, and connections that say nothing."""

import hashlib
import http.client
import json
import resource
import socket
import threading
import time

import pytest
from support.engine import KEY, PROMPT, wait_until

pytestmark = [pytest.mark.engine, pytest.mark.timeout(400)]

HEADERS = {"content-type": "application/json", "authorization": f"Bearer {KEY}"}


def running(server):
    """Requests that the engine computes."""
    text = server.call("/metrics", management=True)[1]
    return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith("vllm:num_requests_running"))


def post(server, path, data, **headers):
    """(status, headers, body) of raw bytes."""
    connection = http.client.HTTPConnection("127.0.0.1", server.launch.api.port, timeout=60)
    try:
        connection.request("POST", path, data, HEADERS | headers)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"prompt": 5}', b'{"model": [], "prompt": {}}', b"[" * 50_000]
)
def test_malformed_bodies(server, body):
    """A body that is no request is the client's fault, told in JSON, and the server lives on."""
    server.wait_ready()
    status, _, text = post(server, "/v1/completions", body)
    assert 400 <= status < 500
    assert json.loads(text)
    assert server.call("/v1/models")[0] == 200


def test_ten_megabyte_prompt(server):
    """It is refused before the engine reads it."""
    server.wait_ready()
    begun = time.monotonic()
    try:
        status = post(server, "/v1/completions", json.dumps(PROMPT | {"prompt": "a" * 10_000_000}).encode())[0]
    except (BrokenPipeError, ConnectionResetError):
        status = 413  # refused while the client was still sending
    assert status == 413
    assert time.monotonic() - begun < 2


def test_request_ids(server):
    """A caller's id comes back, by the engine and by the gate alike."""
    server.wait_ready()
    body = json.dumps(PROMPT | {"max_tokens": 1}).encode()
    for path, status in (("/v1/completions", 200), ("/nowhere", 404)):
        answer = post(server, path, body, **{"x-request-id": "abc-7"})
        assert (answer[0], answer[1]["x-request-id"]) == (status, "abc-7")


def test_client_that_leaves_frees_its_slot(server):
    """A stream nobody reads any more is not computed any more."""
    server.wait_ready()
    body = json.dumps(PROMPT | {"max_tokens": 1000, "ignore_eos": True, "stream": True}).encode()
    connection = http.client.HTTPConnection("127.0.0.1", server.launch.api.port, timeout=10)
    connection.request("POST", "/v1/completions", body, HEADERS)
    connection.getresponse().read(200)
    wait_until(lambda: running(server) == 1, 5)
    connection.close()
    wait_until(lambda: running(server) == 0, 5)


def test_key_removed_while_in_use(server):
    """The open stream is finished, the next request with that key is refused, and another key works at once."""
    server.wait_ready()
    hashes = server.run_dir.keys.read_text()
    text = []
    body = PROMPT | {"max_tokens": 60, "ignore_eos": True, "stream": True}
    client = threading.Thread(target=lambda: text.append(server.call("/v1/completions", body)[1]))
    client.start()
    wait_until(lambda: running(server) == 1, 5)
    server.run_dir.keys.write_text(hashlib.sha256(b"new").hexdigest() + "\n")
    try:
        assert server.call("/v1/models")[0] == 401
        assert server.call("/v1/models", headers={"x-api-key": "new"})[0] == 200
        client.join(60)
    finally:
        server.run_dir.keys.write_text(hashes)
    assert text[0].count("data: {") == 60
    assert server.call("/v1/models")[0] == 200
    assert server.call("/readyz", management=True)[0] == 200  # the agent has a door of its own


def test_full_disk_for_logs(server):
    """A log that cannot be written costs lines, not the server; with room again it goes on."""
    server.wait_ready()
    limits = resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (server.run_dir.log.stat().st_size, limits[1]))
    try:
        for _ in range(5):
            assert server.call("/v1/completions", PROMPT | {"max_tokens": 1})[0] == 200
        size = server.run_dir.log.stat().st_size
        assert server.call("/readyz", management=True)[0] == 200
    finally:
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, limits)
    server.call("/v1/completions", PROMPT | {"max_tokens": 1})
    wait_until(lambda: server.run_dir.log.stat().st_size > size, 10)


@pytest.mark.exhaustive
def test_two_hundred_silent_connections(server):
    """They hold nobody up, and are closed after a while; so is one that drips its headers or its body."""
    server.wait_ready()
    address = ("127.0.0.1", server.launch.api.port)
    silent = [socket.create_connection(address) for _ in range(200)]
    dripping, body = socket.create_connection(address), socket.create_connection(address)
    dripping.sendall(b"POST /v1/completions HTTP/1.1\r\nhost: x\r\n")
    lines = (
        b"POST /v1/completions HTTP/1.1",
        b"host: x",
        b"content-length: 100",
        b"authorization: Bearer " + KEY.encode(),
    )
    body.sendall(b"\r\n".join(lines) + b"\r\n\r\n{")
    for _ in range(5):
        begun = time.monotonic()
        assert server.call("/v1/completions", PROMPT | {"max_tokens": 1})[0] == 200
        assert time.monotonic() - begun < 2
    for _ in range(10):
        time.sleep(4)
        dripping.sendall(b"a: b\r\n")
    assert b" 408 " in body.recv(200)
    time.sleep(30)
    for client in (*silent, dripping):
        client.settimeout(1)
        assert client.recv(1) == b""
        client.close()
    body.close()


FRENCH = (
    "Translate English to French: sea otter => loutre de mer, peppermint => menthe poivrée, plush girafe => "
    "girafe peluche, cheese =>"
)
SEED = {
    "prompts": [
        "I believe the meaning of life is",
        "Simply put, the theory of relativity states that ",
        "A brief message congratulating the team on the launch: Hi everyone, I just ",
        FRENCH,
    ],
    "parameters": {"max_gen_len": 128},
}


def test_generate(server):
    """The documented request: one answer for each prompt, in order; health needs no key."""
    server.wait_ready()
    status, text = server.call("/generate", SEED)
    assert status == 200
    assert [row["prompt"] for row in json.loads(text)["results"]] == SEED["prompts"]
    assert all(row["response"] and "error" not in row for row in json.loads(text)["results"])
    assert server.call("/healthz", headers={}) == (200, '{"status": "Healthy"}')
    assert server.call("/generate", SEED, headers={})[0] == 401


def test_generate_is_the_engine_itself(server):
    """Without heat the response is the text of `/v1/completions`, and prompts that fail do not take others along."""
    server.wait_ready()
    prompts = ["The capital of France is", "", "word " * 2000, "One, two, three,"]
    status, text = server.call("/generate", {"prompts": prompts, "parameters": {"temperature": 0, "max_gen_len": 8}})
    assert status == 200
    rows = json.loads(text)["results"]
    assert [("error" in row) for row in rows] == [False, True, True, False]
    for prompt, row in ((prompts[0], rows[0]), (prompts[3], rows[3])):
        alone = json.loads(server.call("/v1/completions", PROMPT | {"prompt": prompt, "max_tokens": 8})[1])
        assert row["response"] == alone["choices"][0]["text"]


@pytest.mark.parametrize(
    ("body", "status", "detail"),
    [
        ({"prompts": []}, 400, "Prompts are required and should be an array"),
        ({}, 422, None),
        ({"prompts": ["word " * 2000]}, 400, "Request Failed: "),
        ({"prompts": ["a"] * 33}, 400, "Request Failed: (33, 32)"),
    ],
)
def test_generate_refusals(server, body, status, detail):
    """The codes of the table, from the real engine."""
    server.wait_ready()
    code, text = server.call("/generate", body)
    assert code == status
    assert detail is None or json.loads(text) == {"detail": detail}


def test_generate_lets_go(server):
    """When its client leaves, all its prompts leave the engine."""
    server.wait_ready()
    document = {"prompts": ["Once upon a time"] * 4, "parameters": {"max_gen_len": 900}}
    connection = http.client.HTTPConnection("127.0.0.1", server.launch.api.port, timeout=10)
    connection.request("POST", "/generate", json.dumps(document), HEADERS)
    wait_until(lambda: running(server) == 4, 5)
    connection.close()
    wait_until(lambda: running(server) == 0, 5)


def test_parallel_generates(server):
    """64 calls at once are all answered, each with its own prompt and a text."""
    server.wait_ready()

    def ask(number):
        body = {"prompts": [f"Number {number} is"], "parameters": {"temperature": 0, "max_gen_len": 4}}
        return server.call("/generate", body)

    got = {}
    clients = [threading.Thread(target=lambda n=n: got.__setitem__(n, ask(n))) for n in range(64)]
    for client in clients:
        client.start()
    for client in clients:
        client.join(60)
    assert {status for status, _ in got.values()} == {200}
    for number, (_, text) in got.items():
        (row,) = json.loads(text)["results"]
        assert row["prompt"] == f"Number {number} is"
        assert row["response"]


@pytest.mark.exhaustive
def test_the_documented_command(start, tmp_path):
    """The documented curl command, its address changed, against a server without keys."""
    import subprocess

    server = start({"api": {"generate": True, "keysFile": None}})
    server.wait_ready()
    command = f"""curl -sS -X POST \\
     -H "Content-Type: application/json" \\
     -d '{json.dumps(SEED, ensure_ascii=False)}' \\
     http://127.0.0.1:{server.launch.api.port}/generate"""
    run = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True)
    assert len(json.loads(run.stdout)["results"]) == 4
