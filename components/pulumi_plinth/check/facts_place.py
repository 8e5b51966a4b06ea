"""place_of_facts: what loosely written facts say about pod, nodes, pool and storage. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pulumi_plinth.check.facts_place_labels import read_labels
from pulumi_plinth.check.facts_place_node import read_node, read_pool, read_pulls, read_quota
from pulumi_plinth.check.facts_place_pod import read_pod, read_workload
from pulumi_plinth.check.facts_place_storage import (
    read_access,
    read_bucket,
    read_claim,
    read_download,
    read_runtimes,
    read_weights,
)
from pulumi_plinth.check.facts_place_words import Facts, number_of, words_of
from pulumi_plinth.check.place import GpuChoice, Place, Scaling, Traffic
from pulumi_plinth.quantities import GIB

ENGINE_PORTS = r"(engine|server|vllm|listen|serving|app|args?)_port|listens?(_on|_port)?|port"
REACHING_PORTS = (
    "(readiness|liveness|startup|health|target|container|route|backend|upstream)?_?(probe_)?(target_|container_)?port"
    "|service_target"
)
SERVICE_PORT = "(service|svc)_port"
"""Counts only where no target port is named: then a Service forwards to its own."""

SCALERS = (
    "(hpa|keda)(_target)?|scale_on|scal(e|ing)_metric|"
    "(hpa_|keda_|scaling_|scaler_|autoscal(er|ing)_)?(metrics?(_name)?|query|triggers?)"
)
SCALER_SECTIONS = "keda_|hpa_|scaling_|autoscaling_|scaled_object_|spec_"
"""Sections that bounds of a scaler stand in."""

PROFILE = re.compile(r"\d+g\.\d+gb")
CARD = re.compile(r"(?<![\w.])(\d+)\s*Gi?B\b", re.IGNORECASE)
METRIC = re.compile(r"(?<![\w./-])vllm:[a-z][a-z0-9]*(?:_[a-z0-9]+)+")
"""A metric's name, which always has several words; an image's tag after `…/vllm:` is none."""

UNDERSCORED = re.compile(r"(?<![\w:./-])vllm_[a-z][a-z0-9]*(?:_[a-z0-9]+)+")


def place_of_facts(facts: Mapping[str, Any]) -> Place:
    """Return what the facts say about the place; what they do not speak of stays unknown."""
    return _place(Facts(facts))


def understood(facts: Mapping[str, Any]) -> frozenset[str]:
    """Return the keys, in the one spelling of `facts_place_words.normal`, that the readers of places make sense of."""
    reader = Facts(facts)
    _place(reader)
    return frozenset(reader.read)


def _place(facts: Facts) -> Place:
    return Place(
        pod=read_pod(facts),
        workload=read_workload(facts),
        labels=read_labels(facts),
        node=read_node(facts),
        pool=read_pool(facts),
        pulls=read_pulls(facts),
        quota=read_quota(facts),
        gpus=_gpu_choice(facts),
        traffic=_traffic(facts),
        scaling=_scaling(facts),
        weights=read_weights(facts),
        access=read_access(facts),
        claim=read_claim(facts),
        bucket=read_bucket(facts),
        download=read_download(facts),
        runtimes=read_runtimes(facts),
    )


def _gpu_choice(facts: Facts) -> GpuChoice:
    wanted = facts.number(
        "request(ed|s)?_gpus?|gpu_requests?|gpu_limits?|(num|number_of)_gpus|gpus?_(requested|per_(pod|replica))"
        "|nvidia_com_gpu|gpu_(fraction|share)"
    )
    profile = facts.text("resource_?profile|accelerator_profile") or ""
    if wanted is None and re.search(r"gpu|nvidia|amd|tpu", profile) and ":" in profile:
        wanted = number_of(profile.rpartition(":")[2], min)
    listed = re.fullmatch(r"[\w.-]+:(\d+)", facts.raw("accelerators?").strip())
    if wanted is None and listed:
        wanted = float(listed[1])
    spread = facts.number("(nodes|pods|workers)_per_(replica|group|server)|lws_size|nodes")
    if wanted and spread and spread > 1 and facts.has("gpus?_per_replica"):
        wanted /= spread
    plain = facts.number("gpus?|gpu_count")
    if wanted is None and plain is not None and not plain.is_integer():
        wanted = plain
    named = facts.text("(gpu_|requested_|asked_|device_)?resource(_name)?")
    if wanted is None and named and "/" in named:
        wanted = facts.number("limit|amount|quantity")
    return GpuChoice(
        wanted=wanted,
        profile=_profile(facts, named),
        card_bytes=_card_bytes(facts),
        resource=named if named and re.fullmatch(r"[\w.-]+/[\w.-]+", named) else None,
    )


def _card_bytes(facts: Facts) -> float | None:
    found = CARD.search(facts.raw("gpu(_type|_model|_name)?|card|accelerator"))
    return int(found[1]) * float(GIB) if found else None


def _profile(facts: Facts, named: str | None) -> str | None:
    said = facts.text("(mig_)?profile|mig_(slice|device|instance)") or named or ""
    found = PROFILE.search(said)
    return found[0] if found else None


def _traffic(facts: Facts) -> Traffic:
    engine = facts.number(ENGINE_PORTS)
    others = []
    reaching = REACHING_PORTS if facts.has(".*target_port") else f"{REACHING_PORTS}|{SERVICE_PORT}"
    for key, value in facts.each(f"(?!port$)({reaching})"):
        number = number_of(value, min)
        if number:
            others.append((key.removesuffix("_port").replace("_", " "), int(number)))
    return Traffic(
        engine_port=int(engine) if engine else None,
        other_ports=tuple(others),
        timeout_seconds=facts.seconds(
            "(proxy|gateway|ingress|route|lb|load_balancer|nginx|envoy|istio|idle|read|request)_?(idle_|read_|request_)?"
            "timeout(_seconds|_s|_min)?"
        ),
        answer_seconds=facts.seconds(
            "(answer|response|generation|prefill|first_token|time_to_first_token|longest_(answer|response|request))(_time|_takes)?"
            "(_seconds|_s|_min)?",
            max,
        ),
        port_variable=facts.text("((container_)?env_)?vllm_port"),
        service_name=facts.text("(kubernetes_|k8s_)?service_name|release_name"),
    )


def _scaling(facts: Facts) -> Scaling:
    said = " ".join(" ".join(words_of(value)) for _, value in facts.each(SCALERS))
    return Scaling(
        utilization=_utilization(said),
        metrics=tuple(dict.fromkeys((*METRIC.findall(f"{said} {facts.everything()}"), *_underscored(facts)))),
        idle_seconds=facts.seconds(
            "(initial_)?cooldown(_period)?(_seconds|_s)?|scale_to_zero(_grace|_after|_window)?(_s)?|stable_window"
        ),
        minimum=facts.number(f"({SCALER_SECTIONS})?min(imum)?_replica(s|_count)|scale_min|idle_replica_count"),
        maximum=facts.number(f"({SCALER_SECTIONS})?max(imum)?_replica(s|_count)|scale_max"),
    )


def _underscored(facts: Facts) -> Iterator[str]:
    """Yield names that a query spells with an underscore where the engine has a colon (volcano-sh/kthena#868).

    Only in queries: an adapter may well offer a metric under such a name.
    """
    for _, value in facts.each("(.*_)?(query|promql)"):
        yield from UNDERSCORED.findall(" ".join(words_of(value)))


def _utilization(said: str) -> str | None:
    found = re.search(r"\b(cpu|memory|gpu.?util\w*|DCGM_FI_DEV_GPU_UTIL)\b", said, re.IGNORECASE)
    return found[1] if found and not METRIC.search(said) else None
