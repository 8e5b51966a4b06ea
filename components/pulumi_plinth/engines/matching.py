"""Why a runtime cannot serve a model: one sentence each, in the order in which OME asks. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from pulumi_plinth.engines.runtime import Accelerator, Candidate, Runtime, SupportedFormat
from pulumi_plinth.engines.table import EngineTable, load_table
from pulumi_plinth.engines.versions import version_fits
from pulumi_plinth.model.describe import parameter_size
from pulumi_plinth.model.formats import DiffusionPipeline, PipelinePart, VersionedName

PARTS = ("scheduler", "text_encoder", "tokenizer", "transformer", "vae")


def runtime_misfits(runtime: Runtime, model: Candidate, accelerator: Accelerator) -> Iterator[str]:
    """Yield why a runtime cannot be taken, whatever the model's format: disabled, accelerator, size."""
    if runtime.disabled:
        yield "is disabled"
    if accelerator.name and accelerator.name not in runtime.accelerators and not any(map(_is_open, runtime.formats)):
        listed = ", ".join(sorted(runtime.accelerators)) or "none"
        yield f"does not list the accelerator class {accelerator.name} (it lists: {listed})"
    if runtime.device and accelerator.device and runtime.device != accelerator.device:
        yield f"is built for {runtime.device}, this is {accelerator.device}"
    size = model.parameters
    if size is not None and not (runtime.least or 0) <= size <= (runtime.most or size):
        shown = [parameter_size(bound) if bound else "any" for bound in (runtime.least, runtime.most)]
        yield f"is for models from {shown[0]} to {shown[1]}, this one has {parameter_size(size) or size}"


def format_misfits(supported: SupportedFormat, runtime: Runtime, model: Candidate, at: Accelerator) -> list[str]:
    """Return why one of a runtime's formats does not match; empty when it does."""
    if supported.open:
        return [*_names(supported.format, model.format, "format"), *_table_misfits(runtime, model, at)]
    return [
        *_pipeline_misfits(supported.pipeline, model.pipeline),
        *_words(supported.architecture, model.architecture, "architecture"),
        *_words(supported.quantization, model.quantization, "quantization"),
        *(_versions(supported.format, model.format, "format") if supported.format else ["names no model format"]),
        *_versions(supported.framework, model.framework, "framework"),
    ]


def _is_open(supported: SupportedFormat) -> bool:
    return supported.open


def _words(wanted: str | None, found: str | None, noun: str) -> Iterator[str]:
    if wanted == found:
        return
    if wanted is None:
        yield f"asks for no {noun}, the model has {found}"
    elif found is None:
        yield f"is for {noun} {wanted}, the model's is not known"
    else:
        yield f"is for {noun} {wanted}, the model's is {found}"


def _names(wanted: VersionedName | None, found: VersionedName | None, noun: str) -> Iterator[str]:
    yield from _words(wanted.name if wanted else None, found.name if found else None, noun)


def _versions(wanted: VersionedName | None, found: VersionedName | None, noun: str) -> Iterator[str]:
    """Compare names, then versions by the runtime's operator."""
    different = list(_names(wanted, found, noun))
    yield from different
    if not different and wanted and found and not version_fits(wanted, found):
        asked = f"{wanted.operator} {wanted.version}" if wanted.version else "no version"
        yield f"wants {wanted.name} {asked}, the model says {found.version or 'none'}"


def _table_misfits(runtime: Runtime, model: Candidate, accelerator: Accelerator) -> Iterator[str]:
    """Look a model up in what the engine knows."""
    if runtime.engine is None or runtime.version is None:
        return
    table = load_table(runtime.engine, runtime.version)
    if model.architecture and table.runs(model.architecture) is False:
        last = table.removed.get(model.architecture)
        yield f"cannot run {model.architecture}" + (f", {table.engine} {last} was the last" if last else "")
    if "draft" in (table.abilities(model.architecture or "") or ()):
        yield f"knows {model.architecture} only as a draft for another model"
    if model.method and model.method not in table.quantizations:
        yield f"does not know the quantization {model.method}"
    yield from _capability_misfits(table, model.method or model.quantization, accelerator)


def _capability_misfits(table: EngineTable, name: str | None, accelerator: Accelerator) -> Iterator[str]:
    method = table.quantizations.get(name or "")
    if method and accelerator.capability and accelerator.capability < method.capability:
        least, have = (".".join(map(str, pair)) for pair in (method.capability, accelerator.capability))
        yield f"computes {name} from capability {least} on, this accelerator has {have}"


def _pipeline_misfits(wanted: DiffusionPipeline | None, found: DiffusionPipeline | None) -> Iterator[str]:
    """Compare parts of diffusion pipelines; what the runtime does not say is not asked."""
    if wanted is None:
        return
    if found is None:
        yield "is for a diffusion pipeline, the model is none"
        return
    if wanted.class_name not in (None, found.class_name):
        yield f"is for pipelines {wanted.class_name}, the model's is {found.class_name or 'not known'}"
    ours = {name: getattr(wanted, name) for name in PARTS} | wanted.additional_components
    theirs = {name: getattr(found, name) for name in PARTS} | found.additional_components
    for name, part in ours.items():
        yield from _part_misfits(name, part, theirs.get(name))


def _part_misfits(name: str, wanted: PipelinePart | None, found: PipelinePart | None) -> Iterator[str]:
    for field in ("library", "type"):
        asked = getattr(wanted, field, None)
        if asked is not None and asked != getattr(found, field, None):
            yield f"is for {name} {asked}, the model's is {getattr(found, field, None) or 'not known'}"
