"""OpenAI's own client, unchanged, against a real engine: answers, streams, vectors, and each error as its own class."""

import math
import threading
from types import SimpleNamespace

import openai
import pytest
from support.engine import KEY

pytestmark = [pytest.mark.engine, pytest.mark.timeout(400)]

QUESTION = [{"role": "user", "content": "What is the capital of France? Answer in one word."}]


def connect(server, key=KEY):
    """A client that does not hide errors by trying again."""
    return openai.OpenAI(base_url=server.launch.endpoint, api_key=key, max_retries=0, timeout=60)


@pytest.fixture
def client(server):
    """A client of the shared server."""
    server.wait_ready()
    with connect(server) as made:
        yield made


def test_answers(client):
    """Chat and completion, with usage and a reason for the end."""
    chat = client.chat.completions.create(model="smollm2", messages=QUESTION, temperature=0, max_tokens=8)
    assert "Paris" in chat.choices[0].message.content
    assert chat.usage.total_tokens == chat.usage.prompt_tokens + chat.usage.completion_tokens
    text = client.completions.create(model="smollm2", prompt="The capital of France is", temperature=0, max_tokens=3)
    assert ("Paris" in text.choices[0].text, text.choices[0].finish_reason) == (True, "length")
    assert [model.id for model in client.models.list()] == ["smollm2"]


def test_streams(client):
    """Piece by piece the same text as at once; the last piece counts the tokens."""
    ask = {"model": "smollm2", "messages": QUESTION, "temperature": 0, "max_tokens": 24}
    whole = client.chat.completions.create(**ask).choices[0].message.content
    pieces = list(client.chat.completions.create(**ask, stream=True, stream_options={"include_usage": True}))
    texts = [piece.choices[0].delta.content or "" for piece in pieces if piece.choices]
    assert "".join(texts) == whole
    assert len(texts) > 3
    assert pieces[-1].usage.completion_tokens > 3
    prompt = {"model": "smollm2", "prompt": "One, two,", "temperature": 0, "max_tokens": 5}
    streamed = "".join(piece.choices[0].text for piece in client.completions.create(**prompt, stream=True))
    assert streamed == client.completions.create(**prompt).choices[0].text


REFUSED = {
    "another model": ({"model": "gpt-4o"}, openai.NotFoundError, 404),
    "a temperature below zero": ({"temperature": -1}, openai.BadRequestError, 400),
    "no messages": ({"messages": "hello"}, openai.BadRequestError, 400),
    "more tokens than the context": ({"max_tokens": 5000}, openai.BadRequestError, 400),
    "a prompt longer than the context": (
        {"messages": [{"role": "user", "content": "word " * 3000}]}, openai.BadRequestError, 400,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused(client, case):
    """A fault of the request has its class, its status and a sentence; the server goes on."""
    change, kind, status = REFUSED[case]
    with pytest.raises(kind) as refused:
        client.chat.completions.create(**({"model": "smollm2", "messages": QUESTION, "max_tokens": 4} | change))
    assert refused.value.status_code == status
    assert refused.value.body["message"]
    assert client.models.list().data


@pytest.mark.parametrize("key", ["wrong", "sk-" + "x" * 500, "ключ".encode().hex()])
def test_a_wrong_key(server, key):
    """AuthenticationError, wherever it is used."""
    server.wait_ready()
    with connect(server, key) as stranger:
        for call in (stranger.models.list, lambda: stranger.completions.create(model="smollm2", prompt="a")):
            with pytest.raises(openai.AuthenticationError) as refused:
                call()
            assert refused.value.code == "invalid_api_key"


def test_where_nothing_is(client):
    """Calls for which this model has no route are told so as well."""
    with pytest.raises(openai.NotFoundError):
        client.embeddings.create(model="smollm2", input="a")
    with pytest.raises(openai.NotFoundError):
        client.files.list()


@pytest.fixture(scope="module")
def vectors(world, project_root):
    """A server of an embedding model that lets four requests in at once, and its client."""
    folder = project_root / "models" / "all-minilm-l6-v2"
    if not (folder / "model.safetensors").exists():
        pytest.skip("needs the sample embedding model: make embedding-model")
    model = {"servedName": "minilm", "kind": "embed", "folder": str(folder), "maxModelLen": 256, "dtype": "float32"}
    world.close()
    server = world.start(
        {"model": model | {"manifestDigest": None}, "engine": {"maxNumSeqs": 2}, "api": {"maxQueuedRequests": 2}}
    )
    server.wait_ready()
    with connect(server) as client:
        yield SimpleNamespace(server=server, client=client)
    world.close()


def cosine(one, other):
    """Similarity of two vectors."""
    dot = sum(a * b for a, b in zip(one, other, strict=True))
    return dot / (math.hypot(*one) * math.hypot(*other))


@pytest.mark.exhaustive
def test_vectors(vectors):
    """384 numbers of length 1 each; what means the same is near, what does not is far, whatever the encoding."""
    texts = ["A cat sits on the mat.", "A kitten is lying on the rug.", "Interest rates rose again in March."]
    given = vectors.client.embeddings.create(model="minilm", input=texts)  # the client asks for base64 by itself
    cat, kitten, rates = (row.embedding for row in given.data)
    assert {len(row.embedding) for row in given.data} == {384}
    assert math.hypot(*cat) == pytest.approx(1, abs=1e-3)
    assert cosine(cat, kitten) > 0.5
    assert cosine(cat, rates) < 0.3
    plain = vectors.client.embeddings.create(model="minilm", input=texts[0], encoding_format="float")
    assert cosine(plain.data[0].embedding, cat) > 0.9999
    assert given.usage.prompt_tokens > 10


@pytest.mark.exhaustive
def test_vectors_refused(vectors):
    """Too long a text, another model, another kind of question: each its own class."""
    with pytest.raises(openai.BadRequestError, match="256"):
        vectors.client.embeddings.create(model="minilm", input="word " * 400)
    with pytest.raises(openai.NotFoundError):
        vectors.client.embeddings.create(model="gpt-4o", input="a")
    with pytest.raises(openai.NotFoundError):
        vectors.client.chat.completions.create(model="minilm", messages=QUESTION)


@pytest.mark.exhaustive
def test_too_many_at_once(vectors):
    """Who comes when all places are taken gets RateLimitError with a time to wait; the client's own patience helps."""
    kinds = []

    def ask(client):
        try:
            client.embeddings.create(model="minilm", input=["word " * 200] * 16)
            kinds.append("answered")
        except openai.RateLimitError as error:
            kinds.append(f"come again in {error.response.headers['retry-after']} s")

    def flood(client, number):
        kinds.clear()
        clients = [threading.Thread(target=ask, args=(client,)) for _ in range(number)]
        for each in clients:
            each.start()
        for each in clients:
            each.join()
        return set(kinds)

    assert flood(vectors.client, 24) == {"answered", "come again in 1 s"}
    assert flood(vectors.client.with_options(max_retries=60), 6) == {"answered"}
    assert vectors.server.status()["restarts"] == 0
