"""Property values: the engine's own form, the wire form (protobuf struct) and the checkpoint form. Pure.

Inside the engine a value is None, bool, int, float, str, list or dict, a `Secret` around one of them, or the
UNKNOWN text in previews. Resource references stay the tagged dicts they are on the wire. Assets are refused.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pulumi_plinth.embedded.errors import Unsupported

SIG = "4dabf18193072939515e22adb298388d"
SECRET = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105 - the tag of secrets, public in Pulumi's protocol
OUTPUT = "d0e6a833031e9bbcd3f4e8bde6ca49a4"
REFERENCE = "5cf8f73096256a8f31e491e813e4eb8e"
ASSETS = ("c44067f5952c0a294b673a41bacd8c17", "0def7320c3a5731c473e5ecbe6d01bc7")
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
_UNKNOWNS = frozenset(
    {
        UNKNOWN,
        "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",
        "3eeb2bf0-c639-47a8-9e75-3b44932eb421",
        "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",
        "030794c1-ac77-496b-92df-f27374a8bd58",
        "e48ece36-62e2-4504-bad9-02848725956a",
        "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",
    }
)
_MAX_EXACT = 2**53
PropertyMap = dict[str, Any]


@dataclass(frozen=True)
class Secret:
    """A value that must never be written or shown in plain."""

    value: Any

    def __repr__(self) -> str:
        return "Secret(...)"


def from_struct(struct: Any) -> PropertyMap:
    """Read a protobuf Struct sent by the program or a provider."""
    return {key: _from_value(value) for key, value in struct.fields.items()}


def _from_value(value: Any) -> Any:
    kind = value.WhichOneof("kind")
    if kind == "struct_value":
        return _from_tagged(from_struct(value.struct_value))
    if kind == "list_value":
        return [_from_value(item) for item in value.list_value.values]
    if kind == "number_value":
        return _number(value.number_value)
    return None if kind in (None, "null_value") else getattr(value, kind)


def _number(number: float) -> int | float:
    # The wire knows only doubles; a checkpoint says 5, not 5.0.
    return int(number) if number.is_integer() and abs(number) <= _MAX_EXACT else number


def _from_tagged(members: PropertyMap) -> Any:
    tag = members.get(SIG)
    if tag == SECRET:
        return make_secret(members.get("value"))
    if tag == OUTPUT:
        value = members.get("value", UNKNOWN)
        return make_secret(value) if members.get("secret") else value
    if tag in ASSETS:
        raise Unsupported("an asset or archive as a property", "resource inputs")
    return members


def make_secret(value: Any) -> Secret:
    """Mark as secret; a secret of a secret is one secret."""
    return Secret(reveal(value))


def reveal(value: Any) -> Any:
    """Drop all secret marks, however deep."""
    if isinstance(value, Secret):
        return reveal(value.value)
    if isinstance(value, dict):
        return {key: reveal(item) for key, item in value.items()}
    return [reveal(item) for item in value] if isinstance(value, list) else value


def to_struct(properties: Mapping[str, Any], *, secrets: bool) -> Any:
    """Write a protobuf Struct; without `secrets` the marks are dropped, as for providers that do not know them."""
    from google.protobuf import struct_pb2

    struct = struct_pb2.Struct()
    struct.update({key: _to_wire(value, secrets) for key, value in properties.items()})
    return struct


def _to_wire(value: Any, secrets: bool) -> Any:  # noqa: FBT001 - private recursion
    if isinstance(value, Secret):
        inner = _to_wire(value.value, secrets)
        return {SIG: SECRET, "value": inner} if secrets else inner
    if isinstance(value, dict):
        return {key: _to_wire(item, secrets) for key, item in value.items()}
    return [_to_wire(item, secrets) for item in value] if isinstance(value, list) else value


def without_references(value: Any) -> Any:
    """Replace references to resources by their ids (or URNs), for providers that do not know references."""
    if isinstance(value, Secret):
        return Secret(without_references(value.value))
    if isinstance(value, dict) and value.get(SIG) == REFERENCE:
        return value.get("id") or value.get("urn")
    if isinstance(value, dict):
        return {key: without_references(item) for key, item in value.items()}
    return [without_references(item) for item in value] if isinstance(value, list) else value


def to_json(value: Any, encrypt: Callable[[str], str]) -> Any:
    """Write the checkpoint form: secrets become their envelope."""
    if isinstance(value, Secret):
        return {SIG: SECRET, "ciphertext": encrypt(compact(value.value))}
    if isinstance(value, dict):
        return {key: to_json(item, encrypt) for key, item in sorted(value.items())}
    return [to_json(item, encrypt) for item in value] if isinstance(value, list) else value


def from_json(value: Any, decrypt: Callable[[str], str]) -> Any:
    """Read the checkpoint form."""
    if isinstance(value, list):
        return [from_json(item, decrypt) for item in value]
    if not isinstance(value, dict):
        return value
    if value.get(SIG) == SECRET:
        plain = value["plaintext"] if "plaintext" in value else decrypt(value["ciphertext"])
        return make_secret(json.loads(plain))
    return {key: from_json(item, decrypt) for key, item in value.items()}


def compact(value: Any) -> str:
    """JSON text as Go writes it: sorted, no blanks, HTML characters escaped."""
    text = json.dumps(reveal(value), separators=(",", ":"), sort_keys=True, ensure_ascii=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def has_unknown(value: Any) -> bool:
    """Whether any part is not known before the deployment."""
    return any(leaf in _UNKNOWNS for leaf in leaves(value) if isinstance(leaf, str))


def leaves(value: Any, *, secret_only: bool = False) -> Iterator[Any]:
    """All scalars, or those under a secret mark."""
    if isinstance(value, Secret):
        yield from leaves(value.value)
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from leaves(item, secret_only=secret_only)
    elif not secret_only:
        yield value


def has_secret(value: Any) -> bool:
    """Whether any part is marked secret."""
    if isinstance(value, dict | list):
        return any(has_secret(item) for item in (value.values() if isinstance(value, dict) else value))
    return isinstance(value, Secret)


def keep_secret_marks(values: PropertyMap, marked: Mapping[str, Any]) -> PropertyMap:
    """Mark again what was secret before it went through a provider that does not know secrets."""
    return {key: _mark(value, marked[key]) if key in marked else value for key, value in values.items()}


def _mark(value: Any, like: Any) -> Any:
    if isinstance(value, Secret) or not has_secret(like):
        return value
    if isinstance(value, dict) and isinstance(like, dict):
        return keep_secret_marks(value, like)
    # Items of a list have no name by which to find them again, so the whole list becomes secret.
    return make_secret(value)


def mark_keys(values: PropertyMap, keys: tuple[str, ...]) -> PropertyMap:
    """Mark additional properties as secret."""
    return {key: make_secret(value) if key in keys else value for key, value in values.items()}
