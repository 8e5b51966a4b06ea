"""PoolCase -> PoolPlan: size, disks, labels, replacement, price, with reasons; or every fault. Pure."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from pulumi_plinth import naming
from pulumi_plinth.errors import Fault
from pulumi_plinth.fit.layout import Reason
from pulumi_plinth.fit.price import Price
from pulumi_plinth.fit.shapes import Shape
from pulumi_plinth.pool.boot import METADATA_BYTES, Boot, user_data
from pulumi_plinth.pool.case import PoolCase
from pulumi_plinth.pool.disk import boot_gib, pods_gib
from pulumi_plinth.pool.image import ImageWish
from pulumi_plinth.pool.price import pool_price
from pulumi_plinth.pool.reasons import DOUBT, pool_reasons
from pulumi_plinth.pool.refusals import refusals
from pulumi_plinth.pool.replacement import Replacing, replacing
from pulumi_plinth.pool.spec import PoolSpec

PREEMPTIBLE = "oci.oraclecloud.com/oke-is-preemptible"
"""Label and taint that OKE puts on preemptible nodes."""


@dataclass(frozen=True, slots=True)
class PoolPlan:
    """Everything decided about one pool. `taints` are all that its nodes have, OKE's own included."""

    name: str
    spec: PoolSpec
    shape: Shape
    boot_gib: int
    pods_gib: int
    labels: dict[str, str]
    taints: tuple[str, ...]
    user_data: str
    image: ImageWish | None
    replacing: Replacing
    price: Price | None
    reasons: tuple[Reason, ...]

    @property
    def selector(self) -> dict[str, str]:
        """The labels by which deployments find the nodes."""
        return _selector(self.name, self.spec)

    @property
    def gpu_resource(self) -> str:
        """What pods ask for."""
        return gpu_resource(self.shape)

    @property
    def doubts(self) -> tuple[str, ...]:
        """What may work and deserves a second look."""
        texts = (reason.text for reason in self.reasons)
        return tuple(text.removeprefix(DOUBT) for text in texts if text.startswith(DOUBT))

    def summary(self) -> str:
        """Say it in one line, as a preview does."""
        spec, shape = self.spec, self.shape
        size = f"{spec.least} to {spec.most}" if spec.autoscale else f"{spec.size}"
        price = f"${self.price.per_hour[1]:.2f} an hour" if self.price else "no price established"
        if spec.kind == "existing":
            price = "already there"
        return f"pool {self.name}: {size} x {shape.name} ({shape.gpus} x {shape.gpu}), {price}"

    def to_json(self) -> dict[str, Any]:
        """Render for `plinth plan --json`."""
        return {
            "name": self.name,
            "kind": self.spec.kind,
            "shape": self.shape.name,
            "gpus": self.shape.gpus,
            "nodes": {"min": self.spec.least, "max": self.spec.most},
            "boot_gib": self.boot_gib,
            "pods_gib": self.pods_gib,
            "labels": self.labels,
            "selector": self.selector,
            "taints": list(self.taints),
            "image": asdict(self.image) if self.image else self.spec.image.id,
            "replacement": asdict(self.replacing),
            "price": asdict(self.price) if self.price else None,
            "reasons": [asdict(reason) for reason in self.reasons],
        }


def plan_pool(case: PoolCase, faults: list[Fault]) -> PoolPlan | None:
    """Decide one pool; every fault found is added to `faults`. None: it cannot be made."""
    found = list(refusals(case))
    spec, there = case.spec, case.spec.kind == "existing"
    data = "" if there else user_data(boot_of(case))
    if len(data) > METADATA_BYTES:
        problem = f"makes the node's start {len(data):,} bytes, and its metadata holds {METADATA_BYTES:,}"
        found.append(Fault(f"{case.path}.bootScript", None, problem, "fetch what is long from a bucket"))
    faults.extend(found)
    if found:
        return None
    change = replacing(case)
    price, cost = (None, ()) if there else pool_price(case)
    return PoolPlan(
        name=case.name,
        spec=spec,
        shape=case.shape,
        boot_gib=boot_gib(case),
        pods_gib=pods_gib(case),
        labels={**spec.labels, **selector_of(case)},
        taints=taints_of(case),
        user_data=data,
        image=None if there or spec.image.id else _image(case),
        replacing=change,
        price=price,
        reasons=(*pool_reasons(case, change), *cost),
    )


def boot_of(case: PoolCase) -> Boot:
    """Say what the nodes' scripts must know."""
    arguments = []
    if case.spec.taints:
        arguments.append(f"--register-with-taints={','.join(sorted(map(str, case.spec.taints)))}")
    if case.spec.pod_network == "flannel":
        arguments.append(f"--max-pods={case.spec.max_pods}")
    return Boot("self" if case.self_managed else "managed", case.spec.nvme, tuple(arguments), case.spec.boot_script)


def taints_of(case: PoolCase) -> tuple[str, ...]:
    """Return what the nodes are tainted with: by OKE, and as written."""
    own = {str(taint) for taint in case.spec.taints}
    if case.spec.kind != "existing":
        own.add(f"{gpu_resource(case.shape)}=present:NoSchedule")
    if case.spec.preemptible:
        own.add(f"{PREEMPTIBLE}=present:NoSchedule")
    return tuple(sorted(own))


def selector_of(case: PoolCase) -> dict[str, str]:
    """Return the labels by which deployments find the nodes."""
    return _selector(case.name, case.spec)


def gpu_resource(shape: Shape) -> str:
    """Return what pods ask for to get a GPU of a shape; OKE's taint has the same name."""
    return "amd.com/gpu" if shape.vendor == "amd" else "nvidia.com/gpu"


def _selector(name: str, spec: PoolSpec) -> dict[str, str]:
    return dict(spec.labels) if spec.kind == "existing" else {naming.POOL_LABEL: name}


def _image(case: PoolCase) -> ImageWish:
    spec = case.spec
    arch = "aarch64" if case.rack else "x86_64"
    return ImageWish(spec.image.os, spec.image.os_version, spec.kubernetes_version or "", arch, case.shape.vendor)
