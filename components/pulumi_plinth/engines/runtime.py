"""Runtime: a declared way to serve models, as OME's ClusterServingRuntime says it, and our own two. Values only.

`None` is not said. A format that is `open` is ours: what it does not say is not held against a model, and what the
model is gets looked up in the table of the runtime's engine. OME's formats are closed: said on one side only is a
mismatch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from plinth_runtime.contract.card import ModelCard
from pulumi_plinth.engines.environments import DEVICES, RELEASES
from pulumi_plinth.model.formats import DiffusionPipeline, VersionedName
from pulumi_plinth.model.spec import ModelSpec
from pulumi_plinth.quantities import parameter_count

Capability = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Override:
    """What changes on one class of accelerators: arguments, variables, and sizes of parallel groups."""

    arguments: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    tensor: int | None = None
    pipeline: int | None = None
    data: int | None = None


@dataclass(frozen=True, slots=True)
class SupportedFormat:
    """One kind of model that a runtime serves. Weights of `format` and `framework` are points for a match."""

    format: VersionedName | None = None
    framework: VersionedName | None = None
    architecture: str | None = None
    quantization: str | None = None
    pipeline: DiffusionPipeline | None = None
    auto_select: bool | None = None
    priority: int | None = None
    overrides: Mapping[str, Override] = field(default_factory=dict)
    open: bool = False


@dataclass(frozen=True, slots=True)
class Runtime:
    """A runtime by name. `least` and `most` are parameters of the models it is for; `accelerators` names of classes.

    `namespaced` runtimes are a team's own and come before those of the cluster. `arguments` are the engine's, without
    the program. `gpus` is what one replica asks for.
    """

    name: str
    formats: tuple[SupportedFormat, ...] = ()
    namespaced: bool = False
    disabled: bool = False
    least: int | None = None
    most: int | None = None
    accelerators: tuple[str, ...] = ()
    protocols: tuple[str, ...] = ()
    engine: str | None = None
    version: str | None = None
    device: str | None = None
    image: str | None = None
    arguments: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    gpus: int | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """What choosing asks of a model. `quantization` is the word runtimes use, `method` what the checkpoint says."""

    format: VersionedName
    framework: VersionedName | None = None
    architecture: str | None = None
    quantization: str | None = None
    parameters: int | None = None
    pipeline: DiffusionPipeline | None = None
    method: str | None = None


@dataclass(frozen=True, slots=True)
class Accelerator:
    """Where it would run: the class that is demanded by name, if one is; device and compute capability, if known."""

    name: str | None = None
    device: str | None = None
    capability: Capability | None = None


def candidate_of(spec: ModelSpec, card: ModelCard | None) -> Candidate:
    """Describe a model by what somebody wrote, else by its folder; without either it is taken to be safetensors."""
    found = described(card)
    return replace(
        found,
        format=spec.format or (VersionedName(name="diffusers") if spec.diffusion_pipeline else found.format),
        framework=spec.framework,
        architecture=spec.architecture or found.architecture,
        quantization=spec.quantization or found.quantization,
        parameters=parameter_count(spec.parameter_size) if spec.parameter_size else found.parameters,
        pipeline=spec.diffusion_pipeline,
    )


def described(card: ModelCard | None) -> Candidate:
    """Describe a model by its folder alone; without one it is taken to be safetensors."""
    unknown = Candidate(format=VersionedName(name="safetensors"))
    if card is None:
        return unknown
    method = card.quantization.method if card.quantization else None
    architecture, parameters = card.architecture or None, card.parameters or None
    return replace(unknown, architecture=architecture, quantization=method, parameters=parameters, method=method)


def default_runtimes() -> tuple[Runtime, ...]:
    """Return the engine environments of this release: they serve whatever their engine knows."""
    anything = SupportedFormat(format=VersionedName(name="safetensors"), auto_select=True, priority=1, open=True)
    return tuple(
        Runtime(name=name, formats=(anything,), engine=engine, version=version, device=DEVICES[name])
        for name, (engine, version) in RELEASES.items()
    )
