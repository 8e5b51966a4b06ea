"""What of a stack is to be looked for in its cluster: deployments with their namespaces, declared models. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from plinth_runtime.contract.model_names import ModelKey
from pulumi_plinth.deployment.kubernetes.declared import model_key
from pulumi_plinth.stack import StackSpec


@dataclass(frozen=True, slots=True)
class WantedServer:
    """A deployment. `endpoint` is empty where neither the stack's outputs nor its file say it."""

    name: str
    model: str
    namespace: str
    endpoint: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """Everything to look for. Of `models`, those in a store are there only if their store has an address by now."""

    servers: tuple[WantedServer, ...]
    models: Mapping[ModelKey, bool]
    """Whether each must be there."""
    leader_worker_sets: bool

    @property
    def namespaces(self) -> tuple[str, ...]:
        """Where deployments are."""
        return tuple(sorted({server.namespace for server in self.servers}))


def wanted(spec: StackSpec, endpoints: Mapping[str, str]) -> Wanted:
    """Collect what the stack file says is in the cluster; `endpoints` are the outputs of what was deployed."""
    cluster = spec.kubernetes
    if cluster is None:
        return Wanted((), {}, leader_worker_sets=False)
    servers = tuple(
        WantedServer(
            name,
            item.model,
            item.pod.namespace or cluster.namespace,
            endpoints.get(name) or (f"{item.pod.public_url}/v1" if item.pod.public_url else ""),
        )
        for name, item in sorted(spec.on("kubernetes").items())
    )
    models = dict(_models(spec)) if cluster.node_agent else {}
    return Wanted(servers, models, cluster.leader_worker_set)


def _models(spec: StackSpec) -> Iterator[tuple[ModelKey, bool]]:
    if spec.kubernetes is None:
        return
    for name, model in sorted(spec.models.items()):
        addressed = model.storage is not None and model.storage.uri is not None
        if addressed or model.store is not None:
            yield model_key(name, model, spec.kubernetes), addressed
