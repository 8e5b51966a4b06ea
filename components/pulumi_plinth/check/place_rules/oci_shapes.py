"""Shapes of OCI: how they are spelt, what they have, whether they are offered. Sources stand with each rule."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pulumi_plinth.check.core import Verdict, refuse, warn
from pulumi_plinth.check.place_rules.common import gpus_asked, is_gpu_shape
from pulumi_plinth.check.subject import Subject
from pulumi_plinth.errors import nearest
from pulumi_plinth.fit.shapes import load_shapes
from pulumi_plinth.quantities import GIB, human_gib

FAMILIES = ("Standard", "GPU", "DenseIO", "Optimized", "HPC", "Standard1", "Standard2", "Standard3", "DenseIO2", "HPC2",
            "GPU2", "GPU3", "GPU4", "Optimized3")  # fmt: skip
"""Second parts of shape names; a new family is not refused unless it is a near miss of one of these."""

MEMORY_PER_CORE = 64
"""GB a core of flexible shapes (OCI: flexible shapes)."""

PODS_PER_CARD, MOST_PODS = 31, 110
"""Pod addresses of one network card, and pods of one node (OKE: VCN-native pod networking)."""


def shape_spelling(subject: Subject) -> Iterator[Verdict]:
    """Refuse misspelt shapes, which OKE blames on the image (terraform-provider-oci#1375); unlike ones pass."""
    shape = subject.place.pool.shape or ""
    parts = shape.split(".")
    if len(parts) < len(("kind", "family", "size")) or parts[0].upper() not in {"VM", "BM"}:
        return
    right = [parts[0].upper(), _spelt(parts[1], FAMILIES), *(_spelt(part, ("Flex",)) for part in parts[2:])]
    if right != parts:
        yield refuse(
            "shape-unknown",
            "pool.shape",
            f"'{shape}' is no shape; OKE will say that shape and image are not compatible",
            f"write '{'.'.join(right)}'",
        )


def _spelt(part: str, known: tuple[str, ...]) -> str:
    if part in known or re.fullmatch(r"[A-Z]{1,6}\d+\w*|\d+\w*", part):
        return part
    same = next((name for name in known if name.lower() == part.lower()), None)
    if same is not None:
        return same
    near = nearest(part, known)
    return near.split("'")[1] if near and abs(len(near.split("'")[1]) - len(part)) <= 1 else part


def shape_twin(subject: Subject) -> Iterator[Verdict]:
    """Refuse a name that is a known GPU shape but for a letter taken for a digit, case or a separator."""
    shape = subject.place.pool.shape or ""
    if not re.match(r"[VB]M\W", shape, re.IGNORECASE):
        return
    known = load_shapes()
    twin = next((name for name in known if _alike(name) == _alike(shape)), None)
    if twin is not None and shape not in known:
        yield refuse("shape-unknown", "pool.shape", f"'{shape}' is no shape", f"write '{twin}'")


def _alike(name: str) -> str:
    return re.sub(r"[\W_]", "", name.lower()).translate(str.maketrans("oil", "011"))


def shape_offer(subject: Subject) -> Iterator[Verdict]:
    """Warn that an offer is no capacity: only a reservation makes it knowable (Rapha-Borges/oke-free#46)."""
    pool = subject.place.pool
    if pool.offered is False:
        yield refuse(
            "shape-not-offered",
            "pool.shape",
            f"{pool.shape or 'the shape'} is not offered where the pool is to be",
            "choose a shape from the region's list, or another region",
        )
    elif pool.offered and not pool.reserved:
        yield warn(
            "capacity-unknown",
            "pool.shape",
            "the shape is offered, and whether hosts are free shows only when nodes are made",
            "reserve capacity, or name a second shape or domain to fall back to",
        )


def shape_config(subject: Subject) -> Iterator[Verdict]:
    """Demand cores and memory for flexible shapes, and none for fixed ones (OCI: node shape config)."""
    pool = subject.place.pool
    shape = pool.shape or ""
    if pool.flexible_size is None or not shape.startswith(("VM.", "BM.")):
        return
    if shape.endswith(".Flex") != pool.flexible_size:
        yield refuse(
            "shape-config",
            "pool.nodeShapeConfig",
            f"{shape} {'needs' if shape.endswith('.Flex') else 'has fixed'} cores and memory",
            "state ocpus and memoryInGbs" if shape.endswith(".Flex") else "leave nodeShapeConfig out",
        )


def shape_memory(subject: Subject) -> Iterator[Verdict]:
    """Refuse flexible shapes with memory out of bounds: 1 to 64 GB a core (OCI: flexible shapes)."""
    pool = subject.place.pool
    if not ((pool.shape or "").endswith(".Flex") and pool.cores and pool.memory_bytes):
        return
    share = pool.memory_bytes / pool.cores / 1e9
    if share < 1 or pool.memory_bytes > MEMORY_PER_CORE * pool.cores * GIB:
        yield refuse(
            "shape-memory",
            "pool.nodeShapeConfig.memoryInGbs",
            f"{human_gib(pool.memory_bytes)} for {pool.cores:g} cores; 1 to {MEMORY_PER_CORE} GB a core are offered",
            f"write {pool.cores:g} to {MEMORY_PER_CORE * pool.cores:g}",
        )


def pods_per_node(subject: Subject) -> Iterator[Verdict]:
    """Refuse more pods than addresses: 31 on each network card but the first, 110 at most (OKE: VCN-native pods)."""
    pool = subject.place.pool
    if pool.max_pods is None or pool.vnics is None:
        return
    room = min(PODS_PER_CARD * (pool.vnics - 1), MOST_PODS)
    if pool.max_pods > room:
        yield refuse(
            "pods-above-addresses",
            "pool.maxPodsPerNode",
            f"{pool.max_pods:g} pods, and {pool.vnics:g} network cards give min({pool.vnics - 1:g} x {PODS_PER_CARD}, "
            f"{MOST_PODS}) = {room:g}",
            f"write {room:g}, or take a shape with more network cards",
        )


def virtual_nodes(subject: Subject) -> Iterator[Verdict]:
    """Refuse GPUs on virtual nodes, which have none (facts: pulumi-oci 5)."""
    asked = gpus_asked(subject)
    if subject.place.pool.virtual and (
        asked or subject.serving.gpu.name or is_gpu_shape(subject.place.pool.shape or "")
    ):
        yield refuse("virtual-node-gpu", "pool.type", "virtual nodes have no GPUs", "make a managed node pool")


def preemptible_metal(subject: Subject) -> Iterator[Verdict]:
    """Refuse preemptible bare metal: such nodes are virtual machines only (facts: pulumi-oci 5)."""
    pool = subject.place.pool
    if pool.preemptible and (pool.shape or "").startswith("BM."):
        yield refuse(
            "preemptible-metal",
            "pool.preemptible",
            f"{pool.shape} is bare metal, which is not offered preemptible",
            "take a VM shape, or leave preemptible out",
        )


RULES = (
    shape_spelling, shape_twin, shape_offer, shape_config, shape_memory, pods_per_node, virtual_nodes,
    preemptible_metal,
)  # fmt: skip
