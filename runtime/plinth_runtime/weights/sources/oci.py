"""OCI Object Storage as a source and a store: `oci://` and `ocios://`. OCI's library signs; the bytes are ours.

A signature leaves Range unsigned, so that one serves every part of an object. Where: OCI_REGION or the region that the
address or the identity names; PLINTH_OCI_ENDPOINT overrides the endpoint. As whom: see `oci_signers.py`.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial

from plinth_runtime.contract.manifest import MANIFEST_NAME
from plinth_runtime.contract.uri import StorageUri, grammar
from plinth_runtime.errors import SourceRefusedError
from plinth_runtime.weights.sources import Listing, NotFoundError, RefusedError, RemoteObject, SourceError
from plinth_runtime.weights.sources.folders import folder_or_object
from plinth_runtime.weights.sources.libraries import library
from plinth_runtime.weights.sources.oci_answers import list_url, object_url, read_checksums, read_rows
from plinth_runtime.weights.sources.oci_signers import OciIdentity, find_identity
from plinth_runtime.weights.sources.oci_store import OciStore
from plinth_runtime.weights.sources.permits import Permit, Permits, PermitSession
from plinth_runtime.weights.sources.store_errors import judge_endpoint
from plinth_runtime.weights.sources.wire import Wire, WireSettings

LIST_STREAMS = 8
MAX_PAGES = 1000
LOOK_FROM_BYTES = 1 << 20
"""Smaller objects are known well enough by the MD5 of the list; for larger ones a cheaper checksum is asked for."""


@dataclass(frozen=True, slots=True)
class OciPlace:
    """A folder of a bucket. `namespace` and `region` None: those of the identity."""

    address: str
    bucket: str
    prefix: str
    namespace: str | None = None
    region: str | None = None

    @classmethod
    def read(cls, address: str) -> OciPlace:
        """Read an address. Raises SourceRefusedError for a registry, which is another kind of store."""
        uri = StorageUri.parse(address)
        bucket = uri.get("bucket")
        if bucket is None:
            raise SourceRefusedError(
                "this oci:// address names a registry, not Object Storage", hint=f"Write {grammar('ocios')}."
            )
        prefix = (uri.get("prefix") or "").rstrip("/")
        return cls(address, bucket, prefix, uri.get("namespace"), uri.get("region"))


def open_source(address: str) -> OciFolder:
    """Give the folder at an address."""
    library("oci", "oci")
    return OciFolder(OciPlace.read(address), OciAccount(os.environ))


def open_store(address: str) -> OciStore:
    """Give the folder at an address, to publish to."""
    library("oci", "oci")
    place, account = OciPlace.read(address), OciAccount(os.environ)
    return OciStore(address, place.prefix, lambda: account.client(place))


class OciAccount:
    """Identity and endpoint, found when they are first needed; shared by threads."""

    def __init__(
        self, environment: Mapping[str, str], identify: Callable[[Mapping[str, str]], OciIdentity] = find_identity
    ) -> None:
        self._environment = environment
        self._identify = identify
        self._identity: OciIdentity | None = None
        self._namespace: str | None = None
        self._lock = threading.Lock()
        override = environment.get("PLINTH_OCI_ENDPOINT")
        self._override = judge_endpoint(override, "PLINTH_OCI_ENDPOINT") if override else None

    @property
    def identity(self) -> OciIdentity:
        """Who signs."""
        with self._lock:
            if self._identity is None:
                self._identity = self._identify(self._environment)
            return self._identity

    @property
    def is_known(self) -> bool:
        """Say whether an identity was found."""
        return self._identity is not None

    @property
    def advice(self) -> str:
        """Say what helps against a refusal."""
        method = self._identity.method if self._identity else "OCI_CLI_AUTH says"
        return (
            f"requests are signed as {method}: check that OCI knows the key, that a policy lets it read objects there, "
            "and that this machine's clock is right"
        )

    def endpoint(self, place: OciPlace) -> str:
        """Where the bucket is asked for. Raises RefusedError if nobody names a region."""
        if self._override is not None:
            return self._override
        region = place.region or self._environment.get("OCI_REGION") or self.identity.region
        if not region:
            raise RefusedError(
                f"{place.address}: the region is not known; set OCI_REGION, or write oci://NAMESPACE@REGION/BUCKET/…"
            )
        return str(library("oci.regions", "oci").endpoint_for("object_storage", region=region)).rstrip("/")

    def bucket(self, place: OciPlace, wire: Wire) -> tuple[str, str]:
        """Give namespace and name of the bucket; the tenancy's own namespace is asked for once."""
        namespace = place.namespace or self._namespace
        if namespace is None:
            url = f"{self.endpoint(place)}/n"
            namespace = self._namespace = str(json.loads(wire.get_small(url, self.identity.sign("GET", url))))
        return namespace, place.bucket

    def client(self, place: OciPlace) -> tuple[object, tuple[str, str]]:
        """Give OCI's own client, for publishing, and the bucket. It tries again by itself: nobody above it does."""
        oci = library("oci", "oci")
        wire = Wire()
        try:
            bucket = self.bucket(place, wire)
        finally:
            wire.close()
        client = oci.object_storage.ObjectStorageClient(
            self.identity.config,
            signer=self.identity.signer,
            service_endpoint=self.endpoint(place),
            retry_strategy=oci.retry.DEFAULT_RETRY_STRATEGY,
        )
        return client, bucket


class OciFolder:
    """One folder, or one object, of a bucket; a `Source`."""

    def __init__(self, place: OciPlace, account: OciAccount, wire: WireSettings | None = None) -> None:
        self._place = place
        self._account = account
        self._wire = wire
        self._permits = Permits(self._permit)

    def describe(self) -> str:
        """Name the folder."""
        return self._place.address

    def list_objects(self) -> Listing:
        """List the folder. Without a manifest in it, the larger objects are asked for their checksums one by one."""
        wire = Wire(self._wire)
        try:
            rows = self._rows(wire)
        except SourceError as error:
            raise self._advised(error) from None
        finally:
            wire.close()
        if not any(row.name == MANIFEST_NAME for row in rows):
            rows = self._look_at_all(rows)
        return Listing(tuple(rows))

    def session(self) -> PermitSession:
        """Give a stream."""
        return PermitSession(Wire(self._wire), self._permits, self._account.advice)

    def _rows(self, wire: Wire) -> list[RemoteObject]:
        """List what lies below the folder, or the one object that the address names."""
        bucket = self._account.bucket(self._place, wire)
        rows = folder_or_object(self._place.prefix, partial(self._pages, wire, bucket))
        if not rows:
            raise NotFoundError(f"{self._place.address}: there are no objects")
        return [replace(row, key=object_url(self._account.endpoint(self._place), bucket, row.key)) for row in rows]

    def _pages(self, wire: Wire, bucket: tuple[str, str], prefix: str) -> list[RemoteObject]:
        rows: list[RemoteObject] = []
        start: str | None = None
        for _ in range(MAX_PAGES):
            url = list_url(self._account.endpoint(self._place), bucket, prefix, start)
            page = json.loads(wire.get_small(url, self._account.identity.sign("GET", url)))
            rows.extend(read_rows(page["objects"], prefix))
            start = page.get("nextStartWith")
            if not start:
                return rows
        raise RefusedError(f"{self._place.address} has more than {MAX_PAGES} pages of objects")

    def _look_at_all(self, rows: Sequence[RemoteObject]) -> list[RemoteObject]:
        lanes = [rows[lane::LIST_STREAMS] for lane in range(min(LIST_STREAMS, len(rows)))]
        with ThreadPoolExecutor(len(lanes)) as pool:
            looked = {row.key: row for share in pool.map(self._look_at, lanes) for row in share}
        return [looked[row.key] for row in rows]

    def _look_at(self, rows: Sequence[RemoteObject]) -> list[RemoteObject]:
        wire = Wire(self._wire)
        try:
            return [self._look(wire, row) if _is_worth_a_look(row) else row for row in rows]
        except SourceError as error:
            raise self._advised(error) from None
        finally:
            wire.close()

    def _look(self, wire: Wire, row: RemoteObject) -> RemoteObject:
        """Ask for an object's version and checksums; they belong together, whatever the list said before."""
        headers = wire.head(row.key, self._account.identity.sign("HEAD", row.key))
        size, etag = int(headers["Content-Length"]), headers.get("ETag")
        sums = read_checksums({name.lower(): value for name, value in headers.items()})
        return replace(row, size=size, etag=etag, checksums=sums)

    def _permit(self, target: RemoteObject) -> Permit:
        return Permit(target.key, self._account.identity.sign("GET", target.key))

    def _advised(self, error: SourceError) -> SourceError:
        """Add what helps. OCI answers 404 where a policy is missing, so that nobody can find out what there is."""
        if self._account.is_known and isinstance(error, RefusedError | NotFoundError):
            return type(error)(f"{error}; {self._account.advice}")
        return error


def _is_worth_a_look(row: RemoteObject) -> bool:
    return row.size >= LOOK_FROM_BYTES or (row.checksums.md5 is None and row.size > 0)
