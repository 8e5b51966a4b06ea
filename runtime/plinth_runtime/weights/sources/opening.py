"""Address -> source or store: one row per scheme. A scheme's module is imported only when it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import cast
from urllib.parse import urlsplit

from plinth_runtime.contract.uri import StorageUri, UriError, grammar
from plinth_runtime.errors import SourceRefusedError
from plinth_runtime.weights.sources import Source, Store

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})

MODULES: Mapping[str, str] = MappingProxyType(
    {
        "oci": "plinth_runtime.weights.sources.oci",
        "ocios": "plinth_runtime.weights.sources.oci",
        "s3": "plinth_runtime.weights.sources.s3",
        "hf": "plinth_runtime.weights.sources.hub",
        "gs": "plinth_runtime.weights.sources.gcs",
        "az": "plinth_runtime.weights.sources.azure",
        "github": "plinth_runtime.weights.sources.github",
        "https": "plinth_runtime.weights.sources.https",
        "http": "plinth_runtime.weights.sources.https",
        "local": "plinth_runtime.weights.sources.local",
        "pvc": "plinth_runtime.weights.sources.local",
        "file": "plinth_runtime.weights.sources.local",
    }
)
"""Scheme -> module with `open_source(address)` and, where it can be written to, `open_store(address)`."""


def open_source(address: str) -> Source:
    """Give the source at an address. Raises SourceRefusedError if it cannot be one."""
    return cast("Source", _opener(address, "open_source", "be fetched from")(address))


def open_store(address: str) -> Store:
    """Give the store at an address. Raises SourceRefusedError if nothing can be published there."""
    return cast("Store", _opener(address, "open_store", "be published to")(address))


def is_loopback(host: str | None) -> bool:
    """Tell whether a host is this machine, so that plain http cannot be listened to."""
    return host in LOOPBACK


def _opener(address: str, function: str, purpose: str) -> Callable[[str], object]:
    scheme = _scheme(address)
    module = MODULES.get(scheme)
    opener = getattr(import_module(module), function, None) if module else None
    if opener is None:
        able = ", ".join(f"{name}://" for name in MODULES if name not in {"http", "file"})
        raise SourceRefusedError(f"{scheme}:// cannot {purpose}", hint=f"Use one of {able}.")
    return cast("Callable[[str], object]", opener)


def _scheme(address: str) -> str:
    """Read and judge the scheme. A path is a local folder; the contract's grammar judges every other address."""
    scheme, separator, rest = address.partition("://")
    if not (rest if separator else address):
        # An empty path would be the folder that somebody happens to stand in.
        raise SourceRefusedError("the address is empty", hint="Write an address, or `.` for this folder.")
    if not separator:
        return "local"
    if scheme in {"http", "file"}:
        _judge_own(scheme, address)
        return scheme
    try:
        return StorageUri.parse(address).scheme
    except UriError as error:
        raise SourceRefusedError(f"the address {error}") from None


def _judge_own(scheme: str, address: str) -> None:
    """Judge the two schemes that only this command line knows."""
    parts = urlsplit(address)
    if scheme == "http" and not is_loopback(parts.hostname):
        raise SourceRefusedError(
            f"http:// is not encrypted, and {parts.hostname} is not this machine", hint=f"Write {grammar('https')}."
        )
    if parts.username or parts.password or parts.query or parts.fragment:
        raise SourceRefusedError("the address holds a user, query or fragment; keep credentials in a secret")
    if ".." in PurePosixPath(parts.path).parts:
        raise SourceRefusedError("the address steps out of its folder ('..')")
