"""A folder on this host: is it a LoRA adapter that may be loaded, and of which rank? Reads small files only."""

from __future__ import annotations

import json
from pathlib import Path

from plinth_runtime.contract.adapter import CONFIG_NAME, MOST_CONFIG_BYTES, WEIGHTS_NAME, highest_rank


class AdapterError(Exception):
    """Why a folder cannot be loaded, in one sentence."""


def read_rank(folder: Path) -> int:
    """Return the highest rank that the adapter in this folder needs. Raises AdapterError.

    Weights must be safetensors: the engine would fall back to a pickle, which can run code.
    """
    if not (folder / WEIGHTS_NAME).is_file():
        raise AdapterError(f"{folder} has no {WEIGHTS_NAME}; save the adapter with safe_serialization=True")
    path = folder / CONFIG_NAME
    try:
        if path.stat().st_size > MOST_CONFIG_BYTES:
            raise AdapterError(f"{path} is larger than {MOST_CONFIG_BYTES} bytes and so no adapter's configuration")
        document = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise AdapterError(f"{path} cannot be read: {error}") from error
    rank = highest_rank(document)
    if rank is None:
        raise AdapterError(f"{path} names no rank; `r` must be a whole number of at least 1")
    return rank
