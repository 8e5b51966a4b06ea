"""One deployment on Kubernetes as the plan is asked about it, and what one replica of it takes. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from plinth_runtime.contract.card import ModelCard
from pulumi_plinth.deployment.facts import CardFacts
from pulumi_plinth.deployment.kubernetes.spec import KubernetesSpec
from pulumi_plinth.deployment.presets import Preset, preset_of
from pulumi_plinth.deployment.spec import DeploymentSpec
from pulumi_plinth.fit.price import Range
from pulumi_plinth.model.spec import ModelSpec


@dataclass(frozen=True, slots=True)
class ServerCase:
    """One deployment to decide on. `path` is where its spec stands in the stack file."""

    path: str
    name: str
    spec: DeploymentSpec
    declared: ModelSpec
    facts: CardFacts
    cluster: KubernetesSpec
    chat_template: str | None = None
    alone: bool = True
    """Whether no other deployment runs on its pool."""

    @property
    def namespace(self) -> str:
        """Where its objects live."""
        return self.spec.pod.namespace or self.cluster.namespace

    @property
    def preset(self) -> Preset | None:
        """What KAITO fixes about it."""
        return preset_of(self.declared)

    @property
    def generate(self) -> bool:
        """Whether `/generate` answers: as written, else for the presets whose contract it is."""
        return self.preset is not None if self.spec.generate is None else self.spec.generate


@dataclass(frozen=True, slots=True)
class Demand:
    """What one replica takes: `nodes` pods of `gpus` GPUs each, `ranks` for one copy. Sizes are bytes of one pod.

    `kv_cache_bytes` is None where the engine takes what its share of the GPU leaves. `arguments` are the engine's, as
    planned. `labels` and `taints` (key=value:effect) are those of the nodes that were planned for, `capacity` the GPUs
    there are for this deployment, if somebody said.
    """

    device: Literal["cpu", "cuda"]
    card: ModelCard
    nodes: int
    gpus: int
    ranks: int
    gpu_resource: str
    memory_bytes: int
    shared_bytes: int
    startup_seconds: int
    max_model_len: int
    max_num_seqs: int
    kv_cache_bytes: int | None
    arguments: tuple[str, ...]
    replicas: Range
    labels: tuple[tuple[str, str], ...] = ()
    capacity: int | None = None
    taints: tuple[str, ...] = ()
    """Taints of the nodes beside that of GPUs, as the kubelet reads them."""

    @property
    def all_gpus(self) -> int:
        """GPUs of one replica."""
        return self.nodes * self.gpus
