"""BucketStoreSpec -> BucketPlan: the bucket, its rules and the statements that it needs. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from pulumi_plinth.fit.layout import Reason
from pulumi_plinth.oci_policy import lifecycle, read_bucket, use_key, write_bucket
from pulumi_plinth.oci_spec import OciSpec
from pulumi_plinth.store.bucket_spec import BucketStoreSpec

Target = Literal["previous-object-versions", "multipart-uploads"]


@dataclass(frozen=True, slots=True)
class LifecycleRule:
    """What Object Storage deletes by itself, and after how many days."""

    name: str
    action: Literal["DELETE", "ABORT"]
    target: Target
    days: int


@dataclass(frozen=True, slots=True)
class BucketPlan:
    """A bucket, decided. `versioning` is spelled as OCI does."""

    name: str
    spec: BucketStoreSpec
    versioning: str
    rules: tuple[LifecycleRule, ...]
    statements: tuple[str, ...]
    reasons: tuple[Reason, ...]


def plan_bucket(spec: BucketStoreSpec, oci: OciSpec, name: str) -> BucketPlan:
    """Decide the bucket, its rules and its statements."""
    rules = () if spec.existing else tuple(_rules(spec))
    statements = tuple(_statements(spec, oci, bool(rules)))
    return BucketPlan(name, spec, spec.versioning.title(), rules, statements, tuple(_reasons(spec, oci, name)))


def _rules(spec: BucketStoreSpec) -> Iterator[LifecycleRule]:
    yield LifecycleRule("abort-uploads", "ABORT", "multipart-uploads", spec.abort_uploads_days)
    if spec.versioning != "disabled":
        yield LifecycleRule("old-versions", "DELETE", "previous-object-versions", spec.keep_old_versions_days)


def _statements(spec: BucketStoreSpec, oci: OciSpec, has_rules: bool) -> Iterator[str]:  # noqa: FBT001 a fact
    """Yield statements, the service's own first: they must be there before what relies on them."""
    if has_rules:
        yield lifecycle(oci.region)
    if spec.key:
        yield use_key(oci.region)
    for identity in sorted(set(spec.readers), key=str):
        yield read_bucket(identity)
    for identity in sorted(set(spec.writers), key=str):
        yield write_bucket(identity)


def _reasons(spec: BucketStoreSpec, oci: OciSpec, name: str) -> Iterator[Reason]:
    if spec.existing:
        yield Reason("bucket", f"{name} is there already: neither made, nor changed, nor deleted")
    else:
        kept = f"replaced objects stay {spec.keep_old_versions_days} days" if spec.versioning == "enabled" else (
            f"versioning {spec.versioning}")  # fmt: skip
        guard = "protected" if spec.protect else "not protected: removing the store deletes it"
        yield Reason("bucket", f"{name} in {oci.region}: private, {kept}, {guard}")
    key = "Oracle's own keys" if spec.key is None else spec.key.id or "a customer key that is made"
    if not spec.existing:
        yield Reason("encryption", key)
    where = f"written in {oci.home}" if spec.policies == "create" else "shown, not written"
    for verb, who in (("reads", spec.readers), ("publishes", spec.writers)):
        names = sorted({f"{identity.namespace}/{identity.service_account}" for identity in who})
        yield Reason("access", f"{', '.join(names) or 'nobody'} {verb}; {where}")
