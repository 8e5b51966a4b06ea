"""The gate inside the engine: tested as the ASGI application it is, without an engine."""

import ast
import asyncio
import hashlib
import json
import sys

import pytest
from support.gate import INJECTED, load

gate = load("plinth_middleware")
keyring = load("plinth_keys")
routes = load("plinth_routes")


@pytest.fixture
def ask(tmp_path):
    """A function that sends one request and returns (status, body, headers); 200 comes from behind the gate."""

    def send_one(path, headers=(), keys=None, draining=False, kind="http"):
        environment = {
            "PLINTH_DRAINING_FILE": str(tmp_path / "draining"),
            "PLINTH_AGENT_FILE": str(tmp_path / "agent.hash"),
        }
        if draining:
            (tmp_path / "draining").touch()
        if keys is not None:
            environment["PLINTH_KEYS_FILE"] = str(keys)
        sent = []

        async def behind(_scope, _receive, send):
            await send({"type": "http.response.start", "status": 200, "headers": []})

        async def collect(message):
            sent.append(message)

        application = gate.PlinthMiddleware(behind, environment)
        scope = {"type": kind, "method": "POST", "path": path, "headers": list(headers)}

        async def receive():
            return {"type": "http.request", "body": b"", "more_body": False}

        asyncio.run(application(scope, receive, collect))
        if kind == "websocket":
            return sent
        body = json.loads(sent[1]["body"]) if len(sent) > 1 else None
        return sent[0]["status"], body, dict(sent[0]["headers"])

    return send_one


@pytest.fixture
def keys(tmp_path):
    """A keys file that accepts "alpha" and "beta"."""
    path = tmp_path / "keys"
    path.write_text("# people\n" + "".join(hashlib.sha256(key).hexdigest() + "\n" for key in (b"alpha", b"beta")))
    return path


BEARER = (b"authorization", b"Bearer alpha")


def routes_for(*uses):
    """Paths of the table."""
    return sorted(routes.paths_for(*uses))


@pytest.mark.parametrize("path", routes_for(routes.Use.LISTING, routes.Use.WORK))
def test_served_paths(ask, keys, path):
    """Without a keys file they are open; with one they want a key."""
    assert ask(path)[0] == 200
    assert ask(path, keys=keys)[0] == ask(path, [(b"authorization", b"Bearer gamma")], keys)[0] == 401
    assert ask(path, [BEARER], keys)[0] == 200


STRANGE = ["/v1/models/", "//v1/models", "/v1/responses/1", "/nothing", ""]


@pytest.mark.parametrize("path", [*routes_for(routes.Use.INSIDE, routes.Use.CLOSED), *STRANGE])
def test_other_paths_do_not_exist(ask, keys, path):
    """Everything else answers 404 in OpenAI's form, with a key and without: health and metrics are told elsewhere."""
    for headers in ([], [BEARER]):
        status, body, _ = ask(path, headers, keys)
        assert (status, body["error"]["code"]) == (404, "not_found")
        assert set(body["error"]) == {"message", "type", "param", "code"}


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([], 401),
        ([BEARER], 200),
        ([(b"authorization", b"bearer beta")], 200),
        ([(b"x-api-key", b"beta")], 200),
        ([(b"authorization", b"Bearer ")], 401),
        ([(b"authorization", b"Bearer gamma")], 401),
        ([(b"authorization", b"alpha")], 401),
        ([(b"authorization", b"Basic alpha"), (b"x-api-key", b"alpha")], 200),
    ],
)
def test_keys(ask, keys, headers, status):
    """A key is taken from either header and must be one of the file's."""
    assert ask("/v1/models", headers, keys)[0] == status


def test_how_to_give_a_key(ask, keys):
    """A 401 says how to give one."""
    status, body, headers = ask("/v1/models", keys=keys)
    assert (status, body["error"]["code"], headers[b"www-authenticate"]) == (401, "invalid_api_key", b"Bearer")


def test_keys_file_is_reread(keys):
    """A key that was taken out of the file is refused at once; without the file nobody enters."""
    ring = keyring.KeyRing(str(keys))
    assert ring.accepts(b"alpha")
    keys.write_text(hashlib.sha256(b"beta").hexdigest() + "\n")
    assert not ring.accepts(b"alpha")
    assert ring.accepts(b"beta")
    keys.unlink()
    assert not ring.accepts(b"beta")


def test_draining(ask):
    """While draining new requests are told to go elsewhere."""
    status, body, headers = ask("/v1/completions", draining=True)
    assert (status, body["error"]["code"], headers[b"retry-after"]) == (503, "draining", b"10")


@pytest.mark.parametrize(
    "attempt",
    [
        ("/metrics", b"secret", 200),
        ("/plinth/probe/v1/completions", b"secret", 200),
        ("/plinth/probe/v1/embeddings", b"secret", 200),
        ("/plinth/probe/v1/score", b"secret", 200),
        ("/health", b"secret", 200),
        ("/plinth/open", b"secret", 200),
        ("/plinth/open", b"wrong", 404),
        ("/v1/load_lora_adapter", b"secret", 200),
        ("/metrics", b"wrong", 404),
        ("/metrics", b"", 404),
        ("/health", b"wrong", 404),
        ("/v1/load_lora_adapter", b"wrong", 404),
        ("/v1/completions", b"secret", 401),
        ("/plinth/probe/v1/completions", b"wrong", 404),
        ("/plinth/probe/invocations", b"secret", 404),
    ],
)
def test_the_agent_has_its_own_door(ask, keys, tmp_path, attempt):
    """With its token the agent sees health and metrics and sends probes, even while draining; others do not."""
    path, token, status = attempt
    (tmp_path / "agent.hash").write_text(hashlib.sha256(b"secret").hexdigest() + "\n")
    assert ask(path, [(b"x-plinth-agent", token)], keys, draining=True)[0] == status


def test_websockets_are_refused(ask):
    """No websocket is opened, whatever its path."""
    assert ask("/v1/realtime", kind="websocket") == [{"type": "websocket.close", "code": 1008}]


def test_lifespan_passes(ask):
    """The server's own start and stop events are none of the gate's business."""
    assert ask("", kind="lifespan")[0] == 200


def test_many_keys(ask, tmp_path):
    """A thousand keys are accepted, each of them; the file may carry notes and empty lines."""
    path = tmp_path / "many"
    digests = [hashlib.sha256(str(number).encode()).hexdigest().upper() for number in range(1000)]
    path.write_text("# all of them\n\n" + "\n".join(digests))
    for number in (0, 500, 999):
        assert ask("/v1/models", [(b"x-api-key", str(number).encode())], path)[0] == 200
    assert ask("/v1/models", [(b"x-api-key", b"1000")], path)[0] == 401


ENTRY = "plinth_headless.py"
"""Starts the engine, so it imports it; nothing else there does."""


def test_they_stand_alone():
    """The folder's files have names that no other module has, and import the standard library and each other only."""
    files = [path for path in INJECTED.iterdir() if path.name != "__pycache__"]
    assert all(path.name.startswith("plinth_") for path in files)
    imported = {
        name.split(".")[0]
        for path in files
        if path.name != ENTRY
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([node.module] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names])
    }
    assert imported <= set(sys.stdlib_module_names) | {path.stem for path in files}
