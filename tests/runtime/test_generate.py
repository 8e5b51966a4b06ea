"""`/generate`: every row of the old service's table, on an engine that is an ASGI application of a few lines."""

import asyncio
import json
import random

import pytest
from support.gate import exchange, http, load, say

generate = load("plinth_generate")
llama = load("plinth_llama")

LENGTH = 4096
SEED = {
    "prompts": [
        "I believe the meaning of life is",
        "Simply put, the theory of relativity states that ",
        "A brief message congratulating the team on the launch: Hi everyone, I just ",
        "Translate English to French: sea otter => loutre de mer, peppermint => menthe poivrée, cheese =>",
    ],
    "parameters": {"max_gen_len": 128},
}


class Engine:
    """Tokens are characters; the answer is the prompt's length, `bad` prompts are refused, `slow` ones never end."""

    def __init__(self, healthy=True, silent=False):
        self.calls, self.left, self.healthy, self.silent = [], 0, healthy, silent

    async def __call__(self, scope, receive, send):
        """Answer as vLLM does."""
        text = (await receive())["body"]
        document = json.loads(text) if text else None
        self.calls.append((scope["path"], document))
        status, body = 200, None
        if scope["path"] == "/health":
            status = 200 if self.healthy else 503
        elif scope["path"] == "/tokenize":
            body = {"tokens": [ord(letter) for letter in document["prompt"]]}
        else:
            status, body = await self.complete(document, receive)
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b"" if body is None else json.dumps(body).encode()})

    async def complete(self, document, receive):
        """`/v1/completions`."""
        prompts = ["".join(map(chr, ids)) for ids in document["prompt"]]
        if any("slow" in prompt for prompt in prompts):
            assert (await receive())["type"] == "http.disconnect"
            self.left += 1
            return 200, None
        if any("crash" in prompt for prompt in prompts):
            raise RuntimeError("boom")
        if any("bad" in prompt for prompt in prompts):
            return 400, {"error": {"message": "no good"}}
        choices = [{"index": n, "text": f"{len(prompt)} characters"} for n, prompt in enumerate(prompts)]
        return 200, {"choices": [] if self.silent else choices[::-1]}

    def completions(self):
        """What was asked of it."""
        return [document for path, document in self.calls if path == "/v1/completions"]


@pytest.fixture
def engine():
    """An engine."""
    return Engine()


def ask(engine, body, limit=180.0, **others):
    """One `/generate`; a body that is no bytes is sent as JSON."""
    app = generate.Generate(engine, "m", LENGTH, limit)
    return say(app, http("/generate"), [body if isinstance(body, bytes) else json.dumps(body).encode()], **others)


def test_the_seed_request(engine):
    """The documented call: a result for each prompt, in order, and one call of the engine for all."""
    said = ask(engine, SEED)
    assert said.status == 200
    assert said.json == {
        "results": [{"prompt": prompt, "response": f"{len(prompt)} characters"} for prompt in SEED["prompts"]]
    }
    (call,) = engine.completions()
    assert (call["model"], call["max_tokens"], call["temperature"], call["top_p"]) == ("m", 128, 0.6, 0.9)


@pytest.mark.parametrize("parameters", [{}, None, "left out", {"unknown": 1, "max_gen_len": None}])
def test_defaults(engine, parameters):
    """Without parameters an answer may fill the sequence of 2048 tokens."""
    body = {"prompts": ["abc"]} | ({} if parameters == "left out" else {"parameters": parameters})
    assert ask(engine, body).status == 200
    (call,) = engine.completions()
    assert (call["max_tokens"], call["temperature"], call["top_p"]) == (2045, 0.6, 0.9)


FORM = {
    b"": (0, "value_error.jsondecode"),
    b"{": (1, "value_error.jsondecode"),
    b"\xff": (0, "value_error.jsondecode"),
    b"[" * 100_000: (0, "value_error.jsondecode"),
    b"[]": (None, "type_error.dict"),
    b"{}": ("prompts", "value_error.missing"),
    b'{"prompts": null}': ("prompts", "type_error.list"),
    b'{"prompts": "a"}': ("prompts", "type_error.list"),
    b'{"prompts": ["a", 1]}': (1, "type_error.str"),
    b'{"prompts": ["a"], "parameters": []}': ("parameters", "type_error.dict"),
    b'{"prompts": ["a"], "parameters": {"temperature": "hot"}}': ("temperature", "type_error.float"),
    b'{"prompts": ["a"], "parameters": {"top_p": NaN}}': ("top_p", "type_error.float"),
    b'{"prompts": ["a"], "parameters": {"max_gen_len": 1.5}}': ("max_gen_len", "type_error.integer"),
    b'{"prompts": ["a"], "parameters": {"max_seq_len": true}}': ("max_seq_len", "type_error.integer"),
    b'{"prompts": ["a"], "parameters": {"max_batch_size": []}}': ("max_batch_size", "type_error.integer"),
}


@pytest.mark.parametrize("body", FORM, ids=lambda body: body[:60].decode("latin-1"))
def test_wrong_form(engine, body):
    """422 with the place and kind of the fault, and the engine is not asked."""
    place, kind = FORM[body]
    said = ask(engine, body)
    assert said.status == 422
    (fault,) = said.json["detail"]
    assert fault["loc"][0] == "body"
    assert place is None or fault["loc"][-1] == place
    assert fault["type"] == kind
    assert not engine.calls


def test_all_faults_of_form_come_together(engine):
    """As the framework of old did."""
    said = ask(engine, {"prompts": [1, 2], "parameters": {"top_p": "x", "temperature": "y"}})
    assert [fault["loc"][-1] for fault in said.json["detail"]] == [0, 1, "temperature", "top_p"]


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ({"prompts": []}, "Prompts are required and should be an array"),
        ({"prompts": ["a"] * 33}, "Request Failed: (33, 32)"),
        ({"prompts": ["a"] * 3, "parameters": {"max_batch_size": 2}}, "Request Failed: (3, 2)"),
        ({"prompts": ["a"] * 40, "parameters": {"max_batch_size": 64}}, "Request Failed: (40, 32)"),
        ({"prompts": ["a" * 9], "parameters": {"max_seq_len": 8}}, "Request Failed: "),
        ({"prompts": ["bad"]}, "Request Failed: no good"),
        ({"prompts": ["crash"]}, "Request Failed: boom"),
        ({"prompts": ["a"], "parameters": {"max_seq_len": 0}}, "max_seq_len must be between 1 and 2048, not 0"),
        ({"prompts": ["a"], "parameters": {"max_seq_len": 2049}}, "max_seq_len must be between 1 and 2048, not 2049"),
        ({"prompts": ["a"], "parameters": {"max_gen_len": 0}}, "max_gen_len must be between 1 and 2048, not 0"),
        ({"prompts": ["a"], "parameters": {"max_gen_len": 1e300}}, "max_gen_len must be between 1 and 2048"),
        ({"prompts": ["a"], "parameters": {"max_seq_len": 2000, "max_gen_len": 49}}, "must be at most 2048, not 2049"),
        ({"prompts": ["a"], "parameters": {"max_batch_size": 0}}, "max_batch_size must be at least 1, not 0"),
    ],
)
def test_what_cannot_be_done(engine, body, detail):
    """400 with one sentence."""
    said = ask(engine, body)
    assert said.status == 400
    if detail.startswith(("Request", "Prompts")):
        assert said.json == {"detail": detail}
    assert detail in said.json["detail"]


@pytest.mark.parametrize(
    ("parameters", "sampling"),
    [
        ({"temperature": 0}, (0.0, 1.0)),
        ({"temperature": -1, "top_p": 0.5}, (0.0, 1.0)),
        ({"top_p": 0}, (0.0, 1.0)),
        ({"top_p": 1.5}, (0.6, 1.0)),
        ({"temperature": 1, "top_p": 0.3}, (1.0, 0.3)),
        ({"max_seq_len": 2048}, (0.6, 0.9)),
        ({"max_gen_len": 128.0, "max_seq_len": 1920}, (0.6, 0.9)),
    ],
)
def test_sampling(engine, parameters, sampling):
    """Without heat, or with an empty nucleus, the likeliest token is taken."""
    assert ask(engine, {"prompts": ["a"], "parameters": parameters}).status == 200
    (call,) = engine.completions()
    assert (call["temperature"], call["top_p"]) == sampling


def test_lengths_are_those_of_each_prompt(engine):
    """Prompt and answer share the sequence; prompts with the same room share a call, a full one needs none."""
    body = {"prompts": ["a" * 90, "b" * 10, "c" * 20, "d" * 100], "parameters": {"max_seq_len": 100, "max_gen_len": 50}}
    said = ask(engine, body)
    assert [row["response"] for row in said.json["results"]] == ["90 characters", "10 characters", "20 characters", ""]
    assert sorted((len(call["prompt"]), call["max_tokens"]) for call in engine.completions()) == [(1, 10), (2, 50)]


def test_one_bad_prompt_does_not_lose_the_others(engine):
    """Its slot says why there is no response; the others have theirs, in order."""
    body = {"prompts": ["good", "bad", "crash", "fine", "x" * 3000], "parameters": {"max_gen_len": 5}}
    assert ask(engine, body).json["results"] == [
        {"prompt": "good", "response": "4 characters"},
        {"prompt": "bad", "response": "", "error": "no good"},
        {"prompt": "crash", "response": "", "error": "boom"},
        {"prompt": "fine", "response": "4 characters"},
        {"prompt": "x" * 3000, "response": "", "error": ""},
    ]


def test_nothing_came_back():
    """An engine that answers with no choice at all is a 404."""
    said = ask(Engine(silent=True), {"prompts": ["a"]})
    assert (said.status, said.json) == (404, {"detail": "No results"})


def test_too_long(engine):
    """Over the limit the work is ended in the engine too."""
    said = ask(engine, {"prompts": ["slow", "slower one"]}, limit=0.05)
    assert (said.status, said.json) == (408, {"detail": "Request Timed Out"})
    assert engine.left == len(engine.completions()) == 2


def test_the_client_left(engine):
    """Nobody is answered, and the work is ended."""
    said = ask(engine, {"prompts": ["slow"]}, leave_after=0.05)
    assert said.status is None
    assert engine.left == 1


@pytest.mark.parametrize(
    ("path", "method", "healthy", "expected"),
    [
        ("/healthz", "GET", True, (200, {"status": "Healthy"})),
        ("/healthz", "GET", False, (500, {"detail": "Llama model not initialized"})),
        ("/healthz", "POST", True, (405, {"detail": "Method Not Allowed"})),
        ("/generate", "GET", True, (405, {"detail": "Method Not Allowed"})),
    ],
)
def test_other_calls(path, method, healthy, expected):
    """Health is the engine's; other methods are refused as the framework of old did."""
    said = say(generate.Generate(Engine(healthy), "m", LENGTH), http(path, method))
    assert (said.status, said.json) == expected


def test_many_at_once(engine):
    """64 calls in parallel get what each would have got alone."""
    app = generate.Generate(engine, "m", LENGTH)

    async def storm():
        bodies = [json.dumps({"prompts": ["x" * number, "y"]}).encode() for number in range(1, 65)]
        return await asyncio.gather(*(exchange(app, http("/generate"), [body]) for body in bodies))

    for number, said in enumerate(asyncio.run(storm()), start=1):
        assert [row["response"] for row in said.json["results"]] == [f"{number} characters", "1 characters"]


@pytest.mark.parametrize("switched", [True, False])
def test_the_gate_leads_there(engine, switched):
    """The two paths exist where the launch says so; health then needs no key, work does."""
    gate = load("plinth_middleware")
    on = {"PLINTH_GENERATE_MODEL": "m", "PLINTH_GENERATE_LENGTH": "100"} if switched else {}
    app = gate.PlinthMiddleware(engine, on)
    assert say(app, http("/generate"), [json.dumps(SEED).encode()]).status == (200 if switched else 404)
    assert say(app, http("/healthz", "GET")).status == (200 if switched else 404)
    locked = gate.PlinthMiddleware(engine, {**on, "PLINTH_KEYS_FILE": "/nowhere"})
    assert say(locked, http("/generate"), [json.dumps(SEED).encode()]).status == (401 if switched else 404)
    assert say(locked, http("/healthz", "GET")).status == (200 if switched else 404)


NUMBERS = [0, -1, 1, 2048, 2049, 1e308, -1e308, 10**400, 0.5, float("nan"), float("inf")]
LEAVES = [None, True, False, *NUMBERS, "", "a", "\ud800", "x" * 99]


def strange_value(dice, depth=0):
    """Any JSON value, the borders of numbers and text more often than fair."""
    if depth > 3 or dice.random() < 0.5:
        return dice.choice(LEAVES)
    if dice.random() < 0.5:
        return [strange_value(dice, depth + 1) for _ in range(dice.randint(0, 4))]
    names = ["prompts", "parameters", *llama.PARAMETERS, "x", ""]
    return {dice.choice(names): strange_value(dice, depth + 1) for _ in range(dice.randint(0, 5))}


def strange_body(dice):
    """A request that may be right, may be of any form, and may be cut or no JSON at all."""
    document = {"prompts": ["a"] * dice.randint(0, 3), "parameters": strange_value(dice)}
    if dice.random() < 0.3:
        document = strange_value(dice)
    if dice.random() < 0.3:
        document = {"prompts": ["a"], "parameters": {dice.choice([*llama.PARAMETERS]): dice.choice(NUMBERS)}}
    body = json.dumps(document).encode()
    return body[: dice.randint(0, len(body))] + bytes([dice.randrange(256)]) if dice.random() < 0.2 else body


def wished(body):
    """The wish, or the refusal."""
    try:
        return llama.read_wish(body, LENGTH), None
    except llama.RefusedError as refused:
        return None, refused


@pytest.mark.slow
def test_ten_thousand_strange_bodies():
    """A body is a wish within its bounds or a refusal that JSON can carry; there is no third way."""
    dice = random.Random(6)  # noqa: S311 a test's dice
    wishes = 0
    for _ in range(10_000):
        wish, refused = wished(strange_body(dice))
        if wish is None:
            assert refused.status in {400, 422}
            assert json.dumps(refused.detail)
            continue
        wishes += 1
        assert 1 <= len(wish.prompts) <= 32
        assert 1 <= wish.max_seq_len <= 2048
        assert 1 <= wish.max_gen_len <= 2048
        assert wish.temperature >= 0
        assert 0 < wish.top_p <= 1
    assert wishes > 500
