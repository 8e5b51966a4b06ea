"""StackSpec: the whole stack file as one typed value, and the checks that need more than one part of it. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Self, get_origin

from pydantic import Field, ValidationError

from pulumi_plinth.cluster.spec import ClusterSpec
from pulumi_plinth.deployment.kubernetes.spec import KubernetesSpec
from pulumi_plinth.deployment.spec import DeploymentSpec
from pulumi_plinth.deployment.targets import misplaced
from pulumi_plinth.errors import Fault, SpecError, faults_of, unknown_name
from pulumi_plinth.fit.declared import ShapeName, ShapeSpec
from pulumi_plinth.model.names import name_faults
from pulumi_plinth.model.spec import ModelSpec
from pulumi_plinth.oci_spec import OciSpec
from pulumi_plinth.pool.spec import PoolSpec
from pulumi_plinth.quantities import Label
from pulumi_plinth.spec import Spec
from pulumi_plinth.store.spec import FolderStoreSpec, StoreSpec

CONFIG_KEY = "plinth:stack"
"""The key of the stack file's `config` that holds the StackSpec; also the first part of every fault's path."""


NOT_FETCHED = {
    "vendor": "is never downloaded: its vendor serves it",
    "pvc": "is mounted in pods: a server on this host has none",
}
"""Schemes of addresses that a server on this host cannot fetch from, and why."""


class StackSpec(Spec):
    """Everything a platform team declares: stores, the models in them, the deployments that serve them."""

    oci: OciSpec | None = Field(
        default=None, description="What everything made on Oracle's cloud shares. Default: none, nothing is made there."
    )
    cluster: ClusterSpec | None = Field(
        default=None,
        description="The OKE cluster, by its id or made, and what stands around it. Default: none, `kubernetes` says "
        "how one is reached that others look after.",
    )
    stores: dict[Label, StoreSpec] = Field(default_factory=dict, description="Places that hold weights, by name.")
    models: dict[Label, ModelSpec] = Field(default_factory=dict, description="Models, by name.")
    deployments: dict[Label, DeploymentSpec] = Field(default_factory=dict, description="Servers, by name.")
    pools: dict[Label, PoolSpec] = Field(default_factory=dict, description="Nodes with GPUs on OKE, by name.")
    shapes: dict[ShapeName, ShapeSpec] = Field(
        default_factory=dict, description="Shapes of nodes that no table knows yet, or what you pay for those it knows."
    )

    kubernetes: KubernetesSpec | None = Field(
        default=None,
        description="The cluster that deployments with `target: kubernetes` run on. Default: none, they are planned.",
    )

    @classmethod
    def parse(cls, document: Any) -> Self:
        """Read the value under `plinth:stack`. Raises SpecError with every fault of the document at once."""
        if not isinstance(document, dict):
            fault = Fault(CONFIG_KEY, document, "is not a mapping", "write stores:, models: and deployments: under it")
            raise SpecError([fault])
        faults: list[Fault] = []
        spec = cls._best_effort(document, faults)
        names = {kind: set(parts) for kind, parts in document.items() if isinstance(parts, dict)}
        faults.extend(spec.cross_faults(names.get("stores", set()), names.get("models", set())))
        faults.extend(spec.pool_faults(names.get("pools", set())))
        if faults:
            raise SpecError(faults)
        return spec

    @classmethod
    def _best_effort(cls, document: dict[str, Any], faults: list[Fault]) -> Self:
        """Validate; where parts are wrong, note why and go on with the good ones so that all faults come at once."""
        try:
            return cls.model_validate(document)
        except ValidationError as error:
            faults.extend(faults_of(error, cls, CONFIG_KEY))
            bad = {item["loc"][:2] for item in error.errors(include_url=False)}
        good = {
            kind: {name: part for name, part in parts.items() if (kind, name) not in bad}
            for kind, parts in document.items()
            if kind in cls.model_fields and isinstance(parts, dict) and (cls._by_name(kind) or cls._is_good(kind, bad))
        }
        return cls.model_validate(good)

    @classmethod
    def _by_name(cls, kind: str) -> bool:
        """Tell whether a part of the file maps names to things that can be wrong one by one."""
        return get_origin(cls.model_fields[kind].annotation) is dict

    @staticmethod
    def _is_good(kind: str, bad: set[tuple[Any, ...]]) -> bool:
        return all(location[0] != kind for location in bad)

    def cross_faults(self, stores: set[str], models: set[str]) -> Iterator[Fault]:
        """Find references to nothing (given the names written down, good or bad), names and ports that meet."""
        for name, model in self.models.items():
            if model.store is not None and model.store not in stores:
                yield unknown_name(f"{CONFIG_KEY}.models.{name}.store", model.store, stores)
        for name, deployment in self.deployments.items():
            path = f"{CONFIG_KEY}.deployments.{name}"
            if deployment.model not in models:
                yield unknown_name(f"{path}.model", deployment.model, models)
            elif deployment.model in self.models:
                yield from self._model_faults(f"{path}.model", deployment)
            yield from misplaced(path, deployment, described=self.kubernetes is not None)
        yield from name_faults(self.models, f"{CONFIG_KEY}.models")
        yield from self._port_faults()

    def pool_faults(self, pools: set[str]) -> Iterator[Fault]:
        """Find deployments on pools that are not declared, given the names written down, good or bad."""
        for name, deployment in self.deployments.items():
            if deployment.pool is not None and deployment.pool not in pools:
                yield unknown_name(f"{CONFIG_KEY}.deployments.{name}.pool", deployment.pool, pools)

    def on(self, target: str) -> dict[str, DeploymentSpec]:
        """Return the deployments of one target, in the order they are written."""
        return {name: item for name, item in self.deployments.items() if item.target == target}

    def folder_models(self) -> dict[str, tuple[str, str]]:
        """Return the models that local deployments serve from folder stores: name -> (store, path inside it)."""
        served = {deployment.model for deployment in self.on("local").values()}
        models = {name: self.models[name] for name in sorted(served & set(self.models))}
        return {
            name: (model.store, model.path)
            for name, model in models.items()
            if model.store and model.path and self._is_folder(model.store)
        }

    def fetched_models(self) -> dict[str, str]:
        """Return the models that local deployments fetch themselves: name -> address."""
        served = {deployment.model for deployment in self.on("local").values()}
        found = {name: self.models[name].storage for name in sorted(served & set(self.models))}
        return {name: storage.uri for name, storage in found.items() if storage is not None and storage.uri}

    def models_in(self, store: str) -> dict[str, str]:
        """Return the models of a store: name -> path inside it."""
        return {name: model.path for name, model in self.models.items() if model.store == store and model.path}

    def _is_folder(self, store: str) -> bool:
        return isinstance(self.stores.get(store), FolderStoreSpec)

    def _may_be_folder(self, store: str | None) -> bool:
        """Tell whether a store is a folder, or so wrong that another fault says so already."""
        return store is not None and (store not in self.stores or self._is_folder(store))

    def _model_faults(self, path: str, deployment: DeploymentSpec) -> Iterator[Fault]:
        """Find models that the deployment's target cannot serve."""
        model = self.models[deployment.model]
        if model.serves_as == "external":
            problem = "is external: its provider serves it, there is nothing to deploy"
            yield Fault(path, deployment.model, problem, "remove the deployment")
        elif deployment.target == "local" and (reason := self._local_problem(deployment.model)):
            remedy = f"give models.{deployment.model} a store: of kind folder and a path:, or storage: {{uri: …}}"
            yield Fault(path, deployment.model, reason, remedy)

    def _local_problem(self, name: str) -> str | None:
        """Say why this host cannot have a model's weights, if it cannot."""
        storage = self.models[name].storage
        source = storage.source if storage else None
        if source is not None and source.scheme in NOT_FETCHED:
            return f"comes from {source.scheme}://, which {NOT_FETCHED[source.scheme]}"
        if source is not None or self._may_be_folder(self.models[name].store):
            return None
        return "has neither a folder store nor an address, which is what the local target serves from"

    def templated_models(self) -> tuple[str, ...]:
        """Return the models whose chat templates are used: on this host, or on the cluster."""
        in_pods = {item.model for item in self.on("kubernetes").values()} if self.kubernetes else set()
        return tuple(sorted({*self.folder_models(), *self.fetched_models(), *(in_pods & set(self.models))}))

    def _port_faults(self) -> Iterator[Fault]:
        owner: dict[int, str] = {}
        for name, deployment in self.on("local").items():
            for field, port in zip(("port", "managementPort"), deployment.ports, strict=True):
                path = f"{CONFIG_KEY}.deployments.{name}.{field}"
                if port > 65535:  # noqa: PLR2004 the largest port there is
                    yield Fault(path, port, "is beyond 65535", "write a managementPort of its own")
                elif port in owner:
                    yield Fault(path, port, f"is also the port of {owner[port]}", "give each its own port")
                owner.setdefault(port, f"deployments.{name}.{field}")
