"""The agent as a program: threads that watch, one loop that decides, an orderly end."""

from __future__ import annotations

import queue
import random
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from plinth_runtime.contract.model_names import ModelKind
from plinth_runtime.node.agent import Agent, News
from plinth_runtime.node.api import Api
from plinth_runtime.node.board import Board
from plinth_runtime.node.fetching import ChildFetcher
from plinth_runtime.node.settings import Ports, Settings
from plinth_runtime.node.shelves import DiskShelves
from plinth_runtime.node.watching import Watcher, follow_models, follow_node
from plinth_runtime.weights.disk import make_folder
from plinth_runtime.weights.locking import only_writer

LONGEST_WAIT = 30.0
"""The loop turns at least so often, so that its standing still can be told from its having nothing to do."""


@dataclass(frozen=True, slots=True)
class Options:
    """How one agent runs. `port` 0: no health or metrics are served."""

    settings: Settings
    home: str
    port: int = 0


class _Ended(Exception):  # noqa: N818 no fault
    """Somebody asked the program to end."""


def run(options: Options, api: Api) -> None:
    """Run until SIGTERM or SIGINT. What is on the node stays, and so does what the cluster says of it."""
    inbox: queue.SimpleQueue[News | None] = queue.SimpleQueue()
    ended: list[int] = []

    def end(number: int, _frame: object) -> None:
        ended.append(number)
        inbox.put(None)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)

    def waiting() -> None:
        if ended:
            raise _Ended

    root = Path(options.settings.place.root)
    make_folder(root)
    try:
        with only_writer(root / "agent.lock", waiting):
            _serve(options, api, inbox)
    except _Ended:
        log("ended while another agent had the root")


def _serve(options: Options, api: Api, inbox: queue.SimpleQueue[News | None]) -> None:
    settings = options.settings
    root = Path(settings.place.root)
    fetcher = ChildFetcher(root, inbox.put, settings.fetches)
    shelves = DiskShelves(root)
    ports = Ports(api, shelves, fetcher, time.time, rfc3339, random.random, log)
    agent = Agent(settings, ports, options.home)
    watchers = _watchers(api, settings, inbox.put)
    board = Board(options.port, time.monotonic)
    for watcher in watchers:
        watcher.start()
    try:
        _loop(agent, inbox, board)
    finally:
        for watcher in watchers:
            watcher.stop()
        fetcher.close()
        board.close()


def _loop(agent: Agent, inbox: queue.SimpleQueue[News | None], board: Board) -> None:
    wake = time.time()
    while True:
        if not _take_all(agent, inbox, min(LONGEST_WAIT, max(0.0, wake - time.time()))):
            return
        wake = agent.turn()
        board.turned(agent)


def _take_all(agent: Agent, inbox: queue.SimpleQueue[News | None], seconds: float) -> bool:
    """Wait for news, then take in all there is; False once the program is to end."""
    with suppress(queue.Empty):
        news = inbox.get(timeout=seconds)
        while news is not None:
            agent.handle(news)
            news = inbox.get_nowait()
        return False
    return True


def _watchers(api: Api, settings: Settings, tell: Callable[[News], None]) -> list[Watcher]:
    place, patience = settings.place, settings.api_patience
    follows = [partial(follow_models, api, kind, place, tell) for kind in ModelKind]
    follows.append(partial(follow_node, api, place.node, tell))
    return [Watcher(follow, patience, random.random, log) for follow in follows]


def rfc3339(seconds: float) -> str:
    """Write a Unix time as Kubernetes does."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def log(text: str) -> None:
    """Say a line."""
    print(f"{rfc3339(time.time())} {text}", file=sys.stderr, flush=True)
