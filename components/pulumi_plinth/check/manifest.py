"""subjects_of_manifest: Kubernetes objects that run vLLM, as parsed YAML, to subjects of checks. Pure.

Objects in the same file inform each other: a claim says its modes, a service its ports, a scaler its metrics.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from pulumi_plinth.check.command import serving_of_command
from pulumi_plinth.check.manifest_pod import (
    Part,
    asks_for_gpu,
    command,
    engine_command,
    environment,
    is_server,
    probe_ports,
    read_pod,
)
from pulumi_plinth.check.manifest_read import Document, amount, at, entries, flag, flat, mapping, pods_of, strings, text
from pulumi_plinth.check.manifest_related import (
    budget_of,
    config_values,
    named,
    node_of,
    scaling_of,
    security_level,
    service_ports,
    services_of,
)
from pulumi_plinth.check.place import GpuChoice, Place, Scaling, Traffic
from pulumi_plinth.check.place_node import Pool
from pulumi_plinth.check.place_pod import GPU_RESOURCE, Label, Pod, Workload
from pulumi_plinth.check.place_storage import Claim
from pulumi_plinth.check.serving import Serving
from pulumi_plinth.check.subject import Subject

DEFAULT_PORT = 8000
"""Where vLLM listens when nobody says."""

TEMPLATES: dict[str, tuple[str, ...]] = {
    "Pod": (),
    "Deployment": ("spec", "template"),
    "StatefulSet": ("spec", "template"),
    "ReplicaSet": ("spec", "template"),
    "DaemonSet": ("spec", "template"),
    "Job": ("spec", "template"),
    "CronJob": ("spec", "jobTemplate", "spec", "template"),
    "Workspace": ("inference", "template"),
}
"""Where a kind keeps its pod template."""


@dataclass(frozen=True, slots=True)
class Template:
    """One kind of pod of an object: its labels and spec."""

    labels: Document
    spec: Document


def subjects_of_manifest(document: Any) -> list[tuple[str, Subject]]:
    """Return (kind/name, subject) of every object of a file that runs vLLM or asks for GPUs.

    `document` is one parsed YAML document, a list of them, or Kubernetes' List.
    """
    documents = list(flat(document))
    found = []
    for owner in documents:
        name = f"{text(owner, 'kind') or '?'}/{text(owner, 'metadata', 'name') or '?'}"
        if template := template_of(owner):
            if subject := _subject(owner, template, documents):
                found.append((name, subject))
        elif preset := text(owner, "inference", "preset", "name"):
            found.append((name, _preset(owner, preset)))
    return found


def template_of(owner: Document) -> Template | None:
    """Return the pods that an object makes; None when it makes none."""
    kind = str(owner.get("kind"))
    if kind == "LeaderWorkerSet":
        groups = mapping(owner, "spec", "leaderWorkerTemplate")
        found = mapping(groups, "leaderTemplate") or mapping(groups, "workerTemplate")
    elif kind == "InferenceService":
        return _predictor(owner)
    elif kind in TEMPLATES:
        found = mapping(owner, *TEMPLATES[kind]) if TEMPLATES[kind] else owner
    else:
        return None
    spec = mapping(found, "spec")
    return Template(mapping(found, "metadata", "labels"), spec) if spec else None


def _predictor(owner: Document) -> Template | None:
    """KServe writes the pod's fields into the predictor; `model` is a container that its runtime completes."""
    predictor = mapping(owner, "spec", "predictor")
    model = mapping(predictor, "model")
    spec = {**predictor, "containers": [{**model, "name": "model"}]} if model else dict(predictor)
    return Template(mapping(owner, "metadata", "labels"), spec) if entries(spec, "containers") else None


def _preset(owner: Document, preset: str) -> Subject:
    pool = Pool(shape=text(owner, "resource", "instanceType"))
    return Subject(Serving(model=preset), Place(workload=_workload(owner, None), pool=pool))


def _subject(owner: Document, template: Template, documents: Sequence[Document]) -> Subject | None:
    containers = entries(template.spec, "containers")
    server = next((item for item in containers if is_server(item)), None)
    server = server or next((item for item in containers if asks_for_gpu(item)), None)
    if server is None:
        return None
    part = Part(template.spec, server, lambda name: _claim(owner, documents, name), config_values(documents))
    serving = _serving(part)
    return Subject(serving, _place(owner, template, part, serving, documents))


def _serving(part: Part) -> Serving:
    image = text(part.server, "image")
    variables = environment(part)
    try:
        serving = serving_of_command(engine_command(part.server), variables, image)
    except ValueError:
        serving = Serving(image=image, environment=variables)
    sliced = any("/mig-" in key for key in mapping(part.server, "resources", "limits"))
    return replace(serving, gpu=replace(serving.gpu, mig=sliced or serving.gpu.mig))


def _place(owner: Document, template: Template, part: Part, serving: Serving, documents: Sequence[Document]) -> Place:
    kind, name, namespace = (
        text(owner, *path) for path in (("kind",), ("metadata", "name"), ("metadata", "namespace"))
    )
    services = services_of(documents, template.labels)
    workload = _workload(owner, _count(serving, "nnodes"))
    headless = named(documents, "Service", text(owner, "spec", "serviceName"))
    hidden = None if headless is None else flag(headless, "spec", "publishNotReadyAddresses") or False
    budget = budget_of(documents, template.labels)
    scaling = scaling_of(documents, kind or "", name) or _own_scaling(owner)
    stated = at(owner, "spec", "replicas") is not None and scaling.maximum is not None
    pod = read_pod(part, serving.model)
    return Place(
        pod=replace(pod, security=security_level(documents, namespace)),
        workload=replace(
            workload,
            distributed=_joins(command(part.server)),
            workers_probed=_workers_probed(owner),
            publishes_unready=hidden,
            min_available=budget,
        ),
        labels=_labels(owner, template),
        node=node_of(documents),
        gpus=_gpus(pod),
        traffic=_traffic(part, serving, services),
        scaling=replace(scaling, resets=stated),
        claim=_shared_claim(owner, pod, workload, documents),
    )


def _workload(owner: Document, nodes: int | None) -> Workload:
    kind, spec = text(owner, "kind"), mapping(owner, "spec")
    replicas = amount(spec, "replicas")
    size = amount(spec, "leaderWorkerTemplate", "size") if kind == "LeaderWorkerSet" else nodes
    if kind == "StatefulSet" and size and size > 1:
        replicas = (replicas or 1) / size
    if kind == "Workspace":
        replicas, size = 1.0, amount(owner, "resource", "count")
    strategy = mapping(spec, "strategy") or mapping(spec, "deploymentStrategy")
    rolling = mapping(strategy, "rollingUpdate")
    policy = text(spec, "podManagementPolicy")
    return Workload(
        kind=kind,
        name=text(owner, "metadata", "name"),
        namespace=text(owner, "metadata", "namespace"),
        replicas=1.0 if replicas is None else replicas,
        pods_per_replica=size,
        strategy=text(strategy, "type"),
        surge=pods_of(rolling, replicas or 1, "maxSurge", up=True),
        unavailable=pods_of(rolling, replicas or 1, "maxUnavailable", up=False),
        ordered=policy != "Parallel" if kind == "StatefulSet" else None,
        progress_seconds=amount(spec, "progressDeadlineSeconds"),
    )


def _labels(owner: Document, template: Template) -> tuple[Label, ...]:
    pairs = {**mapping(owner, "metadata", "labels"), **template.labels}
    return tuple(Label(f"label {key}", value=str(value)) for key, value in pairs.items())


def _gpus(pod: Pod) -> GpuChoice:
    asked = [key for key, value in pod.container.limits.items() if "/" in key and value and key != GPU_RESOURCE]
    resource = next((key for key in asked if key.endswith("/gpu") or "/mig-" in key), None)
    return GpuChoice(resource=resource)


def _workers_probed(owner: Document) -> bool | None:
    """Tell whether workers of a LeaderWorkerSet are asked for HTTP although a leader serves it."""
    groups = mapping(owner, "spec", "leaderWorkerTemplate")
    workers = entries(groups, "workerTemplate", "spec", "containers") if mapping(groups, "leaderTemplate") else []
    asked = any(
        mapping(item, f"{name}Probe", "httpGet") for item in workers for name in ("startup", "liveness", "readiness")
    )
    return asked or None


def _joins(argv: Sequence[str]) -> bool:
    """Tell whether a command makes one engine of several nodes: by ranks of its own, Ray or a launcher's script."""
    return bool(
        re.search(r"nnodes|node[-_]rank|data-parallel-(address|start)|\bray\b|multi.?node|\.sh\b", " ".join(argv))
    )


def _count(serving: Serving, argument: str) -> int | None:
    said = serving.arguments.get(argument, "")
    return int(said) if re.fullmatch(r"\d{1,6}", said, re.ASCII) else None


def _traffic(part: Part, serving: Serving, services: Sequence[Document]) -> Traffic:
    visible = [service for service in services if text(service, "spec", "clusterIP") != "None"]
    names = [text(service, "metadata", "name") for service in visible]
    name = "vllm" if "vllm" in names else next(iter(names), None)
    plain = any("vllm" in word for word in command(part.server)) or "vllm/vllm-openai" in (serving.image or "")
    understood = bool(serving.model or serving.arguments)
    if not plain or not understood or any("plinth-runtime" in word for word in command(part.server)):
        return Traffic(service_name=name)
    return Traffic(
        engine_port=_count(serving, "port") or DEFAULT_PORT,
        other_ports=(*probe_ports(part.server), *service_ports(services, part.server)),
        service_name=name,
    )


def _own_scaling(owner: Document) -> Scaling:
    """KServe's predictor scales itself."""
    predictor = mapping(owner, "spec", "predictor")
    said = text(predictor, "scaleMetric")
    return Scaling(utilization=said if said in {"cpu", "memory"} else None, minimum=amount(predictor, "minReplicas"))


def _claim(owner: Document, documents: Sequence[Document], name: str) -> Document | None:
    own = (item for item in entries(owner, "spec", "volumeClaimTemplates") if text(item, "metadata", "name") == name)
    return next(own, None) or named(documents, "PersistentVolumeClaim", name)


def _shared_claim(owner: Document, pod: Pod, workload: Workload, documents: Sequence[Document]) -> Claim:
    """Return the claim that most pods of the file mount; claims from templates belong to one pod each."""
    best = Claim()
    own = {text(item, "metadata", "name") for item in entries(owner, "spec", "volumeClaimTemplates")}
    for volume in pod.container.volumes or ():
        known = named(documents, "PersistentVolumeClaim", volume.claim) if volume.claim else None
        if known is None or volume.claim in own:
            continue
        others = sum(_mounts(other, str(volume.claim)) for other in documents if other is not owner)
        users = (workload.replicas or 1) * (workload.pods_per_replica or 1) + others
        if best.users is None or users > best.users:
            best = Claim(
                modes=strings(known, "spec", "accessModes"),
                users=users,
                same_node=_same_node(owner),
                storage_class=text(known, "spec", "storageClassName"),
                size_bytes=volume.size_bytes,
            )
    return best


def _mounts(owner: Document, claim: str) -> float:
    template = template_of(owner)
    volumes = entries(template.spec, "volumes") if template else []
    if any(text(volume, "persistentVolumeClaim", "claimName") == claim for volume in volumes):
        replicas = amount(owner, "spec", "replicas")
        return 1.0 if replicas is None else replicas
    return 0.0


def _same_node(owner: Document) -> bool | None:
    template = template_of(owner)
    terms = entries(
        template.spec if template else {}, "affinity", "podAffinity", "requiredDuringSchedulingIgnoredDuringExecution"
    )
    return True if any(text(term, "topologyKey") == "kubernetes.io/hostname" for term in terms) else None
