"""Publishing to OCI Object Storage, by OCI's own client. Every part goes with its CRC32C, which OCI checks and keeps.

An object of one part waits in memory until it is complete; a larger one is a multipart upload, which appears at once.
"""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from plinth_runtime.weights.sources import SourceError, TransientError
from plinth_runtime.weights.sources.libraries import library
from plinth_runtime.weights.sources.oci_errors import translated
from plinth_runtime.weights.sources.small_upload import SmallUpload

ALGORITHM = "CRC32C"


@dataclass(frozen=True, slots=True)
class OciTarget:
    """One object that is to be: OCI's client, namespace and bucket, the object's name, and how people call it."""

    client: Any
    bucket: tuple[str, str]
    key: str
    words: str

    def put(self, content: bytes, crc32c: int) -> None:
        """Store the object in one request."""
        with translated(self.words):
            self.client.put_object(*self.bucket, self.key, content, **_checksum(crc32c))


class OciStore:
    """One folder of a bucket that is published to; a `Store`. `connect` gives OCI's client and the bucket."""

    def __init__(self, address: str, prefix: str, connect: Callable[[], tuple[Any, tuple[str, str]]]) -> None:
        self._address = address
        self._prefix = prefix
        self._connect = connect
        self._connected: tuple[Any, tuple[str, str]] | None = None
        self._lock = threading.Lock()

    def describe(self) -> str:
        """Name the folder."""
        return self._address

    def begin(self, name: str, size: int, part_size: int) -> OciUpload | SmallUpload:
        """Start an object."""
        with self._lock:
            if self._connected is None:
                self._connected = self._connect()
        client, bucket = self._connected
        key = f"{self._prefix}/{name}" if self._prefix else name
        target = OciTarget(client, bucket, key, f"publishing {name} to {self._address}")
        return OciUpload(target) if size > part_size else SmallUpload(target.put)


class OciUpload:
    """An object of several parts; an `Upload`."""

    def __init__(self, target: OciTarget) -> None:
        self._target = target
        self._etags: dict[int, str] = {}
        models = library("oci.object_storage.models", "oci")
        with translated(target.words):
            begun = target.client.create_multipart_upload(
                *target.bucket, models.CreateMultipartUploadDetails(object=target.key), opc_checksum_algorithm=ALGORITHM
            )
        self._id = begun.data.upload_id

    def put_part(self, number: int, data: memoryview, crc32c: int) -> None:
        """Store one part. OCI counts from 1."""
        target = self._target
        part = (target.key, self._id, number + 1, bytes(data))
        with translated(target.words):
            answer = target.client.upload_part(*target.bucket, *part, **_checksum(crc32c))
        self._etags[number] = answer.headers["etag"]

    def complete(self, crc32c: int) -> None:
        """Put the parts together. What OCI makes of them must have the checksum of the whole."""
        target, models = self._target, library("oci.object_storage.models", "oci")
        parts = [
            models.CommitMultipartUploadPartDetails(part_num=number + 1, etag=etag)
            for number, etag in sorted(self._etags.items())
        ]
        details = models.CommitMultipartUploadDetails(parts_to_commit=parts)
        with translated(target.words):
            answer = target.client.commit_multipart_upload(*target.bucket, target.key, self._id, details)
        stored = answer.headers.get("opc-content-crc32c")
        if stored not in {None, _text(crc32c)}:
            self._remove()
            raise TransientError(f"{target.words}: OCI holds CRC32C {stored}, expected {_text(crc32c)}")

    def abort(self) -> None:
        """Remove the parts, if that can be done: what is told is why it came to this."""
        target = self._target
        with suppress(SourceError), translated(target.words):
            target.client.abort_multipart_upload(*target.bucket, target.key, self._id)

    def _remove(self) -> None:
        target = self._target
        try:
            with translated(target.words):
                target.client.delete_object(*target.bucket, target.key)
        except SourceError as error:
            raise SourceError(f"{error}; a wrong object lies there now, delete it") from error


def _checksum(crc32c: int) -> dict[str, str]:
    return {"opc_checksum_algorithm": ALGORITHM, "opc_content_crc32c": _text(crc32c)}


def _text(crc32c: int) -> str:
    return base64.b64encode(crc32c.to_bytes(4, "big")).decode()
