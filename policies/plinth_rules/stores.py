"""Buckets with weights: nobody else reads them, nothing is lost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from plinth_rules.resource import LATER, Resource, Rule, each

BUCKET = "oci:ObjectStorage/bucket:Bucket"


def _check(resource: Resource, config: Mapping[str, Any]) -> Iterator[str]:
    if resource.type != BUCKET:
        return
    access = resource.props.get("accessType") or "NoPublicAccess"
    if access not in ("NoPublicAccess", LATER):
        yield f"{resource.name} has accessType {access}, anybody reads it; write NoPublicAccess"
    kept = resource.props.get("versioning")
    if kept not in ("Enabled", LATER) and not resource.props.get("retentionRules"):
        yield f"{resource.name} has versioning {kept}, an overwritten object is gone; write Enabled, or retention rules"
    if not resource.protect and resource.name not in config.get("unprotected", []):
        yield (
            f"{resource.name} is not protected; write protect: true, or name it under `unprotected` of this policy "
            "for the deployment that removes it"
        )


BUCKETS = Rule(
    "buckets-are-safe",
    "Buckets are private, keep what is overwritten and are protected from deletion.",
    each(_check),
    {
        "unprotected": {
            "type": "array",
            "items": {"type": "string"},
            "default": [],
            "description": "Names of buckets that may be removed.",
        }
    },
)
