"""Clients in parallel, each with one request after the other until all are done: a closed loop.

Threads wait for sockets most of the time, so one process carries far more clients than an engine computes at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from itertools import count
from queue import SimpleQueue
from threading import Thread

from plinth_runtime.bench.client import BenchError, Client
from plinth_runtime.bench.wish import Outcome, Run, Server, Wish

WARM_UP = -1
"""Number of the request before the first: it compiles and allocates, and it is not counted."""

Seen = Callable[[Outcome], None]
"""Called in the caller's thread, once for each outcome as it comes."""


def warm_up(server: Server, wish: Wish) -> None:
    """Ask once without counting. Raises BenchError if that fails: then every other request would fail too."""
    with closing(Client(server)) as client:
        outcome = client.ask(wish, WARM_UP)
    if outcome.error:
        raise BenchError(f"a first request for model {wish.model} failed: {outcome.error}")


def measure(server: Server, wish: Wish, seen: Seen) -> Run:
    """Run the load and give what came of it; every request has an outcome, failed ones too."""
    numbers, outcomes = count(), SimpleQueue[Outcome]()

    def work() -> None:
        with closing(Client(server)) as client:
            while (number := next(numbers)) < wish.requests:  # atomic: `count` is one step of the interpreter
                outcomes.put(client.ask(wish, number))

    began = time.perf_counter()
    for _ in range(min(wish.clients, wish.requests)):
        Thread(target=work, daemon=True).start()
    done = []
    for _ in range(wish.requests):
        done.append(outcomes.get())
        seen(done[-1])
    return Run(tuple(done), time.perf_counter() - began)
