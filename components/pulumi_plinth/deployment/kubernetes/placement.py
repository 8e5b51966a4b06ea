"""Which nodes pods go to, as whom they run, who may call them, what image they are. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from pulumi_plinth.check.images import image_facts
from pulumi_plinth.deployment.kubernetes.case import Demand, ServerCase
from pulumi_plinth.deployment.pod_spec import TolerationSpec
from pulumi_plinth.errors import Fault
from pulumi_plinth.fit.layout import Reason

CORES_BESIDE_RANKS = 2
"""API server and agent; each rank keeps one core busy while it feeds its GPU."""


@dataclass(frozen=True, slots=True)
class Placement:
    """Nodes and identity, decided. Maps are pairs in order of their keys."""

    image: str
    pull_secrets: tuple[str, ...]
    node_selector: tuple[tuple[str, str], ...]
    tolerations: tuple[TolerationSpec, ...]
    cpu: str
    memory: int
    callers: tuple[str, ...]
    own_account: bool
    account: str
    reasons: tuple[Reason, ...] = field(default=())


def plan_placement(case: ServerCase, demand: Demand, faults: list[Fault]) -> Placement:
    """Decide; an image that nobody names is a fault."""
    pod, preset, cluster = case.spec.pod, case.declared.preset, case.cluster
    own = preset.image if preset else None
    image = pod.image or own or cluster.image or ""
    faults.extend(_image_faults(case, image))
    secrets = (*pod.image_pull_secrets, *(preset.image_pull_secrets if preset else ()), *cluster.image_pull_secrets)
    placement = case.declared.placement
    asked = placement.label_selector if placement else {}
    matched = {key: str(value) for key, value in asked.get("matchLabels", asked).items() if isinstance(value, str)}
    selector = {**dict(demand.labels), **matched, **pod.node_selector}
    gpus = (TolerationSpec(key=demand.gpu_resource, effect="NoSchedule"),) if demand.gpus else ()
    borne = (*gpus, *map(_borne, demand.taints))
    callers = sorted({*cluster.api_namespaces, *pod.allowed_namespaces})
    return Placement(
        image=image,
        pull_secrets=tuple(dict.fromkeys(secrets)),
        node_selector=tuple(sorted(selector.items())),
        tolerations=(*borne, *pod.tolerations),
        cpu=pod.cpu or str(CORES_BESIDE_RANKS + demand.gpus),
        memory=pod.memory or demand.memory_bytes,
        callers=tuple(callers),
        own_account=pod.service_account is None,
        account=pod.service_account or case.name,
        reasons=tuple(_reasons(case, demand, image, selector)),
    )


def _borne(taint: str) -> TolerationSpec:
    """Read a taint as the kubelet does: key=value:effect."""
    key, _, rest = taint.partition("=")
    value, _, effect = rest.partition(":")
    return TolerationSpec.model_validate({"key": key, "operator": "Equal", "value": value, "effect": effect})


def _image_faults(case: ServerCase, image: str) -> Iterator[Fault]:
    if not image:
        problem = "has no image: neither deployment nor preset nor kubernetes.image names one"
        yield Fault(f"{case.path}.pod.image", None, problem, "build runtime/Dockerfile and name it by its digest")


def _reasons(case: ServerCase, demand: Demand, image: str, selector: dict[str, str]) -> Iterator[Reason]:
    if image and "@sha256:" not in image:
        moving = image_facts(image).moving or not re.search(r":[^/]+$", image)
        said = "names what changes under running pods" if moving else "is a tag, which its registry may move"
        yield Reason("image", f"WARNING: {image} {said}; write registry/repository@sha256:… instead")
    if selector:
        yield Reason("nodes", ", ".join(f"{key}={value}" for key, value in sorted(selector.items())))
    elif demand.gpus:
        yield Reason("nodes", f"WARNING: any node with {demand.gpus} GPUs; write pod.nodeSelector where they differ")
    if case.declared.preset and case.declared.preset.config:
        text = (
            f"WARNING: the preset's ConfigMap {case.declared.preset.config} is not read; write its settings as fields"
        )
        yield Reason("preset", text)
    if case.spec.open:
        yield Reason("api", "WARNING: open to every pod that the NetworkPolicy lets in; no key is asked for")
