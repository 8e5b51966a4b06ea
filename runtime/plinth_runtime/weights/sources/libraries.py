"""Libraries of the stores: optional, imported when a scheme needs them. A missing one says what to install."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from plinth_runtime.errors import SourceRefusedError


def library(name: str, extra: str) -> ModuleType:
    """Import a module of an optional dependency. Raises SourceRefusedError with the extra that brings it."""
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != name.partition(".")[0]:
            raise
        raise SourceRefusedError(
            f"the Python package {error.name.partition('.')[0]} is not installed here",
            hint=f"Install it with: pip install 'plinth-runtime[{extra}]'",
        ) from None
