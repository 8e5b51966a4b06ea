"""Models of a stack as objects of the cluster, and the agents that bring them to nodes. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from plinth_runtime.contract.model_names import ModelKey, ModelKind
from pulumi_plinth.deployment.kubernetes.objects.common import Manifest
from pulumi_plinth.deployment.kubernetes.spec import KubernetesSpec
from pulumi_plinth.model.crds import crd_objects
from pulumi_plinth.model.objects import model_object
from pulumi_plinth.model.spec import ModelSpec
from pulumi_plinth.node_agent import node_agent_objects, secrets_of


@dataclass(frozen=True, slots=True)
class Declared:
    """The objects in the order in which they may be applied, and the models that none could be made of, with why."""

    objects: tuple[Manifest, ...] = ()
    left_out: tuple[str, ...] = ()


NOTHING = Declared()


def declare(cluster: KubernetesSpec | None, models: Mapping[str, ModelSpec]) -> Declared:
    """Declare every model that has an address; nothing where no agents bring them."""
    if cluster is None or cluster.node_agent is None:
        return NOTHING
    whole = {name: model for name, model in models.items() if not _doubt(model)}
    keys = [(model_key(name, model, cluster), model) for name, model in whole.items()]
    definitions = crd_objects() if cluster.crds == "manage" else ()
    agents = node_agent_objects(cluster.node_agent, secrets_of(keys, cluster.node_agent))
    made = [model_object(name, model, namespace=cluster.namespace) for name, model in whole.items()]
    left_out = tuple(f"{name} {doubt}" for name, model in models.items() if (doubt := _doubt(model)))
    return Declared((*definitions, *agents, *made), left_out)


def object_key(item: Manifest) -> str:
    """Name an object among those of one stack: by kind, namespace and name."""
    place = item["metadata"].get("namespace")
    parts = (item["kind"].lower(), place, item["metadata"]["name"])
    return "-".join(part.replace(".", "-") for part in parts if part)


def _doubt(model: ModelSpec) -> str:
    """Say why a model is not declared; empty if it is."""
    uri = model.storage.uri if model.storage else None
    if uri is None:
        return "has no address that a node could fetch from"
    return "has an address that is known only when its store is made" if "<" in uri else ""


def model_key(name: str, model: ModelSpec, cluster: KubernetesSpec) -> ModelKey:
    """Name the declaration of a model."""
    if model.scope == "namespaced" or (model.scope is None and model.namespace):
        return ModelKey(ModelKind.BASE_MODEL, model.namespace or cluster.namespace, name)
    return ModelKey(ModelKind.CLUSTER_BASE_MODEL, "", name)
