"""What the commands about weights have in common: progress while they run, an end on a signal, one way to say the end.

Exit codes: 0 verified, 4 nothing vouches for the bytes, 5 corrupt, 6 the source refuses, 7 no space, 8 cancelled.
"""

from __future__ import annotations

import json
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from plinth_runtime.errors import RuntimeFault
    from plinth_runtime.weights.progress import Shown
    from plinth_runtime.weights.work import Counters, Watch

EXIT_UNVERIFIED = 4
EXIT_CORRUPT = 5
INTERRUPT_SECONDS = 1.0
"""After a signal: what has not noticed it by then is interrupted."""


@dataclass(frozen=True, slots=True)
class Telling:
    """How a command says how far it is (`progress`, `metrics_file`) and how it ended (`as_json`)."""

    progress: str = "auto"
    metrics_file: Path | None = None
    as_json: bool = False


def telling_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of Telling."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="One JSON object to standard output, failures too."),
        click.option(
            "--metrics-file",
            type=click.Path(path_type=Path, dir_okay=False),
            help="Keep the progress there for Prometheus' node exporter (its textfile collector); ends in .prom.",
        ),
        click.option(
            "--progress",
            type=click.Choice(["auto", "bar", "json", "none"]),
            default="auto",
            help="To standard error: a bar, JSON lines, nothing. auto: a bar on a terminal.",
        ),
    ):
        command = option(command)
    return command


def end(row: dict[str, Any], words: str, *, as_json: bool) -> None:
    """Say how it ended; exits with 4 where nothing vouched for the bytes."""
    click.echo(json.dumps(row) if as_json else words)
    if row["state"] == "unverified":
        sys.exit(EXIT_UNVERIFIED)


@contextmanager
def reporting(telling: Telling) -> Iterator[Watch]:
    """Show progress, end on a signal, and turn a fault into words and a code."""
    from plinth_runtime.errors import RuntimeFault

    shown = _shown(telling)
    try:
        with _cancelling() as check:

            def watch(counters: Counters) -> None:
                check()
                for each in shown:
                    each(counters)

            try:
                yield watch
            finally:
                for each in shown:
                    each.close()
    except RuntimeFault as fault:
        _fail(fault, as_json=telling.as_json)


def _shown(telling: Telling) -> list[Shown]:
    from plinth_runtime.weights.progress import Bar, Lines, Textfile

    kind = telling.progress if telling.progress != "auto" else "bar" if sys.stderr.isatty() else "none"
    shown: list[Shown] = [Bar(sys.stderr)] if kind == "bar" else [Lines(sys.stderr)] if kind == "json" else []
    if telling.metrics_file is None:
        return shown
    if not telling.metrics_file.absolute().parent.is_dir():
        raise click.BadParameter(f"{telling.metrics_file.parent} is not a folder", param_hint="--metrics-file")
    return [*shown, Textfile(telling.metrics_file)]


def _fail(fault: RuntimeFault, *, as_json: bool) -> None:
    from plinth_runtime.errors import CorruptWeightsError

    code = EXIT_CORRUPT if isinstance(fault, CorruptWeightsError) else fault.exit_code
    click.echo(f"plinth-runtime: {fault}\n{fault.hint}", err=True)
    if as_json:
        row = {"state": str(fault.cause), "message": str(fault), "advice": fault.hint, "retryable": fault.retryable}
        click.echo(json.dumps({**row, "exitCode": code}))
    sys.exit(code)


@contextmanager
def _cancelling() -> Iterator[Callable[[], None]]:
    """Let SIGINT and SIGTERM end what runs. Gives what is to be called often: it raises once a signal has come.

    What does not call for a second, because it waits for a server, is interrupted where it stands.
    """
    from plinth_runtime.errors import FetchCancelledError

    came: list[str] = []

    def note(number: int, _frame: object) -> None:
        came.append(signal.Signals(number).name)
        if len(came) == 1:
            signal.setitimer(signal.ITIMER_REAL, INTERRUPT_SECONDS)

    def interrupt(_number: int, _frame: object) -> None:
        raise FetchCancelledError(f"ended by {came[0]}")

    def check() -> None:
        if came:
            signal.setitimer(signal.ITIMER_REAL, 0)
            raise FetchCancelledError(f"ended by {came[0]}")

    if threading.current_thread() is not threading.main_thread():
        yield lambda: None
        return
    handlers = {signal.SIGINT: note, signal.SIGTERM: note, signal.SIGALRM: interrupt}
    before = {name: signal.signal(name, handler) for name, handler in handlers.items()}
    try:
        yield check
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for name, handler in before.items():
            signal.signal(name, handler)


def stay_with(parent: int | None) -> None:
    """End with the process that started this one, however that ends."""
    if parent is None:
        return
    import os

    from plinth_runtime.errors import FetchCancelledError
    from plinth_runtime.serving import guard

    guard.prctl(guard.SET_PARENT_DEATH_SIGNAL, signal.SIGTERM)
    if os.getppid() != parent:
        raise FetchCancelledError(f"process {parent}, which wanted the weights, is gone")
