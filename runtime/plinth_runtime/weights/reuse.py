"""Weights that are here already, taken without asking their source: what READY says, if its files still are there."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from plinth_runtime.contract.manifest import MANIFEST_NAME, WeightManifest, size_faults
from plinth_runtime.errors import CorruptWeightsError
from plinth_runtime.weights.folder import list_files
from plinth_runtime.weights.shelf import READY, STATE, Ready
from plinth_runtime.weights.verify import parse_manifest


@dataclass(frozen=True, slots=True)
class Reused:
    """A folder that READY vouches for."""

    folder: Path
    ready: Ready


def find_ready(folders: Iterable[Path], address: str, expected: frozenset[str]) -> Reused | None:
    """Give the first folder that is complete, came from this address, and is what is expected of it."""
    for folder in folders:
        ready = _read(folder)
        if ready is not None and ready.source == address and _is_whole(folder, ready, expected):
            return Reused(folder, ready)
    return None


def _read(folder: Path) -> Ready | None:
    try:
        return Ready(**json.loads((folder / STATE / READY).read_bytes()))
    except (OSError, ValueError, TypeError):
        return None


def _is_whole(folder: Path, ready: Ready, expected: frozenset[str]) -> bool:
    try:
        manifest: WeightManifest = parse_manifest((folder / MANIFEST_NAME).read_bytes(), ready.manifest)
        present = list_files(folder)
    except (OSError, CorruptWeightsError):
        return False
    known = {ready.manifest, *(file.sha256 for file in manifest.files)}
    return expected <= known and not size_faults(manifest, present)
