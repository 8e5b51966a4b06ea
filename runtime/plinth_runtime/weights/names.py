"""May a file with this name lie in a model folder? Pure: names in, faults out, one sentence each."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import PurePosixPath

from plinth_runtime.contract.manifest import MANIFEST_NAME

PICKLES = frozenset({".bin", ".ckpt", ".pickle", ".pkl", ".pt", ".pth"})
"""Formats that can hold programs, which run when the file is read."""

CONTROL = re.compile(r"[\x00-\x1f\x7f\\]")
MAX_NAME_BYTES = 255
MAX_PATH_BYTES = 1024


def name_faults(names: Iterable[str], *, allow_pickle: bool = False) -> tuple[str, ...]:
    """Find names that lead out of the folder, cannot be written, meet each other, or hold programs."""
    chosen = list(names)
    faults = [fault for name in chosen if (fault := _fault(name, allow_pickle=allow_pickle))]
    faults.extend(f"{name!r} is listed twice" for name, count in Counter(chosen).items() if count > 1)
    folders = {str(parent) for name in chosen for parent in PurePosixPath(name).parents}
    faults.extend(f"{name!r} is a file and a folder" for name in chosen if name in folders)
    return tuple(faults)


def is_hidden(name: str) -> bool:
    """Tell names that are no part of a model: anything below a name with a dot in front."""
    return any(part.startswith(".") and part not in {".", ".."} for part in name.split("/"))


def is_pickle(name: str) -> bool:
    """Tell names of files that can hold programs."""
    return PurePosixPath(name).suffix.lower() in PICKLES


def is_bookkeeping(name: str) -> bool:
    """Say whether a path is no part of a model: the manifest itself and anything hidden, as `.gitattributes`."""
    return name == MANIFEST_NAME or is_hidden(name)


def _fault(name: str, *, allow_pickle: bool) -> str | None:
    segments = name.split("/")
    if {"", ".", ".."} & set(segments):
        return f"{name!r} leads out of the model folder"
    if CONTROL.search(name):
        return f"{name!r} has a control character or a backslash in it"
    if len(name.encode()) > MAX_PATH_BYTES or any(len(part.encode()) > MAX_NAME_BYTES for part in segments):
        return f"{name[:80]!r}… is longer than a file name may be"
    if not allow_pickle and is_pickle(name):
        return f"{name!r} is a pickle file: it may hold a program that runs when it is read"
    return None
