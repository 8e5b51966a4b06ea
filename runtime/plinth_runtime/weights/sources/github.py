"""Release assets of GitHub as a source: `github://OWNER/REPO[@TAG]`. GitHub gives a sha256 of each.

GITHUB_TOKEN reads private repositories. GITHUB_API_URL names another server, as it does on GitHub's own runners.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from plinth_runtime.contract.uri import DEFAULTS, StorageUri
from plinth_runtime.weights.sources import (
    Checksums,
    Listing,
    NotFoundError,
    RefusedError,
    RemoteObject,
    SourceError,
)
from plinth_runtime.weights.sources.answers import judge_status
from plinth_runtime.weights.sources.permits import Permit, Permits, PermitSession
from plinth_runtime.weights.sources.store_errors import judge_endpoint
from plinth_runtime.weights.sources.wire import Wire, WireSettings

PUBLIC_API = "https://api.github.com"
PAGE_ROWS = 100
MAX_PAGES = 10
DIGEST = "sha256:"


@dataclass(frozen=True, slots=True)
class GithubAccess:
    """Which server, and as whom. `token` is never printed."""

    api: str = PUBLIC_API
    token: str | None = field(default=None, repr=False)

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> GithubAccess:
        """Read GITHUB_API_URL and GITHUB_TOKEN."""
        api = judge_endpoint(environment.get("GITHUB_API_URL") or PUBLIC_API, "GITHUB_API_URL")
        return cls(api, environment.get("GITHUB_TOKEN", "").strip() or None)

    def headers(self, accept: str) -> dict[str, str]:
        """Give the headers of a request."""
        token = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        return {"Accept": accept, "X-GitHub-Api-Version": "2022-11-28", **token}

    @property
    def advice(self) -> str:
        """Say what helps against a refusal. GitHub says 404 of what one may not see."""
        if self.token is None:
            return "set GITHUB_TOKEN if the repository is private, or if many share this machine's address"
        return "check that the token may read the repository"


def open_source(address: str) -> GithubRelease:
    """Give the release at an address."""
    uri = StorageUri.parse(address)
    place = (f"{uri.get('owner')}/{uri.get('repo')}", uri.get("tag") or "")
    return GithubRelease(place, GithubAccess.read(os.environ))


class GithubRelease:
    """The assets of one release; a `Source`. `place` is repository and tag."""

    def __init__(self, place: tuple[str, str], access: GithubAccess, wire: WireSettings | None = None) -> None:
        self._repository, self._tag = place
        self._access = access
        self._wire = wire
        self._permits = Permits(self._permit)

    def describe(self) -> str:
        """Name the release."""
        return f"github://{self._repository}@{self._tag}"

    def list_objects(self) -> Listing:
        """List the assets; the release's tag is what `latest` stood for."""
        wire = Wire(self._wire)
        try:
            base = f"{self._access.api}/repos/{self._repository}/releases"
            is_latest = self._tag == DEFAULTS["github"][1]
            release = self._json(wire, f"{base}/latest" if is_latest else f"{base}/tags/{self._tag}")
            rows = self._assets(wire, f"{base}/{release['id']}/assets")
        except (RefusedError, NotFoundError) as error:
            raise self._advised(error) from None
        finally:
            wire.close()
        if not rows:
            raise NotFoundError(f"{self.describe()}: the release has no assets")
        return Listing(tuple(rows), revision=release["tag_name"])

    def session(self) -> PermitSession:
        """Give a stream."""
        # An asset has a number of its own, which never gets another content; where it lies has other ETags.
        return PermitSession(Wire(self._wire), self._permits, self._access.advice, checks_version=False)

    def _assets(self, wire: Wire, url: str) -> list[RemoteObject]:
        rows: list[RemoteObject] = []
        for page in range(1, MAX_PAGES + 1):
            found = self._json(wire, f"{url}?per_page={PAGE_ROWS}&page={page}")
            rows.extend(_row(asset) for asset in found)
            if len(found) < PAGE_ROWS:
                return rows
        raise RefusedError(f"{self.describe()} has more than {MAX_PAGES * PAGE_ROWS} assets")

    def _json(self, wire: Wire, url: str) -> Any:
        return json.loads(wire.get_small(url, self._access.headers("application/vnd.github+json")))

    def _permit(self, target: RemoteObject) -> Permit:
        """Follow the redirect to where an asset lies, asking for its first byte only."""
        headers = self._access.headers("application/octet-stream")
        wire = Wire(self._wire)
        try:
            answer, url = wire.request("GET", target.key, {**headers, "Range": "bytes=0-0"})
            judge_status(answer, target.name)
        except RefusedError as error:
            raise RefusedError(f"{error}; {self._access.advice}") from None
        finally:
            wire.close()
        return Permit(url, headers if _origin(url) == _origin(target.key) else {})

    def _advised(self, error: SourceError) -> SourceError:
        return type(error)(f"{error}; {self._access.advice}")


def _row(asset: Mapping[str, Any]) -> RemoteObject:
    digest = asset.get("digest") or ""
    sums = Checksums(sha256=digest.removeprefix(DIGEST) if digest.startswith(DIGEST) else None)
    version = f"{asset['id']}-{asset.get('updated_at', '')}"
    return RemoteObject(asset["name"], asset["size"], asset["url"], version, sums)


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc
