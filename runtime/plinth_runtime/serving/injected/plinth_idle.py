# ruff: noqa: INP001 a folder for the PYTHONPATH, no package
"""Connections that never finish their request's headers: the web server waits for them for ever, we do not.

The server (uvicorn, as vLLM starts it) has no such limit and no hook for one, so its list of connections is looked at.
Every name is asked for carefully: with another server, nothing is closed and everything else works.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

HEADER_SECONDS = 60.0
"""For a connection's next request line and headers. Load balancers keep connections ready: what web servers allow."""

LOOK_SECONDS = 5.0

Seen = dict[tuple[Any, Any], float]
"""Connections without a request, with the last one they had, and since when. The objects themselves, as an identity
number is given to the next object as soon as the former is gone."""


def is_silent(connection: Any) -> bool:
    """Say whether nobody serves this connection and no timer of the server's own runs for it."""
    cycle = getattr(connection, "cycle", connection)
    if cycle is connection or getattr(connection, "timeout_keep_alive_task", None) is not None:
        return False
    return cycle is None or bool(getattr(cycle, "response_complete", False))


def overdue(connections: Iterable[Any], seen: Seen, now: float) -> list[Any]:
    """List the connections that are silent for too long, and keep count of the others in `seen`."""
    silent = {(connection, connection.cycle) for connection in connections if is_silent(connection)}
    for gone in seen.keys() - silent:
        del seen[gone]
    return [key[0] for key in silent if now - seen.setdefault(key, now) >= HEADER_SECONDS]


async def close_silent_connections(app: Any) -> None:
    """Look again and again, until cancelled."""
    seen: Seen = {}
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        server = getattr(getattr(app, "state", None), "server", None)
        state = getattr(server, "server_state", None)
        for connection in overdue(tuple(getattr(state, "connections", ())), seen, asyncio.get_running_loop().time()):
            transport = getattr(connection, "transport", None)
            if transport is not None:
                transport.close()
