"""Why a deployment on GPUs is planned as it is, in order; and the faults when nothing can be taken. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from plinth_runtime.contract.card import ModelCard
from pulumi_plinth.deployment.gpu_case import GpuCase
from pulumi_plinth.deployment.lifecycle import lifecycle_reasons
from pulumi_plinth.errors import Fault
from pulumi_plinth.fit.choice import Option
from pulumi_plinth.fit.concurrency import in_flight
from pulumi_plinth.fit.layout import Reason
from pulumi_plinth.fit.market import HOME
from pulumi_plinth.fit.plan import Fitted, Refused
from pulumi_plinth.fit.report import Told
from pulumi_plinth.fit.shapes import Shape
from pulumi_plinth.fit.storage import StorageCost, volume_gib
from pulumi_plinth.quantities import human_bytes, human_gib

FIELDS = {
    "context": "maxModelLen", "heads": "parallel.tensor", "kv-heads": "parallel.tensor",
    "vocabulary": "parallel.tensor", "intermediate": "parallel.tensor", "quantization-groups": "parallel.tensor",
    "layers": "parallel.pipeline", "experts": "parallel.expert", "gpus": "parallel", "rdma": "parallel",
    "fp8-cache": "kvCacheDtype", "capacity": "capacity", "budget": "budget", "concurrency": "concurrency",
}  # fmt: skip
"""Where the value stands that a broken rule is about; other rules are about the nodes."""

REMEDIES = {
    "capacity": "write on-demand, or another shape",
    "host-memory": "take nodes with more memory",
    "concurrency": "write fewer, a shorter maxModelLen, a larger shape or more replicas.min",
    "budget": "write a higher budget, fewer replicas or a shorter maxModelLen",
}
GENERATION_RULES = frozenset({"gpu-generation", "bfloat16", "quantization"})
"""Rules about old GPUs: they say little where newer ones are candidates too."""

SHOWN = 3
"""Candidates named in one refusal."""


@dataclass(frozen=True, slots=True)
class GpuDecision:
    """What was decided, as far as the reasons tell it. The first of `options` is taken."""

    case: GpuCase
    card: ModelCard
    options: tuple[Option, ...]
    told: Told
    storage: StorageCost | None


def gpu_reasons(decision: GpuDecision) -> Iterator[Reason]:
    """Tell the decisions in the order they were made."""
    case, card, fitted = decision.case, decision.card, decision.told.fitted
    spec, said = case.spec, f"{card.parameters:,} parameters, {human_bytes(card.weight_bytes)}, {card.architecture}"
    yield Reason("card", f"{case.facts.origin}: {said}")
    yield from (Reason("lifecycle", f"WARNING: {warning}") for warning in case.facts.warnings)
    yield from lifecycle_reasons(case.declared.lifecycle)
    yield Reason("shape", _shape_text(decision))
    if spec.region:
        yield Reason("region", _region_text(spec.region, decision.told.nodes.shape))
    if not spec.max_model_len and case.declared.max_tokens:
        yield Reason("context", f"{case.declared.max_tokens:,} tokens are the model's maxTokens")
    yield from decision.told.reasons
    if decision.storage is None:
        shape = decision.told.nodes.shape
        where = volume_gib(shape, card.weight_bytes)[1]
        yield Reason("storage", f"{where}; what storage beside {shape.name} costs is not established")
    if spec.concurrency:
        yield Reason("concurrency", _concurrency_text(case, fitted, spec.concurrency))
    if spec.startup_timeout:
        yield Reason("start", f"{spec.startup_timeout:.0f} s, as asked, instead")


def refusals(case: GpuCase, options: tuple[Option, ...]) -> Iterator[Fault]:
    """Say why nothing can be taken: by rule where all candidates break the same, else candidate by candidate."""
    near = _nearest(options)
    telling = [option for option in near if option.rule not in GENERATION_RULES] or near
    if len({option.reason for option in telling}) == 1:
        yield from _of_one(case, telling[0])
        return
    rules = {option.rule for option in options if not isinstance(option.outcome, Refused)}
    field = FIELDS.get(rules.pop(), case.where) if len(rules) == 1 else case.where
    named = "; ".join(f"{option.shape.name}: {_problem(option)}" for option in near[:SHOWN])
    more = f"; and {len(options) - SHOWN} others" if len(options) > SHOWN else ""
    remedy = REMEDIES.get(near[0].rule, "take larger shapes, a shorter maxModelLen or a quantised model")
    yield Fault(
        f"{case.path}.{field}", _value(case, field), f"fits none of {len(options)} shapes ({named}{more})", remedy
    )


def _nearest(options: tuple[Option, ...]) -> list[Option]:
    """Order by how near they came: what has room first, the cheapest before others, then what misses least."""

    def key(option: Option) -> tuple[bool, bool, float, str]:
        outcome, price = option.outcome, math.inf if option.usd_per_hour is None else option.usd_per_hour
        missing = outcome.needed_gib - outcome.available_gib if isinstance(outcome, Refused) else price
        return isinstance(outcome, Refused), option.rule in GENERATION_RULES, missing, option.shape.name

    return sorted(options, key=key)


def _of_one(case: GpuCase, option: Option) -> Iterator[Fault]:
    if isinstance(option.outcome, Fitted):
        field = FIELDS.get(option.rule, case.where)
        yield Fault(f"{case.path}.{field}", _value(case, field), option.reason, REMEDIES[option.rule])
        return
    for misfit in option.outcome.misfits:
        field = FIELDS.get(misfit.rule, case.where)
        yield Fault(f"{case.path}.{field}", _value(case, field), misfit.problem, misfit.remedy)


def _problem(option: Option) -> str:
    return option.outcome.misfits[0].problem if isinstance(option.outcome, Refused) else option.reason


def _value(case: GpuCase, field: str) -> object:
    """Return what stands at a field, as people wrote it."""
    written = case.spec.model_dump(mode="json", by_alias=True, exclude_unset=True)
    value: object = written
    for part in field.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return case.context if field == "maxModelLen" else value


def _shape_text(decision: GpuDecision) -> str:
    case, shape, options = decision.case, decision.told.nodes.shape, decision.options
    if case.spec.node:
        known = f"compute capability {shape.capability[0]}.{shape.capability[1]}" if shape.capability else "not known"
        return f"nodes as stated: {shape.gpus} x {human_gib(shape.usable_bytes)}, generation of the GPU: {known}"
    own = ", declared in this file" if shape.name in case.market.declared else ""
    if case.spec.shape:
        return f"{shape.name}{own}, as asked"
    fitting = sum(option.fits for option in options)
    among = "allowed" if case.spec.shapes else "of Oracle's and this file's"
    return f"{shape.name}{own}: {options[0].reason}; {fitting} of {len(options)} shapes {among} can be taken"


def _region_text(region: str, shape: Shape) -> str:
    text = f"{region}; whether it offers {shape.name} is not checked"
    return f"{text}; Oracle's list prices are the same in every region" if shape.provider == HOME else text


def _concurrency_text(case: GpuCase, fitted: Fitted, wanted: int) -> str:
    least, served = max(case.spec.replicas.min, 1), in_flight(fitted)
    each = f"{served} requests of {fitted.max_model_len:,} tokens"
    return f"{each} at once in a replica x {least} = {least * served}, {wanted} are wanted"
