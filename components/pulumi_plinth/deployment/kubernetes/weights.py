"""How the weights come into a pod: in the image, in a volume, or fetched when it starts. Pure.

Docs: decisions/0011-weights-in-pods.md. What is on a node's disk (local://, vendor://) would need hostPath, which
`restricted` forbids.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from plinth_runtime.contract.uri import StorageUri
from pulumi_plinth.deployment.kubernetes.case import ServerCase
from pulumi_plinth.deployment.kubernetes.credentials import CLIENTS
from pulumi_plinth.deployment.kubernetes.paths import ADAPTERS, MODELS, WEIGHTS
from pulumi_plinth.errors import Fault
from pulumi_plinth.fit.disk import SOURCE_BYTES_PER_SECOND
from pulumi_plinth.fit.layout import Reason
from pulumi_plinth.model.storage import StorageSpec
from pulumi_plinth.quantities import GIB, human_bytes, human_gib

Way = Literal["image", "claim", "image-volume", "fetch"]

SLACK_BYTES = GIB
"""Beside the weights: manifests, journals, parts that are fetched again."""

HUB = "hf"
"""Where the catalogue's models are."""

ARTIFACTS = ("artifact", "digest")
"""Forms of oci:// that name an image in a registry, not an object in a bucket."""


@dataclass(frozen=True, slots=True)
class Fetch:
    """One thing that is fetched when a pod starts: from where, to which folder, with which credentials."""

    uri: StorageUri
    folder: str
    secret: str | None = None
    settings: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class AdapterPlace:
    """An adapter in the pod: its name, its folder, and the image that is mounted there, if one is."""

    name: str
    folder: str
    rank: int
    image: str | None = None


@dataclass(frozen=True, slots=True)
class WeightsPlan:
    """Where the model's folder is, and how it gets there. `source` is a claim or an image, by `way`."""

    way: Way
    folder: str
    source: str | None = None
    fetches: tuple[Fetch, ...] = ()
    adapters: tuple[AdapterPlace, ...] = ()
    disk_bytes: int = 0
    seconds: int = 0
    reason: str = ""

    def reasons(self) -> Iterator[Reason]:
        """Say it."""
        yield Reason("weights", self.reason)


def plan_weights(case: ServerCase, weight_bytes: int, faults: list[Fault]) -> WeightsPlan | None:
    """Decide; a fault says why there is no way."""
    there = _there(case, faults)
    adapters, fetches = _adapters(case, faults)
    if there is not None:
        return _complete(case, there, adapters, fetches, weight_bytes)
    uri = _address(case, faults)
    if uri is None:
        return None
    storage = case.declared.storage or StorageSpec()
    main = _fetch(uri, WEIGHTS, storage)
    plan = WeightsPlan("fetch", WEIGHTS, reason=_fetch_text(uri, weight_bytes))
    return _complete(case, plan, adapters, (main, *fetches), weight_bytes)


def _complete(
    case: ServerCase, plan: WeightsPlan, adapters: tuple[AdapterPlace, ...], fetches: tuple[Fetch, ...], size: int
) -> WeightsPlan:
    fetched = size if plan.way == "fetch" else 0
    disk = (case.spec.pod.disk or int(fetched * 1.1) + SLACK_BYTES) if fetches else 0
    seconds = round(3 * fetched / SOURCE_BYTES_PER_SECOND)
    return WeightsPlan(plan.way, plan.folder, plan.source, fetches, adapters, disk, seconds, plan.reason)


def _there(case: ServerCase, faults: list[Fault]) -> WeightsPlan | None:
    """Return the plan for weights that a volume or the image holds."""
    written, preset = case.spec.weights, case.declared.preset
    if written:
        folder = f"{MODELS}/{written.path}" if written.path else MODELS
        if written.claim:
            return WeightsPlan("claim", folder, written.claim, reason=f"in claim {written.claim}, as asked; {_STAYS}")
        return WeightsPlan(
            "image-volume", folder, written.image, reason=f"image {written.image} as a volume; the node pulls it once"
        )
    if preset and preset.image:
        return WeightsPlan("image", WEIGHTS, reason=f"in the preset's own image; {_PULLED}")
    source = case.declared.storage.source if case.declared.storage else None
    if source is not None and source.scheme == "pvc":
        return _claimed(case, source, faults)
    if source is not None and source.scheme == "oci" and source.form.name in ARTIFACTS:
        image = str(source).removeprefix("oci://")
        return WeightsPlan("image-volume", MODELS, image, reason=f"image {image} as a volume; {_PULLED}")
    return None


_STAYS = "what is there survives pods and nodes"
_PULLED = "a node that is new pulls it before the pod starts"


def _claimed(case: ServerCase, uri: StorageUri, faults: list[Fault]) -> WeightsPlan:
    claim, path, namespace = uri.get("claim") or "", (uri.get("subpath") or "").strip("/"), case.namespace
    owner = uri.get("kubernetesNamespace")
    if owner not in (None, namespace):
        problem = f"names a claim in namespace {owner}, and the pods run in {namespace}, which cannot mount it"
        remedy = f"write pod: {{namespace: {owner}}}, or a claim in {namespace}"
        faults.append(Fault(f"{case.path}.model", str(uri), problem, remedy))
    return WeightsPlan("claim", f"{MODELS}/{path}", claim, reason=f"in claim {claim}; {_STAYS}")


def _address(case: ServerCase, faults: list[Fault]) -> StorageUri | None:
    """Return the address to fetch from: the model's own, else where the catalogue knows it."""
    declared, path, value = case.declared, f"{case.path}.model", case.spec.model
    uri = declared.storage.source if declared.storage else None
    if uri is not None and uri.scheme in CLIENTS:
        return uri
    remedy = "write `storage: {uri: …}` of a store, or `weights:` with a claim or an image"
    if uri is not None:
        problem = f"lies at {uri}, on the nodes themselves, which pods under `restricted` cannot mount"
        faults.append(Fault(path, value, problem, remedy))
    elif declared.store:
        problem = f"lies in store {declared.store}, a folder of this host, which no pod can read"
        faults.append(Fault(path, value, problem, f"publish it (`plinth-runtime publish`) and {remedy}"))
    elif case.facts.source is None:
        faults.append(Fault(path, value, "has weights nowhere that a pod can reach", remedy))
    else:
        if case.facts.gated and not (declared.storage and declared.storage.key):
            problem = f"is gated at {case.facts.source}: the hub wants a token of an account that accepted the licence"
            faults.append(Fault(path, value, problem, "name a Secret with an entry `token` as the model's storage.key"))
        return StorageUri.parse(case.facts.source)
    return None


def _fetch(uri: StorageUri, folder: str, storage: StorageSpec) -> Fetch:
    names = CLIENTS[uri.scheme].settings or {}
    settings = tuple((names[key], value) for key, value in sorted(storage.parameters.items()) if key in names)
    return Fetch(uri, folder, storage.key if CLIENTS[uri.scheme].entries else None, settings)


def _fetch_text(uri: StorageUri, size: int) -> str:
    each = f"{human_gib(size)} by every pod that starts, about {size / SOURCE_BYTES_PER_SECOND:.0f} s"
    return (
        f"fetched from {uri} to the node's disk: {each} at {human_bytes(SOURCE_BYTES_PER_SECOND)}/s; scales from zero"
    )


def _adapters(case: ServerCase, faults: list[Fault]) -> tuple[tuple[AdapterPlace, ...], tuple[Fetch, ...]]:
    places, fetches = [], []
    own = case.declared.storage or StorageSpec()
    scheme = own.source.scheme if own.source else HUB
    usual = case.spec.adapters.rank if case.spec.adapters else 16
    for adapter in case.declared.adapters:
        folder = f"{ADAPTERS}/{adapter.name}"
        uri = StorageUri.parse(adapter.uri) if adapter.uri else None
        if uri is not None and uri.scheme in CLIENTS:
            # The model's credentials and settings are those of its own kind of store, and mean nothing to another.
            fetches.append(_fetch(uri, folder, own if uri.scheme == scheme else StorageSpec()))
        elif not adapter.image:
            problem = f"has adapter {adapter.name} in a volume or on nodes, which pods here do not mount"
            remedy = "give the adapter an image, or the uri of a store"
            faults.append(Fault(f"{case.path}.model", case.spec.model, problem, remedy))
        places.append(AdapterPlace(adapter.name, folder, adapter.rank or usual, adapter.image))
    return tuple(places), tuple(fetches)
