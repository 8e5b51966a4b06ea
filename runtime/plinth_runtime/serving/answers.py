"""What the management port says to whom: a call in, an answer out. The wire is in `management.py`.

GET    /startupz       status as JSON; 200 when ready, else 503 (so a startup probe may use it)
GET    /livez          200 while the agent's loop turns
GET    /readyz         200 when clients may be sent here, else 503
GET    /memberz        the same for whoever answers clients; 200 for another member of a group while its agent lives
GET    /metrics        Prometheus text: our own, then the engine's
POST   /drain          like SIGTERM: finish open requests, then end; from this host only, 202
GET    /adapters       LoRA adapters, and what may come
POST   /adapters       {"name", "path"}: load one; from this host only, 201
DELETE /adapters/NAME  take one away; from this host only, 200
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from pydantic import ValidationError

from plinth_runtime.contract.base import Document
from plinth_runtime.contract.status import StartupStatus
from plinth_runtime.serving.adapters import AdapterDesk, RefusedError
from plinth_runtime.serving.engine_http import Target

JSON = "application/json"
ONE_ADAPTER = "/adapters/"


@dataclass(frozen=True, slots=True)
class Insight:
    """What the port may know and do. Called from its threads."""

    status: Callable[[], StartupStatus]
    ready: Callable[[], bool]
    alive: Callable[[], bool]
    adapters: AdapterDesk
    target: Callable[[], Target | None]
    engine_metrics: Callable[[], bytes]
    drain: Callable[[], None]
    follows: bool = False
    """Whether it is a member of a group that another one answers for."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer."""

    status: int
    body: bytes
    content_type: str = JSON


@dataclass(frozen=True, slots=True)
class Call:
    """An HTTP request: who asks for what. `body` is None unless it was sent as JSON, which no foreign web page can."""

    method: str
    path: str
    peer: str = "127.0.0.1"
    body: bytes | None = None


class AdapterWish(Document):
    """The body of POST /adapters."""

    name: str
    path: str


Routes = Mapping[str, Mapping[str, Callable[[], Answer]]]


def answer(call: Call, insight: Insight) -> Answer:
    """Decide what to say."""
    path = call.path.partition("?")[0]
    name = path.removeprefix(ONE_ADAPTER) if path.startswith(ONE_ADAPTER) else ""
    routes: Routes = {
        "/startupz": {"GET": lambda: _startup(insight)},
        "/livez": {"GET": lambda: _yes_or_no("alive", yes=insight.alive())},
        "/readyz": {"GET": lambda: _yes_or_no("ready", yes=insight.ready())},
        "/memberz": {"GET": lambda: _yes_or_no("member", yes=insight.alive() if insight.follows else insight.ready())},
        "/metrics": {"GET": lambda: _metrics(insight)},
        "/drain": {"POST": lambda: _drain(call, insight)},
        "/adapters": {
            "GET": lambda: json_answer(200, insight.adapters.tell()),
            "POST": lambda: _change(call, lambda: _add_adapter(call, insight)),
        },
        "/adapters/NAME": {"DELETE": lambda: _change(call, lambda: _remove_adapter(unquote(name), insight))},
    }
    methods = routes.get("/adapters/NAME" if name else path)
    if methods is None:
        return json_answer(404, {"error": f"there is nothing at this path; there are {', '.join(sorted(routes))}"})
    respond = methods.get("GET" if call.method == "HEAD" else call.method)
    if respond is None:
        return json_answer(405, {"error": f"only {' and '.join(methods)} is allowed here"})
    return respond()


def json_answer(status: int, body: dict[str, Any]) -> Answer:
    """Answer with JSON."""
    return Answer(status, json.dumps(body).encode())


def _startup(insight: Insight) -> Answer:
    return Answer(200 if insight.ready() else 503, insight.status().model_dump_json().encode())


def _yes_or_no(word: str, *, yes: bool) -> Answer:
    return json_answer(200 if yes else 503, {word: yes})


def _metrics(insight: Insight) -> Answer:
    # Imported at the first scrape: a server that nobody scrapes is spared the memory.
    from plinth_runtime.serving.metrics import render

    text = render(lambda: (insight.status(), insight.ready()), insight.engine_metrics())
    return Answer(200, text, "text/plain; version=0.0.4; charset=utf-8")


def _drain(call: Call, insight: Insight) -> Answer:
    def drain() -> Answer:
        insight.drain()
        return json_answer(202, {"draining": True})

    return _change(call, drain)


def _change(call: Call, act: Callable[[], Answer]) -> Answer:
    # In a cluster the port is open to probes; changing the server is for those who are already on this host.
    if not ipaddress.ip_address(call.peer.partition("%")[0]).is_loopback:
        return json_answer(403, {"error": "only from this host"})
    try:
        return act()
    except RefusedError as refused:
        return json_answer(refused.status, {"error": str(refused)})


def _add_adapter(call: Call, insight: Insight) -> Answer:
    if call.body is None:
        raise RefusedError(415, 'send JSON with content-type application/json: {"name": "mine", "path": "/folder"}')
    try:
        wish = AdapterWish.model_validate_json(call.body)
    except ValidationError as error:
        faults = (f"{'.'.join(map(str, row['loc'])) or 'body'}: {row['msg']}" for row in error.errors())
        raise RefusedError(400, "; ".join(faults)) from error
    added = insight.adapters.add(wish.name, wish.path, insight.target())
    return json_answer(201, added.model_dump(mode="json"))


def _remove_adapter(name: str, insight: Insight) -> Answer:
    insight.adapters.remove(name, insight.target())
    return json_answer(200, {"removed": name})
