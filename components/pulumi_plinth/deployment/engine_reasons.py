"""What an engine's release makes of a model and of the arguments a user wrote, for every target. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from plinth_runtime.contract.card import ModelCard
from pulumi_plinth.engines.arguments import Checked
from pulumi_plinth.engines.choice import choose
from pulumi_plinth.engines.derived import derive, model_misfits
from pulumi_plinth.engines.environments import DEVICES, table_of
from pulumi_plinth.engines.runtime import Accelerator, candidate_of, default_runtimes
from pulumi_plinth.errors import Fault
from pulumi_plinth.fit.layout import Reason
from pulumi_plinth.model.spec import ModelSpec


@dataclass(frozen=True, slots=True)
class Served:
    """A model as one deployment serves it: by the stack file's name, as declared, and as its card describes it."""

    name: str
    declared: ModelSpec
    card: ModelCard
    environment: str


def engine_faults(path: str, served: Served, checked: Checked) -> Iterator[Fault]:
    """Find what the release refuses in the model itself."""
    for misfit in model_misfits(served.card, checked.arguments, table_of(served.environment)):
        yield Fault(f"{path}.model", served.name, *misfit)


def engine_reasons(served: Served, checked: Checked) -> Iterator[Reason]:
    """Say which runtime is taken, what follows from the model, and what in the arguments deserves a second look."""
    declared, environment = served.declared, served.environment
    uri = declared.storage.uri if declared.storage else None
    preset = declared.preset.name if declared.preset else None
    names = [name for name in (served.name, preset, declared.path, declared.display_name, uri) if name]
    device = Accelerator(device=DEVICES[environment])
    yield Reason("runtime", "; ".join(choose(default_runtimes(), candidate_of(declared, served.card), device).reasons))
    for derived in derive(served.card, names, checked.arguments, table_of(environment)):
        yield Reason(derived.subject, derived.text)
    for caution in checked.cautions:
        yield Reason("engine", f"WARNING: {caution}")
