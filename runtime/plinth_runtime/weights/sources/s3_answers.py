"""What S3 says of objects, read into our values. Pure."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any

from plinth_runtime.weights.sources import Checksums

PLAIN_ETAG = re.compile(r'"?([0-9a-f]{32})"?')
MULTIPART_ETAG = re.compile(r'"?([0-9a-f]{32})-(\d{1,5})"?')
COMPAT_HOST = re.compile(r"https?://[^/]+\.compat\.objectstorage\.([a-z0-9-]+)\.")
CRC_BYTES, SHA_BYTES = 4, 32


def region_of_endpoint(endpoint: str) -> str | None:
    """Give the region that OCI's S3 endpoint must be signed for: the one in its name."""
    match = COMPAT_HOST.match(endpoint)
    return match[1] if match else None


def read_checksums(head: Mapping[str, Any], *, is_aws: bool) -> Checksums:
    """Read what the headers of an object say of its content. A checksum of checksums is none of the content.

    An ETag is made of MD5s unless the object is encrypted with a key of its owner, or, outside AWS, with any.
    """
    etag = str(head.get("ETag", ""))
    encryption = head.get("ServerSideEncryption") or head.get("SSECustomerAlgorithm")
    is_md5 = encryption is None or (encryption == "AES256" and is_aws and "SSECustomerAlgorithm" not in head)
    plain, parts = PLAIN_ETAG.fullmatch(etag), MULTIPART_ETAG.fullmatch(etag)
    crc = _bytes(head, "ChecksumCRC32C", CRC_BYTES)
    sha256 = _bytes(head, "ChecksumSHA256", SHA_BYTES)
    return Checksums(
        sha256=sha256.hex() if sha256 else None,
        crc32c=int.from_bytes(crc, "big") if crc else None,
        md5=plain[1] if plain and is_md5 else None,
        multipart_md5=f"{base64.b64encode(bytes.fromhex(parts[1])).decode()}-{parts[2]}" if parts and is_md5 else None,
    )


def _bytes(head: Mapping[str, Any], name: str, length: int) -> bytes | None:
    if head.get("ChecksumType") == "COMPOSITE":
        return None
    try:
        raw = base64.b64decode(str(head.get(name, "")), validate=True)
    except binascii.Error:
        return None
    return raw if len(raw) == length else None
