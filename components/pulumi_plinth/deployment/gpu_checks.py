"""The rules of `plinth check`, asked about the command line that a plan on GPUs comes to. Pure.

Fields are judged where they are planned; here the rendered arguments are, the user's own included.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from plinth_runtime.contract.card import ModelCard
from pulumi_plinth.check.command import serving_of_command
from pulumi_plinth.check.core import Severity, Verdict, judge
from pulumi_plinth.check.serving import Gpu, Serving
from pulumi_plinth.check.serving_rules import SERVING_RULES
from pulumi_plinth.check.serving_rules.architectures import architecture_rules
from pulumi_plinth.check.subject import Subject
from pulumi_plinth.deployment.engine_reasons import Served, engine_faults, engine_reasons
from pulumi_plinth.deployment.gpu_case import GpuCase
from pulumi_plinth.deployment.spec import OWNED_ARGUMENTS
from pulumi_plinth.deployment.targets import PLANNED_ARGUMENTS
from pulumi_plinth.engines.environments import check_stack, table_of
from pulumi_plinth.errors import Fault
from pulumi_plinth.fit.layout import Reason
from pulumi_plinth.fit.report import Told

ENVIRONMENT = "vllm-cuda"
"""The engine on nodes with GPUs."""

PLANNED = frozenset({"memory", "memory-margin", "media-profile"})
"""Rules whose arithmetic the plan has done itself, with more knowledge."""

FIELDS = {"--max-model-len": "maxModelLen", "--kv-cache-dtype": "kvCacheDtype", "--dtype": "dtype", "model": "model"}
"""Where the value stands that a verdict is about; what is not listed is about the rendered command."""


def check_plan(
    case: GpuCase, told: Told, arguments: Sequence[str], card: ModelCard
) -> tuple[list[Fault], list[Reason]]:
    """Judge the arguments as the engine's release would; return what is refused and what deserves a second look."""
    spec, table = case.spec, table_of(ENVIRONMENT)
    own = check_stack(
        ENVIRONMENT, spec.engine_args, tuple(spec.environment), case.path, OWNED_ARGUMENTS | PLANNED_ARGUMENTS
    )
    rules = (*SERVING_RULES, *architecture_rules(table))
    serving = _serving(case, told, arguments, card)
    verdicts = [verdict for verdict in judge(Subject(serving), rules) if verdict.rule not in PLANNED]
    refused = [_fault(case, verdict) for verdict in verdicts if verdict.severity is Severity.REFUSE]
    doubts = [f"{verdict.path}: {verdict.problem}; {verdict.remedy}" for verdict in verdicts[len(refused) :]]
    served = Served(spec.model, case.declared, card, ENVIRONMENT)
    faults = [*own.faults, *(refused or engine_faults(case.path, served, own))]
    return faults, [*engine_reasons(served, own), *(Reason("check", f"WARNING: {text}") for text in doubts)]


def _serving(case: GpuCase, told: Told, arguments: Sequence[str], card: ModelCard) -> Serving:
    shape = told.nodes.shape
    read = serving_of_command(arguments, case.spec.environment)
    release = tuple(int(part) for part in table_of(ENVIRONMENT).version.split("."))
    gpu = Gpu(shape.gpu, shape.capability, memory_bytes=shape.usable_bytes, count=shape.gpus, mig=told.nodes.mig)
    nodes = told.fitted.nodes
    # Each member of a group is told by its agent, when the addresses are known.
    given = read.arguments if nodes == 1 else {**read.arguments, "nnodes": str(nodes)}
    told_here = replace(read, arguments=given, nodes=nodes, gpu=gpu)
    return replace(told_here, model=case.spec.model, card=card, version=release)


def _fault(case: GpuCase, verdict: Verdict) -> Fault:
    field = FIELDS.get(verdict.path, "engineArgs" if verdict.path.startswith("--") else "model")
    return Fault(f"{case.path}.{field}", None, f"{verdict.problem} [{verdict.rule}]", verdict.remedy)
