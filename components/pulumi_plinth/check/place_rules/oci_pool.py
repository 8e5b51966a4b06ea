"""Node pools of OKE: shapes, images, domains, updates. Dated tables say their date. Sources stand with each rule."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pulumi_plinth.check.core import Verdict, refuse, warn
from pulumi_plinth.check.place_rules.common import is_gpu_shape
from pulumi_plinth.check.subject import Subject
from pulumi_plinth.errors import nearest

FAMILIES = ("Standard", "GPU", "DenseIO", "Optimized", "HPC", "Standard1", "Standard2", "Standard3", "DenseIO2", "HPC2",
            "GPU2", "GPU3", "GPU4", "Optimized3", "Micro", "Flex", "Generic", "Memory")  # fmt: skip
"""Second parts of shape names; a new family is not refused unless it is a near miss of one of these."""

ARM = re.compile(r"\.A[1-9]\d?\.|\.GB\d{3}", re.IGNORECASE)
"""Shapes with Arm processors: Ampere A1, A2 and the Grace hosts of GB200 and GB300."""

OLDEST_WITH_IMAGES = (1, 27)
"""Release below which OKE lists no worker images any more (2026-06: images come for 1.33 to 1.36)."""

NEWEST_LINUX = 9
FIRST_ON_LINUX_9 = (1, 33)
"""Oldest Kubernetes release of the published Oracle Linux 9 worker images (Oracle's image list, 2026-06)."""

IGNORED_UPDATES = {
    "fault_domains": "below 6.10.0 the provider does not send the field on update (terraform-provider-oci#2161)",
    "max_pods_per_node": "only new nodes take it (terraform-oci-oke#876)",
}
NEW_NODES_ONLY = frozenset({
    "max_pods_per_node", "node_metadata", "user_data", "cloud_init", "image_id", "image", "node_image", "shape",
    "node_shape", "boot_volume_size", "boot_volume_size_in_gbs", "ssh_public_key", "initial_node_labels", "node_labels",
    "labels", "kubernetes_version", "nsg_ids", "node_shape_config", "ocpus", "memory_in_gbs", "node_source_details",
})  # fmt: skip
"""Fields of a pool that an update changes for nodes made later only (OCI: updating node pools)."""


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
    near = nearest(part, known)
    return near.split("'")[1] if near and abs(len(near.split("'")[1]) - len(part)) <= 1 else part


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


def image_system(subject: Subject) -> Iterator[Verdict]:
    """Refuse systems without worker image for the release (terraform-oci-oke#790; Oracle's image list, 2026-06)."""
    pool = subject.place.pool
    found = re.search(
        r"oracle[\s-]*linux[\s-]*(\d+)|\bOL\s*(\d+)", pool.image_os or pool.image_name or "", re.IGNORECASE
    )
    if not found:
        return
    major = int(found[1] or found[2])
    too_old = pool.version is not None and pool.version[:2] < FIRST_ON_LINUX_9
    if major not in {7, 8, NEWEST_LINUX} or (major == NEWEST_LINUX and too_old):
        yield refuse(
            "image-system",
            "pool.image",
            f"OKE has no worker image of Oracle Linux {major}"
            + (
                f" for Kubernetes {_dotted(pool.version)}; they begin at {_dotted(FIRST_ON_LINUX_9)}"
                if pool.version
                else ""
            ),
            "take an Oracle Linux 8 image from the node pool options",
        )


def image_version(subject: Subject) -> Iterator[Verdict]:
    """Compare the version in an image's name with the pool's (Rapha-Borges/oke-free#22)."""
    pool = subject.place.pool
    named = re.search(r"OKE-(\d+)\.(\d+)\.(\d+)", pool.image_name or "")
    image = pool.image_version or (tuple(int(part) for part in named.groups()) if named else None)
    differ = pool.versions_differ or (
        image is not None and pool.version is not None and not _agree(image, pool.version)
    )
    if differ:
        yield refuse(
            "image-version",
            "pool.image",
            f"the image is built for Kubernetes {_dotted(image)} and the pool is of "
            f"{_dotted(pool.version) if pool.version else 'another version'}",
            "take the image whose name carries the pool's version",
        )


def image_kind(subject: Subject) -> Iterator[Verdict]:
    """Demand the GPU image for GPU shapes and aarch64 for Arm, and only there (terraform-oci-oke#997)."""
    pool = subject.place.pool
    name, shape = pool.image_name or "", pool.shape or ""
    if not name.startswith("Oracle-Linux") or not shape.startswith(("VM.", "BM.")):
        return
    kinds = (("GPU", "GPU" in name, is_gpu_shape(shape)), ("aarch64", "aarch64" in name, bool(ARM.search(shape))))
    for kind, has, needs in kinds:
        if has != needs:
            yield refuse(
                "image-kind",
                "pool.image",
                f"{shape} {'needs' if needs else 'cannot run'} an image with '{kind}' in its name, and it is {name}",
                "choose the image by GPU, architecture and Kubernetes version",
            )


def cluster_versions(subject: Subject) -> Iterator[Verdict]:
    """Refuse releases without images (terraform-oci-oke#622) and nodes newer than their control plane."""
    pool = subject.place.pool
    if pool.version and pool.version[:2] < OLDEST_WITH_IMAGES:
        yield refuse(
            "version-without-image",
            "pool.kubernetesVersion",
            f"no worker image is listed for Kubernetes {_dotted(pool.version)} (as of 2026-06)",
            "take a version from the node pool options, and look up its image before the cluster is made",
        )
    cluster = pool.cluster_version
    if pool.version and cluster and pool.version > cluster:
        yield refuse(
            "pool-newer-than-cluster",
            "pool.kubernetesVersion",
            f"nodes of {_dotted(pool.version)} under a control plane of {_dotted(cluster)}",
            f"write v{_dotted(cluster)} or older, or upgrade the cluster first",
        )


def domains(subject: Subject) -> Iterator[Verdict]:
    """Refuse domains that do not exist: most regions have one (terraform-oci-oke#577)."""
    pool = subject.place.pool
    if pool.domains == ():
        yield refuse(
            "placement-without-domain",
            "pool.placementConfigs",
            "no availability domain is given, and a pool needs at least one",
            "write the region's first domain and spread over its fault domains",
        )
    numbers = [int(found[1]) for text in pool.domains or () for found in re.finditer(r"(?:^|\D)(\d)(?!\d)", text)]
    if pool.region_domains and numbers and max(numbers) > pool.region_domains:
        yield refuse(
            "placement-beyond-region",
            "pool.placementConfigs",
            f"domain {max(numbers)} in a region with {pool.region_domains:g}",
            "write existing domains only; spread over fault domains instead",
        )


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


def ignored_updates(subject: Subject) -> Iterator[Verdict]:
    """Warn of edits without effect on what runs (terraform-provider-oci#2161, terraform-oci-oke#876)."""
    pool = subject.place.pool
    field = pool.changed_field or ""
    known = field == "fault_domains" and (pool.provider_below is None or pool.provider_below <= (6, 10, 0))
    if known or field in NEW_NODES_ONLY:
        yield warn(
            "update-without-effect",
            f"pool.{field}",
            IGNORED_UPDATES.get(field, "an update changes new nodes only"),
            "cycle the nodes, or replace the pool",
        )


def cycling(subject: Subject) -> Iterator[Verdict]:
    """Refuse to cycle without making one node more or giving one up (facts: pulumi-oci 5)."""
    pool = subject.place.pool
    if pool.surge == 0 and pool.unavailable == 0:
        yield refuse(
            "cycling-stands-still",
            "pool.nodePoolCyclingDetails",
            "maximumSurge 0 and maximumUnavailable 0: no node can be replaced",
            "write 1 for one of them; surge needs quota for a node more",
        )


def _agree(one: tuple[int, ...], other: tuple[int, ...]) -> bool:
    length = min(len(one), len(other))
    return one[:length] == other[:length]


def _dotted(version: tuple[int, ...] | None) -> str:
    return ".".join(map(str, version)) if version else "another version"


RULES = (
    shape_spelling, shape_offer, shape_config, image_system, image_version, image_kind, cluster_versions, domains,
    preemptible_metal, ignored_updates, cycling,
)  # fmt: skip
