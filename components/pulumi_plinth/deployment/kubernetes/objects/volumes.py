"""Volumes of a pod, and where its containers see them. Nothing of the node's own file system. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from plinth_runtime.contract.launch import LaunchConfig
from pulumi_plinth import naming
from pulumi_plinth.deployment.kubernetes.credentials import CLIENTS
from pulumi_plinth.deployment.kubernetes.objects.common import Manifest, quantity
from pulumi_plinth.deployment.kubernetes.paths import (
    ADAPTERS,
    CACHE,
    KEYS,
    KEYS_ENTRY,
    LAUNCH,
    MODELS,
    RUN,
    SCRATCH,
    SHARED_MEMORY,
    STORE,
)
from pulumi_plinth.deployment.kubernetes.plan import ServerPlan
from pulumi_plinth.deployment.kubernetes.weights import Fetch

TOKEN = "token"  # noqa: S105 the name of a volume
TOKEN_FOLDER = "/var/run/secrets/kubernetes.io/serviceaccount"  # noqa: S105 where clients of clouds look for it
TOKEN_SECONDS = 3600
READ_BY_GROUP = 0o440
RUN_BYTES = 256 << 20
"""Lock, status and sockets are small; the engine's log goes to standard output."""

CACHE_BYTES, SCRATCH_BYTES = 8 << 30, 2 << 30
"""Compiled kernels of one model, and what libraries keep for a moment; a pod that writes more is evicted."""


def volumes(plan: ServerPlan) -> Iterator[Manifest]:
    """Yield them, the changing ones last."""
    yield {"name": "launch", "configMap": {"name": launch_name(plan.name, plan.launch)}}
    if plan.keys_secret:
        keys = {"secretName": plan.keys_secret, "items": [{"key": KEYS_ENTRY, "path": KEYS_ENTRY}]}
        yield {"name": "keys", "secret": {**keys, "defaultMode": READ_BY_GROUP}}
    yield {"name": "run", "emptyDir": {"sizeLimit": quantity(RUN_BYTES)}}
    yield {"name": "cache", "emptyDir": {"sizeLimit": quantity(CACHE_BYTES)}}
    yield {"name": "scratch", "emptyDir": {"sizeLimit": quantity(SCRATCH_BYTES)}}
    yield {"name": "shared-memory", "emptyDir": {"medium": "Memory", "sizeLimit": quantity(plan.demand.shared_bytes)}}
    yield from _weights(plan)
    for number, fetch in enumerate(plan.weights.fetches):
        client = CLIENTS[fetch.uri.scheme]
        if fetch.secret and client.files:
            files = [{"key": entry, "path": entry} for entry in client.files]
            secret = {"secretName": fetch.secret, "items": files, "defaultMode": READ_BY_GROUP}
            yield {"name": f"store-{number}", "secret": secret}
    if any(needs_identity(fetch) for fetch in plan.weights.fetches):
        yield {"name": TOKEN, "projected": {"sources": _identity(), "defaultMode": READ_BY_GROUP}}


def launch_name(deployment: str, launch: LaunchConfig) -> str:
    """Name the ConfigMap that holds the launch."""
    return naming.launch_map(deployment, launch.digest())


def needs_identity(fetch: Fetch) -> bool:
    """Tell whether a fetch asks as the pod's service account."""
    return CLIENTS[fetch.uri.scheme].identity and fetch.secret is None


def server_mounts(plan: ServerPlan) -> Iterator[Manifest]:
    """Yield what the server sees: weights and settings read-only, three folders of its own."""
    yield {"name": "launch", "mountPath": LAUNCH, "readOnly": True}
    if plan.keys_secret:
        yield {"name": "keys", "mountPath": KEYS, "readOnly": True}
    yield from _own_folders()
    yield {"name": "run", "mountPath": RUN}
    yield {"name": "shared-memory", "mountPath": SHARED_MEMORY}
    if plan.weights.way != "image":
        yield {"name": "weights", "mountPath": MODELS, "readOnly": True}
    if _fetched_adapters(plan):
        yield {"name": "adapters", "mountPath": ADAPTERS, "readOnly": True}
    for place in plan.weights.adapters:
        if place.image:
            yield {"name": f"adapter-{place.name}", "mountPath": place.folder, "readOnly": True}


def fetch_mounts(number: int, fetch: Fetch) -> Iterator[Manifest]:
    """Yield what a fetch sees: the folder it fills, and its credentials."""
    yield from _own_folders()
    of_adapter = fetch.folder.startswith(f"{ADAPTERS}/")
    yield {"name": "adapters" if of_adapter else "weights", "mountPath": ADAPTERS if of_adapter else MODELS}
    if fetch.secret and CLIENTS[fetch.uri.scheme].files:
        yield {"name": f"store-{number}", "mountPath": STORE, "readOnly": True}
    if needs_identity(fetch):
        yield {"name": TOKEN, "mountPath": TOKEN_FOLDER, "readOnly": True}


def _own_folders() -> Iterator[Manifest]:
    yield {"name": "cache", "mountPath": CACHE}
    yield {"name": "scratch", "mountPath": SCRATCH}


def _weights(plan: ServerPlan) -> Iterator[Manifest]:
    weights = plan.weights
    if weights.way == "claim":
        yield {"name": "weights", "persistentVolumeClaim": {"claimName": weights.source, "readOnly": True}}
    elif weights.way == "image-volume":
        yield {"name": "weights", "image": {"reference": weights.source, "pullPolicy": "IfNotPresent"}}
    elif weights.way == "fetch":
        yield {"name": "weights", "emptyDir": {"sizeLimit": quantity(weights.disk_bytes)}}
    if _fetched_adapters(plan):
        yield {"name": "adapters", "emptyDir": {"sizeLimit": quantity(weights.disk_bytes)}}
    for place in weights.adapters:
        if place.image:
            yield {"name": f"adapter-{place.name}", "image": {"reference": place.image, "pullPolicy": "IfNotPresent"}}


def _fetched_adapters(plan: ServerPlan) -> bool:
    return any(place.image is None for place in plan.weights.adapters)


def _identity() -> list[Manifest]:
    """Project the service account's token as it would be mounted, for the containers that fetch and for no other."""
    return [
        {"serviceAccountToken": {"path": "token", "expirationSeconds": TOKEN_SECONDS}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
    ]
