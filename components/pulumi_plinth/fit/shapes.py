"""Shapes: what one node of a kind has, as `shapes.csv` says it. A new shape is one row there, or a value made here.

An empty cell means that nobody established it; it is None here and never a guess. Memory is GiB per GPU as the vendor
documents it ("80 GB" cards count as 80). What an engine may use of that is decided in `Shape.usable_bytes`.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from importlib.resources import files

from pulumi_plinth.errors import nearest
from pulumi_plinth.quantities import GIB

HBM_VISIBLE_SHARE = 0.985
"""What CUDA reports of HBM that is sold by a round number: 79.22 GiB of 80 on an H100 (vllm-project/vllm#10511)."""

GDDR_VISIBLE_SHARE = 0.92
"""The same where error correction takes a part of GDDR: 44.99 GiB of 48 on an A40 (46,068 MiB, guqiong96/Lvllm#35),
44.52 of 48 on another card of that size (vllm-project/vllm#14011); a little less is planned with."""

HBM_GPUS = frozenset({
    "V100", "V100-32GB", "A100", "A100-80GB", "H100", "H100 NVL", "H200", "B200", "B300", "GB200", "GB300", "MI300X",
    "MI355X",
})  # fmt: skip


STATED = frozenset({"stack", "stated", "node"})
"""Providers of shapes that no table knows: declared in a stack file, stated for one question, read from labels."""


@dataclass(frozen=True, slots=True)
class Shape:
    """One kind of node. `gpu_memory_gib` is documented memory, `visible_gib` what CUDA was seen to report.

    `capability` is NVIDIA's compute capability; None for other vendors and where it is not known.
    """

    name: str
    provider: str
    gpu: str
    gpus: int
    gpu_memory_gib: float
    visible_gib: float | None = None
    capability: tuple[int, int] | None = None
    vendor: str = "nvidia"
    nvme_gb: float | None = None
    ram_gb: float | None = None
    network_gbps: float | None = None
    rdma: bool | None = None
    oke_modes: tuple[str, ...] = ()
    usd_per_gpu_hour: float | None = None
    price_source: str = ""
    price_date: str = ""
    source: str = ""
    notes: str = ""

    @property
    def documented_bytes(self) -> int:
        """Memory of one GPU as documented, in bytes."""
        return round(self.gpu_memory_gib * GIB)

    @property
    def usable_bytes(self) -> int:
        """Memory of one GPU that a process sees: as reported where established, else documented less a share."""
        if self.visible_gib is not None:
            return round(self.visible_gib * GIB)
        share = HBM_VISIBLE_SHARE if self.gpu in HBM_GPUS else GDDR_VISIBLE_SHARE
        return round(self.gpu_memory_gib * share * GIB)

    @property
    def usd_per_node_hour(self) -> float | None:
        """List price of one node; None when it is not established."""
        return None if self.usd_per_gpu_hour is None else self.usd_per_gpu_hour * self.gpus


def plain_shape(gpus: int, memory_gib: float, gpu: str = "stated", known: Iterable[Shape] = ()) -> Shape:
    """Make the shape of nodes that somebody has: what is stated is what an engine sees.

    The name of the GPU tells generation and vendor when one of the `known` shapes has the same.
    """
    name = f"{gpus}x{memory_gib:g}GiB"
    shape = Shape(name, "stated", gpu, gpus, memory_gib, visible_gib=memory_gib, source="stated by the user")
    return like(shape, known)


def like(shape: Shape, known: Iterable[Shape]) -> Shape:
    """Fill generation and vendor from a known shape with the same GPU."""
    same = next((other for other in known if _key(other.gpu) == _key(shape.gpu)), None)
    if same is None:
        return shape
    return replace(shape, gpu=same.gpu, capability=shape.capability or same.capability, vendor=same.vendor)


def load_shapes() -> dict[str, Shape]:
    """Read the table. The only place of this package that reads a file."""
    with (files("pulumi_plinth.fit") / "shapes.csv").open(encoding="utf-8") as stream:
        return {shape.name: shape for shape in map(_shape, csv.DictReader(stream))}


def select(shapes: Iterable[Shape], provider: str | None, gpu: str | None) -> Iterator[Shape]:
    """Yield the shapes of a provider and a GPU type; case and blanks do not matter."""
    for shape in shapes:
        if (provider is None or shape.provider == provider.lower()) and (gpu is None or _key(gpu) == _key(shape.gpu)):
            yield shape


def suggestion(name: str, shapes: Mapping[str, Shape]) -> str:
    """Say what may have been meant by an unknown shape."""
    return nearest(name, shapes) or "see `plinth shapes`, or state --gpus-per-node and --gpu-memory-gib"


def shape_of_labels(labels: Mapping[str, str]) -> Shape | None:
    """Describe a node by its labels of GPU Feature Discovery; None when they do not name GPUs with memory."""
    count, memory = (labels.get(f"nvidia.com/gpu.{key}", "") for key in ("count", "memory"))
    if not (count.isdecimal() and memory.isdecimal() and int(count)):
        return None
    product = labels.get("nvidia.com/gpu.product", "stated")
    name = labels.get("node.kubernetes.io/instance-type", product)
    gib = int(memory) / 1024
    major, minor = (labels.get(f"nvidia.com/gpu.compute.{key}", "") for key in ("major", "minor"))
    capability = (int(major), int(minor)) if major.isdecimal() and minor.isdecimal() else None
    source = "labels of GPU Feature Discovery"
    return Shape(name, "node", product, int(count), gib, visible_gib=gib, capability=capability, source=source)


def _key(gpu: str) -> str:
    return gpu.casefold().replace(" ", "").replace("-", "")


def _shape(row: Mapping[str, str]) -> Shape:
    return Shape(
        name=row["name"],
        provider=row["provider"],
        gpu=row["gpu"],
        gpus=int(row["gpus"]),
        gpu_memory_gib=float(row["gpu_memory_gib"]),
        visible_gib=_number(row["visible_gib"]),
        capability=_version(row["compute_capability"]),
        vendor=row["vendor"],
        nvme_gb=_number(row["nvme_gb"]),
        ram_gb=_number(row["ram_gb"]),
        network_gbps=_number(row["network_gbps"]),
        rdma={"yes": True, "no": False}.get(row["rdma"]),
        oke_modes=tuple(row["oke_modes"].split()),
        usd_per_gpu_hour=_number(row["usd_per_gpu_hour"]),
        price_source=row["price_source"],
        price_date=row["price_date"],
        source=row["source"],
        notes=row["notes"],
    )


def _version(text: str) -> tuple[int, int] | None:
    major, _, minor = text.partition(".")
    return (int(major), int(minor)) if text else None


def _number(text: str) -> float | None:
    return float(text) if text else None
