"""Asks a server once and takes the time of each piece of its answer. One connection a client; standard library only.

Times are taken as soon as a line is there; what it says is read after the last one, so that reading costs no time.
"""

from __future__ import annotations

import http.client
import json
import ssl
import time
from collections.abc import Iterator
from contextlib import suppress
from random import Random
from typing import Any

from plinth_runtime.bench.wish import REQUEST_SECONDS, Outcome, Server, Wish

TOKEN_IDS = range(300, 1300)
"""Prompts are made of these: plain pieces of words in every usual vocabulary, so no tokenizer is needed here."""

HTTP_OK = 200
ERROR_SHOWN = 300
DATA = b"data:"


class BenchError(Exception):
    """The server cannot be measured; the message says why and what to do."""


class Client:
    """One client of a server, with a connection that it keeps."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._connection = _connect(server)

    def models(self) -> list[str]:
        """List what the server serves, at least one. Raises BenchError if it does not say."""
        status, text = self._get("/v1/models")
        if status != HTTP_OK:
            raise BenchError(f"{self._server} answered {status} to GET /v1/models: {_shown(text)}")
        try:
            models = [str(row["id"]) for row in json.loads(text)["data"]]
        except (ValueError, KeyError, TypeError) as error:
            raise BenchError(f"{self._server}/v1/models is no list of models: {_shown(text)}") from error
        if not models:
            raise BenchError(f"{self._server}/v1/models lists no model; name one with --model")
        return models

    def ask(self, wish: Wish, number: int) -> Outcome:
        """Send one streamed request, whose prompt no other number has, and wait for its end. Never raises."""
        try:
            return self._ask(json.dumps(request_of(wish, number)).encode())
        except (OSError, http.client.HTTPException, ValueError, LookupError, TypeError, AttributeError) as error:
            self.close()
            return Outcome(error=f"{type(error).__name__}: {error}"[:ERROR_SHOWN])

    def close(self) -> None:
        """Leave; the next request connects again."""
        with suppress(OSError):
            self._connection.close()

    def _ask(self, body: bytes) -> Outcome:
        if self._connection.sock is None:
            self._connection.connect()  # a connection is no part of an answer
        began = time.perf_counter()
        self._connection.request("POST", f"{self._server.prefix}/v1/completions", body, self._headers())
        answer = self._connection.getresponse()
        if answer.status != HTTP_OK:
            return Outcome(error=f"status {answer.status}: {_shown(answer.read())}")
        lines = []
        while line := answer.readline():
            if line.startswith(DATA):
                lines.append((time.perf_counter() - began, line[len(DATA) :].strip()))
        return read_answer(lines)

    def _get(self, path: str) -> tuple[int, bytes]:
        try:
            self._connection.request("GET", self._server.prefix + path, headers=self._headers())
            answer = self._connection.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException) as error:
            why = f"{self._server} does not answer: {error}; is it ready, and is this its API port?"
            raise BenchError(why) from error

    def _headers(self) -> dict[str, str]:
        key = {"authorization": f"Bearer {self._server.key}"} if self._server.key else {}
        return {"content-type": "application/json"} | key


def request_of(wish: Wish, number: int) -> dict[str, Any]:
    """Give the document of one request: a prompt of exactly so many tokens, and an answer of exactly so many."""
    prompt = Random(str(number)).choices(TOKEN_IDS, k=wish.prompt_tokens)  # noqa: S311 no secret
    sampling = {"max_tokens": wish.max_tokens, "temperature": 0, "ignore_eos": True}
    return {"model": wish.model, "prompt": prompt, "stream": True, "stream_options": {"include_usage": True}} | sampling


def read_answer(lines: list[tuple[float, bytes]]) -> Outcome:
    """Judge a stream by its timed events: pieces of text, the usage, `[DONE]`. Without all three it is no answer."""
    if not lines or lines[-1][1] != b"[DONE]":
        return Outcome(error="the stream ended before its [DONE]")
    events = [(at, json.loads(data)) for at, data in lines[:-1]]
    for _, event in events:
        if "error" in event:
            return Outcome(error=f"the stream says: {_shown(json.dumps(event['error']).encode())}")
    usage = next(_usages(event for _, event in events), None)
    arrivals = tuple(at for at, event in events if event.get("choices"))
    if usage is None or not arrivals:
        return Outcome(error="the stream has no usage or no text: its tokens cannot be counted")
    return Outcome(arrivals, usage["prompt_tokens"], usage["completion_tokens"])


def _usages(events: Iterator[dict[str, Any]]) -> Iterator[dict[str, int]]:
    return (event["usage"] for event in events if event.get("usage"))


def _connect(server: Server) -> http.client.HTTPConnection:
    if server.secure:
        context = ssl.create_default_context()
        return http.client.HTTPSConnection(server.host, server.port, timeout=REQUEST_SECONDS, context=context)
    return http.client.HTTPConnection(server.host, server.port, timeout=REQUEST_SECONDS)


def _shown(text: bytes) -> str:
    return text.decode(errors="replace").strip()[:ERROR_SHOWN]
