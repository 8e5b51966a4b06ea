"""What a node's disks must hold, and where weights go. Pure arithmetic."""

from __future__ import annotations

import math

from pulumi_plinth.fit.disk import FULL_SHARE, node_needs
from pulumi_plinth.pool.case import PoolCase
from pulumi_plinth.quantities import GIB

LEAST_BOOT_GIB = 50
"""What OKE accepts at least."""


def boot_gib(case: PoolCase) -> int:
    """Size the boot volume: as written, else system, image and those weights that have no drive of their own."""
    if case.spec.boot_volume is not None:
        return case.spec.boot_volume // GIB
    return max(LEAST_BOOT_GIB, node_needs(0 if on_drives(case) else case.weight_bytes, 1).disk_gib)


def pods_gib(case: PoolCase) -> int:
    """Return what pods of one node may put on its disk: the kubelet evicts them above this share of it."""
    whole = (case.shape.nvme_gb or 0.0) * 1e9 / GIB if on_drives(case) else boot_gib(case)
    return math.floor(whole * FULL_SHARE)


def on_drives(case: PoolCase) -> bool:
    """Whether weights go to NVMe: the shape is known to have room, and the drives are not left alone."""
    drives = (case.shape.nvme_gb or 0.0) * 1e9
    return case.spec.nvme == "raid0" and drives > 0 and drives >= case.weight_bytes
