"""The gate and its neighbours as the engine loads them, and a way to speak ASGI to them."""

import asyncio
import importlib
import json
import sys
from dataclasses import dataclass
from pathlib import Path

INJECTED = Path(__file__).resolve().parents[2] / "runtime/plinth_runtime/serving/injected"


def load(name):
    """A module of the injected folder, by the name the engine gives it."""
    if str(INJECTED) not in sys.path:
        sys.path.append(str(INJECTED))
    return importlib.import_module(name)


@dataclass
class Answer:
    """What came back."""

    status: int | None
    headers: dict
    body: bytes

    @property
    def json(self):
        """The body's document."""
        return json.loads(self.body)


def http(path, method="POST", headers=()):
    """A request's scope."""
    return {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode("utf-8", "replace"),
        "query_string": b"",
        "headers": list(headers),
    }


async def exchange(app, scope, chunks=(b"",), leave_after=None):
    """Send one request; the client stays until it has the answer, or leaves after some seconds."""
    sent, rest, done = [], list(chunks), asyncio.Event()

    async def receive():
        if rest:
            chunk = rest.pop(0)
            if isinstance(chunk, float):
                await asyncio.sleep(chunk)
                chunk = b""
            return {"type": "http.request", "body": chunk, "more_body": bool(rest)}
        if leave_after is None:
            await done.wait()
        else:
            await asyncio.sleep(leave_after)
        return {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)

    await app(scope, receive, send)
    done.set()
    start = next((message for message in sent if message["type"] == "http.response.start"), None)
    body = b"".join(message.get("body", b"") for message in sent)
    return Answer(start and start["status"], dict(start["headers"]) if start else {}, body)


def say(app, scope, chunks=(b"",), leave_after=None):
    """`exchange`, from outside a loop."""
    return asyncio.run(exchange(app, scope, chunks, leave_after))
