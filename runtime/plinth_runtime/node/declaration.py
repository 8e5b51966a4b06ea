"""A declaration as the agent needs it: where the content comes from, where it goes, what is wrong with it. Pure.

Reads generously what the API server let through: `storageKey` for `key`, an address in `path`, a folder as source.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from plinth_runtime.contract.model_names import RESERVED_LABEL, SKIP_DETECTION, ModelKey, ModelKind
from plinth_runtime.contract.uri import StorageUri, UriError

DIGEST_DIGITS = 16
CACHE, RECORDS, MODELS = "cache", "records", "models"
"""The agent's folders below its root; declarations may not point into them."""

DEFAULT_SECRET_KEY = "token"  # noqa: S105 the name of a key
IN_PLACE = frozenset({"local"})
BY_OTHERS = frozenset({"pvc", "vendor"})
"""Schemes whose content is on the node already, and those whose content no agent brings."""


@dataclass(frozen=True, slots=True)
class Declaration:
    """One declaration, read. `faults` says everything that keeps its content from being fetched.

    Two are equal when this node has the same to do about them: versions that differ in status only are.
    """

    key: ModelKey
    uid: str = ""
    generation: int = field(default=0, compare=False)
    version: str = field(default="", compare=False)
    address: str = ""
    path: str | None = None
    storage: Mapping[str, Any] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)
    secret: str | None = None
    reuse: bool = False
    reserved: bool = False
    detect: bool = True
    leaving: bool = False
    faults: tuple[str, ...] = ()

    @property
    def scheme(self) -> str:
        """The kind of store."""
        return self.address.partition("://")[0]

    @property
    def digest(self) -> str:
        """What tells two wishes apart: source, place and the client's settings. Never what only describes the model."""
        return wish_digest(self.address, self.path, self.parameters)

    @property
    def secret_key(self) -> str:
        """The key in the secret's data that holds the token."""
        return self.parameters.get("secretKey", DEFAULT_SECRET_KEY)

    def link(self, root: str) -> str:
        """Give the place where the content can be found on the node: a link, switched in one step."""
        return self.path or str(PurePosixPath(root) / MODELS / self.key.folder)

    def local_path(self, root: str) -> str:
        """Give the folder that a `local://` address means; a relative one lies below the root."""
        return str(PurePosixPath(root) / self.address.partition("://")[2])


def wish_digest(address: str, path: str | None, parameters: Mapping[str, str]) -> str:
    """Digest a wish."""
    text = json.dumps([address, path, dict(parameters)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:DIGEST_DIGITS]


def key_of(kind: ModelKind, document: Mapping[str, Any]) -> ModelKey:
    """Name an object."""
    metadata = document["metadata"]
    return ModelKey(kind, metadata.get("namespace", "") if kind.namespaced else "", metadata["name"])


def declared_digest(document: Mapping[str, Any]) -> str:
    """Digest the wish of an object as it stands in the cluster."""
    storage = (document.get("spec") or {}).get("storage") or {}
    address, path = _places(storage)
    return wish_digest(address, path, storage.get("parameters") or {})


def read_declaration(kind: ModelKind, document: Mapping[str, Any], root: str) -> Declaration:
    """Read an object of the API."""
    metadata, spec = document["metadata"], document.get("spec") or {}
    storage = spec.get("storage") or {}
    address, path = _places(storage)
    parameters = storage.get("parameters") or {}
    annotations = metadata.get("annotations") or {}
    return Declaration(
        key=key_of(kind, document),
        uid=metadata.get("uid", ""),
        generation=metadata.get("generation", 0),
        version=metadata.get("resourceVersion", ""),
        address=address,
        path=path,
        storage=storage,
        parameters=parameters,
        secret=storage.get("key") or storage.get("storageKey"),
        reuse=storage.get("downloadPolicy") == "ReuseIfExists",
        reserved=(metadata.get("labels") or {}).get(RESERVED_LABEL) == "true",
        detect=not any(annotations.get(name) == "true" for name in SKIP_DETECTION),
        leaving="deletionTimestamp" in metadata,
        faults=(*_address_faults(address), *_path_faults(path, root), *_secret_faults(parameters)),
    )


def _places(storage: Mapping[str, Any]) -> tuple[str, str | None]:
    """Give address and folder; where they stand in each other's place, they are put right."""
    uri, path = storage.get("storageUri") or "", storage.get("path") or ""
    if "://" in path and "://" not in uri:
        uri, path = path, uri
    if uri.startswith("/"):
        uri = f"local://{uri}"
    if not uri and path.startswith("/"):
        uri = f"local://{path}"
    return uri, path.rstrip("/") or None


def _address_faults(address: str) -> tuple[str, ...]:
    if not address:
        return ("spec.storage.storageUri is missing; write where the content comes from, such as hf://org/model",)
    try:
        StorageUri.parse(address)
    except UriError as error:
        return (f"spec.storage.storageUri {error}",)
    return ()


def _path_faults(path: str | None, root: str) -> tuple[str, ...]:
    """Refuse a folder outside the root: what a declaration names is written to, linked and removed."""
    if path is None:
        return ()
    place, base = PurePosixPath(path), PurePosixPath(root)
    if ".." in place.parts or not place.is_relative_to(base) or place == base:
        return (f"spec.storage.path {path} is not below {root}, where this agent keeps models; write {root}/NAME",)
    if place.relative_to(base).parts[0] in (CACHE, RECORDS, MODELS):
        return (f"spec.storage.path {path} is in the agent's own folder; write {root}/NAME",)
    return ()


def _secret_faults(parameters: Mapping[str, str]) -> tuple[str, ...]:
    if "token" not in parameters:
        return ()
    return ("spec.storage.parameters.token is a secret in plain text; put it into a Secret and name that in `key`",)
