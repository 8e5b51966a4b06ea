"""Plain-text keys and tokens in foreign documents become references to secrets, before anything else looks. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from pulumi_plinth.model.findings import CREDENTIALS
from pulumi_plinth.quantities import SECRET_TEXT, to_label

_SECRET_KEYS = frozenset(
    {
        "accesstoken", "apikey", "apitoken", "authtoken", "bearertoken", "clientsecret", "githubtoken", "hftoken",
        "huggingfacetoken", "huggingfacehubtoken", "modelprovidertoken", "password", "passwd", "privatekey", "sastoken",
        "secretaccesskey", "secrettoken", "token", "useauthtoken", "secretvalue", "passphrase", "authorization",
    }
)  # fmt: skip
"""Keys, without case and punctuation, whose value is a secret. Names of secrets (`key`, `secretKey`) are not here."""

_REFERENCE = re.compile(r"\$\{secret:[A-Za-z0-9._-]+\}")


@dataclass(slots=True)
class Scrubbed:
    """A document without secrets, and for each what stood where: (keys, name of the reference)."""

    value: Any
    found: list[tuple[tuple[str | int, ...], str]] = field(default_factory=list)


def scrub(value: Any, owner: str) -> Scrubbed:
    """Replace secrets by `${secret:NAME}`; names begin with the owner's. What is already a reference stays."""
    result = Scrubbed(None)
    result.value = _walk(value, (), (to_label(owner, 60), result.found))
    return result


def _walk(value: Any, keys: tuple[str | int, ...], state: tuple[str, list[Any]]) -> Any:
    """Copy only what changes: documents share parts through aliases."""
    if isinstance(value, dict):
        changed: Any = {key: _walk(item, (*keys, key), state) for key, item in value.items()}
        return changed if any(changed[key] is not item for key, item in value.items()) else value
    if isinstance(value, list):
        changed = [_walk(item, (*keys, index), state) for index, item in enumerate(value)]
        return changed if any(new is not old for new, old in zip(changed, value, strict=True)) else value
    return _text(value, keys, state) if isinstance(value, str) and value else value


def _text(value: str, keys: tuple[str | int, ...], state: tuple[str, list[Any]]) -> str:
    """Replace a text that is a secret, or the secrets inside a longer one."""
    if _REFERENCE.fullmatch(value):
        return value
    key = next((key for key in reversed(keys) if isinstance(key, str)), "")
    if re.sub(r"[^a-z0-9]", "", key.lower()) in _SECRET_KEYS:
        return _reference(keys, state)
    if not (SECRET_TEXT.search(value) or CREDENTIALS.search(value)):
        return value
    reference = _reference(keys, state)
    return CREDENTIALS.sub(f"://{reference}@", SECRET_TEXT.sub(reference, value))


def _reference(keys: tuple[str | int, ...], state: tuple[str, list[Any]]) -> str:
    """Note where a secret was, and return what stands for it."""
    owner, found = state
    last = next((key for key in reversed(keys) if isinstance(key, str)), "secret")
    words = to_label(re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", last), 40)
    name = f"{owner}-{words}"
    taken = {known for _, known in found}
    count = 2
    while name in taken:
        name, count = f"{owner}-{words}-{count}", count + 1
    found.append((keys, name))
    return f"${{secret:{name}}}"
