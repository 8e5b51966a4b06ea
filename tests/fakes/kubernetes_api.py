"""A real API server, as far as the provider's stand-in needs it: kinds, objects, server-side apply."""

import json
import time
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import urlsplit

import yaml
from httpx2 import TransportError
from lightkube import KubeConfig
from lightkube.config.client_adapter import Client, ConnectionParams

REQUEST_SECONDS = 30
LOOPBACK = ("127.0.0.1", "localhost", "::1")


class ApiError(Exception):
    """The API server refused, or cannot be reached; `status` is 0 then."""

    def __init__(self, status, message):
        super().__init__(message)
        self.status, self.message = status, message


@dataclass(frozen=True)
class Kind:
    """Where objects of a kind are."""

    prefix: str
    plural: str
    namespaced: bool

    def path(self, name="", namespace=None):
        """The path of an object, or of all."""
        inside = f"/namespaces/{namespace}" if self.namespaced and namespace else ""
        return f"{self.prefix}{inside}/{self.plural}" + (f"/{name}" if name else "")


class Api:
    """The API server that a kubeconfig names: one on this machine, for no test may reach another by mistake."""

    def __init__(self, kubeconfig, context=None):
        # As the real provider: contents or a path.
        written = yaml.safe_load(kubeconfig)
        found = KubeConfig.from_file(written) if isinstance(written, str) else KubeConfig.from_dict(written)
        config = found.get(context or None)
        if urlsplit(config.cluster.server).hostname not in LOOPBACK:
            raise ApiError(0, f"{config.cluster.server} is not on this machine; the stand-in speaks to test clusters")
        self.server, self.namespace = config.cluster.server, config.namespace or "default"
        self._http = Client(config, ConnectionParams(timeout=REQUEST_SECONDS, trust_env=False))
        self._kinds = {}

    def kind(self, api_version, name):
        """A kind, or None where the API server has none of that name now."""
        if (api_version, name) not in self._kinds:
            prefix = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
            try:
                found = self._ask("GET", prefix)["resources"]
            except ApiError as error:
                if error.status != HTTPStatus.NOT_FOUND:
                    raise
                found = []
            known = {row["kind"]: row for row in found if "/" not in row["name"]}
            for kind, row in known.items():
                self._kinds[api_version, kind] = Kind(prefix, row["name"], row["namespaced"])
        return self._kinds.get((api_version, name))

    def get(self, content):
        """The object of the same kind, name and namespace, or None."""
        try:
            return self._ask("GET", self._path(content))
        except ApiError as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return None
            raise

    def items(self, api_version, kind, namespace, labels):
        """Objects that carry labels."""
        selector = ",".join(f"{key}={value}" for key, value in labels.items())
        return self._ask("GET", self.kind(api_version, kind).path("", namespace), {"labelSelector": selector})["items"]

    def apply(self, content, manager, *, dry_run=False, force=False):
        """Server-side apply with strict validation; returns the object."""
        query = {"fieldManager": manager, "fieldValidation": "Strict"}
        query |= {"dryRun": "All"} if dry_run else {}
        query |= {"force": "true"} if force else {}
        headers = {"content-type": "application/apply-patch+yaml"}
        return self._ask("PATCH", self._path(content), query, (json.dumps(content), headers))

    def delete(self, content, policy):
        """Ask for deletion; an object that is gone already is fine."""
        try:
            body = json.dumps({"propagationPolicy": policy})
            self._ask("DELETE", self._path(content), {}, (body, {"content-type": "application/json"}))
        except ApiError as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise

    def close(self):
        """End its connections."""
        self._http.close()

    def _path(self, content):
        kind = self.kind(content["apiVersion"], content["kind"])
        if kind is None:
            raise ApiError(HTTPStatus.NOT_FOUND, f"no kind {content['kind']} in {content['apiVersion']} on the cluster")
        metadata = content["metadata"]
        return kind.path(metadata["name"], metadata.get("namespace"))

    def _ask(self, method, path, query=None, sent=(None, None)):
        body, headers = sent
        try:
            answer = self._http.request(method, path, params=query, content=body, headers=headers)
        except TransportError as error:
            raise ApiError(0, f"configured Kubernetes cluster is unreachable: {error}") from error
        structured = "json" in answer.headers.get("content-type", "")
        if answer.status_code >= HTTPStatus.BAD_REQUEST:
            raise ApiError(answer.status_code, answer.json()["message"] if structured else answer.text.strip())
        return answer.json()


def wait(step, seconds, stopped):
    """Repeat a step until it returns no reasons, time is over or the run is stopped; returns the last reasons."""
    deadline = time.monotonic() + seconds
    while reasons := step():
        if time.monotonic() > deadline or stopped.wait(0.2):
            return reasons
    return []
