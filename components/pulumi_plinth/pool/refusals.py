"""What a pool may not be, with the arithmetic. Pure; rules that `plinth check` knows too are asked there."""

from __future__ import annotations

import math
from collections.abc import Iterator

from pulumi_plinth.check.core import Severity, Verdict, judge
from pulumi_plinth.check.place import Place
from pulumi_plinth.check.place_node import Pool
from pulumi_plinth.check.place_rules import oci_pool, oci_shapes
from pulumi_plinth.check.subject import Subject
from pulumi_plinth.errors import Fault
from pulumi_plinth.fit.disk import FULL_SHARE, IMAGE_BYTES, SYSTEM_BYTES
from pulumi_plinth.pool.case import PoolCase
from pulumi_plinth.pool.disk import on_drives
from pulumi_plinth.quantities import GIB

RULES = (*oci_pool.RULES, *oci_shapes.RULES)

FIELDS = {
    "placement-without-domain": "placements",
    "reservation-domains": "capacityReservationId",
    "shape-config": "flex",
    "shape-memory": "flex.memoryGib",
    "preemptible-metal": "preemptible",
    "cycling-metal": "replacement",
    "cycling-stands-still": "cycling",
    "pool-bounds": "autoscale",
    "region-unknown": "region",
}
"""Where the value stands that a rule is about; other rules are about the shape."""

OF_NODES_THERE = frozenset({"kind", "shape", "gpu", "gpus", "gpu_memory", "size", "autoscale", "labels", "taints"})
"""Fields that say something of nodes that exist."""

MADE_BY_OKE = {
    "autoscale": "the autoscaler knows managed pools only",
    "preemptible": "such nodes are bare metal, which is not offered preemptible",
    "rdma": "its nodes are on an RDMA network anyway",
    "eviction": "OKE does not drain nodes that it did not make",
    "cycling": "OKE does not cycle nodes that it did not make",
}
"""Fields that only managed pools have, with the reason."""


def refusals(case: PoolCase) -> Iterator[Fault]:
    """Find everything that cannot be; existing nodes are only described."""
    if case.spec.kind == "existing":
        yield from _existing(case)
        return
    yield from _missing(case)
    yield from _kind(case)
    yield from _places(case)
    yield from _rdma(case)
    yield from _replacement(case)
    yield from _disk(case)
    yield from (_fault(case, verdict) for verdict in verdicts(case) if verdict.severity is Severity.REFUSE)


def verdicts(case: PoolCase) -> tuple[Verdict, ...]:
    """Ask the rules that are learned from pools that failed."""
    spec = case.spec
    own = [placement.capacity_reservation_id for placement in spec.placements]
    pool = Pool(
        provider="oci",
        shape=case.shape.name,
        reserved=spec.capacity_reservation_id is not None and not all(own),
        size=spec.size,
        min_nodes=spec.least,
        max_nodes=spec.most,
        autoscaled=spec.autoscale is not None,
        size_kept=True,
        preemptible=spec.preemptible,
        domains=tuple(dict.fromkeys(placement.availability_domain for placement in spec.placements)) or None,
        flexible_size=spec.flex is not None,
        cores=spec.flex.ocpus if spec.flex else None,
        memory_bytes=spec.flex.memory_gib * GIB if spec.flex else None,
        max_pods=spec.max_pods,
    )
    return judge(Subject(place=Place(pool=pool)), RULES)


def _fault(case: PoolCase, verdict: Verdict) -> Fault:
    field = FIELDS.get(verdict.rule, "shape")
    return Fault(f"{case.path}.{field}", None, f"{verdict.problem} [{verdict.rule}]", verdict.remedy)


def _existing(case: PoolCase) -> Iterator[Fault]:
    spec = case.spec
    for field in sorted(spec.model_fields_set - OF_NODES_THERE):
        remedy = "remove it, or write `kind: managed`"
        yield Fault(f"{case.path}.{_alias(case, field)}", None, "has no meaning for nodes that exist", remedy)
    if not spec.labels:
        remedy = "write the labels that all of them have"
        yield Fault(f"{case.path}.labels", None, "is missing: nothing tells which nodes are meant", remedy)


def _missing(case: PoolCase) -> Iterator[Fault]:
    spec, path = case.spec, case.path
    for field, where in (("cluster_id", "cluster:"), ("compartment_id", "oci:")):
        if getattr(spec, field) is None:
            remedy = f"write its OCID, or declare one under `{where}`"
            yield Fault(f"{path}.{_alias(case, field)}", None, "is missing", remedy)
    if not spec.placements:
        remedy = "write `- availabilityDomain: …` of the region, at least one"
        yield Fault(f"{path}.placements", None, "is missing", remedy)
    for number, placement in enumerate(spec.placements):
        if placement.subnet_id is None and spec.subnet_id is None:
            remedy = f"write it, or `subnetId:` of {path}"
            yield Fault(f"{path}.placements.{number}.subnetId", None, "is missing", remedy)
    if spec.image.id is None and spec.kubernetes_version is None:
        remedy = "write kubernetesVersion: of the cluster, such as v1.32.1, or pin one by image: {id: …}"
        yield Fault(f"{path}.image", None, "cannot be selected without the version it must be for", remedy)
    if case.self_managed and spec.kubernetes_version is None and spec.image.id is not None:
        yield Fault(f"{path}.kubernetesVersion", None, "is missing", "write the image's, such as v1.32.1")
    if case.self_managed and spec.control_plane is None:
        remedy = "write endpoint: and certificate: of the cluster's kubeconfig"
        yield Fault(f"{path}.controlPlane", None, "is missing: nodes of this kind join by themselves", remedy)


def _kind(case: PoolCase) -> Iterator[Fault]:
    spec, shape, path = case.spec, case.shape, case.path
    if case.rack != (spec.kind == "gpu-memory-cluster"):
        problem = f"{shape.gpu} GPUs are {'parts of a rack with one memory' if case.rack else 'in hosts of their own'}"
        right = "gpu-memory-cluster" if case.rack else "managed"
        yield Fault(f"{path}.kind", spec.kind, f"does not suit {shape.name}: {problem}", f"write {right}")
    elif spec.kind == "cluster-network" and (shape.rdma is False or not case.metal):
        problem = f"does not suit {shape.name}, which has no RDMA network"
        yield Fault(f"{path}.kind", spec.kind, problem, "write managed")
    if not case.self_managed:
        if spec.control_plane is not None:
            problem = "has no meaning here: OKE tells managed nodes their cluster"
            yield Fault(f"{path}.controlPlane", None, problem, "remove it")
        return
    for field, reason in MADE_BY_OKE.items():
        if field in spec.model_fields_set and getattr(spec, field):
            problem = f"has no meaning for kind {spec.kind}: {reason}"
            yield Fault(f"{path}.{_alias(case, field)}", None, problem, "remove it, or write `kind: managed`")
    if len(spec.placements) > 1:
        problem = f"names {len(spec.placements)} places, and one RDMA network is in one availability domain"
        yield Fault(f"{path}.placements", None, problem, "keep one")


def _places(case: PoolCase) -> Iterator[Fault]:
    spec, path = case.spec, case.path
    seen: dict[str, int] = {}
    for number, placement in enumerate(spec.placements):
        if placement.availability_domain in seen:
            where = f"{path}.placements.{number}.availabilityDomain"
            problem = f"is that of placement {seen[placement.availability_domain]} too"
            yield Fault(where, placement.availability_domain, problem, "write each domain once")
        seen.setdefault(placement.availability_domain, number)
    reserved = spec.capacity_reservation_id or any(item.capacity_reservation_id for item in spec.placements)
    if spec.preemptible and reserved:
        problem = "cannot be of a reservation: reserved capacity is paid for and kept"
        yield Fault(f"{path}.preemptible", spec.preemptible, problem, "write one of the two")
    if spec.encrypt_in_transit and case.metal:
        problem = f"is not offered for {case.shape.name}: bare metal reaches its boot volume by iSCSI"
        yield Fault(f"{path}.encryptInTransit", spec.encrypt_in_transit, problem, "remove it")
    if spec.pod_network == "flannel":
        for field in ("pod_subnet_ids", "pod_nsg_ids"):
            if getattr(spec, field):
                problem = "has no meaning with flannel, whose pods have no addresses in the network"
                yield Fault(
                    f"{path}.{_alias(case, field)}", None, problem, "remove it, or write podNetwork: vcn-native"
                )


def _rdma(case: PoolCase) -> Iterator[Fault]:
    spec, shape, path = case.spec, case.shape, case.path
    if spec.kind == "managed" and spec.rdma:
        if shape.rdma is False:
            yield Fault(f"{path}.rdma", spec.rdma, f"is not there: {shape.name} has no RDMA network", "remove it")
        if len(spec.placements) > 1:
            problem = f"holds one availability domain, and {len(spec.placements)} are named"
            yield Fault(f"{path}.rdma", spec.rdma, problem, "keep one placement, or make a pool for each domain")
    if spec.compute_cluster_id and not (spec.rdma or spec.kind == "gpu-memory-cluster"):
        yield Fault(f"{path}.computeClusterId", None, "is named, and the pool does not use it", "add `rdma: true`")


def _replacement(case: PoolCase) -> Iterator[Fault]:
    spec, path, cycling = case.spec, case.path, case.spec.cycling
    if spec.replacement == "surge" and case.metal and spec.kind == "managed":
        problem = f"makes nodes anew, and OKE cannot cycle instances of {case.shape.name}, which is bare metal"
        yield Fault(f"{path}.replacement", spec.replacement, problem, "write in-place or delete-first")
    if spec.replacement == "in-place" and case.self_managed:
        problem = f"is OKE's own cycling, and nodes of kind {spec.kind} are not OKE's"
        yield Fault(f"{path}.replacement", spec.replacement, problem, "write delete-first or surge")
    if cycling.maximum_surge and spec.replacement != "surge":
        problem = "makes nodes beyond the size, which is what replacement: surge does"
        yield Fault(f"{path}.cycling.maximumSurge", cycling.maximum_surge, problem, "write `replacement: surge` too")
    if spec.eviction.grace % 60:
        problem = "is not whole minutes, which is what OKE takes"
        minutes = math.ceil(spec.eviction.grace / 60)
        yield Fault(f"{path}.eviction.grace", spec.eviction.grace, problem, f"write {minutes}m")


def _disk(case: PoolCase) -> Iterator[Fault]:
    spec = case.spec
    if spec.boot_volume is None:
        return
    if spec.boot_volume % GIB:
        yield Fault(f"{case.path}.bootVolume", spec.boot_volume, "is not whole GiB", "write for example 200Gi")
    weights = 0 if on_drives(case) else case.weight_bytes
    need = (SYSTEM_BYTES + IMAGE_BYTES + weights) / FULL_SHARE
    if need > spec.boot_volume:
        parts = f"({SYSTEM_BYTES // GIB} system + {IMAGE_BYTES // GIB} image + {weights / GIB:.1f} weights) GiB"
        problem = f"{spec.boot_volume / GIB:g} GiB is too small: {parts} / {FULL_SHARE} = {need / GIB:.1f} GiB"
        yield Fault(f"{case.path}.bootVolume", None, problem, f"write {math.ceil(need / GIB)}Gi or leave it out")


def _alias(case: PoolCase, field: str) -> str:
    return type(case.spec).model_fields[field].alias or field
