"""Asks a served model over its OpenAI API, streaming. What `plinth ask` does; nothing is printed here."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

import httpx

from pulumi_plinth.errors import PlinthError


@dataclass(frozen=True, slots=True)
class Question:
    """One chat request. `timeout` is in seconds, for connecting and for each silence between pieces of the answer."""

    endpoint: str
    key: str
    model: str
    text: str
    max_tokens: int
    timeout: float


def answer(question: Question) -> Iterator[str]:
    """Yield the answer piece by piece. Raises PlinthError with the server's own words when it refuses."""
    body = {
        "model": question.model,
        "messages": [{"role": "user", "content": question.text}],
        "max_tokens": question.max_tokens,
        "temperature": 0,
        "stream": True,
    }
    headers = {"Authorization": f"Bearer {question.key}"} if question.key else {}
    url = f"{question.endpoint}/chat/completions"
    try:
        with httpx.stream("POST", url, json=body, headers=headers, timeout=question.timeout) as response:
            if response.is_error:
                response.read()
                raise PlinthError(f"{url} answered {response.status_code}: {_words(response)}")
            for line in response.iter_lines():
                yield from _pieces(line)
    except httpx.TimeoutException as error:
        raise PlinthError(f"{url} was silent for {question.timeout:g} s; see `plinth status`") from error
    except httpx.HTTPError as error:
        raise PlinthError(f"{url} cannot be reached: {error}; see `plinth status`") from error


def _pieces(line: str) -> Iterator[str]:
    data = line.removeprefix("data: ")
    if data in (line, "[DONE]"):
        return
    event = json.loads(data)
    if "error" in event:
        raise PlinthError(f"the server broke off: {event['error'].get('message', event['error'])}")
    for choice in event.get("choices", []):
        yield choice.get("delta", {}).get("content") or ""


def _words(response: httpx.Response) -> str:
    try:
        return str(response.json()["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return response.text[:200]
