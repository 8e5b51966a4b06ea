"""The state model: resources, pending operations and the checkpoint document (version 3). Pure: no files, no clock."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from pulumi_plinth.embedded.crypto import Crypter
from pulumi_plinth.embedded.errors import StateError, Unsupported
from pulumi_plinth.embedded.values import PropertyMap, from_json, to_json

ENGINE_VERSION = "v3.272.0"
"""Written into the manifest: the Pulumi release whose checkpoint this is."""
STACK_TYPE = "pulumi:pulumi:Stack"
PROVIDER_PREFIX = "pulumi:providers:"
_ALWAYS = ("urn", "custom", "type")
_NOT_A_CHANGE = {"created": "", "modified": "", "source_position": "", "stack_trace": ()}


@dataclass(frozen=True)
class Resource:
    """One resource of a stack. Fields are in the order of a checkpoint, and empty ones are left out there."""

    urn: str
    custom: bool
    delete: bool = False
    """Replaced already; waits to be deleted."""
    id: str = ""
    type: str = ""
    inputs: PropertyMap = field(default_factory=dict)
    outputs: PropertyMap = field(default_factory=dict)
    parent: str = ""
    protect: bool = False
    external: bool = False
    """Only read, never owned: deleting it means forgetting it."""
    dependencies: tuple[str, ...] = ()
    init_errors: tuple[str, ...] = ()
    provider: str = ""
    """Reference `<urn>::<id>` of the provider resource."""
    property_dependencies: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    pending_replacement: bool = False
    """Deleted before its replacement, which does not exist yet."""
    additional_secret_outputs: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    custom_timeouts: Mapping[str, float] = field(default_factory=dict)
    retain_on_delete: bool = False
    deleted_with: str = ""
    created: str = ""
    modified: str = ""
    source_position: str = ""
    stack_trace: tuple[Mapping[str, str], ...] = ()
    ignore_changes: tuple[str, ...] = ()
    replace_on_changes: tuple[str, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Members of newer checkpoints that this engine does not interpret; they survive."""

    @property
    def name(self) -> str:
        """The resource's name in the program."""
        return self.urn.split("::", 3)[-1]

    @property
    def is_provider(self) -> bool:
        """Whether it stands for a provider process and its configuration."""
        return self.type.startswith(PROVIDER_PREFIX)

    @property
    def reference(self) -> str:
        """How other resources name this provider."""
        return f"{self.urn}::{self.id}"

    def references(self) -> set[str]:
        """URNs which must outlive this resource."""
        found = {self.parent, self.deleted_with, self.provider.rpartition("::")[0], *self.dependencies}
        return found.union(*self.property_dependencies.values()) - {""}

    def renamed(self, names: Mapping[str, str]) -> Resource:
        """Follow renames of the resources this one refers to."""
        if not names.keys() & self.references():
            return self
        urn, _, provider_id = self.provider.rpartition("::")
        return replace(
            self,
            parent=names.get(self.parent, self.parent),
            deleted_with=names.get(self.deleted_with, self.deleted_with),
            provider=f"{names[urn]}::{provider_id}" if urn in names else self.provider,
            dependencies=tuple(names.get(d, d) for d in self.dependencies),
            property_dependencies={
                key: tuple(names.get(d, d) for d in deps) for key, deps in self.property_dependencies.items()
            },
        )

    def without(self, gone: set[str]) -> Resource:
        """Forget references to resources that vanished."""
        if not gone & self.references():
            return self
        return replace(
            self,
            parent="" if self.parent in gone else self.parent,
            deleted_with="" if self.deleted_with in gone else self.deleted_with,
            dependencies=tuple(d for d in self.dependencies if d not in gone),
            property_dependencies={
                key: tuple(d for d in deps if d not in gone) for key, deps in self.property_dependencies.items()
            },
        )

    def same_content(self, other: Resource) -> bool:
        """Whether both describe the same resource, whenever and from whichever line it was written."""
        return replace(self, **_NOT_A_CHANGE) == replace(other, **_NOT_A_CHANGE)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Operation:
    """A provider call whose outcome is not known yet. `type`: creating, updating, deleting or reading."""

    resource: Resource
    type: str


@dataclass(frozen=True)
class Snapshot:
    """What a checkpoint says about a stack."""

    resources: tuple[Resource, ...] = ()
    pending: tuple[Operation, ...] = ()
    salt: str = ""

    def stack(self) -> Resource | None:
        """Return the root resource, which carries the stack outputs."""
        return next((r for r in self.resources if r.type == STACK_TYPE and not r.delete), None)


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(part.title() for part in rest)


_KEYS = {f.name: _camel(f.name) for f in fields(Resource) if f.name != "extra"}


def _listed(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_listed(item) for item in value]
    return {key: _listed(item) for key, item in value.items()} if isinstance(value, Mapping) else value


def resource_to_json(resource: Resource, crypter: SecretMemo) -> dict[str, Any]:
    """Write the checkpoint form of a resource."""
    encrypt = crypter.encrypt_for(resource.urn)
    document: dict[str, Any] = {}
    for name, key in _KEYS.items():
        value = getattr(resource, name)
        if value or name in _ALWAYS:
            document[key] = to_json(value, encrypt) if name in ("inputs", "outputs") else _listed(value)
    return document | dict(resource.extra)


def resource_from_json(document: Mapping[str, Any], crypter: SecretMemo) -> Resource:
    """Read a resource of a checkpoint."""
    decrypt = crypter.decrypt_for(document["urn"])
    members: dict[str, Any] = {}
    for name, key in _KEYS.items():
        value = document.get(key)
        if value is None:
            continue
        if name in ("inputs", "outputs"):
            members[name] = from_json(value, decrypt)
        elif name == "property_dependencies":
            members[name] = {item: tuple(urns or ()) for item, urns in value.items()}
        else:
            members[name] = tuple(value) if isinstance(value, list) else value
    extra = {key: value for key, value in document.items() if key not in _KEYS.values()}
    return Resource(**members, extra=extra)


class SecretMemo:
    """Encrypts and decrypts, and keeps the ciphertext of an unchanged secret, so that checkpoints stay comparable.

    `crypter` makes the crypter when the first secret is met: deriving the key takes a third of a second. A state
    written under another salt than the stack file's is read with `reader`.
    """

    def __init__(self, crypter: Callable[[], Crypter], reader: Callable[[], Crypter] | None = None) -> None:
        self._crypter, self._reader = crypter, reader or crypter
        self._known: dict[tuple[str, str], str] = {}

    def encrypt_for(self, urn: str) -> Callable[[str], str]:
        """Return an encrypter for the secrets of one resource."""

        def encrypt(plain: str) -> str:
            if (urn, plain) not in self._known:
                self._known[urn, plain] = self._crypter().encrypt(plain)
            return self._known[urn, plain]

        return encrypt

    def decrypt_for(self, urn: str) -> Callable[[str], str]:
        """Return a decrypter for the secrets of one resource."""

        def decrypt(cipher: str) -> str:
            plain = self._reader().decrypt(cipher)
            if self._reader is self._crypter:
                self._known.setdefault((urn, plain), cipher)
            return plain

        return decrypt


def deployment_to_json(snapshot: Snapshot, crypter: SecretMemo, time: str) -> dict[str, Any]:
    """Write the `latest` member of a checkpoint, which is also what `pulumi stack import` takes as `deployment`."""
    magic = hashlib.sha256(ENGINE_VERSION.encode()).hexdigest()
    document: dict[str, Any] = {"manifest": {"time": time, "magic": magic, "version": ENGINE_VERSION}}
    if snapshot.salt:
        document["secrets_providers"] = {"type": "passphrase", "state": {"salt": snapshot.salt}}
    if snapshot.resources:
        document["resources"] = [resource_to_json(r, crypter) for r in snapshot.resources]
    if snapshot.pending:
        document["pending_operations"] = [
            {"resource": resource_to_json(o.resource, crypter), "type": o.type} for o in snapshot.pending
        ]
    return document | {"metadata": {}}


def checkpoint_to_json(project: str, stack: str, deployment: Mapping[str, Any]) -> dict[str, Any]:
    """Write a whole checkpoint file."""
    return {"version": 3, "checkpoint": {"stack": f"organization/{project}/{stack}", "latest": deployment}}


def salt_of(checkpoint: Mapping[str, Any], where: str) -> str:
    """Return the salt a checkpoint was encrypted under, or an empty text; refuses other secrets providers."""
    provider = (checkpoint.get("checkpoint", {}).get("latest") or {}).get("secrets_providers") or {}
    if provider and provider.get("type") != "passphrase":
        raise Unsupported(f"secrets provider {provider.get('type')!r} (only passphrase)", where)
    return str(provider.get("state", {}).get("salt", ""))


def snapshot_from_json(checkpoint: Mapping[str, Any], crypter: SecretMemo, where: str) -> Snapshot:
    """Read a checkpoint; raises StateError when it is not one of version 3."""
    try:
        if checkpoint["version"] != 3 or checkpoint.get("features"):  # noqa: PLR2004 - the checkpoint's version
            raise StateError(
                f"{where}: checkpoint version {checkpoint['version']} with features "
                f"{checkpoint.get('features')} is newer than this engine; use the Pulumi CLI"
            )
        latest = checkpoint["checkpoint"].get("latest") or {}
        resources = tuple(resource_from_json(item, crypter) for item in latest.get("resources") or ())
        pending = tuple(
            Operation(resource_from_json(item["resource"], crypter), item["type"])
            for item in latest.get("pending_operations") or ()
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise StateError(
            f"{where} is not a Pulumi checkpoint ({error!r}); restore it from the backups folder"
        ) from error
    return Snapshot(resources, pending, salt_of(checkpoint, where))
