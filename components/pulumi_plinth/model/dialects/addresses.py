"""Model addresses as people type them (hub ids, folders, files) ↔ storage URIs. Pure."""

from __future__ import annotations

import re

from pulumi_plinth.quantities import to_label

_FILES = (".gguf", ".safetensors", ".bin", ".pt", ".pth")
_HUB_HOSTS = re.compile(r"(?:https?://)?(?:hf\.co|huggingface\.co)/")

_DRIVE = re.compile(r"[A-Za-z]:[\\/]")
"""A path of Windows."""


def from_address(address: str) -> str:
    """Return the URI that an address means: what is no path and has at most one slash is an id on the hub."""
    if (hub := _HUB_HOSTS.match(address)) is not None:
        return "hf://" + address[hub.end() :].partition(":")[0].removesuffix("/")
    if "://" in address:
        return address
    if address.startswith(("./", ".\\")):
        return "local://" + address[2:].replace("\\", "/")
    if _DRIVE.match(address):
        return "local://" + address.replace("\\", "/")
    local = address.startswith(("/", "~", "../")) or address.endswith(("/", *_FILES)) or address.count("/") > 1
    return f"local://{address}" if local else f"hf://{address}"


def to_address(uri: str) -> str:
    """Return the shortest address that is read as this URI again."""
    for scheme in ("hf://", "local://"):
        address = uri.removeprefix(scheme)
        if address == uri:
            continue
        if from_address(address) == uri:
            return address
        if from_address(f"./{address}") == uri:
            return f"./{address}"
    return uri


def adapter_name(address: str) -> str:
    """Name an adapter after its folder."""
    return to_label(address.rstrip("/").rpartition("/")[2].partition("@")[0])
