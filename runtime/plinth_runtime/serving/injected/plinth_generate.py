# ruff: noqa: INP001 a folder for the PYTHONPATH, no package
"""`/generate` and `/healthz` beside the engine's own API: an ASGI application that asks the one it stands before.

Nothing is sent over a network: each prompt becomes tokens and then an answer through calls of the engine's own routes
in the same process, many prompts in one call, so that the engine batches them. Standard library only.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Any

from plinth_asgi import Application, Bounds, GoneError, Message, Receive, Scope, Send, answer, read_body
from plinth_llama import FAILED, RefusedError, Wish, read_wish

PATH, HEALTH_PATH = "/generate", "/healthz"
LIMIT_SECONDS = 180.0
LEAVE_SECONDS = 5.0
"""For the engine to let go of requests that were given up."""

NO_LIMIT = Bounds(1 << 40, LIMIT_SECONDS)
"""The gate has bounded the body already."""


@dataclass(frozen=True)
class Slot:
    """One prompt's place in the answer: a response, or why there is none."""

    response: str = ""
    error: str | None = None


NOTHING = Slot(error="No results")


class Line:
    """Calls the engine's application until `gone` is set; then every open call sees its client leave."""

    def __init__(self, app: Application, scope: Scope) -> None:
        self._app = app
        self._scope = scope
        self.gone = asyncio.Event()

    async def call(self, method: str, path: str, document: Any = None) -> tuple[int, Any]:
        """Return status and JSON of one call; a failure inside the engine is a 500 with its text."""
        body = b"" if document is None else json.dumps(document).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        target = {"method": method, "path": path, "raw_path": path.encode(), "query_string": b"", "headers": headers}
        status, chunks, rest = 500, [], [body]

        async def receive() -> Message:
            if rest:
                return {"type": "http.request", "body": rest.pop(), "more_body": False}
            await self.gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            else:
                chunks.append(message.get("body", b""))

        try:
            await self._app({**self._scope, **target}, receive, send)
            return status, json.loads(b"".join(chunks) or b"null")
        except Exception as error:  # noqa: BLE001 whatever the engine raises is its answer
            return 500, {"error": {"message": str(error)}}


class Generate:
    """The application. `length` is the model's longest context, in tokens."""

    def __init__(self, app: Application, model: str, length: int, limit_seconds: float = LIMIT_SECONDS) -> None:
        self._app, self._model, self._length, self._limit = app, model, length, limit_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request for either path."""
        allowed = b"POST" if scope["path"] == PATH else b"GET, HEAD"
        if scope["method"] not in allowed.decode().split(", "):
            await answer(scope, send, 405, {"detail": "Method Not Allowed"}, [(b"allow", allowed)])
        elif scope["path"] == HEALTH_PATH:
            await self._tell_health(scope, send)
        else:
            await self._generate(scope, receive, send)

    async def _tell_health(self, scope: Scope, send: Send) -> None:
        status, _ = await Line(self._app, scope).call("GET", "/health")
        if status == 200:  # noqa: PLR2004 the status is the name
            await answer(scope, send, 200, {"status": "Healthy"})
        else:
            await answer(scope, send, 500, {"detail": "Llama model not initialized"})

    async def _generate(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            wish = read_wish(await read_body(scope, receive, NO_LIMIT), self._length)
            line = Line(self._app, scope)
            slots = await self._within_limit(line, self._fulfil(line, wish), receive)
            results = _results(wish, slots)
        except GoneError:
            return
        except RefusedError as refused:
            await answer(scope, send, refused.status, {"detail": refused.detail})
        else:
            await answer(scope, send, 200, {"results": results})

    async def _within_limit(self, line: Line, work: Awaitable[list[Slot]], receive: Receive) -> list[Slot]:
        """Wait for the slots. Raises GoneError and RefusedError (408), and then ends the work."""
        task = asyncio.ensure_future(work)
        client = asyncio.ensure_future(_leaving(receive))
        try:
            await asyncio.wait({task, client}, timeout=self._limit, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            raise GoneError if client.done() else RefusedError(408, "Request Timed Out")
        finally:
            client.cancel()
            line.gone.set()
            if not task.done():
                await asyncio.wait({task}, timeout=LEAVE_SECONDS)
                task.cancel()

    async def _fulfil(self, line: Line, wish: Wish) -> list[Slot]:
        tokens = await asyncio.gather(*(self._tokenize(line, prompt) for prompt in wish.prompts))
        slots: dict[int, Slot] = {}
        groups: dict[int, list[int]] = {}
        for index, ids in enumerate(tokens):
            room = wish.room(len(ids)) if isinstance(ids, list) else 0
            if isinstance(ids, Slot):
                slots[index] = ids
            elif room:
                groups.setdefault(room, []).append(index)
            else:
                # A prompt that fills the sequence is answered by nothing; a longer one failed without a word of old.
                slots[index] = Slot(error="") if room is None else Slot()
        for found in await asyncio.gather(*(self._complete(line, wish, room, {i: tokens[i] for i in indices})
                                            for room, indices in groups.items())):  # fmt: skip
            slots |= found
        return [slots.get(index, NOTHING) for index in range(len(tokens))]

    async def _tokenize(self, line: Line, prompt: str) -> list[int] | Slot:
        status, document = await line.call("POST", "/tokenize", {"model": self._model, "prompt": prompt})
        return document["tokens"] if status == 200 else Slot(error=_words(document))  # noqa: PLR2004

    async def _complete(self, line: Line, wish: Wish, room: int, prompts: dict[int, Any]) -> dict[int, Slot]:
        """Answer prompts in one call; if that fails, one by one, so that a bad one does not take others with it."""
        document = {
            "model": self._model,
            "prompt": list(prompts.values()),
            "max_tokens": room,
            "temperature": wish.temperature,
            "top_p": wish.top_p,
        }
        status, said = await line.call("POST", "/v1/completions", document)
        if status == 200 and isinstance(said, dict):  # noqa: PLR2004 the status is the name
            texts = {choice["index"]: choice["text"] for choice in said.get("choices", ())}
            return {i: Slot(texts[n]) for n, i in enumerate(prompts) if n in texts}
        if len(prompts) == 1 or line.gone.is_set():
            return dict.fromkeys(prompts, Slot(error=_words(said)))
        found: dict[int, Slot] = {}
        for part in await asyncio.gather(*(self._complete(line, wish, room, {i: ids}) for i, ids in prompts.items())):
            found |= part
        return found


async def _leaving(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _words(document: Any) -> str:
    error = document.get("error") if isinstance(document, dict) else None
    return str(error.get("message", "")) if isinstance(error, dict) else str(document)


def _results(wish: Wish, slots: list[Slot]) -> list[dict[str, str]]:
    """Put prompts and slots together. Raises RefusedError if no prompt was answered."""
    if all(slot is NOTHING for slot in slots):
        raise RefusedError(404, NOTHING.error)
    failed = [slot.error for slot in slots if slot.error is not None]
    if len(failed) == len(slots):
        raise RefusedError(400, f"{FAILED}{failed[0]}")
    return [
        {"prompt": prompt, "response": slot.response, **({} if slot.error is None else {"error": slot.error})}
        for prompt, slot in zip(wish.prompts, slots, strict=True)
    ]
