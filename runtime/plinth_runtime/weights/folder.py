"""What lies in a model folder: names, sizes, bytes. What the model is like is in `inspect.py`, which needs far more."""

from __future__ import annotations

import os
from pathlib import Path

from plinth_runtime.contract.card_files import Reader
from plinth_runtime.errors import CorruptWeightsError
from plinth_runtime.weights.names import is_bookkeeping


def list_files(folder: Path) -> dict[str, int]:
    """Files of a folder, relative path to bytes; bookkeeping left out. Raises CorruptWeightsError without a folder."""
    if not folder.is_dir():
        raise CorruptWeightsError(f"there is no model folder at {folder}")
    found = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    return {name: path.stat().st_size for name, path in found.items() if not is_bookkeeping(name)}


def reader_of(folder: Path) -> Reader:
    """Give the reading function that `read_card` wants; it opens a file per call and holds nothing."""

    def read(path: str, offset: int, length: int) -> bytes:
        descriptor = os.open(folder / path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return os.pread(descriptor, length, offset)
        finally:
            os.close(descriptor)

    return read
