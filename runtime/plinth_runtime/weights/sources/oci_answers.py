"""What OCI Object Storage says of objects, read into our values. Pure."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote, urlencode

from plinth_runtime.weights.sources import Checksums, RemoteObject

PAGE_ROWS = 1000
FIELDS = "name,size,etag,md5"


def list_url(endpoint: str, bucket: tuple[str, str], prefix: str, start: str | None) -> str:
    """Write the address of one page of a list. `bucket` is namespace and name."""
    query = {"prefix": prefix, "fields": FIELDS, "limit": str(PAGE_ROWS)} | ({"start": start} if start else {})
    return f"{bucket_url(endpoint, bucket)}/o?{urlencode(query, quote_via=quote, safe='')}"


def bucket_url(endpoint: str, bucket: tuple[str, str]) -> str:
    """Write the address of a bucket."""
    return f"{endpoint}/n/{quote(bucket[0], safe='')}/b/{quote(bucket[1], safe='')}"


def object_url(endpoint: str, bucket: tuple[str, str], name: str) -> str:
    """Write the address of an object: its slashes are encoded too."""
    return f"{bucket_url(endpoint, bucket)}/o/{quote(name, safe='')}"


def read_rows(objects: Iterable[Mapping[str, Any]], folder: str) -> list[RemoteObject]:
    """Read the rows of a page. The key of each is its name in the bucket, its name the part behind the folder.

    Objects whose names end in a slash stand for folders in OCI's console, and are none of the model's files.
    """
    return [_row(row, folder) for row in objects if not row["name"].endswith("/")]


def read_checksums(headers: Mapping[str, str]) -> Checksums:
    """Read an object's headers (names in lower case). The CRC32C is that of the whole, however it was stored."""
    crc = _bytes(headers.get("opc-content-crc32c"), 4)
    md5 = _bytes(headers.get("content-md5"), 16)
    return Checksums(
        crc32c=int.from_bytes(crc, "big") if crc else None,
        md5=md5.hex() if md5 else None,
        multipart_md5=headers.get("opc-multipart-md5"),
    )


def _row(row: Mapping[str, Any], folder: str) -> RemoteObject:
    key = str(row["name"])
    return RemoteObject(key.removeprefix(folder), int(row["size"]), key, row.get("etag"), _listed(row.get("md5")))


def _listed(md5: str | None) -> Checksums:
    """Read the md5 of a list, which for objects of several parts is the one with a hyphen."""
    plain = _bytes(md5, 16)
    return Checksums(md5=plain.hex() if plain else None, multipart_md5=md5 if md5 and "-" in md5 else None)


def _bytes(text: str | None, length: int) -> bytes | None:
    try:
        raw = base64.b64decode(text or "", validate=True)
    except binascii.Error:
        return None
    return raw if len(raw) == length else None
