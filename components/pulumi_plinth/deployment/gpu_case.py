"""One deployment on GPUs as the planner is asked about it: candidates, wish, limits. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from plinth_runtime.contract.card import ModelCard
from pulumi_plinth.deployment.facts import CardFacts, PoolNodes
from pulumi_plinth.deployment.presets import preset_of
from pulumi_plinth.deployment.spec import DeploymentSpec
from pulumi_plinth.errors import Fault
from pulumi_plinth.fit.choice import Limits
from pulumi_plinth.fit.market import Market
from pulumi_plinth.fit.overhead import NO_ADAPTERS, Adapters
from pulumi_plinth.fit.parallel import Asked
from pulumi_plinth.fit.plan import Wish
from pulumi_plinth.fit.price import Range, Terms
from pulumi_plinth.fit.shapes import Shape, plain_shape
from pulumi_plinth.fit.subject import unplannable
from pulumi_plinth.model.spec import ModelSpec
from pulumi_plinth.quantities import GIB


@dataclass(frozen=True, slots=True)
class GpuCase:
    """One deployment to decide on. `path` is where its spec stands in the stack file."""

    path: str
    name: str
    spec: DeploymentSpec
    declared: ModelSpec
    facts: CardFacts
    market: Market
    pool: PoolNodes | None = None

    @property
    def where(self) -> str:
        """The field that says which nodes are meant."""
        spec = self.spec
        if spec.pool:
            return "pool"
        return "shape" if spec.shape else "node" if spec.node else "shapes" if spec.shapes else "model"

    @property
    def context(self) -> int | None:
        """Tokens asked for, by the deployment or by the model."""
        return self.spec.max_model_len or self.declared.max_tokens

    @property
    def adapters(self) -> Adapters:
        """Adapters on the GPU at once."""
        if self.spec.adapters:
            return Adapters(self.spec.adapters.count, self.spec.adapters.rank)
        return Adapters(len(self.declared.adapters)) if self.declared.adapters else NO_ADAPTERS

    @property
    def terms(self) -> Terms:
        """Replicas, capacity and throughput."""
        spec, rate = self.spec, self.spec.tokens_per_second
        replicas = Range(spec.replicas.min, spec.replicas.most)
        capacity = self.pool.capacity if self.pool else spec.capacity
        if rate is None:
            return Terms(replicas, capacity)
        return Terms(replicas, capacity, rate.value, rate.source)

    @property
    def sequences(self) -> int | None:
        """Sequences the engine computes at once, where they are asked for; the field's default is that of CPUs."""
        return self.spec.max_num_seqs if "max_num_seqs" in self.spec.model_fields_set else None


def wish_of(case: GpuCase) -> Wish:
    """Write down what is wanted."""
    parallel, preset = case.spec.parallel, preset_of(case.declared)
    asked = Asked(parallel.tensor, parallel.pipeline, parallel.data, parallel.expert)
    if preset and not asked.anything:
        asked = Asked(tensor=preset.gpus, data=1)
    return Wish(case.context, asked, utilization=case.spec.gpu_memory_utilization)


def limits_of(case: GpuCase) -> Limits:
    """Write down what narrows the choice."""
    spec, least = case.spec, max(case.spec.replicas.min, 1)
    return Limits(
        usd_per_hour=spec.budget,
        nodes=spec.node.count if spec.node else None,  # a pool is not one replica's; its room is judged for all
        requests=-(-spec.concurrency // least) if spec.concurrency else None,
        sequences=case.sequences,
        terms=case.terms,
    )


def candidates_of(case: GpuCase, faults: list[Fault]) -> tuple[Shape, ...]:
    """List the shapes that may be taken; an unknown name is a fault."""
    spec, market = case.spec, case.market
    if case.pool:
        return (case.pool.shape,)
    if spec.node:
        known = market.shapes.values()
        return (plain_shape(spec.node.gpus, spec.node.gpu_memory / GIB, spec.node.gpu or "stated", known),)
    names = (spec.shape,) if spec.shape else spec.shapes
    if not names:
        if not market.usual():
            problem, remedy = "names no shape, and none of Oracle's is known here", "write shape: or node:"
            faults.append(Fault(f"{case.path}.shape", None, problem, remedy))
        return market.usual()
    paths = [f"{case.path}.{case.where}" + (f".{number}" if spec.shapes else "") for number in range(len(names))]
    found = [market.find(name, path, faults) for name, path in zip(names, paths, strict=True)]
    return tuple(dict.fromkeys(shape for shape in found if shape)) if None not in found else ()


def card_of(case: GpuCase, faults: list[Fault]) -> ModelCard | None:
    """Return the card to plan with; a fault says why there is none."""
    if case.facts.card is None:
        field, problem, remedy = case.facts.fault or ("model", "has no card", "write `card:`")
        value = case.spec.card if field == "card" else case.spec.model
        faults.append(Fault(f"{case.path}.{field}", value, problem, remedy))
        return None
    if said := unplannable(case.facts.card):
        faults.append(Fault(f"{case.path}.model", case.spec.model, *said))
        return None
    return case.facts.card
