"""The gate's bounds: bodies, open requests, request ids, connections that say nothing, and 10,000 strange requests."""

import asyncio
import hashlib
import json
import random

import pytest
from support.gate import exchange, http, load, say

gate = load("plinth_middleware")
idle = load("plinth_idle")
asgi = load("plinth_asgi")
routes = load("plinth_routes")

PATH = "/v1/completions"
SERVED = routes.paths_for(routes.Use.LISTING, routes.Use.WORK)


async def echo(_scope, receive, send):
    """An engine that answers with the body it got."""
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


def make(app=echo, **environment):
    """A gate with small limits."""
    return gate.PlinthMiddleware(app, {"PLINTH_MAX_BODY_BYTES": "10", **environment})


@pytest.mark.parametrize(
    ("headers", "chunks", "status"),
    [
        ([], [b"0123456789"], 200),
        ([], [b"01234", b"", b"56789"], 200),
        ([], [b"0123456789a"], 413),
        ([], [b"01234", b"56789", b"a"], 413),
        ([(b"content-length", b"11")], [b"x"], 413),
        ([(b"content-length", b"10")], [b"0123456789"], 200),
        ([(b"content-length", b"nonsense")], [b"x"], 200),
    ],
)
def test_bodies_are_bounded(headers, chunks, status):
    """A body over the limit is refused, declared or not; one within it arrives whole."""
    said = say(make(), http(PATH, headers=headers), chunks)
    assert said.status == status
    if status == 200:
        assert said.body == b"".join(chunks)
    else:
        assert said.json["error"]["code"] == "body_too_large"
        assert said.headers[b"connection"] == b"close"


def test_a_dripping_body_is_not_waited_for(monkeypatch):
    """A client that does not finish its body in time is told so, and its place is free again."""
    monkeypatch.setattr(gate, "BODY_SECONDS", 0.05)
    app = make()
    said = say(app, http(PATH), [b"a", 5.0, b"b"])
    assert (said.status, said.json["error"]["code"]) == (408, "body_too_slow")
    assert app._open == 0


def test_who_leaves_before_the_body_is_complete_costs_nothing():
    """The engine never hears of such a request."""
    reached = []
    app = make(lambda *_: reached.append(1))

    async def leave():
        return {"type": "http.disconnect"}

    asyncio.run(app(http(PATH), leave, None))
    assert not reached
    assert app._open == 0


def test_open_requests_are_bounded():
    """The request over the limit is told when to come again; what costs nothing is answered, and places become free."""

    async def story():
        go, app = asyncio.Event(), None

        async def slow(scope, receive, send):
            if scope["path"] == PATH:
                await go.wait()
            await echo(scope, receive, send)

        app = make(slow, PLINTH_MAX_OPEN_REQUESTS="3")
        first = [asyncio.ensure_future(exchange(app, http(PATH))) for _ in range(3)]
        await asyncio.sleep(0)
        refused = await exchange(app, http(PATH))
        others = [(await exchange(app, http(path, "GET"))).status for path in ("/v1/models", "/v1/models")]
        go.set()
        served = [(await each).status for each in first]
        return refused, others, served, (await exchange(app, http(PATH))).status

    refused, others, served, last = asyncio.run(story())
    assert (refused.status, refused.json["error"]["code"], refused.headers[b"retry-after"]) == (429, "queue_full", b"1")
    assert others == [200] * 2
    assert served == [200] * 3
    assert last == 200


def test_the_agent_learns_how_many_are_open(tmp_path):
    """A request counts from the moment it is let in, before the engine has heard of it."""
    (tmp_path / "hash").write_text(hashlib.sha256(b"secret").hexdigest())
    asked = http("/plinth/open", "GET", [(b"x-plinth-agent", b"secret")])

    async def story():
        app = make(PLINTH_AGENT_FILE=str(tmp_path / "hash"))
        slow = asyncio.ensure_future(exchange(app, http(PATH), [b"a", 0.05, b"b"]))
        await asyncio.sleep(0)
        counts = [(await exchange(app, asked)).json["open"]]
        await slow
        return [*counts, (await exchange(app, asked)).json["open"]]

    assert asyncio.run(story()) == [1, 0]


def test_a_failing_engine_frees_the_place():
    """An exception behind the gate passes through and leaves no place taken."""

    async def fail(*_):
        raise RuntimeError("engine")

    app = make(fail)
    with pytest.raises(RuntimeError, match="engine"):
        say(app, http(PATH))
    assert app._open == 0


@pytest.mark.parametrize(
    ("given", "kept"), [(b"abc-1", True), (b"", False), (b"x" * 200, False), (b"a b", False), (b"a\x00", False)]
)
def test_refusals_carry_a_request_id(given, kept):
    """The caller's own id if it is harmless, otherwise a new one."""
    said = say(make(), http("/nothing", headers=[(b"x-request-id", given)]))
    assert (said.headers[b"x-request-id"] == given) is kept
    assert said.headers[b"x-request-id"]


class Connection:
    """A web server's connection as far as the gate looks at it."""

    def __init__(self, cycle, timer=None):
        self.cycle, self.timeout_keep_alive_task = cycle, timer
        self.transport = self
        self.closed = False

    def close(self):
        """Remember."""
        self.closed = True


class Cycle:
    """A request."""

    def __init__(self, complete):
        self.response_complete = complete


@pytest.mark.parametrize(
    ("connection", "silent"),
    [
        (Connection(None), True),
        (Connection(Cycle(complete=True)), True),
        (Connection(Cycle(complete=False)), False),
        (Connection(Cycle(complete=True), timer=object()), False),
        (object(), False),
    ],
)
def test_silent_connections(connection, silent):
    """Silent is who sends no request although the server waits for one without a timer of its own."""
    seen = {}
    assert not idle.overdue([connection], seen, 0.0)
    assert not idle.overdue([connection], seen, idle.HEADER_SECONDS - 1)
    assert bool(idle.overdue([connection], seen, idle.HEADER_SECONDS)) is silent
    assert idle.overdue([], seen, 99.0) == []
    assert seen == {}


def test_a_request_in_between_starts_the_time_anew():
    """Who sent a request since the last look has all the time for the next one, and so has a new connection."""
    seen, first = {}, Connection(None)
    assert not idle.overdue([first], seen, 0.0)
    first.cycle = Cycle(complete=True)
    assert not idle.overdue([first, Connection(None)], seen, idle.HEADER_SECONDS)
    assert idle.overdue([first], seen, 2 * idle.HEADER_SECONDS) == [first]


def test_silent_connections_are_closed(monkeypatch):
    """The look-out runs as long as the server lives, and ends with it."""
    monkeypatch.setattr(idle, "HEADER_SECONDS", 0.0)
    monkeypatch.setattr(idle, "LOOK_SECONDS", 0.01)
    connection = Connection(None)
    server = type("Server", (), {"server_state": type("State", (), {"connections": {connection}})})
    app = type("App", (), {"state": type("State", (), {"server": server})})

    async def behind(*_):
        await asyncio.sleep(0.1)

    asyncio.run(make(behind)({"type": "lifespan", "app": app}, None, None))
    assert connection.closed


WORDS = [
    "v1",
    "completions",
    "chat",
    "models",
    "invocations",
    "..",
    ".",
    "",
    "%2e",
    "//",
    "metrics",
    "health",
    "generate",
    "plinth",
    "probe",
    "\x00",
    "é",
    "💥",
    "tokenize",
    "a" * 300,
    "?",
    "#",
    ";",
    "\\",
    "healthz",
]
NAMES = [b"authorization", b"x-api-key", b"x-plinth-agent", b"content-length", b"x-request-id", b"content-type"]
VALUES = [
    b"",
    b"Bearer ",
    b"Bearer wrong",
    b"bearer\twrong",
    b"Basic eDp5",
    b"\xff\xfe",
    b"-1",
    b"9999999999",
    b"7",
    b"Bearer " + b"x" * 5000,
    b"Bearer \x00",
    b"null",
]
BODIES = [b"", b"{}", b"[", b"null", b'{"prompts":', b"\xff" * 9, b'{"model":1e999}', b"[" * 9, b"x" * 40]


def strange_request(dice):
    """A request that no good client sends: any path, any headers, any body, never a key that is right."""
    path = "/" + "/".join(dice.choices(WORDS, k=dice.randint(0, 4)))
    if dice.random() < 0.5:
        path = dice.choice(sorted(SERVED | set(gate.AGENT_PATHS)))
    headers = [(dice.choice(NAMES), dice.choice(VALUES)) for _ in range(dice.randint(0, 4))]
    method = dice.choice(["GET", "POST", "PUT", "HEAD", "OPTIONS", "BREW", ""])
    return http(path, method, headers), dice.choices(BODIES, k=dice.randint(1, 3))


@pytest.mark.slow
def test_ten_thousand_strange_requests(tmp_path):
    """None gets past the gate without a key, none breaks it, and each is answered in OpenAI's form."""
    (tmp_path / "keys").write_text(hashlib.sha256(b"right").hexdigest())
    (tmp_path / "agent").write_text(hashlib.sha256(b"agent").hexdigest())
    reached = []

    async def behind(scope, receive, send):
        reached.append(scope["path"])
        await echo(scope, receive, send)

    closed = make(behind, PLINTH_KEYS_FILE=str(tmp_path / "keys"), PLINTH_AGENT_FILE=str(tmp_path / "agent"))
    opened = make(behind, PLINTH_AGENT_FILE=str(tmp_path / "agent"))
    dice = random.Random(6)  # noqa: S311 a test's dice

    async def storm():
        for number in range(10_000):
            scope, chunks = strange_request(dice)
            said = await exchange(closed if number % 2 else opened, scope, chunks)
            assert said.status in {200, 401, 404, 413}
            assert number % 2 == 0 or said.status == (401 if scope["path"] in SERVED else 404)
            if said.status != 200 and scope["method"] != "HEAD":
                assert set(json.loads(said.body)["error"]) == {"message", "type", "param", "code"}
            assert said.status == 200 or len(said.headers[b"x-request-id"]) <= 128

    asyncio.run(storm())
    assert set(reached) <= SERVED
    assert closed._open == opened._open == 0


def test_the_answer_is_not_touched():
    """The engine is given the server's own `send`: whatever is streamed passes nothing of ours."""
    given = []

    async def behind(_scope, _receive, send):
        given.append(send)

    async def send(_message):
        raise AssertionError("nothing to say")

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    app = make(behind)
    for path in SERVED:
        asyncio.run(app(http(path), receive, send))
    assert given == [send] * len(SERVED)
