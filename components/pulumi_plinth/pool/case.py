"""What a pool is planned from: its spec, the shape behind it, and what must find room on it. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from pulumi_plinth.errors import Fault
from pulumi_plinth.fit.market import Market
from pulumi_plinth.fit.shapes import Shape, like
from pulumi_plinth.fit.storage import UnitPrices
from pulumi_plinth.pool.spec import PoolSpec
from pulumi_plinth.quantities import GIB

GRACE_BLACKWELL = "GB"
"""How GPUs begin whose racks are one memory: GB200, GB300."""


@dataclass(frozen=True, slots=True)
class Needs:
    """What deployments ask of one node: bytes of all their weights, and who they are."""

    weight_bytes: int = 0
    deployments: tuple[str, ...] = ()
    spans_nodes: tuple[str, ...] = ()
    """Those whose replicas are spread over several nodes."""
    autoscaler: bool = True
    """Whether there is, or may be, a cluster autoscaler."""


NOTHING = Needs()


@dataclass(frozen=True, slots=True)
class PoolCase:
    """One pool to decide on. `path` is where its spec stands."""

    path: str
    name: str
    spec: PoolSpec
    shape: Shape
    needs: Needs = NOTHING
    storage: UnitPrices = field(default_factory=dict)

    @property
    def weight_bytes(self) -> int:
        """Weights a node keeps: as written, else what the deployments need."""
        return self.needs.weight_bytes if self.spec.weights is None else self.spec.weights

    @property
    def metal(self) -> bool:
        """Whether nodes are bare metal."""
        return self.shape.name.startswith("BM.")

    @property
    def rack(self) -> bool:
        """Whether nodes are parts of a Grace-Blackwell rack."""
        return self.shape.gpu.startswith(GRACE_BLACKWELL)

    @property
    def self_managed(self) -> bool:
        """Whether nodes join by themselves."""
        return self.spec.kind in ("cluster-network", "gpu-memory-cluster")


def shape_of(path: str, spec: PoolSpec, market: Market, faults: list[Fault]) -> Shape | None:
    """Find the shape of a pool's nodes: in the table, declared by the stack, or described by the pool itself."""
    name, described = spec.shape, (spec.gpus, spec.gpu_memory) != (None, None) or spec.gpu is not None
    if name is None and spec.kind != "existing":
        faults.append(Fault(f"{path}.shape", None, "is missing", "write a name of `plinth shapes`"))
        return None
    known = market.shapes.get(name or "")
    if known is not None:
        if described:
            faults.extend(_contradictions(path, spec, known))
        return known
    if spec.gpus is None or spec.gpu_memory is None:
        _say_unknown(path, spec, market, faults)
        return None
    return _described(spec, market.shapes.values())


def _say_unknown(path: str, spec: PoolSpec, market: Market, faults: list[Fault]) -> None:
    if spec.shape is None:
        remedy = "write shape:, or gpus: and gpuMemory: of one node"
        faults.append(Fault(f"{path}.shape", None, "is missing", remedy))
    elif spec.gpus is None and spec.gpu_memory is None:
        market.find(spec.shape, f"{path}.shape", faults)
        if faults and faults[-1].path == f"{path}.shape":
            fault = faults.pop()
            faults.append(
                Fault(fault.path, fault.value, fault.problem, f"{fault.remedy}; or write gpus: and gpuMemory:")
            )
    else:
        missing = "gpus" if spec.gpus is None else "gpuMemory"
        problem = f"is missing, and no shape '{spec.shape}' is known"
        faults.append(
            Fault(f"{path}.{missing}", None, problem, f"add `{missing}:`, or write a name of `plinth shapes`")
        )


def _described(spec: PoolSpec, known: Iterable[Shape]) -> Shape:
    gpus, memory = spec.gpus or 0, (spec.gpu_memory or 0) / GIB
    name = spec.shape or f"{gpus}x{memory:g}GiB"
    return like(Shape(name, "stated", spec.gpu or "stated", gpus, memory, source="stated by the pool"), known)


def _contradictions(path: str, spec: PoolSpec, known: Shape) -> Iterable[Fault]:
    stated = (("gpus", spec.gpus, known.gpus), ("gpu", spec.gpu, known.gpu))
    for field_name, said, right in stated:
        if said is not None and said != right:
            problem = f"differs from what is known of {known.name}: {right} ({known.source})"
            yield Fault(f"{path}.{field_name}", said, problem, f"write {right} or leave it out")
    if spec.gpu_memory is not None and not _near(spec.gpu_memory, known.gpu_memory_gib):
        problem = f"differs from what is known of {known.name}: {known.gpu_memory_gib:g}Gi ({known.source})"
        yield Fault(f"{path}.gpuMemory", spec.gpu_memory, problem, "leave it out")


def _near(size: int, gib: float) -> bool:
    """Compare with both readings of a vendor's GB."""
    return any(abs(size - gib * unit) <= unit / 10 for unit in (GIB, 10**9))
