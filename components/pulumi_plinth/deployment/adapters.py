"""LoRA adapters of a server on this host: those served from the start, those that may come, room for them. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from plinth_runtime.contract.launch import MOST_ADAPTERS, AdapterRank, LaunchAdapter
from pulumi_plinth.deployment.facts import ModelFacts
from pulumi_plinth.deployment.spec import DeploymentSpec
from pulumi_plinth.errors import Fault
from pulumi_plinth.fit.layout import Reason
from pulumi_plinth.model.spec import ModelSpec

USUAL_RANK: AdapterRank = 16
"""Room that is made where nobody says more: the engine's own default, and what most adapters are trained with."""


@dataclass(frozen=True, slots=True)
class AdapterPlan:
    """What a launch says of adapters."""

    listed: tuple[LaunchAdapter, ...] = ()
    folders: tuple[str, ...] = ()
    rank: AdapterRank = USUAL_RANK
    active: int = 1

    def reasons(self) -> Iterator[Reason]:
        """Say what is served beside the base."""
        if self.listed or self.folders:
            names = ", ".join(f"{adapter.name} (rank {adapter.rank})" for adapter in self.listed) or "none listed"
            later = f"; more from {', '.join(self.folders)}" if self.folders else ""
            yield Reason("adapters", f"{names}{later}; room for rank {self.rank}, {self.active} at the same time")


def plan_adapters(spec: DeploymentSpec, model: ModelFacts, folders: tuple[Path, ...]) -> AdapterPlan:
    """Decide what is listed and how much room there is; what is wrong with it is said by `adapter_faults`."""
    listed = tuple(
        LaunchAdapter(name=facts.name, folder=str(facts.folder), rank=facts.rank)
        for facts in model.adapters
        if facts.rank is not None
    )
    highest = max((adapter.rank for adapter in listed), default=1)
    room: tuple[AdapterRank, ...] = get_args(AdapterRank)
    needed = next((rank for rank in room if rank >= max(highest, USUAL_RANK)), room[-1])
    wished = spec.adapters.count if spec.adapters else max(len(listed), 1)
    return AdapterPlan(
        listed=listed,
        folders=tuple(str(folder) for folder in folders),
        rank=max(spec.adapters.rank, needed) if spec.adapters else needed,
        active=min(wished, MOST_ADAPTERS),
    )


def adapter_faults(model_path: str, declared: ModelSpec, model: ModelFacts) -> Iterator[Fault]:
    """Find declared adapters that a process on this host cannot be given, with what to write instead."""
    known = {facts.name: facts for facts in model.adapters}
    for index, adapter in enumerate(declared.adapters):
        path = f"{model_path}.adapters.{index}"
        facts = known.get(adapter.name)
        if facts is None:
            problem = "lies somewhere else, and the target local takes adapters from this host"
            yield Fault(path, adapter.name, problem, "fetch its folder and write `uri: local://FOLDER`")
            continue
        if facts.fault:
            yield Fault(f"{path}.uri", adapter.uri, facts.fault, "point it at a whole adapter's folder")
        if adapter.rank is not None and facts.rank is not None and adapter.rank < facts.rank:
            yield Fault(f"{path}.rank", adapter.rank, f"is below the folder's {facts.rank}", "remove it, or write that")
        if adapter.strength not in (None, 1):
            yield Fault(f"{path}.strength", adapter.strength, "is not 1, and the engine knows no other", "remove it")
