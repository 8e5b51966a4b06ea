"""S3 and stores that speak it as a source: `s3://`. botocore lists and signs, the bytes are ours.

An address is presigned once per object: it leaves Range unsigned, so that it serves all parts. AWS_ENDPOINT_URL_S3 or
AWS_ENDPOINT_URL names another store than Amazon's, which is then asked in path style.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from plinth_runtime.contract.manifest import MANIFEST_NAME
from plinth_runtime.contract.uri import StorageUri
from plinth_runtime.weights.sources import Listing, NotFoundError, RefusedError, RemoteObject
from plinth_runtime.weights.sources.folders import folder_or_object
from plinth_runtime.weights.sources.libraries import library
from plinth_runtime.weights.sources.permits import PERMIT_SECONDS, Permit, Permits, PermitSession
from plinth_runtime.weights.sources.s3_account import ADVICE, S3Account, translated
from plinth_runtime.weights.sources.s3_answers import read_checksums
from plinth_runtime.weights.sources.s3_store import S3Store
from plinth_runtime.weights.sources.wire import Wire, WireSettings

LIST_STREAMS = 8
MAX_PAGES = 1000
ASKED_AT_MOST = 1000
"""With more objects than this, only the larger ones are asked for their checksums."""

ASK_FROM_BYTES = 1 << 20
PUBLISH_ATTEMPTS = 6
PRESIGNED_SECONDS = int(PERMIT_SECONDS) * 3


def open_source(address: str) -> S3Folder:
    """Give the folder at an address."""
    library("botocore", "s3")
    uri = StorageUri.parse(address)
    prefix = (uri.get("prefix") or "").rstrip("/")
    return S3Folder(address, (uri.get("bucket") or "", prefix), S3Account(os.environ, uri.get("region")))


def open_store(address: str) -> S3Store:
    """Give the folder at an address, to publish to."""
    library("botocore", "s3")
    uri = StorageUri.parse(address)
    prefix = (uri.get("prefix") or "").rstrip("/")
    account = S3Account(os.environ, uri.get("region"), PUBLISH_ATTEMPTS)
    return S3Store(address, (uri.get("bucket") or "", prefix), account)


class S3Folder:
    """One folder, or one object, of a bucket; a `Source`. `place` is bucket and prefix."""

    def __init__(
        self, address: str, place: tuple[str, str], account: S3Account, wire: WireSettings | None = None
    ) -> None:
        self._address = address
        self._bucket, self._prefix = place
        self._account = account
        self._wire = wire
        self._permits = Permits(self._permit)

    def describe(self) -> str:
        """Name the folder."""
        return self._address

    def list_objects(self) -> Listing:
        """List the folder. Without a manifest in it, objects are asked for their checksums one by one."""
        try:
            with translated(self._address):
                rows = folder_or_object(self._prefix, self._pages)
                if not any(row.name == MANIFEST_NAME for row in rows):
                    rows = self._look_at_all(rows)
        finally:
            self._account.close()
        if not rows:
            raise NotFoundError(f"{self._address}: there are no objects")
        return Listing(tuple(rows))

    def session(self) -> PermitSession:
        """Give a stream."""
        return PermitSession(Wire(self._wire), self._permits, ADVICE)

    def _pages(self, prefix: str) -> list[RemoteObject]:
        """List everything that begins with a prefix. Keys that end in a slash stand for folders in consoles."""
        rows: list[RemoteObject] = []
        pages = self._account.client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix)
        for number, page in enumerate(pages):
            if number >= MAX_PAGES:
                raise RefusedError(f"{self._address} has more than {MAX_PAGES} pages of objects")
            rows.extend(
                RemoteObject(row["Key"].removeprefix(prefix), row["Size"], row["Key"], row.get("ETag"))
                for row in page.get("Contents", ()) if not row["Key"].endswith("/")
            )  # fmt: skip
        return rows

    def _look_at_all(self, rows: Sequence[RemoteObject]) -> list[RemoteObject]:
        asked = [row for row in rows if row.size and (len(rows) <= ASKED_AT_MOST or row.size >= ASK_FROM_BYTES)]
        with ThreadPoolExecutor(LIST_STREAMS) as pool:
            looked = {row.key: row for row in pool.map(self._look, asked)}
        return [looked.get(row.key, row) for row in rows]

    def _look(self, row: RemoteObject) -> RemoteObject:
        """Ask for an object's version and checksums; they belong together, whatever the list said before."""
        head = self._account.client.head_object(Bucket=self._bucket, Key=row.key, ChecksumMode="ENABLED")
        sums = read_checksums(head, is_aws=self._account.is_aws)
        return replace(row, size=head["ContentLength"], etag=head.get("ETag"), checksums=sums)

    def _permit(self, target: RemoteObject) -> Permit:
        wanted = {"Bucket": self._bucket, "Key": target.key}
        with translated(f"{self._address} {target.name}"):
            client = self._account.client
            return Permit(client.generate_presigned_url("get_object", Params=wanted, ExpiresIn=PRESIGNED_SECONDS))
