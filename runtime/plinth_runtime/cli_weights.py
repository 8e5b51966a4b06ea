"""The commands about weights: `fetch`, `verify`, `publish`. Reads options, calls one function each, says how it ended.

Exit codes: 0 verified, 4 nothing vouches for the bytes, 5 corrupt, 6 the source refuses, 7 no space, 8 cancelled.
"""

from __future__ import annotations

import json
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from plinth_runtime.errors import RuntimeFault
    from plinth_runtime.weights.work import Counters, Watch

FOLDER = click.Path(path_type=Path, file_okay=False)
EXIT_UNVERIFIED = 4
EXIT_CORRUPT = 5
INTERRUPT_SECONDS = 1.0
"""After a signal: what has not noticed it by then is interrupted."""

PROGRESS = click.option(
    "--progress",
    type=click.Choice(["auto", "bar", "json", "none"]),
    default="auto",
    help="To standard error: a bar, JSON lines, nothing. auto: a bar on a terminal.",
)
JSON = click.option("--json", "as_json", is_flag=True, help="One JSON object to standard output, failures too.")


@click.command()
@click.argument("uri")
@click.option("--to", "folder", type=FOLDER, required=True, help="The model folder; what is there stays.")
@click.option("--cache", type=FOLDER, help="Keep the files here, shared by models; the folder becomes a link into it.")
@click.option("--expect", multiple=True, metavar="SHA256", help="Must be the manifest's sha256, or that of a file.")
@click.option("--allow-pickle", is_flag=True, help="Take *.bin, *.pt and other files that can hold programs.")
@click.option("--skip-pickles", is_flag=True, help="Leave such files out, where no manifest asks for them.")
@click.option("--reuse", is_flag=True, help="Weights of this source that are here are taken without asking it.")
@click.option("--page-cache", is_flag=True, help="Keep the bytes in memory for an engine that maps files.")
@click.option("--recheck", is_flag=True, help="Read what is there again instead of believing its time stamps.")
@click.option("--parent", type=int, hidden=True, help="End when this process, which started the fetch, ends.")
@PROGRESS
@JSON
def fetch(folder: Path, progress: str, as_json: bool, **wanted: Any) -> None:
    """Fetch the model at URI into a folder, verified; continue where an earlier fetch ended.

    \b
    Examples:
      plinth-runtime fetch hf://org/model@main --to models/model
      plinth-runtime fetch https://models.example/llama --to models/llama --expect 3f…
    """
    with _reporting(progress, as_json=as_json) as watch:
        _stay_with(wanted["parent"])
        result = _fetch(folder, wanted, watch)
    row = {
        "state": result.state, "folder": str(result.folder), "manifest": result.manifest, "files": result.files,
        "bytes": result.bytes, "seconds": round(result.seconds, 3), "bytesFetched": result.counters.bytes_fetched,
        "partsAgain": result.counters.parts_again, "streams": result.counters.most_streams,
        "unvouched": list(result.unvouched),
    }  # fmt: skip
    words = f"{result.state}: {result.files} files, {result.bytes} bytes in {result.folder}"
    _end(row, words, as_json=as_json)


def _fetch(folder: Path, wanted: dict[str, Any], watch: Watch) -> Any:
    from plinth_runtime.weights.cache import Cache, is_snapshot, model_name
    from plinth_runtime.weights.cache_shelf import CacheShelf
    from plinth_runtime.weights.fetch import FetchOptions, fetch
    from plinth_runtime.weights.offer import Wishes
    from plinth_runtime.weights.plan_fetch import How
    from plinth_runtime.weights.shelf import FolderShelf
    from plinth_runtime.weights.sources.opening import open_source

    wishes = Wishes(frozenset(map(_digest, wanted["expect"])), wanted["allow_pickle"], wanted["skip_pickles"])
    how = How(wanted["recheck"], wanted["page_cache"], reuse=wanted["reuse"])
    options = FetchOptions(wishes, how)
    source = open_source(wanted["uri"])
    if wanted["cache"] is None:
        if is_snapshot(folder):
            raise click.BadParameter(f"{folder} is a model of a cache: give its --cache, or write another name")
        return fetch(source, FolderShelf(folder.absolute()), options, watch)
    if folder.is_dir() and not folder.is_symlink():
        raise click.BadParameter(f"{folder} is a folder; with --cache it becomes a link: write another name")
    cache = Cache(wanted["cache"].absolute())
    result = fetch(source, CacheShelf(cache, model_name(source.describe())), options, watch)
    cache.link(result.folder, folder)
    cache.collect()
    return result


@click.command()
@click.argument("folder", type=FOLDER)
@click.option("--digest", help="The manifest must have this sha256.")
@PROGRESS
@JSON
def verify(folder: Path, digest: str | None, progress: str, as_json: bool) -> None:
    """Check FOLDER against its manifest (sizes, sha256, parts) and its safetensors files for completeness."""
    with _reporting(progress, as_json=as_json) as watch:
        from plinth_runtime.weights.check import verify_folder

        verdict = verify_folder(folder, digest, watch)
    row = {
        "intact": True, "state": verdict.state, "message": verdict.message, "manifest": verdict.manifest,
        "files": verdict.files, "bytes": verdict.bytes, "card": _card(folder),
    }  # fmt: skip
    make = f"\nMake one where the weights are known to be good: plinth-runtime manifest {folder}"
    hint = "" if verdict.manifest else make
    _end(row, f"{verdict.state}: {verdict.message}{hint}", as_json=as_json)


@click.command()
@click.argument("folder", type=FOLDER)
@click.argument("uri")
@click.option("--source", default="", help="Where the weights came from, for people.")
@click.option("--allow-pickle", is_flag=True, help="Publish *.bin, *.pt and other files that can hold programs.")
@PROGRESS
@JSON
def publish(folder: Path, uri: str, progress: str, as_json: bool, **wanted: Any) -> None:
    """Publish the model in FOLDER at URI: every file with checksums of its parts, the manifest last."""
    with _reporting(progress, as_json=as_json) as watch:
        from plinth_runtime.weights.publish import PublishOptions, publish
        from plinth_runtime.weights.sources.opening import open_store

        done = publish(folder, open_store(uri), PublishOptions(**wanted), watch)
    row = {
        "state": "verified", "address": done.address, "manifest": done.manifest, "files": done.files,
        "bytes": done.bytes, "seconds": round(done.seconds, 3),
    }  # fmt: skip
    _end(row, f"published: {done.files} files, {done.bytes} bytes at {done.address}\n{done.manifest}", as_json=as_json)


def _end(row: dict[str, Any], words: str, *, as_json: bool) -> None:
    click.echo(json.dumps(row) if as_json else words)
    if row["state"] == "unverified":
        sys.exit(EXIT_UNVERIFIED)


@contextmanager
def _reporting(progress: str, *, as_json: bool) -> Iterator[Watch]:
    """Show progress, end on a signal, and turn a fault into words and a code."""
    from plinth_runtime.errors import RuntimeFault
    from plinth_runtime.weights.progress import Bar, Lines

    kind = progress if progress != "auto" else "bar" if sys.stderr.isatty() else "none"
    shown = Bar(sys.stderr) if kind == "bar" else Lines(sys.stderr) if kind == "json" else None
    try:
        with _cancelling() as check:

            def watch(counters: Counters) -> None:
                check()
                if shown is not None:
                    shown(counters)

            try:
                yield watch
            finally:
                if shown is not None:
                    shown.close()
    except RuntimeFault as fault:
        _fail(fault, as_json=as_json)


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


def _stay_with(parent: int | None) -> None:
    """End with the process that started this one, however that ends."""
    if parent is None:
        return
    import os

    from plinth_runtime.errors import FetchCancelledError
    from plinth_runtime.serving import guard

    guard.prctl(guard.SET_PARENT_DEATH_SIGNAL, signal.SIGTERM)
    if os.getppid() != parent:
        raise FetchCancelledError(f"process {parent}, which wanted the weights, is gone")


def _digest(text: str) -> str:
    """Read a digest as people paste it: with or without `sha256:` in front, in either case."""
    digest = text.strip().lower().removeprefix("sha256:")
    if len(digest) != 64 or set(digest) - set("0123456789abcdef"):  # noqa: PLR2004 hex digits of a sha256
        raise click.BadParameter(f"{text!r} is not a sha256: write 64 hex digits", param_hint="--expect")
    return digest


def _card(folder: Path) -> dict[str, Any] | None:
    """Describe the model if the folder holds one that we know."""
    from plinth_runtime.errors import CorruptWeightsError
    from plinth_runtime.weights.inspect import inspect_folder

    try:
        return inspect_folder(folder).model_dump(mode="json")
    except CorruptWeightsError:
        return None
