"""Worker images of OKE and the versions they carry. Dated tables say their date. Sources stand with each rule."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pulumi_plinth.check.core import Verdict, refuse
from pulumi_plinth.check.place_rules.common import is_gpu_shape
from pulumi_plinth.check.subject import Subject

ARM = re.compile(r"\.Standard\.A\d\.|\.GB\d{3}", re.IGNORECASE)
"""Shapes with Arm processors: Ampere A1, A2 and the Grace hosts of GB200 and GB300."""

OLDEST_WITH_IMAGES = (1, 25)
"""Release below which OKE certainly lists no worker images any more (2026-06: new ones come for 1.33 to 1.36)."""

OLDEST_KUBELET = 3
"""Minor releases that a kubelet may be behind its control plane (Kubernetes: version skew policy)."""

NEWEST_LINUX = 9
FIRST_ON_LINUX_9 = (1, 33)
"""Oldest Kubernetes release of the published Oracle Linux 9 worker images (Oracle's image list, 2026-06)."""


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
    if not shape.startswith(("VM.", "BM.")):
        return
    needs_arm = bool(ARM.search(shape))
    if pool.image_arch and (pool.image_arch == "arm64") != needs_arm:
        yield refuse(
            "image-kind",
            "pool.image",
            f"{shape} {'has' if needs_arm else 'has no'} Arm processors and the image is for {pool.image_arch}",
            f"take the image for {'arm64 (aarch64)' if needs_arm else 'amd64'}",
        )
    if not re.search(r"oracle.?linux|image", name, re.IGNORECASE):
        return
    kinds = [
        ("GPU", "gpu" in name.lower(), is_gpu_shape(shape)),
        ("aarch64", "aarch64" in name, needs_arm and name.startswith("Oracle-Linux")),
    ]
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
    if pool.version and cluster and cluster[1] - pool.version[1] > OLDEST_KUBELET:
        yield refuse(
            "pool-too-old",
            "pool.kubernetesVersion",
            f"nodes of {_dotted(pool.version)} under a control plane of {_dotted(cluster)}, more than {OLDEST_KUBELET} "
            "releases behind",
            f"upgrade the nodes to 1.{cluster[1] - OLDEST_KUBELET} at least",
        )
    if pool.version and cluster and pool.version > cluster:
        yield refuse(
            "pool-newer-than-cluster",
            "pool.kubernetesVersion",
            f"nodes of {_dotted(pool.version)} under a control plane of {_dotted(cluster)}",
            f"write v{_dotted(cluster)} or older, or upgrade the cluster first",
        )


def _agree(one: tuple[int, ...], other: tuple[int, ...]) -> bool:
    length = min(len(one), len(other))
    return one[:length] == other[:length]


def _dotted(version: tuple[int, ...] | None) -> str:
    return ".".join(map(str, version)) if version else "another version"


RULES = (image_system, image_version, image_kind, cluster_versions)
