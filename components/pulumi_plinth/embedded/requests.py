"""Registrations as the program sends them, read into values; refuses by name what this engine does not do. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from pulumi_plinth.embedded.errors import Unsupported
from pulumi_plinth.embedded.state import PROVIDER_PREFIX, Resource
from pulumi_plinth.embedded.steps import seconds, urn_of
from pulumi_plinth.embedded.values import from_struct

_REFUSED = {
    "remote": "a remote component",
    "transforms": "the option 'transforms'",
    "packageRef": "a parameterized package",
    "replace_with": "the option 'replace_with'",
    "state_migrations": "the option 'state_migrations'",
    "envVarMappings": "the option 'env_var_mappings'",
}

_SOURCE_FILES = 1024
"""Files whose place is remembered: every registration names some twenty frames, all of the same few files."""


@dataclass(frozen=True)
class Scope:
    """Where registrations come from."""

    stack: str
    project: str
    root: Path


@dataclass(frozen=True)
class Request:
    """One registration. None in the options means: not said, ask the parent or the provider."""

    resource: Resource
    protect: bool | None = None
    retain: bool | None = None
    delete_before_replace: bool | None = None
    import_id: str = ""
    version: str = ""
    url: str = ""

    @property
    def package(self) -> str:
        """The package whose plugin handles the resource."""
        return self.resource.type.split(":")[0]


def read_request(message: Any, scope: Scope) -> Request:
    """Read a RegisterResourceRequest; raises Unsupported."""
    where = f"{message.type} '{message.name}'"
    _refuse(message, where)
    urn = urn_of(scope.stack, scope.project, message.parent, message.type, message.name)
    inputs = from_struct(message.object)
    if message.type.startswith(PROVIDER_PREFIX):
        extra = {"version": message.version, "pluginDownloadURL": message.pluginDownloadURL}
        inputs |= {key: text for key, text in extra.items() if text}
    timeouts = {verb: seconds(getattr(message.customTimeouts, verb)) for verb in ("create", "update", "delete")}
    resource = Resource(
        urn,
        custom=message.custom,
        type=message.type,
        inputs=inputs,
        parent=message.parent,
        dependencies=tuple(sorted(message.dependencies)),  # the SDK sends sets, in any order
        provider=message.provider if message.custom else "",
        property_dependencies={k: tuple(sorted(v.urns)) for k, v in sorted(message.propertyDependencies.items())},
        additional_secret_outputs=tuple(message.additionalSecretOutputs),
        aliases=(*message.aliasURNs, *(_alias(alias, message, scope) for alias in message.aliases)),
        custom_timeouts={verb: value for verb, value in timeouts.items() if value},
        deleted_with=message.deletedWith,
        source_position=_position(message.sourcePosition, scope.root),
        stack_trace=tuple(_frame(frame, scope.root) for frame in message.stackTrace.frames),
        ignore_changes=tuple(message.ignoreChanges),
        replace_on_changes=tuple(message.replaceOnChanges),
    )
    return Request(
        resource,
        protect=message.protect if message.HasField("protect") else None,
        retain=message.retainOnDelete if message.HasField("retainOnDelete") else None,
        delete_before_replace=message.deleteBeforeReplace if message.deleteBeforeReplaceDefined else None,
        import_id=message.importId,
        version=message.version,
        url=message.pluginDownloadURL,
    )


def read_existing(message: Any, scope: Scope) -> Request:
    """Read a ReadResourceRequest: a resource that others own; raises Unsupported."""
    if message.packageRef:
        raise Unsupported(_REFUSED["packageRef"], f"{message.type} '{message.name}'")
    resource = Resource(
        urn_of(scope.stack, scope.project, message.parent, message.type, message.name),
        custom=True,
        id=message.id,
        type=message.type,
        inputs=from_struct(message.properties),
        parent=message.parent,
        external=True,
        dependencies=tuple(sorted(message.dependencies)),
        provider=message.provider,
        additional_secret_outputs=tuple(message.additionalSecretOutputs),
        source_position=_position(message.sourcePosition, scope.root),
    )
    return Request(resource, version=message.version, url=message.pluginDownloadURL)


def _refuse(message: Any, where: str) -> None:
    for field, feature in _REFUSED.items():
        if getattr(message, field):
            raise Unsupported(feature, where)
    if message.HasField("replacement_trigger"):
        raise Unsupported("the option 'replacement_trigger'", where)
    if message.HasField("hooks") and message.hooks.ByteSize():
        raise Unsupported("the option 'hooks'", where)


def _alias(alias: Any, message: Any, scope: Scope) -> str:
    if alias.WhichOneof("alias") == "urn":
        return str(alias.urn)
    spec = alias.spec
    parent = "" if spec.noParent else spec.parentUrn or message.parent
    return urn_of(
        spec.stack or scope.stack,
        spec.project or scope.project,
        parent,
        spec.type or message.type,
        spec.name or message.name,
    )


def _frame(frame: Any, root: Path) -> dict[str, str]:
    position = _position(frame.pc, root)
    return {"sourcePosition": position} if position else {}


def _position(position: Any, root: Path) -> str:
    """Write a source line relative to the project, so that state does not depend on where the project lies."""
    if not position.uri.startswith("file:"):
        return ""
    return f"project:///{_relative(position.uri, root)}#{position.line}"


@lru_cache(maxsize=_SOURCE_FILES)
def _relative(uri: str, root: Path) -> str:
    path = unquote(urlsplit(uri).path)
    return Path(path).relative_to(root).as_posix() if path.startswith(f"{root}/") else _climb(path, root)


def _climb(path: str, root: Path) -> str:
    import os.path

    return os.path.relpath(path, root)
