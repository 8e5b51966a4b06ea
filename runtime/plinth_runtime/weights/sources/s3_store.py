"""Publishing to S3 and stores that speak it, by botocore. Every part goes with a checksum that the store checks.

Amazon keeps the CRC32C of the whole, other stores get what all of them know: an MD5 of each part. An object of one part
waits in memory until it is complete; a larger one is a multipart upload, which appears at once.
"""

from __future__ import annotations

import base64
import hashlib
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from plinth_runtime.weights.sources import SourceError
from plinth_runtime.weights.sources.s3_account import S3Account, translated
from plinth_runtime.weights.sources.small_upload import SmallUpload


@dataclass(frozen=True, slots=True)
class S3Target:
    """One object that is to be. `whole_crc`: the store keeps the CRC32C of the whole."""

    client: Any
    where: dict[str, str]
    words: str
    whole_crc: bool

    def checksum(self, data: bytes, crc32c: int) -> dict[str, str]:
        """Give the parameter that makes the store check these bytes."""
        if self.whole_crc:
            return {"ChecksumCRC32C": crc_text(crc32c)}
        return {"ContentMD5": base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()}

    def put(self, content: bytes, crc32c: int) -> None:
        """Store the object in one request."""
        with translated(self.words):
            self.client.put_object(**self.where, Body=content, **self.checksum(content, crc32c))


class S3Store:
    """One folder of a bucket that is published to; a `Store`. `place` is bucket and prefix."""

    def __init__(self, address: str, place: tuple[str, str], account: S3Account) -> None:
        self._address = address
        self._bucket, self._prefix = place
        self._account = account

    def describe(self) -> str:
        """Name the folder."""
        return self._address

    def begin(self, name: str, size: int, part_size: int) -> S3Upload | SmallUpload:
        """Start an object."""
        key = f"{self._prefix}/{name}" if self._prefix else name
        target = S3Target(
            self._account.client,
            {"Bucket": self._bucket, "Key": key},
            f"publishing {name} to {self._address}",
            self._account.is_aws,
        )
        return S3Upload(target) if size > part_size else SmallUpload(target.put)


class S3Upload:
    """An object of several parts; an `Upload`."""

    def __init__(self, target: S3Target) -> None:
        self._target = target
        self._parts: dict[int, dict[str, Any]] = {}
        kind = {"ChecksumAlgorithm": "CRC32C", "ChecksumType": "FULL_OBJECT"} if target.whole_crc else {}
        with translated(target.words):
            self._id = target.client.create_multipart_upload(**target.where, **kind)["UploadId"]

    def put_part(self, number: int, data: memoryview, crc32c: int) -> None:
        """Store one part. S3 counts from 1."""
        target, content = self._target, bytes(data)
        sums = target.checksum(content, crc32c)
        with translated(target.words):
            answer = target.client.upload_part(
                **target.where, UploadId=self._id, PartNumber=number + 1, Body=content, **sums
            )
        kept = {name: value for name, value in sums.items() if name != "ContentMD5"}
        self._parts[number] = {"PartNumber": number + 1, "ETag": answer["ETag"], **kept}

    def complete(self, crc32c: int) -> None:
        """Put the parts together; a store that keeps the CRC32C of the whole refuses another one."""
        target = self._target
        whole = {"ChecksumCRC32C": crc_text(crc32c), "ChecksumType": "FULL_OBJECT"} if target.whole_crc else {}
        parts = {"Parts": [part for _, part in sorted(self._parts.items())]}
        with translated(target.words):
            target.client.complete_multipart_upload(**target.where, UploadId=self._id, MultipartUpload=parts, **whole)

    def abort(self) -> None:
        """Remove the parts, if that can be done: what is told is why it came to this."""
        target = self._target
        with suppress(SourceError), translated(target.words):
            target.client.abort_multipart_upload(**target.where, UploadId=self._id)


def crc_text(crc32c: int) -> str:
    """Write a CRC32C as S3 does."""
    return base64.b64encode(crc32c.to_bytes(4, "big")).decode()
