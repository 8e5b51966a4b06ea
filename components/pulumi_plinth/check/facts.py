"""Loosely written facts, one mapping, to a Subject, and the keys nobody understood. Only `load_known` reads files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from pulumi_plinth.check.core import Rule
from pulumi_plinth.check.facts_place import place_of_facts
from pulumi_plinth.check.facts_place import understood as understood_of_place
from pulumi_plinth.check.facts_place_words import normal
from pulumi_plinth.check.facts_serving import Known, read_serving, serving_of_facts
from pulumi_plinth.check.place_pod import GPU_RESOURCE
from pulumi_plinth.check.place_rules import PLACE_RULES
from pulumi_plinth.check.serving import Gpu, Serving
from pulumi_plinth.check.serving_rules import SERVING_RULES
from pulumi_plinth.check.serving_rules.architectures import architecture_rules
from pulumi_plinth.check.serving_rules.flags import flag_rules
from pulumi_plinth.check.serving_rules.history import history_rules
from pulumi_plinth.check.subject import Subject
from pulumi_plinth.engines.history import load_history
from pulumi_plinth.engines.table import load_table
from pulumi_plinth.fit.shapes import load_shapes
from pulumi_plinth.model.catalogue import load_catalogue

ENGINE, RELEASE = "vllm", "0.32.0"
"""The engine whose table is asked."""

SELECTED: Mapping[str, str] = {
    "nvidia.com/gpu.product": "gpu",
    "cloud.google.com/gke-accelerator": "gpu",
    "karpenter.k8s.aws/instance-gpu-name": "gpu",
    "node.kubernetes.io/instance-type": "shape",
    "beta.kubernetes.io/instance-type": "shape",
}
"""Labels that pods select nodes by -> the fact they state."""

ABOUT_FACTS = frozenset({"from_memory", "late_symptom", "source", "title"})
"""Keys that speak of the facts and not of the server."""


@dataclass(frozen=True, slots=True)
class Read:
    """A subject, and the keys that say nothing to us, as they were written."""

    subject: Subject
    unread: tuple[str, ...]


def subject_of_facts(facts: Mapping[str, Any], known: Known) -> Read:
    """Read facts from both sides: what is served, and where."""
    serving, seen = read_serving(facts, known)
    subject = Subject(serving, place_of_facts(facts))
    seen |= understood_of_place(facts) | ABOUT_FACTS
    unread = tuple(str(key) for key in facts if not any(_covers(word, normal(str(key))) for word in seen))
    return Read(subject, unread)


def completed(subject: Subject, facts: Mapping[str, Any], known: Known) -> Subject:
    """Add facts about model, shape and release to a subject that was read elsewhere, such as in a manifest.

    The model's card is looked up; the pod says how many GPUs there are, and its node selector often of which kind.
    """
    place = subject.place
    selector = place.pod.node_selector or {}
    selected = {fact: selector[label] for label, fact in SELECTED.items() if label in selector}
    if {"shape", "gpu"} & set(facts):
        selected = {}
    serving = with_given(subject.serving, {**selected, **facts}, known)
    limit, pods = place.pod.container.limits.get(GPU_RESOURCE), place.workload.pods_per_replica
    gpu = replace(serving.gpu, count=int(limit)) if limit and limit >= 1 else serving.gpu
    return replace(subject, serving=replace(serving, gpu=gpu, nodes=int(pods) if pods else serving.nodes))


def with_given(serving: Serving, facts: Mapping[str, Any], known: Known) -> Serving:
    """Add facts to a server; what was read of it wins, and with it the model's card is looked up."""
    named = {"model": serving.model} if serving.model else {}
    added = serving_of_facts({**facts, **named, "argv": list(serving.words)}, known)
    return replace(
        serving,
        model=added.model,
        card=serving.card or added.card,
        config=serving.config or added.config,
        weights=serving.weights if serving.weights.bytes else added.weights,
        media=added.media,
        version=added.version or serving.version,
        gpu=_gpu(serving.gpu, added.gpu),
    )


def _gpu(read: Gpu, added: Gpu) -> Gpu:
    """Take the stated shape's GPUs, as many and as whole as the server asks for."""
    if added.name is None:
        return read
    return replace(added, count=read.count or added.count, mig=read.mig or added.mig)


def all_rules(known: Known) -> tuple[Rule, ...]:
    """Return every rule there is, those that need the engine's table included."""
    asked = (*flag_rules(known.table), *history_rules(known.history, known.table), *architecture_rules(known.table))
    return (*SERVING_RULES, *asked, *PLACE_RULES)


def load_known() -> Known:
    """Load what names are looked up in."""
    return Known(load_catalogue(), load_shapes(), load_table(ENGINE, RELEASE), load_history(ENGINE))


def _covers(word: str, key: str) -> bool:
    return word == key or word.startswith(f"{key}_")
