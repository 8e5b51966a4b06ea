"""A cluster by lightkube: opens what a kubeconfig says, lists, and turns refusals into one line. Only here the library
is known; it is loaded when a stack has something on a cluster.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
import yaml
from lightkube import Client, KubeConfig
from lightkube.config.client_adapter import Client as http_client  # noqa: N813 a function
from lightkube.config.client_adapter import ConnectionParams
from lightkube.config.models import User
from lightkube.core.exceptions import ApiError, ConfigError
from lightkube.core.resource_registry import resource_registry
from lightkube.generic_resource import create_global_resource, create_namespaced_resource

from plinth_runtime.contract.status import StartupStatus
from pulumi_plinth.status.objects import (
    AbsentError,
    DownError,
    Kind,
    Object,
    PodPort,
    ReadError,
    RefusedError,
    Selection,
    words,
)

if TYPE_CHECKING:
    from lightkube.config.kubeconfig import SingleConfig

CONNECT_SECONDS, ANSWER_SECONDS = 3.0, 10.0
POD_SECONDS = 2.0
"""For a pod's answer: a policy may swallow the question."""

PIECE = 500
"""Objects an answer, as kubectl asks."""

EVERYWHERE = "*"
_UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND = 401, 403, 404


class Cluster:
    """A cluster that can be asked."""

    def __init__(self, config: SingleConfig) -> None:
        timeout = httpx2.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS)
        self._client = Client(config=config, timeout=timeout, trust_env=False)
        self._pods = http_client(config, ConnectionParams(timeout=httpx2.Timeout(POD_SECONDS), trust_env=False))
        self._server = config.cluster.server

    @classmethod
    def open(cls, kubeconfig: Path | None, context: str | None) -> Cluster:
        """Connect as kubectl would. Raises DownError, in one line, when there is nothing to connect with."""
        try:
            return cls(_config(kubeconfig, context))
        except (ConfigError, OSError) as error:
            raise DownError(_unusable(kubeconfig, words(str(error)))) from None
        except (AttributeError, KeyError, TypeError, ValueError, yaml.YAMLError):
            # What these say quotes the file, and a kubeconfig is a secret.
            raise DownError(_unusable(kubeconfig, "it is not written as a kubeconfig is")) from None

    def close(self) -> None:
        """Drop the connections."""
        self._client.close()
        self._pods.close()

    def list(self, kind: Kind, selection: Selection) -> tuple[Object, ...]:
        """Return all objects of a kind, in pieces."""
        options = {"labels": selection.labels, "fields": selection.fields}
        if kind.namespaced:
            options["namespace"] = selection.namespace or EVERYWHERE  # type: ignore[assignment] # a plain name
        given: Mapping[str, Any] = {name: value for name, value in options.items() if value}
        try:
            return tuple(item.to_dict() for item in self._client.list(_resource(kind), chunk_size=PIECE, **given))
        except ApiError as error:
            raise self._refusal(kind, error.status.code or 0, error.status.message or "") from None
        except httpx2.HTTPStatusError as error:
            raise self._refusal(kind, error.response.status_code, str(error)) from None
        except httpx2.HTTPError as error:
            why = "no answer in time" if isinstance(error, httpx2.TimeoutException) else words(str(error))
            raise DownError(f"the cluster at {self._server} does not answer: {why}") from None
        except (ConfigError, OSError, KeyError, ValueError) as error:
            raise DownError(f"the kubeconfig's credentials cannot be had: {words(str(error))}") from None

    def startup(self, port: PodPort) -> StartupStatus | None:
        """Ask through the API server, as `kubectl get --raw` does; it takes the right to `pods/proxy`."""
        path = f"/api/v1/namespaces/{port.namespace}/pods/{port.pod}:{port.port}/proxy/startupz"
        try:
            return StartupStatus.model_validate_json(self._pods.get(path).content)
        except (httpx2.HTTPError, OSError, ConfigError, ValueError):
            return None

    def _refusal(self, kind: Kind, code: int, message: str) -> ReadError:
        if code == _FORBIDDEN:
            return RefusedError(f"no right to read {kind.plural}: {words(message)}")
        if code == _NOT_FOUND:
            name = f"{kind.plural}.{kind.group}" if kind.group else kind.plural
            return AbsentError(f"the cluster does not know {name}: the definition is not installed")
        if code == _UNAUTHORIZED:
            return DownError(f"the cluster at {self._server} does not accept the kubeconfig's credentials")
        return DownError(f"the cluster at {self._server} fails: {code} {words(message)}")


def _unusable(kubeconfig: Path | None, why: str) -> str:
    named = f" {kubeconfig}" if kubeconfig else ""
    return f"the kubeconfig{named} cannot be used: {why}; see kubernetes.kubeconfig and kubernetes.context of the stack"


def _resource(kind: Kind) -> Any:
    """Return the library's class of a kind, which it may have once only in a process."""
    if known := resource_registry.get(f"{kind.group}/{kind.version}".lstrip("/"), kind.kind):
        return known
    make = create_namespaced_resource if kind.namespaced else create_global_resource
    return make(kind.group, kind.version, kind.kind, kind.plural)


def _config(kubeconfig: Path | None, context: str | None) -> SingleConfig:
    """Find the file as kubectl does: the one named, those of KUBECONFIG, the one at home.

    Of several files the first that knows the context is taken, without one the first with a current context.
    """
    if kubeconfig is None and not os.environ.get("KUBECONFIG"):
        return _single(KubeConfig.from_env(), context)
    files = [kubeconfig] if kubeconfig else _files(os.environ["KUBECONFIG"])
    known = [KubeConfig.from_file(path) for path in files]
    chosen = (item for item in known if (context in item.contexts if context else item.current_context))
    return _single(next(chosen, known[0]), context)


def _files(variable: str) -> list[Path]:
    """Split KUBECONFIG; files that are not there are passed over, unless none is there."""
    files = [Path(name) for name in variable.split(os.pathsep) if name]
    return [path for path in files if path.is_file()] or files[:1]


def _single(config: KubeConfig, context: str | None) -> SingleConfig:
    found = config.get(context_name=context)
    if found is None:
        raise ConfigError("it names no context")
    # The library takes a user for granted; a cluster behind `kubectl proxy` has none.
    return found if found.user else found._replace(user=User())
