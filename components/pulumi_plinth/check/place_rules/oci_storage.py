"""Object storage of OCI: tiers, S3-compatible endpoints, policies of the service. Sources stand with each rule."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pulumi_plinth.check.core import Verdict, refuse
from pulumi_plinth.check.subject import Subject

COMPATIBLE_HOST = re.compile(r"(?:https?://)?[\w-]+\.compat\.objectstorage\.([a-z]+(?:-[a-z]+)+-\d)\.")
"""<namespace>.compat.objectstorage.<region>.<domain> (OCI: Amazon S3 compatibility API)."""

ANY_OCI_HOST = re.compile(r"objectstorage\.([a-z]+(?:-[a-z]+)+-\d)\.")
SERVICE_OPERATIONS = re.compile(r"copy|replicat|lifecycle", re.IGNORECASE)


def archived(subject: Subject) -> Iterator[Verdict]:
    """Refuse the Archive tier, whose objects cannot be read until they are restored
    (kopia/kopia#2839, oracle/oci-cli#452).
    """
    bucket = subject.place.bucket
    if "archive" in (bucket.tier or "").lower() and not bucket.restored:
        yield refuse(
            "archive-tier",
            "bucket.storageTier",
            "objects in the Archive tier are unreadable until restored, which takes an hour",
            "make the bucket with tier Standard; the tier of a bucket cannot be changed",
        )


def client_region(subject: Subject) -> Iterator[Verdict]:
    """Compare the region a client signs with and the endpoint's (mountpoint-s3-csi-driver#409, zfile#206)."""
    bucket = subject.place.bucket
    found = ANY_OCI_HOST.search(bucket.endpoint or "")
    region = found[1] if found else bucket.endpoint_region
    signed = bucket.client_region
    if signed is None:
        return
    if signed == "" and (bucket.home is False or (found and bucket.home is None)):
        yield refuse(
            "s3-region-missing",
            "bucket.clientRegion",
            "the endpoint is not in the home region and the client is told no region: its key is not found",
            f"set the client's region to {region or 'the one in the endpoint'}",
        )
    elif signed and region and signed != region:
        yield refuse(
            "s3-region-differs",
            "bucket.clientRegion",
            f"the client signs for '{signed}' and the endpoint is in '{region}' (the label after objectstorage)",
            f"write '{region}'",
        )


def service_policy(subject: Subject) -> Iterator[Verdict]:
    """Demand the policy for copies, replication and lifecycle, which act as the service itself (oracle/ocifs#48)."""
    bucket = subject.place.bucket
    if bucket.service_policy is False and SERVICE_OPERATIONS.search(bucket.operation or ""):
        yield refuse(
            "service-policy",
            "policies",
            f"'{bucket.operation}' acts as the service objectstorage-<region>, and no policy allows it",
            "add: Allow service objectstorage-<region> to manage object-family in compartment <name>",
        )


def checksums(subject: Subject) -> Iterator[Verdict]:
    """Refuse checksums in chunks: 'AWS chunked encoding not supported' (activepieces/activepieces#14110)."""
    bucket = subject.place.bucket
    if bucket.checksums and re.search(r"objectstorage\.|oracle|\boci\b", bucket.endpoint or "", re.IGNORECASE):
        yield refuse(
            "s3-checksums",
            "bucket.client",
            "the client sends checksums in chunked uploads, which OCI's S3 interface does not take",
            "set AWS_REQUEST_CHECKSUM_CALCULATION=when_required",
        )


def compatible(subject: Subject) -> Iterator[Verdict]:
    """Demand the compatible host for S3 clients, and keys for it: principals do not sign there (grafana/loki#7713)."""
    bucket, how = subject.place.bucket, subject.place.access.identity or ""
    speaks_s3 = re.search(r"\bs3\b", bucket.api or "", re.IGNORECASE)
    host = bucket.endpoint or ""
    if speaks_s3 and ANY_OCI_HOST.search(host) and "compat." not in host:
        yield refuse(
            "s3-native-endpoint",
            "bucket.endpoint",
            f"{host} speaks OCI's own interface, and the client speaks S3",
            "write <namespace>.compat.objectstorage.<region>.<domain>",
        )
    if (speaks_s3 or "compat." in host) and re.search(r"principal|workload", how):
        yield refuse(
            "s3-principal",
            "bucket.auth",
            f"the S3-compatible interface takes customer secret keys only, and '{how}' is used",
            "make a customer secret key, or use OCI's own interface",
        )


def addressing(subject: Subject) -> Iterator[Verdict]:
    """Demand paths: the compatible endpoint serves no bucket in the host name (OCI: S3 compatibility)."""
    bucket = subject.place.bucket
    if bucket.path_style is False and COMPATIBLE_HOST.search(bucket.endpoint or ""):
        yield refuse(
            "s3-addressing",
            "bucket.pathStyle",
            "the client puts the bucket into the host name, which <namespace>.compat.objectstorage does not serve",
            "force path style (AWS_S3_ADDRESSING_STYLE=path)",
        )


RULES = (archived, client_region, service_policy, checksums, compatible, addressing)
