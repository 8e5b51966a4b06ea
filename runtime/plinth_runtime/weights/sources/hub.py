"""The Hugging Face hub as a source: `hf://`. Its library tells what a model consists of, the bytes come by ranges.

The revision is resolved to a commit first, and only that commit is read: what a branch does meanwhile does not matter.
A large file's address is asked for once and kept for some minutes, since the hub counts such questions.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from plinth_runtime.contract.uri import StorageUri
from plinth_runtime.errors import SourceRefusedError
from plinth_runtime.weights.sources import Checksums, Listing, NotFoundError, RefusedError, RemoteObject, TransientError
from plinth_runtime.weights.sources.libraries import library
from plinth_runtime.weights.sources.permits import Permit, Permits, PermitSession
from plinth_runtime.weights.sources.store_errors import judge_endpoint, status_fault
from plinth_runtime.weights.sources.wire import Wire, WireSettings

PUBLIC_ENDPOINT = "https://huggingface.co"
ANSWER_SECONDS = 30.0
DENIED = frozenset({401, 403})


@dataclass(frozen=True, slots=True)
class HubAccess:
    """Which hub, and as whom. `token` is never printed."""

    endpoint: str = PUBLIC_ENDPOINT
    token: str | None = field(default=None, repr=False)

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> HubAccess:
        """Read HF_ENDPOINT, and the token: HF_TOKEN, the file that HF_TOKEN_PATH names, or the library's own place."""
        endpoint = judge_endpoint(environment.get("HF_ENDPOINT") or PUBLIC_ENDPOINT, "HF_ENDPOINT")
        return cls(endpoint, _token(environment))

    @property
    def advice(self) -> str:
        """Say what helps against a refusal."""
        if self.token is None:
            return "set HF_TOKEN, or HF_TOKEN_PATH to a file with a token, if the model is private or gated"
        return f"check that the token is valid and its owner was given access to the model at {self.endpoint}"


def open_source(address: str) -> HubModel:
    """Give the model at an address."""
    library("huggingface_hub", "hub")
    uri = StorageUri.parse(address)
    return HubModel(uri.get("model") or "", uri.get("revision") or "main", HubAccess.read(os.environ))


class HubModel:
    """One revision of one model; a `Source`."""

    def __init__(self, model: str, revision: str, access: HubAccess, wire: WireSettings | None = None) -> None:
        self._model = model
        self._revision = revision
        self._access = access
        self._wire = wire
        self._permits = Permits(self._permit)

    def describe(self) -> str:
        """Name the model and its revision."""
        return f"hf://{self._model}@{self._revision}"

    def list_objects(self) -> Listing:
        """Resolve the revision to a commit and list its files. Large files have a sha256, the others git's name."""
        hub = library("huggingface_hub", "hub")
        api = hub.HfApi(endpoint=self._access.endpoint, token=self._access.token or False)
        with self._translated():
            commit = api.model_info(self._model, revision=self._revision, timeout=ANSWER_SECONDS).sha
            rows = [self._row(entry, commit) for entry in api.list_repo_tree(
                self._model, revision=commit, recursive=True
            ) if hasattr(entry, "blob_id")]  # fmt: skip
        if not rows:
            raise NotFoundError(f"{self.describe()} has no files")
        return Listing(tuple(rows), revision=commit)

    def session(self) -> PermitSession:
        """Give a stream."""
        # A commit's files never change, and the servers that hold large files call their versions by other names.
        return PermitSession(Wire(self._wire), self._permits, self._access.advice, checks_version=False)

    def _row(self, entry: Any, commit: str) -> RemoteObject:
        hub = library("huggingface_hub", "hub")
        url = hub.hf_hub_url(self._model, entry.path, revision=commit, endpoint=self._access.endpoint)
        sums = Checksums(sha256=entry.lfs.sha256) if entry.lfs else Checksums(git_sha1=entry.blob_id)
        return RemoteObject(entry.path, entry.size, url, f'"{sums.sha256 or entry.blob_id}"', sums)

    def _permit(self, target: RemoteObject) -> Permit:
        """Find out where a large file lies. Small ones come from the hub itself."""
        url = target.key
        if target.checksums.sha256:
            hub = library("huggingface_hub", "hub")
            with self._translated(target.name):
                url = hub.get_hf_file_metadata(
                    url, token=self._access.token or False, timeout=ANSWER_SECONDS, endpoint=self._access.endpoint
                ).location
            _judge_location(url, self._access.endpoint, target.name)
        if self._access.token and _origin(url) == _origin(self._access.endpoint):
            return Permit(url, {"Authorization": f"Bearer {self._access.token}"})
        return Permit(url)

    @contextmanager
    def _translated(self, name: str | None = None) -> Iterator[None]:
        """Say what the library raises in our words, without its text, which may quote requests."""
        errors = library("huggingface_hub.errors", "hub")
        where = f"{self.describe()}{f' {name}' if name else ''} at {self._access.endpoint}"
        try:
            yield
        except errors.HfHubHTTPError as error:
            status = error.response.status_code
            advice = f"; {self._access.advice}" if status in DENIED else ""
            words = f"{where}: the hub answered {status} ({_kind(error, errors)}){advice}"
            raise status_fault(status, words, error.response.headers.get("Retry-After")) from None
        except errors.OfflineModeIsEnabled:
            raise RefusedError(f"{where}: HF_HUB_OFFLINE is set; unset it to fetch from the hub") from None
        except errors.HFValidationError as error:
            raise RefusedError(f"{where}: {error}") from None
        except Exception as error:
            if not _is_of_network(error):
                raise
            raise TransientError(f"{where}: {type(error).__name__}") from None


def _kind(error: Exception, errors: Any) -> str:
    if isinstance(error, errors.GatedRepoError):
        return "the model is gated"
    if isinstance(error, errors.RevisionNotFoundError):
        return "no such revision"
    return "no such model, or not for everybody" if isinstance(error, errors.RepositoryNotFoundError) else "refused"


def _is_of_network(error: Exception) -> bool:
    """Tell errors of the library's HTTP client, whichever it uses, from faults of programs."""
    return isinstance(error, OSError) or any("http" in base.__module__ for base in type(error).__mro__)


def _judge_location(url: str, endpoint: str, name: str) -> None:
    """Refuse a place that others could listen to. Only a hub on this machine may name one on this machine."""
    if urlsplit(url).scheme == "https":
        return
    if endpoint.startswith("https://"):
        raise RefusedError(f"{name}: the hub names a place that is not encrypted")
    judge_endpoint(url, f"the place that the hub names for {name}")


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc


def _token(environment: Mapping[str, str]) -> str | None:
    if text := environment.get("HF_TOKEN", "").strip():
        return text
    if path := environment.get("HF_TOKEN_PATH"):
        try:
            return Path(path).read_text(encoding="utf-8").strip() or None
        except OSError as error:
            raise SourceRefusedError(
                f"HF_TOKEN_PATH names {path}, which cannot be read: {error.strerror}",
                hint="Mount the secret there, or unset HF_TOKEN_PATH.",
            ) from error
    token: str | None = library("huggingface_hub", "hub").get_token()
    return token
