"""Secrets that pods refer to by name: never made or shown by us, but it is said how they are made. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pulumi_plinth.deployment.kubernetes.paths import KEYS_ENTRY


@dataclass(frozen=True, slots=True)
class SecretNeed:
    """A Secret that must be there: its purpose, its entries, and the command that makes it."""

    name: str
    namespace: str
    purpose: str
    command: str


def keys_need(name: str, namespace: str) -> SecretNeed:
    """Hashes of API keys; the command makes a key, shows it once, and stores its hash. Nothing stands in its argv."""
    make = (
        f'key=$(openssl rand -hex 32) && echo "$key" && printf %s "$key" | sha256sum | cut -d" " -f1 | '
        f"{_create('generic', name, namespace)} --from-file={KEYS_ENTRY}=/dev/stdin"
    )
    return SecretNeed(name, namespace, "hashes of the API keys that are accepted, one a line", make)


def pull_need(name: str, namespace: str) -> SecretNeed:
    """Credentials of a registry, as `docker login` or `podman login` wrote them."""
    file = "--from-file=.dockerconfigjson=$HOME/.docker/config.json --type=kubernetes.io/dockerconfigjson"
    return SecretNeed(name, namespace, "credentials of the registry", f"{_create('generic', name, namespace)} {file}")


def store_need(name: str, namespace: str, entries: Iterable[str]) -> SecretNeed:
    """Credentials of a store; every entry is read from a file of its name."""
    files = " ".join(f"--from-file={entry}=./{entry}" for entry in entries)
    return SecretNeed(name, namespace, "credentials of the store", f"{_create('generic', name, namespace)} {files}")


def _create(kind: str, name: str, namespace: str) -> str:
    return f"kubectl create secret {kind} {name} --namespace {namespace}"
