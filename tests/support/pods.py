"""Stacks with pods for tests: one document, its variations, and the objects they become."""

import copy
from functools import cache
from pathlib import Path

import pytest

from pulumi_plinth.deployment.facts import HostFacts, ModelFacts
from pulumi_plinth.deployment.kubernetes.manifests import manifests
from pulumi_plinth.errors import SpecError
from pulumi_plinth.fit.market import Market
from pulumi_plinth.fit.shapes import load_shapes
from pulumi_plinth.fit.storage import load_unit_prices
from pulumi_plinth.model.catalogue import load_catalogue
from pulumi_plinth.observe_cards import Cards
from pulumi_plinth.planner import Facts, plan_stack
from pulumi_plinth.quantities import GIB
from pulumi_plinth.stack import StackSpec

IMAGE = "registry.example/runtime@sha256:" + "ab" * 32
DOCUMENT = {
    "kubernetes": {"image": IMAGE},
    "models": {"qwen": {"preset": {"name": "qwen3-8b"}}, "small": {"storage": {"uri": "hf://Qwen/Qwen3-0.6B"}}},
    "deployments": {"chat": {"model": "qwen", "target": "kubernetes", "shape": "VM.GPU.A10.1", "maxModelLen": 8192}},
}
PROCESSORS = {"model": "small", "engine": "vllm-cpu", "maxModelLen": 2048, "shape": None}
LARGE = {"llama": {"storage": {"uri": "s3://models@us-east-1/llama"}, "preset": {"name": "llama-3.1-405b-instruct"}}}
GROUP = {"model": "llama", "shape": "BM.GPU.H100.8", "maxModelLen": 8192}
"""A model that takes two nodes of eight GPUs."""


@cache
def market():
    """Shapes and prices as shipped."""
    return Market(load_shapes(), load_unit_prices())


@cache
def catalogue():
    """The catalogue as shipped."""
    return load_catalogue()


def pods(deployment=None, **parts):
    """The document with other fields of the deployment (None removes one), and other parts."""
    document = copy.deepcopy(DOCUMENT)
    for name, part in copy.deepcopy(parts).items():
        document[name] = {**document.get(name, {}), **part} if isinstance(part, dict) else part
    fields = document["deployments"]["chat"] | copy.deepcopy(deployment or {})
    document["deployments"]["chat"] = {key: value for key, value in fields.items() if value is not None}
    return document


def planned(document, models=None, host=HostFacts(24 * GIB)):  # noqa: B008 frozen
    """Plan a document whose models are found as `plinth plan` finds them; `models` are those of this host."""
    root = Path("/srv")
    spec = StackSpec.parse(copy.deepcopy(document))
    finder = Cards(spec, root, lambda folder: ModelFacts(folder, None, ("nothing",)), catalogue)
    cards = {name: finder.find(item) for name, item in spec.on("kubernetes").items()}
    return plan_stack(spec, Facts(root, "test", host, models or {}, cards=cards, market=market()))


def server(document):
    """The plan of the only server."""
    (plan,) = planned(document).servers
    return plan


def objects(document):
    """The objects of the only server, by kind; of several of a kind the first."""
    found = {}
    for item in manifests(server(document)):
        found.setdefault(item["kind"], item)
    return found


def pod_of(document):
    """The spec of the only server's pods."""
    return workload_of(document)["spec"]["template"]["spec"]


def workload_of(document):
    """The object that runs the pods."""
    found = objects(document)
    return next(found[kind] for kind in ("Deployment", "StatefulSet", "LeaderWorkerSet") if kind in found)


def faults(document):
    """The reasons why a document is refused, as text."""
    with pytest.raises(SpecError) as caught:
        planned(document)
    return [str(fault) for fault in caught.value.faults]


def reasons(document, subject):
    """Texts of the reasons about a subject."""
    return [reason.text for reason in server(document).outline.reasons if reason.subject == subject]
