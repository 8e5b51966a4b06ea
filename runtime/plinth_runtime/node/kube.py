"""The cluster by lightkube: generic resources, server-side apply, lists in pieces. Only here the library is known."""

from __future__ import annotations

import base64
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
from lightkube import Client, KubeConfig
from lightkube.core.exceptions import ApiError, ConfigError
from lightkube.core.resource_registry import resource_registry
from lightkube.generic_resource import create_global_resource, create_namespaced_resource
from lightkube.models.meta_v1 import Status
from lightkube.types import PatchType

from plinth_runtime.contract.model_names import GROUP, VERSION, ModelKey, ModelKind
from plinth_runtime.errors import BadConfigError
from plinth_runtime.node.api import (
    ConflictError,
    Document,
    DownError,
    Event,
    EventType,
    ExpiredError,
    MissingError,
    RefusedError,
    ThrottledError,
    Write,
)

PIECE = 20
"""Objects per answer of a list: the status of a thousand nodes is in each."""

WATCH_SECONDS = 300
"""The server ends a watch after so long; the next one goes on from the same version."""

CONNECT_SECONDS, ANSWER_SECONDS = 5.0, 20.0
KEEPALIVE = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 30),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
)
"""A watch says nothing for minutes: only so is a peer noticed that vanished without a word."""

_FAULTS: Mapping[int, type[Exception]] = {
    404: MissingError, 409: ConflictError, 410: ExpiredError, 401: RefusedError, 403: RefusedError, 422: RefusedError,
}  # fmt: skip
_THROTTLED = 429
_SERVER = 500


class KubeApi:
    """The cluster of a kubeconfig file, or the one that this process runs in.

    Every thread has a client of its own: the library writes to its TLS context with each new connection, while OpenSSL
    may read it for another thread's. An agent that shared one was seen to crash when all its threads connected anew.
    """

    def __init__(self, connect: Callable[[], Client]) -> None:
        # msgspec, by which lightkube reads a refusal, prepares a type at its first use, and crashes when two threads do
        # so at once, as watches do that are all refused when the cluster comes back. Nothing else of ours is read so.
        Status.from_dict({})
        self._connect = connect
        self._own = threading.local()
        self._kinds: dict[ModelKind, Any] = {kind: _resource(kind) for kind in ModelKind}
        self._node = _class(create_global_resource, "", "v1", "Node", "nodes")
        self._secret = _class(create_namespaced_resource, "", "v1", "Secret", "secrets")

    @classmethod
    def open(cls, kubeconfig: Path | None, context: str | None = None) -> KubeApi:
        """Connect. Raises BadConfigError when there is nothing to connect to."""
        try:
            config = KubeConfig.from_file(kubeconfig) if kubeconfig else KubeConfig.from_env()
            single = config.get(context_name=context)
            found = cls(partial(_connect, single))
            found.connected()
        except (ConfigError, OSError, KeyError, ValueError) as error:
            raise BadConfigError(f"the cluster's access cannot be read: {error}") from error
        return found

    def connected(self) -> Client:
        """Give this thread's client."""
        client: Client | None = getattr(self._own, "client", None)
        if client is None:
            client = self._own.client = self._connect()
        return client

    def list_models(self, kind: ModelKind, take: Callable[[Document], None]) -> str:
        """List in pieces, of all namespaces."""
        return self._list(self._kinds[kind], take, namespace="*" if kind.namespaced else None)

    def watch_models(self, kind: ModelKind, version: str) -> Iterator[Event]:
        """Watch all namespaces."""
        return self._watch(self._kinds[kind], version, namespace="*" if kind.namespaced else None)

    def list_node(self, name: str, take: Callable[[Document], None]) -> str:
        """List by name: the list's version is what a watch can begin at."""
        return self._list(self._node, take, fields={"metadata.name": name})

    def watch_node(self, name: str, version: str) -> Iterator[Event]:
        """Watch by name."""
        return self._watch(self._node, version, fields={"metadata.name": name})

    def get_model(self, key: ModelKey) -> Document:
        """Read one."""
        with _translated():
            return _plain(self.connected().get(self._kinds[key.kind], key.name, namespace=key.namespace or None))

    def node_exists(self, name: str) -> bool:
        """Look for a node."""
        try:
            with _translated():
                self.connected().get(self._node, name)
        except MissingError:
            return False
        return True

    def apply_status(self, key: ModelKey, write: Write) -> Document:
        """Apply to the status subresource. What is ours is ours: fields of others with these names are taken over."""
        return self._apply(self._kinds[key.kind].Status, key.name, key.namespace or None, write, force=True)

    def apply_spec(self, key: ModelKey, write: Write) -> Document:
        """Apply to the object; a field that somebody else owns makes it a conflict."""
        return self._apply(self._kinds[key.kind], key.name, key.namespace or None, write, force=False)

    def apply_labels(self, name: str, write: Write) -> Document:
        """Apply to the node."""
        return self._apply(self._node, name, None, write, force=True)

    def read_secret(self, namespace: str, name: str) -> Mapping[str, bytes]:
        """Read a secret."""
        with _translated():
            secret = _plain(self.connected().get(self._secret, name, namespace=namespace))
        return {key: base64.b64decode(value) for key, value in (secret.get("data") or {}).items()}

    def _list(self, resource: Any, take: Callable[[Document], None], **selection: Any) -> str:
        with _translated():
            found = self.connected().list(resource, chunk_size=PIECE, **_given(selection))
            for item in found:
                take(_plain(item))
            return str(found.resourceVersion)

    def _watch(self, resource: Any, version: str, **selection: Any) -> Iterator[Event]:
        with _translated():
            events = self.connected().watch(
                resource, server_timeout=WATCH_SECONDS, resource_version=version, **_given(selection)
            )
            for kind, item in events:
                if kind in EventType.__members__:
                    yield Event(EventType(kind), _plain(item))

    def _apply(self, resource: Any, name: str, namespace: str | None, write: Write, *, force: bool) -> Document:
        body = {**write.body, "metadata": dict(write.body["metadata"])}
        if write.version is not None:
            body["metadata"]["resourceVersion"] = write.version
        with _translated():
            answer = self.connected().patch(
                resource,
                name,
                body,
                **_given({"namespace": namespace}),
                patch_type=PatchType.APPLY,
                field_manager=write.manager,
                force=force,
            )
        return _plain(answer)


def _resource(kind: ModelKind) -> Any:
    make = create_namespaced_resource if kind.namespaced else create_global_resource
    return _class(make, GROUP, VERSION, kind.kind, kind.value)


def _class(make: Callable[..., Any], group: str, version: str, kind: str, plural: str) -> Any:
    """Give the library's class of a kind, of which a process may have one only."""
    return resource_registry.get(f"{group}/{version}".lstrip("/"), kind) or make(group, version, kind, plural)


def _connect(config: Any) -> Client:
    timeout = httpx2.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS)
    return Client(config=config, timeout=timeout, trust_env=False, transport=_transport(config))


def _transport(config: Any) -> httpx2.BaseTransport:
    """Make connections that notice a vanished peer, with the cluster's own certificates."""
    from lightkube.config.client_adapter import verify_cluster

    verify = verify_cluster(config.cluster, config.user, config.abs_file, trust_env=False)
    return httpx2.HTTPTransport(verify=verify, socket_options=list(KEEPALIVE))


def _given(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def _plain(item: Any) -> Document:
    document: Document = item.to_dict()
    return document


@contextmanager
def _translated() -> Iterator[None]:
    """Turn the library's errors into ours. Messages are the server's own; they hold no secret."""
    try:
        yield
    except ApiError as error:
        raise _fault(error) from None
    except httpx2.HTTPStatusError as error:
        raise _by_code(error.response.status_code, str(error), error.response) from None
    except (httpx2.HTTPError, OSError) as error:
        raise DownError(f"{type(error).__name__}: {error}") from None


def _fault(error: ApiError) -> Exception:
    """Read a Status: it may come as an answer or in the middle of a watch."""
    return _by_code(error.status.code or 0, error.status.message or "", getattr(error, "response", None))


def _by_code(code: int, message: str, response: Any) -> Exception:
    if code == _THROTTLED:
        wait = response.headers.get("Retry-After", "0") if response is not None else "0"
        return ThrottledError(message, float(wait) if wait.isdecimal() else 0.0)
    if code >= _SERVER or not code:
        return DownError(f"{code}: {message}")
    return _FAULTS.get(code, RefusedError)(message)
