"""Azure Blob Storage as a source: `az://`. Lists and bytes are plain requests.

AZURE_STORAGE_SAS_TOKEN opens a container; else azure-identity finds out who asks (a pod's identity among others).
PLINTH_AZURE_ENDPOINT names another endpoint than the account's own.
"""

from __future__ import annotations

import base64
import os
import threading
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any
from urllib.parse import quote, urlencode
from xml.etree import ElementTree as ET

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

SCOPE = "https://storage.azure.com/.default"
VERSION = "2021-12-02"
MAX_PAGES = 1000
ADVICE = "check AZURE_STORAGE_SAS_TOKEN, or that who asks has the role Storage Blob Data Reader"


def open_source(address: str) -> AzureFolder:
    """Give the folder at an address."""
    uri = StorageUri.parse(address)
    place = (uri.get("container") or "", (uri.get("blob") or "").rstrip("/"))
    return AzureFolder(address, place, AzureAccount(uri.get("account") or "", os.environ))


def find_credential() -> Any:
    """Give Azure's credential of this machine."""
    return library("azure.identity", "azure").DefaultAzureCredential()


class AzureAccount:
    """Who asks, and where; shared by threads. A shared access signature goes into the address and is a secret there."""

    def __init__(self, name: str, environment: Mapping[str, str], find: Callable[[], Any] = find_credential) -> None:
        override = environment.get("PLINTH_AZURE_ENDPOINT")
        own = f"https://{name}.blob.core.windows.net"
        self.endpoint = judge_endpoint(override, "PLINTH_AZURE_ENDPOINT") if override else own
        self.signature = environment.get("AZURE_STORAGE_SAS_TOKEN", "").strip().removeprefix("?")
        self._find = find
        self._credential: Any = None
        self._lock = threading.Lock()

    def open(self, path: str, query: Mapping[str, str] | None = None) -> Permit:
        """Give address and headers of a request."""
        text = "&".join(filter(None, (urlencode(query or {}, quote_via=quote), self.signature)))
        headers = {"x-ms-version": VERSION, **({} if self.signature else self._bearer())}
        return Permit(f"{self.endpoint}/{quote(path)}" + (f"?{text}" if text else ""), headers)

    def _bearer(self) -> dict[str, str]:
        with self._lock:
            if self._credential is None:
                self._credential = self._find()
            try:
                token = self._credential.get_token(SCOPE).token
            except library("azure.core.exceptions", "azure").ClientAuthenticationError as error:
                raise RefusedError(f"asking for a token of Azure: {type(error).__name__}; {ADVICE}") from None
            except library("azure.core.exceptions", "azure").AzureError as error:
                raise TransientError(f"asking for a token of Azure: {type(error).__name__}") from None
        return {"Authorization": f"Bearer {token}"}


class AzureFolder:
    """One folder, or one blob, of a container; a `Source`. `place` is container and prefix."""

    def __init__(
        self, address: str, place: tuple[str, str], account: AzureAccount, wire: WireSettings | None = None
    ) -> None:
        self._address = address
        self._container, self._prefix = place
        self._account = account
        self._wire = wire
        self._permits = Permits(lambda target: account.open(target.key))

    def describe(self) -> str:
        """Name the folder."""
        return self._address

    def list_objects(self) -> Listing:
        """List the folder, or the one blob that the address names."""
        wire = Wire(self._wire)
        try:
            rows = folder_or_object(self._prefix, partial(self._pages, wire))
        finally:
            wire.close()
        if not rows:
            raise NotFoundError(f"{self._address}: there are no blobs")
        return Listing(tuple(rows))

    def session(self) -> PermitSession:
        """Give a stream."""
        return PermitSession(Wire(self._wire), self._permits, ADVICE)

    def _pages(self, wire: Wire, prefix: str) -> list[RemoteObject]:
        rows: list[RemoteObject] = []
        marker = ""
        for _ in range(MAX_PAGES):
            query = {"restype": "container", "comp": "list", "prefix": prefix}
            permit = self._account.open(self._container, query | ({"marker": marker} if marker else {}))
            page = self._page(wire, permit)
            rows.extend(self._rows(page.iterfind("Blobs/Blob"), prefix))
            marker = page.findtext("NextMarker") or ""
            if not marker:
                return rows
        raise RefusedError(f"{self._address} has more than {MAX_PAGES} pages of blobs")

    def _page(self, wire: Wire, permit: Permit) -> ET.Element:
        try:
            return ET.fromstring(wire.get_small(permit.url, permit.headers))  # noqa: S314 of the store, over TLS
        except SourceError as error:
            # The address may hold a signature.
            advice = f"; {ADVICE}" if isinstance(error, RefusedError | NotFoundError) else ""
            error.args = (str(error).replace(permit.url, self._address) + advice,)
            raise
        except ET.ParseError as error:
            raise RefusedError(f"{self._address}: what should be a list is none: {error}") from None

    def _rows(self, blobs: Iterable[ET.Element], prefix: str) -> Iterable[RemoteObject]:
        for blob in blobs:
            name = blob.findtext("Name") or ""
            if not name.endswith("/"):
                size, etag = int(blob.findtext("Properties/Content-Length") or 0), blob.findtext("Properties/Etag")
                md5 = blob.findtext("Properties/Content-MD5")
                sums = Checksums(md5=base64.b64decode(md5).hex() if md5 else None)
                quoted = f'"{etag}"' if etag and not etag.startswith('"') else etag
                yield RemoteObject(name.removeprefix(prefix), size, f"{self._container}/{name}", quoted, sums)
