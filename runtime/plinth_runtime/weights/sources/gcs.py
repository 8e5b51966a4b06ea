"""Google Cloud Storage as a source: `gs://`. google-auth finds out who asks; lists and bytes are plain requests.

Every object has a CRC32C of the whole, and a generation that is asked for by number. STORAGE_EMULATOR_HOST names
another endpoint, as for Google's own libraries. Without credentials, what everybody may read can be read.
"""

from __future__ import annotations

import base64
import json
import os
import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any
from urllib.parse import quote, urlencode

from plinth_runtime.contract.uri import StorageUri
from plinth_runtime.weights.sources import (
    Checksums,
    Listing,
    NotFoundError,
    RefusedError,
    RemoteObject,
    SourceError,
    TransientError,
)
from plinth_runtime.weights.sources.folders import folder_or_object
from plinth_runtime.weights.sources.libraries import library
from plinth_runtime.weights.sources.permits import Permit, Permits, PermitSession
from plinth_runtime.weights.sources.store_errors import judge_endpoint
from plinth_runtime.weights.sources.wire import Wire, WireSettings

PUBLIC_ENDPOINT = "https://storage.googleapis.com"
SCOPE = "https://www.googleapis.com/auth/devstorage.read_only"
FIELDS = "items(name,size,generation,crc32c,md5Hash),nextPageToken"
MAX_PAGES = 1000
ADVICE = "check that the bucket exists and who asks may read it (GOOGLE_APPLICATION_CREDENTIALS, or the pod's identity)"


def open_source(address: str) -> GcsFolder:
    """Give the folder at an address."""
    library("google.auth", "gcs")
    uri = StorageUri.parse(address)
    place = (uri.get("bucket") or "", (uri.get("object") or "").rstrip("/"))
    return GcsFolder(address, place, GcsAccount(os.environ))


def find_credentials() -> Any:
    """Give Google's credentials of this machine, or None where it has none."""
    try:
        credentials, _ = library("google.auth", "gcs").default(scopes=[SCOPE])
    except library("google.auth.exceptions", "gcs").DefaultCredentialsError:
        return None
    return credentials


class GcsAccount:
    """Who asks, and where; shared by threads."""

    def __init__(self, environment: Mapping[str, str], find: Callable[[], Any] = find_credentials) -> None:
        emulator = environment.get("STORAGE_EMULATOR_HOST")
        self.endpoint = judge_endpoint(emulator, "STORAGE_EMULATOR_HOST") if emulator else PUBLIC_ENDPOINT
        self._find = find
        self._credentials: Any = None
        self._lock = threading.Lock()

    def headers(self) -> dict[str, str]:
        """Give what says who asks. A token is renewed when it is about to end."""
        errors = library("google.auth.exceptions", "gcs")
        with self._lock:
            try:
                self._credentials = self._credentials or self._find()
                if self._credentials is None:
                    return {}
                if not self._credentials.valid:
                    self._credentials.refresh(library("google.auth.transport.requests", "gcs").Request())
            except errors.TransportError as error:
                raise TransientError(f"asking for a token of Google: {type(error).__name__}") from None
            except errors.GoogleAuthError as error:
                raise RefusedError(f"asking for a token of Google: {type(error).__name__}; {ADVICE}") from None
            return {"Authorization": f"Bearer {self._credentials.token}"}


class GcsFolder:
    """One folder, or one object, of a bucket; a `Source`. `place` is bucket and prefix."""

    def __init__(
        self, address: str, place: tuple[str, str], account: GcsAccount, wire: WireSettings | None = None
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
        """List the folder, or the one object that the address names."""
        wire = Wire(self._wire)
        try:
            rows = folder_or_object(self._prefix, partial(self._pages, wire))
        except (RefusedError, NotFoundError) as error:
            raise _advised(error) from None
        finally:
            wire.close()
        if not rows:
            raise NotFoundError(f"{self._address}: there are no objects")
        return Listing(tuple(rows))

    def session(self) -> PermitSession:
        """Give a stream."""
        # The generation stands in the permit's headers: another one is refused by the store itself.
        return PermitSession(Wire(self._wire), self._permits, ADVICE, checks_version=False)

    def _pages(self, wire: Wire, prefix: str) -> list[RemoteObject]:
        rows: list[RemoteObject] = []
        token = ""
        for _ in range(MAX_PAGES):
            query = {"prefix": prefix, "fields": FIELDS} | ({"pageToken": token} if token else {})
            url = f"{self._account.endpoint}/storage/v1/b/{quote(self._bucket, safe='')}/o?{urlencode(query)}"
            page = json.loads(wire.get_small(url, self._account.headers()))
            rows.extend(self._row(row, prefix) for row in page.get("items", ()) if not row["name"].endswith("/"))
            token = page.get("nextPageToken", "")
            if not token:
                return rows
        raise RefusedError(f"{self._address} has more than {MAX_PAGES} pages of objects")

    def _row(self, row: Mapping[str, Any], prefix: str) -> RemoteObject:
        key = f"{self._account.endpoint}/{quote(self._bucket)}/{quote(row['name'])}"
        return RemoteObject(row["name"].removeprefix(prefix), int(row["size"]), key, str(row["generation"]), _sums(row))

    def _permit(self, target: RemoteObject) -> Permit:
        generation = {"x-goog-if-generation-match": target.etag or ""}
        return Permit(target.key, {**self._account.headers(), **generation})


def _sums(row: Mapping[str, Any]) -> Checksums:
    crc, md5 = row.get("crc32c"), row.get("md5Hash")
    return Checksums(
        crc32c=int.from_bytes(base64.b64decode(crc), "big") if crc else None,
        md5=base64.b64decode(md5).hex() if md5 else None,
    )


def _advised(error: SourceError) -> SourceError:
    return type(error)(f"{error}; {ADVICE}")
