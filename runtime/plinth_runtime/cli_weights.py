"""The commands about weights: `fetch`, `verify`, `publish`. Reads options, calls one function each, says how it ended.

What they have in common, exit codes included, is in `cli_reporting.py`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from plinth_runtime.cli_reporting import Telling, end, reporting, stay_with, telling_options

if TYPE_CHECKING:
    from plinth_runtime.weights.copying import Copied
    from plinth_runtime.weights.work import Watch

FOLDER = click.Path(path_type=Path, file_okay=False)


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
@telling_options
def fetch(folder: Path, progress: str, metrics_file: Path | None, as_json: bool, **wanted: Any) -> None:
    """Fetch the model at URI into a folder, verified; continue where an earlier fetch ended.

    \b
    Examples:
      plinth-runtime fetch hf://org/model@main --to models/model
      plinth-runtime fetch https://models.example/llama --to models/llama --expect 3f…
    """
    with reporting(Telling(progress, metrics_file, as_json)) as watch:
        stay_with(wanted["parent"])
        result = _fetch(folder, wanted, watch)
    row = {
        "state": result.state, "folder": str(result.folder), "manifest": result.manifest, "files": result.files,
        "bytes": result.bytes, "seconds": round(result.seconds, 3), "bytesFetched": result.counters.bytes_fetched,
        "partsAgain": result.counters.parts_again, "streams": result.counters.most_streams,
        "unvouched": list(result.unvouched),
    }  # fmt: skip
    words = f"{result.state}: {result.files} files, {result.bytes} bytes in {result.folder}"
    end(row, words, as_json=as_json)


def _fetch(folder: Path, wanted: dict[str, Any], watch: Watch) -> Any:
    from plinth_runtime.weights.cache import Cache, is_snapshot, model_name
    from plinth_runtime.weights.cache_shelf import CacheShelf
    from plinth_runtime.weights.fetch import FetchOptions, fetch
    from plinth_runtime.weights.neighbours import Neighbours
    from plinth_runtime.weights.offer import Wishes
    from plinth_runtime.weights.plan_fetch import How
    from plinth_runtime.weights.shelf import FolderShelf
    from plinth_runtime.weights.sources.opening import open_source
    from plinth_runtime.weights.streams import Streams

    wishes = Wishes(frozenset(map(_digest, wanted["expect"])), wanted["allow_pickle"], wanted["skip_pickles"])
    how = How(wanted["recheck"], wanted["page_cache"], reuse=wanted["reuse"])
    source = open_source(wanted["uri"])
    if wanted["cache"] is None:
        if is_snapshot(folder):
            raise click.BadParameter(f"{folder} is a model of a cache: give its --cache, or write another name")
        return fetch(source, FolderShelf(folder.absolute()), FetchOptions(wishes, how), watch)
    if folder.is_dir() and not folder.is_symlink():
        raise click.BadParameter(f"{folder} is a folder; with --cache it becomes a link: write another name")
    cache = Cache(wanted["cache"].absolute())
    options = FetchOptions(wishes, how, streams=Streams(neighbours=Neighbours(cache.locks / "fetches")))
    result = fetch(source, CacheShelf(cache, model_name(source.describe())), options, watch)
    cache.link(result.folder, folder)
    cache.collect()
    return result


@click.command()
@click.argument("folder", type=FOLDER)
@click.option("--digest", help="The manifest must have this sha256.")
@telling_options
def verify(folder: Path, digest: str | None, progress: str, metrics_file: Path | None, as_json: bool) -> None:
    """Check FOLDER against its manifest (sizes, sha256, parts) and its safetensors files for completeness."""
    with reporting(Telling(progress, metrics_file, as_json)) as watch:
        from plinth_runtime.weights.check import verify_folder

        verdict = verify_folder(folder, digest, watch)
    row = {
        "intact": True, "state": verdict.state, "message": verdict.message, "manifest": verdict.manifest,
        "files": verdict.files, "bytes": verdict.bytes, "card": _card(folder),
    }  # fmt: skip
    make = f"\nMake one where the weights are known to be good: plinth-runtime manifest {folder}"
    hint = "" if verdict.manifest else make
    end(row, f"{verdict.state}: {verdict.message}{hint}", as_json=as_json)


@click.command()
@click.argument("origin", metavar="FOLDER|URI")
@click.argument("uri")
@click.option("--source", default="", help="Where a folder's weights came from, for people.")
@click.option("--allow-pickle", is_flag=True, help="Publish *.bin, *.pt and other files that can hold programs.")
@click.option("--cache", type=FOLDER, help="Copy between stores through this cache, so that it can be continued.")
@telling_options
def publish(origin: str, progress: str, metrics_file: Path | None, as_json: bool, **wanted: Any) -> None:
    """Publish a model at URI: every file with checksums of its parts, the manifest last.

    From another store it is copied without being kept here, checked on the way, its manifest letter for letter.

    \b
    Examples:
      plinth-runtime publish models/llama oci://n/ns/b/models/o/llama
      plinth-runtime publish hf://org/model@main s3://models/model --json
    """
    with reporting(Telling(progress, metrics_file, as_json)) as watch:
        copied = _publish(origin, wanted, watch)
    done = copied.published
    row = {
        "state": "unverified" if done.learned else "verified", "address": done.address, "manifest": done.manifest,
        "files": done.files, "bytes": done.bytes, "seconds": round(done.seconds, 3),
        "unvouched": list(copied.unvouched),
    }  # fmt: skip
    words = f"published, {row['state']}: {done.files} files, {done.bytes} bytes at {done.address}\n{done.manifest}"
    end(row, words, as_json=as_json)


def _publish(origin: str, wanted: dict[str, Any], watch: Watch) -> Copied:
    from plinth_runtime.weights.copying import Copied, copy, copy_through
    from plinth_runtime.weights.offer import Wishes
    from plinth_runtime.weights.publish import PublishOptions, publish
    from plinth_runtime.weights.sources.opening import open_source, open_store

    store, allowed = open_store(wanted["uri"]), wanted["allow_pickle"]
    if origin and "://" not in origin:
        options = PublishOptions(source=wanted["source"], allow_pickle=allowed)
        return Copied(publish(Path(origin), store, options, watch), ())
    wishes = Wishes(allow_pickle=allowed)
    if wanted["cache"] is None:
        return copy(open_source(origin), store, wishes, watch)
    from plinth_runtime.weights.cache import Cache

    return copy_through(Cache(wanted["cache"].absolute()), open_source(origin), (store, wishes), watch)


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
