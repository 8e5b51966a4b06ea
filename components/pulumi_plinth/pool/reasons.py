"""Why a pool is planned so, in words. Pure; nothing is decided here."""

from __future__ import annotations

from collections.abc import Iterator

from pulumi_plinth import naming
from pulumi_plinth.check.core import Severity
from pulumi_plinth.fit.disk import FULL_SHARE, IMAGE_BYTES, SYSTEM_BYTES
from pulumi_plinth.fit.layout import Reason
from pulumi_plinth.pool.case import PoolCase
from pulumi_plinth.pool.disk import LEAST_BOOT_GIB, boot_gib, on_drives
from pulumi_plinth.pool.refusals import verdicts
from pulumi_plinth.pool.replacement import Replacing
from pulumi_plinth.quantities import GIB, human_bytes

DOUBT = "WARNING: "
"""How a reason begins that deserves a second look."""


def pool_reasons(case: PoolCase, change: Replacing) -> Iterator[Reason]:
    """Tell shape, disks, replacement, size and image, and what deserves a second look."""
    spec, shape = case.spec, case.shape
    yield Reason(
        "shape", f"{shape.name}: {shape.gpus} x {shape.gpu}, {shape.gpu_memory_gib:g} GiB each ({shape.source})"
    )
    if spec.kind == "existing":
        yield Reason("kind", f"nodes with {', '.join(f'{k}={v}' for k, v in sorted(spec.labels.items()))} are there")
        return
    yield Reason("boot volume", _boot_text(case))
    yield Reason("drives", _drives_text(case))
    yield Reason("replacement", change.text)
    if spec.autoscale:
        text = f"the cluster autoscaler owns the size between {spec.least} and {spec.most}; this stack ignores it"
        yield Reason("size", text)
    yield Reason(
        "image", "pinned by its id" if spec.image.id else "selected when the pool is made, ignored from then on"
    )
    if case.needs.spans_nodes and not (spec.rdma or case.self_managed):
        who = ", ".join(case.needs.spans_nodes)
        yield Reason("rdma", f"{DOUBT}replicas of {who} span nodes and this pool has no RDMA: expect slow answers")
    if spec.autoscale and not case.needs.autoscaler:
        yield Reason("size", f"{DOUBT}nobody changes it: add ClusterAutoscaler to cluster.addons")
    for verdict in verdicts(case):
        if verdict.severity is Severity.WARN:
            yield Reason("check", f"{DOUBT}{verdict.problem}; {verdict.remedy}")


def _boot_text(case: PoolCase) -> str:
    if case.spec.boot_volume is not None:
        return f"{boot_gib(case)} GiB, as written"
    weights = 0.0 if on_drives(case) else case.weight_bytes / GIB
    whose = f" of {', '.join(case.needs.deployments)}" if weights and case.needs.deployments else ""
    parts = f"{SYSTEM_BYTES // GIB} system + {IMAGE_BYTES // GIB} image + {weights:.1f} weights{whose}"
    return f"{boot_gib(case)} GiB: ({parts}) GiB / {FULL_SHARE}, at least {LEAST_BOOT_GIB}"


def _drives_text(case: PoolCase) -> str:
    drives, weights = case.shape.nvme_gb, human_bytes(case.weight_bytes)
    if case.spec.nvme == "none":
        return "NVMe drives are left alone, as asked"
    if drives is None:
        return "whether nodes have NVMe drives is not established; weights are counted on the boot volume"
    if not drives:
        return f"{case.shape.name} has no NVMe drives, weights are on the boot volume"
    if not on_drives(case):
        return f"{human_bytes(drives * 1e9)} of NVMe are less than {weights} of weights: both volumes are made large"
    where = f"one file system for {naming.NODE_MODELS} and for pods"
    return f"{weights} of weights on {human_bytes(drives * 1e9)} of NVMe: {where}"
