"""A deployment on nodes with GPUs -> a GpuPlan with reasons, or every fault. Pure: nothing is bought or started."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from pulumi_plinth.deployment.facts import PoolNodes
from pulumi_plinth.deployment.gpu_arguments import engine_arguments
from pulumi_plinth.deployment.gpu_case import GpuCase, candidates_of, card_of, limits_of, wish_of
from pulumi_plinth.deployment.gpu_checks import check_plan
from pulumi_plinth.deployment.gpu_reasons import GpuDecision, gpu_reasons, refusals
from pulumi_plinth.deployment.lifecycle import lifecycle_faults
from pulumi_plinth.deployment.outline import Outline
from pulumi_plinth.errors import Fault
from pulumi_plinth.fit.choice import Option, rank
from pulumi_plinth.fit.concurrency import in_flight, wish_on
from pulumi_plinth.fit.layout import Reason
from pulumi_plinth.fit.parallel import Nodes, needs_rdma
from pulumi_plinth.fit.plan import Fitted, Wish
from pulumi_plinth.fit.price import Range
from pulumi_plinth.fit.report import Bill, Told, tell
from pulumi_plinth.fit.shapes import Shape
from pulumi_plinth.fit.sizing import Sizer
from pulumi_plinth.fit.storage import Kept, storage_cost
from pulumi_plinth.model.names import served_name

BUCKETS = ("object", "region", "bucket")
"""Forms of Oracle's URIs that name a bucket."""


@dataclass(frozen=True, slots=True)
class GpuPlan:
    """Everything decided about one deployment on GPUs, and why so."""

    name: str
    model: str
    told: Told
    replicas: Range
    region: str | None
    arguments: tuple[str, ...]
    startup_seconds: int
    reasons: tuple[Reason, ...]
    alternatives: tuple[Option, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    pool: PoolNodes | None = None

    @property
    def shape(self) -> Shape:
        """The nodes' shape."""
        return self.told.nodes.shape

    def outline(self) -> Outline:
        """Put it in the terms that all targets share."""
        fitted = self.told.fitted
        return Outline(
            name=self.name,
            model=self.model,
            target="kubernetes",
            place=self.shape.name,
            gpus=fitted.layout.gpus,
            nodes=fitted.nodes,
            parallel=fitted.layout,
            memory=self.told.memory,
            offered_bytes=self.shape.usable_bytes,
            max_model_len=fitted.max_model_len,
            disk_gib=self.told.needs.disk_gib,
            startup_seconds=self.startup_seconds,
            reasons=self.reasons,
            replicas=self.replicas,
            price=self.told.price,
            alternatives=self.alternatives,
            pool=self.pool.name if self.pool else None,
        )

    def to_json(self) -> dict[str, Any]:
        """Render for scripts: the outline, and what only nodes with GPUs have."""
        fitted = self.told.fitted
        return {
            **self.outline().to_json(),
            "shape": asdict(self.shape),
            "region": self.region,
            "pool": self.pool.name if self.pool else None,
            "concurrency": in_flight(fitted),
            "host_memory_bytes": self.told.needs.memory_bytes,
            "shared_memory_bytes": self.told.needs.shared_bytes,
            "rdma": needs_rdma(fitted.layout, self.shape.gpus),
            "arguments": list(self.arguments),
            "environment": dict(self.environment),
        }


def plan_gpus(case: GpuCase, faults: list[Fault]) -> GpuPlan | None:
    """Decide one deployment; every fault found is added to `faults`. None: it cannot be planned."""
    faults.extend(lifecycle_faults(f"{case.path}.model", case.spec.model, case.declared.lifecycle))
    card, candidates = card_of(case, faults), candidates_of(case, faults)
    if card is None or not candidates:
        return None
    sizer = Sizer(card, case.adapters, None if case.spec.kv_cache_dtype == "auto" else case.spec.kv_cache_dtype)
    options = rank(sizer, candidates, wish_of(case), limits_of(case))
    if not options[0].fits:
        faults.extend(refusals(case, options))
        return None
    return _planned(case, sizer, options, faults)


def _planned(case: GpuCase, sizer: Sizer, options: tuple[Option, ...], faults: list[Fault]) -> GpuPlan | None:
    shape, fitted = options[0].shape, options[0].outcome
    if not isinstance(fitted, Fitted):
        return None
    limits, spec = limits_of(case), case.spec
    nodes = Nodes(shape, limits.nodes)
    storage = storage_cost(shape, fitted.nodes, _kept(case, sizer), case.market.storage)
    told = tell(sizer, nodes, wish_on(shape, wish_of(case), limits.sequences), fitted, Bill(case.terms, storage))
    decision = GpuDecision(case, sizer.card, options, told, storage)
    arguments = tuple(engine_arguments(spec, served_name(spec.model, case.declared), fitted, case.adapters))
    refused, doubts = check_plan(case, told, arguments, sizer.card)
    faults.extend(refused)
    return GpuPlan(
        name=case.name,
        model=spec.model,
        told=told,
        replicas=case.terms.replicas,
        region=spec.region,
        arguments=arguments,
        startup_seconds=round(spec.startup_timeout) if spec.startup_timeout else told.needs.startup_seconds,
        reasons=(*gpu_reasons(decision), *doubts),
        alternatives=_alternatives(case, sizer, options, fitted),
        environment=spec.environment,
        pool=case.pool,
    )


def _kept(case: GpuCase, sizer: Sizer) -> Kept:
    source = case.declared.storage.source if case.declared.storage else None
    bucket = source is not None and source.scheme in ("oci", "ocios") and source.form.name in BUCKETS
    return Kept(sizer.card.weight_bytes, in_bucket=bucket)


def _alternatives(case: GpuCase, sizer: Sizer, options: tuple[Option, ...], fitted: Fitted) -> tuple[Option, ...]:
    """Return the other candidates; where there was one only, what else would serve the same context."""
    if len(options) > 1:
        return options[1:]
    others = [shape for shape in case.market.usual() if shape.name != options[0].shape.name]
    wish = Wish(fitted.max_model_len, utilization=case.spec.gpu_memory_utilization)
    return rank(sizer, others, wish, replace(limits_of(case), nodes=None, sequences=None))
