"""StoreSpec -> StorePlan: where weights lie, what is made for it, who may read. Pure.

Addresses and statements leave open as `<name>` what only the cloud knows (see `oci_policy`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from plinth_runtime.contract.uri import StorageUri, UriError
from pulumi_plinth.errors import Fault
from pulumi_plinth.fit.layout import Reason
from pulumi_plinth.oci_policy import BUCKET, CLUSTER, COMPARTMENT, IdentitySpec, fill, still_open
from pulumi_plinth.oci_spec import PENDING, OciSpec
from pulumi_plinth.spec import Spec
from pulumi_plinth.store.bucket_plan import BucketPlan, plan_bucket
from pulumi_plinth.store.bucket_spec import BucketStoreSpec
from pulumi_plinth.store.spec import FolderStoreSpec, StoreSpec
from pulumi_plinth.store.volume_spec import ClaimSpec, FssStoreSpec, LustreStoreSpec, PvcStoreSpec, S3StoreSpec


@dataclass(frozen=True, slots=True)
class StorePlan:
    """A store, decided. `location` is a folder, or the address that models' own paths are put behind."""

    name: str
    kind: str
    path: Path | None = None
    location: str = ""
    uris: Mapping[str, str] = field(default_factory=dict)
    """Address of each model's weights, by model; empty for a folder, which has no address beyond this host."""

    client: Mapping[str, str] = field(default_factory=dict)
    """What whoever fetches from here has to know besides the address: region, endpoint."""

    known: Mapping[str, str] = field(default_factory=dict)
    """What of statements and addresses is known before anything is made."""

    secret: str | None = None
    """Kubernetes secret with the store's keys; None where the pod's identity is enough."""

    bucket: BucketPlan | None = None
    reasons: tuple[Reason, ...] = ()
    args: Mapping[str, Any] = field(default_factory=dict)
    """What the component takes; all of it plain."""

    @property
    def statements(self) -> tuple[str, ...]:
        """The policy statements that the store needs."""
        return self.bucket.statements if self.bucket else ()

    def source_of(self, model: str) -> str:
        """Return the address to fetch a model from; an open namespace is left to the pod's identity."""
        uri = self.uris[model]
        if self.bucket is None or not still_open(uri):
            return uri
        return f"oci://{self.bucket.name}/{uri.partition('/o/')[2]}"

    def shown(self) -> list[str]:
        """Return the statements as a plan can know them."""
        return [fill(text, self.known) for text in self.statements]

    def to_json(self) -> dict[str, Any]:
        """Render for `plinth plan --json`."""
        if self.path is not None:
            return {"name": self.name, "kind": self.kind, "path": str(self.path)}
        return {
            "name": self.name,
            "kind": self.kind,
            "location": self.location,
            "uris": dict(self.uris),
            "statements": self.shown(),
            "reasons": [{"subject": reason.subject, "text": reason.text} for reason in self.reasons],
        }


@dataclass(frozen=True, slots=True)
class StoreCase:
    """What a store is planned from besides its own spec. `models` maps a model to its path inside the store."""

    name: str
    root: Path = field(default_factory=Path)
    models: Mapping[str, str] = field(default_factory=dict)
    oci: OciSpec | None = None
    prefix: str = "plinth"
    """Start of physical names: project and stack."""

    namespace: str = "default"
    """Where claims live that name no namespace."""

    readers: tuple[IdentitySpec, ...] = ()
    """Pods of the stack's own servers that read from here."""

    cluster_id: str | None = None
    """The cluster that the pods of readers and writers run in, or PENDING; None where nobody says which."""


def folder_of(spec: StoreSpec | None, root: Path) -> Path | None:
    """Return a folder store's folder, a relative path from the project's root on; None for any other store."""
    return root / spec.path if isinstance(spec, FolderStoreSpec) else None


def plan_store(case: StoreCase, spec: StoreSpec) -> StorePlan:
    """Decide one store."""
    if isinstance(spec, FolderStoreSpec):
        path = case.root / spec.path
        return StorePlan(case.name, spec.kind, path, str(path), args={"kind": spec.kind, "path": str(path)})
    if isinstance(spec, BucketStoreSpec):
        return _bucket_store(case, spec)
    location = _location(case, spec)
    reasons = (Reason("store", f"{location}: {_origin(spec)}"),)
    claim = {} if isinstance(spec, S3StoreSpec) else {"claim": spec.claim or case.name, "namespace": _home(case, spec)}
    args = _args(case, spec, claim)
    client, secret = _client(spec) if isinstance(spec, S3StoreSpec) else ({}, None)
    return StorePlan(
        case.name,
        spec.kind,
        location=location,
        uris=_uris(case, location),
        client=client,
        secret=secret,
        reasons=reasons,
        args=args,
    )


def store_faults(path: str, case: StoreCase, spec: StoreSpec) -> list[Fault]:
    """Find what the store's own spec cannot know: missing OCI settings, models whose address cannot be written."""
    if _on_oci(spec) and case.oci is None:
        problem = "is on OCI, and the stack does not say in which compartment and region"
        return [Fault(f"{path}.kind", spec.kind, problem, "add `oci: {compartmentId: …, region: …}` to the stack")]
    faults = [] if case.cluster_id else list(_strangers(path, spec))
    for model, uri in plan_store(case, spec).uris.items():
        try:
            StorageUri.parse(fill(uri, {"namespace": "namespace"}))
        except UriError as error:
            problem, _, remedy = str(error).partition("; ")
            faults.append(Fault(f"{path}: the address {uri} of {model}", None, problem, remedy))
    return faults


def _on_oci(spec: StoreSpec) -> bool:
    is_made = isinstance(spec, (FssStoreSpec, LustreStoreSpec)) and not spec.existing
    return is_made or isinstance(spec, BucketStoreSpec)


def _strangers(path: str, spec: StoreSpec) -> Iterator[Fault]:
    """Find pods that are trusted by namespace and account in no cluster: no statement can be written for them."""
    for who in ("readers", "writers"):
        for index, identity in enumerate(getattr(spec, who, ())):
            if identity.cluster_id is None:
                problem = "names no cluster, and the stack has none"
                remedy = "add `clusterId:` here, or `cluster: {id: …}` to the stack"
                yield Fault(f"{path}.{who}.{index}", identity.service_account, problem, remedy)


def _bucket_store(case: StoreCase, spec: BucketStoreSpec) -> StorePlan:
    oci = case.oci
    assert oci is not None, "store_faults was asked first"  # noqa: S101 a wall between plan and caller
    if case.readers:
        spec = spec.model_copy(update={"readers": (*spec.readers, *case.readers)})
    bucket = plan_bucket(spec, oci, spec.bucket or f"{case.prefix}-{case.name}")
    namespace = oci.namespace or "<namespace>"
    location = f"oci://n/{namespace}/b/{bucket.name}/o/{_inside(spec.prefix)}"
    known = {COMPARTMENT: oci.compartment_id, BUCKET: bucket.name, CLUSTER: case.cluster_id}
    return StorePlan(
        case.name,
        spec.kind,
        location=location,
        uris=_uris(case, location),
        client={"region": oci.region},
        known={key: value for key, value in known.items() if value not in (None, PENDING)},
        bucket=bucket,
        reasons=bucket.reasons,
        args=_args(case, spec, {"bucket": bucket.name}),
    )


def _args(case: StoreCase, spec: Spec, more: Mapping[str, str]) -> dict[str, Any]:
    """Return the component's arguments: what was written, and the names that were made for it."""
    oci = {"oci": case.oci.model_dump(exclude_unset=True)} if case.oci else {}
    models = {"models": dict(sorted(case.models.items()))} if case.models else {}
    return {**spec.model_dump(exclude_unset=True), **more, **oci, **models}


def _location(case: StoreCase, spec: S3StoreSpec | PvcStoreSpec | FssStoreSpec | LustreStoreSpec) -> str:
    if isinstance(spec, S3StoreSpec):
        region = f"@{spec.region}" if spec.region else ""
        return f"s3://{spec.bucket}{region}/{_inside(spec.prefix)}"
    return f"pvc://{_home(case, spec)}:{spec.claim or case.name}/{_inside(spec.prefix)}"


def _home(case: StoreCase, spec: ClaimSpec) -> str:
    return spec.namespace or case.namespace


def _origin(spec: S3StoreSpec | PvcStoreSpec | FssStoreSpec | LustreStoreSpec) -> str:
    if isinstance(spec, S3StoreSpec):
        return f"a bucket that is there, at {spec.endpoint or 'Amazon'}"
    if isinstance(spec, PvcStoreSpec):
        return "a claim of this size is made" if spec.size else "a claim that is there"
    what = "a file system that is there" if spec.existing else "a file system is made"
    return f"{what} ({spec.kind}), and a volume and a claim for it"


def _client(spec: S3StoreSpec) -> tuple[dict[str, str], str | None]:
    settings = {"region": spec.region, "endpoint": spec.endpoint}
    return {key: value for key, value in settings.items() if value is not None}, spec.secret


def _inside(prefix: str | None) -> str:
    return f"{prefix}/" if prefix else ""


def _uris(case: StoreCase, location: str) -> dict[str, str]:
    return {model: location + path for model, path in sorted(case.models.items())}
