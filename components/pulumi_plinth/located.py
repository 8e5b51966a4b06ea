"""What stores mean for the models in them, and models for the stores: addresses to fetch from, pods that read. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from pulumi_plinth.model.spec import ModelSpec
from pulumi_plinth.model.storage import StorageSpec
from pulumi_plinth.oci_policy import IdentitySpec
from pulumi_plinth.stack import StackSpec
from pulumi_plinth.store.plan import StorePlan


def located(spec: StackSpec, stores: Iterable[StorePlan]) -> dict[str, ModelSpec]:
    """Return every model; one in a store that pods reach has the address and the client's settings of its store."""
    sources = {store.name: store for store in stores if store.path is None}
    return {name: _located(name, model, sources.get(model.store or "")) for name, model in spec.models.items()}


def _located(name: str, model: ModelSpec, store: StorePlan | None) -> ModelSpec:
    if store is None:
        return model
    own = model.storage or StorageSpec()
    storage = own.model_copy(
        update={
            "uri": store.source_of(name),
            "parameters": {**store.client, **own.parameters},
            "key": own.key or store.secret,
        }
    )
    return model.model_copy(update={"store": None, "path": None, "storage": storage})


def readers(spec: StackSpec, store: str) -> tuple[IdentitySpec, ...]:
    """Return the service accounts of the stack's servers whose weights lie in a store and come without a Secret."""
    if spec.cluster is None or spec.kubernetes is None:
        return ()
    inside = {name for name in spec.models_in(store) if not _has_secret(spec.models[name])}
    found = {
        IdentitySpec(
            namespace=item.pod.namespace or spec.kubernetes.namespace, service_account=item.pod.service_account or name
        )
        for name, item in spec.on("kubernetes").items()
        if item.model in inside
    }
    return tuple(sorted(found, key=str))


def _has_secret(model: ModelSpec) -> bool:
    return bool(model.storage and model.storage.key)
