"""Shapes that a stack file declares: nodes that no table knows yet, or what one pays for those it knows. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Annotated

from pydantic import AfterValidator, Field

from pulumi_plinth.errors import Fault
from pulumi_plinth.fit.shapes import Shape, like
from pulumi_plinth.quantities import GIB, ByteSize, Flag, Text
from pulumi_plinth.spec import Spec


def parse_shape_name(name: str) -> str:
    """Check the name of a shape: what clouds and node labels use."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,127}", name):
        raise ValueError("is no name of a shape (letters, digits, '.', '_', '/' and '-'); write for example 'rack-a'")
    return name


ShapeName = Annotated[str, AfterValidator(parse_shape_name)]
TOLERANCE = 0.001
"""Relative difference of two statements of one fact that is rounding."""


class ShapeSpec(Spec):
    """One kind of node. What `plinth shapes` knows under this name need not be said, and must not be said otherwise."""

    gpu: Text | None = Field(
        default=None, description="Name of the GPU, such as H100; tells its generation. Default: as known by name."
    )
    gpus: Annotated[int, Field(ge=1, le=72, strict=True)] | None = Field(
        default=None, description="GPUs of one node. Default: as known by name."
    )
    gpu_memory: ByteSize | None = Field(
        default=None, gt=0, description="Documented memory of one GPU. Default: as known by name."
    )
    nvme: ByteSize | None = Field(
        default=None,
        description="Local NVMe of a node. Default: as known, else not known: weights go to the boot disk.",
    )
    ram: ByteSize | None = Field(default=None, gt=0, description="Host memory of a node. Default: as known.")
    network: float | None = Field(
        default=None, gt=0, description="Network of a node, Gbit/s; bounds how fast weights arrive. Default: as known."
    )
    rdma: Flag | None = Field(
        default=None, description="Nodes reach each other's memory. Default: as known, else not known."
    )
    price_per_gpu_hour: float | None = Field(
        default=None, ge=0, description="US dollars a GPU and hour that you pay. Default: the list price, if known."
    )
    source: Text | None = Field(default=None, description="Where these facts are from. Default: this stack file.")
    date: Text | None = Field(default=None, description="When they were looked up. Default: not said.")


def declared_shape(
    name: str, spec: ShapeSpec, known: Mapping[str, Shape], path: str, faults: list[Fault]
) -> Shape | None:
    """Make the shape; add a fault for each fact that is missing or that the table states otherwise."""
    listed = known.get(name)
    missing = [field for field in ("gpu", "gpus", "gpuMemory") if _said(spec, field) is None]
    if listed is None and missing:
        remedy = f"add `{missing[0]}:`, or write a name of `plinth shapes`"
        faults.append(Fault(f"{path}.{missing[0]}", None, f"is missing, and no shape '{name}' is known", remedy))
        return None
    if listed is not None:
        faults.extend(_contradictions(spec, listed, path))
    base = listed or Shape(name, "stack", spec.gpu or "", spec.gpus or 0, (spec.gpu_memory or 0) / GIB)
    source = spec.source or "the stack file"
    shape = replace(base, nvme_gb=_either(spec.nvme, base.nvme_gb), ram_gb=_either(spec.ram, base.ram_gb))
    shape = replace(shape, network_gbps=base.network_gbps if spec.network is None else spec.network)
    shape = replace(
        shape, rdma=base.rdma if spec.rdma is None else spec.rdma, source=spec.source or base.source or source
    )
    if spec.price_per_gpu_hour is not None:
        price = spec.price_per_gpu_hour
        shape = replace(shape, usd_per_gpu_hour=price, price_source=source, price_date=spec.date or "as declared")
    return like(shape, known.values())


def _contradictions(spec: ShapeSpec, listed: Shape, path: str) -> Iterator[Fault]:
    sizes = (("gpuMemory", listed.gpu_memory_gib), ("nvme", listed.nvme_gb), ("ram", listed.ram_gb))
    for field, value in sizes:
        said = _said(spec, field)
        # Vendors write GB for either; both readings of the table's number are the same fact.
        if said is not None and value is not None and not any(_near(said, value * unit) for unit in (10**9, GIB)):
            yield _differs(f"{path}.{field}", said, f"{value:g} GB", listed)
    for field, known in (("gpus", listed.gpus), ("network", listed.network_gbps), ("rdma", listed.rdma)):
        said = _said(spec, field)
        if said is not None and known is not None and said != known:
            yield _differs(f"{path}.{field}", said, str(known).lower(), listed)
    if spec.gpu is not None and _plain(spec.gpu) != _plain(listed.gpu):
        yield _differs(f"{path}.gpu", spec.gpu, listed.gpu, listed)


def _differs(path: str, said: object, known: str, listed: Shape) -> Fault:
    problem = f"differs from what is known of {listed.name}: {known} ({listed.source})"
    return Fault(path, said, problem, f"write {known} or leave it out, or declare the shape under another name")


def _said(spec: ShapeSpec, field: str) -> float | str | bool | None:
    said: float | str | bool | None = getattr(spec, {"gpuMemory": "gpu_memory"}.get(field, field))
    return said


def _near(said: float | str, value: float) -> bool:
    return isinstance(said, (int, float)) and abs(said - value) <= TOLERANCE * max(value, 1)


def _either(size: int | None, known: float | None) -> float | None:
    return known if size is None or known is not None else size / 10**9


def _plain(gpu: str) -> str:
    return gpu.casefold().replace(" ", "").replace("-", "")
