"""Bundles of compiled code by hand: out of a node's folder, into another's. What `serve` does by itself is the same."""

from __future__ import annotations

import shutil
from pathlib import Path

from plinth_runtime.contract.cache import CacheFacts
from plinth_runtime.errors import BadConfigError
from plinth_runtime.server import cache_facts, find_own_seat, load_launch
from plinth_runtime.serving.cache_bundle import BundleError, read_table
from plinth_runtime.serving.engine_cache import import_bundle


def export(config: Path, target: Path) -> str:
    """Copy a launch's bundle and say what is in it. Raises BadConfigError where there is none."""
    folder, facts = _place(config)
    bundle = folder / f"{facts.key()}.tar"
    try:
        table = read_table(bundle)
        shutil.copyfile(bundle, target)
    except (BundleError, OSError) as error:
        raise BadConfigError(f"{bundle}: {error}", hint="Start the server once: it keeps what it compiled.") from error
    return f"{target}: {len(table.files)} files, {bundle.stat().st_size} bytes, {facts.key()}"


def take_in(config: Path, bundle: Path) -> str:
    """Take a bundle into a launch's folder. Raises BadConfigError, saying in what it differs."""
    folder, facts = _place(config)
    try:
        target = import_bundle(bundle, facts, folder)
    except (BundleError, OSError) as error:
        hint = "Export it from a node with the same engine, device, launch and engine.cache."
        raise BadConfigError(f"{bundle} is not taken in: {error}", hint=hint) from error
    return str(target)


def _place(config: Path) -> tuple[Path, CacheFacts]:
    launch = load_launch(config)
    if launch.engine.cache is None:
        raise BadConfigError(f"{config} has no engine.cache", hint="Write the folder that shall keep compiled code.")
    folder, seat = Path(launch.engine.cache), find_own_seat(launch)
    try:
        return folder, cache_facts(launch, 0 if seat is None else seat.rank, str(folder / "live"))
    except (BundleError, OSError) as error:
        raise BadConfigError(f"what the cache depends on cannot be told: {error}") from error
