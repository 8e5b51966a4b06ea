"""GPUs as Kubernetes resources: whole numbers, limits, slices, what a node has. Sources stand with each rule."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pulumi_plinth.check.core import Verdict, refuse, warn
from pulumi_plinth.check.place_pod import GPU_RESOURCE
from pulumi_plinth.check.place_rules.common import (
    gpus_asked,
    gpus_on_node,
    is_cpu_shape,
    ranks,
    runs_on_cpu,
    says_parallel,
    tensor_size,
    weight_bytes,
)
from pulumi_plinth.check.subject import Subject
from pulumi_plinth.quantities import GIB, human_gib

SLICE_SHARES = {1: (1 / 8, 1 / 4), 2: (1 / 4, 1 / 2), 3: (1 / 2,), 4: (1 / 2, 1.0), 7: (1.0,)}
"""Memory of a slice by its compute parts: eighths of the card, quarters of an A30 (NVIDIA: MIG user guide)."""

SLICE_TOLERANCE = 0.1
"""Profiles are named in rounded GB."""

LIMITS = "pod.container.resources.limits"


def whole_gpus(subject: Subject) -> Iterator[Verdict]:
    """Demand whole numbers of GPUs; charts cut fractions to 0 silently (vllm-project/production-stack#1047)."""
    asked = gpus_asked(subject)
    if asked is not None and asked != int(asked):
        yield refuse(
            "gpu-whole-number",
            f"{LIMITS}.{GPU_RESOURCE}",
            f"{asked:g} GPUs are asked for; Kubernetes counts extended resources in whole numbers, int({asked:g}) = "
            f"{int(asked)}",
            "ask for 1, or for a MIG slice by its own resource name",
        )


def zero_gpus(subject: Subject) -> Iterator[Verdict]:
    """Refuse 0 GPUs: CUDA images set NVIDIA_VISIBLE_DEVICES=all, so that all are seen, unaccounted (kubeai#531)."""
    asked = gpus_asked(subject)
    if asked == 0 and not runs_on_cpu(subject):
        on_node = gpus_on_node(subject)
        seen = f"all {on_node:g} GPUs of the node" if on_node else "every GPU of the node"
        yield refuse(
            "zero-gpus-sees-all",
            f"{LIMITS}.{GPU_RESOURCE}",
            f"0 GPUs are asked for, and where the nvidia runtime is the default the pod sees {seen}",
            "ask for at least 1 GPU, or set NVIDIA_VISIBLE_DEVICES=void for a server without GPU",
        )


def gpu_limits(subject: Subject) -> Iterator[Verdict]:
    """Demand GPUs in limits, equal to the request where there is one (Kubernetes: schedule GPUs)."""
    container = subject.place.pod.container
    for resource, request in container.requests.items():
        if "/" not in resource or not request:
            continue
        limit = container.limits.get(resource)
        if resource in container.limits and limit != request:
            shown = "no limit" if limit is None else f"limit {limit:g}"
            yield refuse(
                "gpu-request-equals-limit",
                f"pod.container.resources.requests.{resource}",
                f"request {request:g} and {shown}; extended resources cannot be overcommitted",
                f"write {resource}: {request:g} in limits and leave the request out",
            )


def requests_below_limits(subject: Subject) -> Iterator[Verdict]:
    """Refuse requests above their limits, as the API server does (Kubernetes: resource management)."""
    container = subject.place.pod.container
    for resource, request in container.requests.items():
        limit = container.limits.get(resource)
        if request and limit and request > limit and "/" not in resource:
            yield refuse(
                "request-above-limit",
                f"pod.container.resources.requests.{resource}",
                f"{request:g} is asked for and the limit is {limit:g}",
                "raise the limit to the request at least",
            )


def gpu_not_asked(subject: Subject) -> Iterator[Verdict]:
    """Warn of a rendered pod without GPUs in its limits: it gets none, or all of them unaccounted
    (production-stack#1047).
    """
    limits = subject.place.pod.container.limits
    if limits.get(GPU_RESOURCE, 0) is None and not any(amount for key, amount in limits.items() if "/" in key):
        if runs_on_cpu(subject):
            return
        yield warn(
            "gpu-not-asked",
            f"{LIMITS}.{GPU_RESOURCE}",
            "the pod asks for no GPU: it may land on a node without any, or share GPUs that look free to others",
            f"write {GPU_RESOURCE}: {ranks(subject)}, or state that the server runs on CPUs",
        )


def gpus_enough(subject: Subject) -> Iterator[Verdict]:
    """Demand a GPU for every rank: TP x PP x DP is what the pods of one server have together.

    A whole command line that names no size takes one GPU, whatever stands elsewhere (kserve/kserve#5773).
    """
    place = subject.place
    asked = gpus_asked(subject)
    pods = place.workload.pods_per_replica or subject.serving.nodes or 1
    need = ranks(subject)
    silent = subject.serving.commanded and subject.serving.engine in ("vllm", "kserve") and pods == 1
    if not asked or not (says_parallel(subject) or (silent and asked > need)):
        return
    if need > asked * pods:
        yield refuse(
            "gpus-below-ranks",
            LIMITS,
            f"{asked:g} GPUs x {pods:g} pods = {asked * pods:g}, and the parallel sizes need {need}",
            f"ask for {need} GPUs, or lower the parallel sizes to {asked * pods:g}",
        )
    elif need < asked * pods:
        yield warn(
            "gpus-idle",
            LIMITS,
            f"{asked * pods:g} GPUs are taken and {need} are used",
            f"ask for {need} GPUs, or raise the parallel sizes",
        )


def gpus_on_one_node(subject: Subject) -> Iterator[Verdict]:
    """Refuse more GPUs than a node has: a pod lies on one node."""
    asked, on_node = gpus_asked(subject), gpus_on_node(subject)
    if asked and on_node and asked > on_node:
        yield refuse(
            "gpus-above-node",
            f"{LIMITS}.{GPU_RESOURCE}",
            f"{asked:g} GPUs are asked for and a node has {on_node:g}; the pod stays Pending",
            f"ask for {on_node:g} a pod and spread the server over {-(-asked // on_node):g} pods, or take larger nodes",
        )


def slice_names(subject: Subject) -> Iterator[Verdict]:
    """Compare names of slices: nvidia.com/gpu under strategy single, nvidia.com/mig-<profile> under mixed
    (kaito-project/kaito#2186).
    """
    place = subject.place
    resource = place.gpus.resource or (GPU_RESOURCE if place.pod.container.asked(GPU_RESOURCE) else "")
    wrong = {"mig-single": resource.startswith("nvidia.com/mig-"), "mig-mixed": resource == GPU_RESOURCE}
    sharing = place.node.sharing or ""
    if resource and wrong.get(sharing):
        right = GPU_RESOURCE if sharing == "mig-single" else "nvidia.com/mig-<profile>"
        yield refuse(
            "mig-resource-name",
            LIMITS,
            f"{resource} is asked for, and under the strategy {sharing.removeprefix('mig-')} nodes offer {right} only",
            f"ask for {right}",
        )


def machine_without(subject: Subject) -> Iterator[Verdict]:
    """Refuse GPUs on machines that have none: the pod stays Pending (kaito-project/kaito#242)."""
    asked, shape = gpus_asked(subject), subject.place.pool.shape or ""
    if asked and is_cpu_shape(shape):
        yield refuse(
            "machine-without-gpu",
            "pool.shape",
            f"{asked:g} GPUs are asked for and {shape} has none",
            "take a shape with GPUs",
        )


def slices(subject: Subject) -> Iterator[Verdict]:
    """Refuse tensor parallelism over slices: a process sees a single MIG instance (pytorch/pytorch#130181)."""
    resource = subject.place.gpus.resource or ""
    if "/mig-" in resource and tensor_size(subject) > 1 and not subject.serving.gpu.mig:
        yield refuse(
            "mig-one-instance",
            LIMITS,
            f"tensor parallel size {tensor_size(subject)} over {resource}; one process enumerates one slice",
            "take one slice per server and --tensor-parallel-size 1, or whole GPUs",
        )


def slice_memory(subject: Subject) -> Iterator[Verdict]:
    """Compare a slice's memory with the card's and with the weights (NVIDIA: MIG user guide, profiles)."""
    found = re.fullmatch(r"(\d+)g\.(\d+)gb", subject.place.gpus.profile or "")
    if not found:
        return
    parts, memory = int(found[1]), int(found[2]) * GIB
    whole, weights = subject.place.gpus.card_bytes, weight_bytes(subject)
    shares = SLICE_SHARES.get(parts, ())
    if whole and not any(abs(memory - share * whole) <= SLICE_TOLERANCE * share * whole for share in shares):
        yield refuse(
            "mig-profile",
            "node.mig",
            f"{found[0]} is no profile of a card with {human_gib(whole)}: {parts} parts have "
            f"{' or '.join(human_gib(share * whole) for share in shares) or 'no such profile'}",
            "choose from what `nvidia-smi mig -lgip` lists",
        )
    if weights and weights > memory:
        yield refuse(
            "mig-memory",
            "node.mig",
            f"{human_gib(weights)} of weights and {found[0]} has {int(found[2])} GiB",
            "take a larger slice or a whole GPU",
        )


def vendors(subject: Subject) -> Iterator[Verdict]:
    """Refuse an image of one vendor on GPUs of another: CUDA builds see no AMD device, ROCm builds no NVIDIA one."""
    image, resource = subject.serving.image or "", subject.place.gpus.resource or ""
    rocm = "rocm" in image.lower()
    cuda = "vllm-openai" in image and not re.search("rocm|cpu|tpu|xpu|hpu|gaudi", image.lower())
    if (cuda and resource.startswith("amd.com/")) or (rocm and resource.startswith("nvidia.com/")):
        yield refuse(
            "gpu-vendor",
            f"{LIMITS}.{resource}",
            f"{image} is built for {'ROCm' if rocm else 'CUDA'} and {resource} is asked for",
            f"take an image for {'CUDA' if rocm else 'ROCm'}, or the other GPUs",
        )


def shared_gpu(subject: Subject) -> Iterator[Verdict]:
    """Add up shares of a shared GPU: nothing bounds memory, the first engine takes its share of all (vllm#23661)."""
    node = subject.place.node
    servers = node.servers_per_gpu or 0
    text = subject.serving.arguments.get("gpu-memory-utilization", "")
    share = float(text) if re.fullmatch(r"0?\.\d+|1(\.0+)?", text) else 0.9
    if node.sharing in {"time-slicing", "mps"} and servers > 1 and servers * share > 1:
        yield warn(
            "shared-gpu-memory",
            "--gpu-memory-utilization",
            f"{servers:g} servers on one GPU take {share:g} of its memory each: {servers:g} x {share:g} = "
            f"{servers * share:.2g} > 1",
            f"set --gpu-memory-utilization {int(90 / servers) / 100:g}, or give each server a GPU or a MIG slice",
        )


def one_share(subject: Subject) -> Iterator[Verdict]:
    """Refuse several shares of a shared GPU: MPS hands out one, time slicing as well where it is told to
    (NVIDIA/k8s-device-plugin#929).
    """
    node, asked = subject.place.node, gpus_asked(subject)
    strict = node.sharing == "mps" or (node.sharing == "time-slicing" and node.one_share)
    if strict and asked and asked > 1:
        yield refuse(
            "shared-gpu-count",
            f"{LIMITS}.{GPU_RESOURCE}",
            f"{asked:g} shares are asked for and the device plugin hands out one a container",
            "ask for 1; more shares are no more GPU",
        )


def sought_gpu(subject: Subject) -> Iterator[Verdict]:
    """Refuse GPUs that only share a prefix: A100-80GB is not A100-SXM4-40GB (skypilot#9818)."""
    node = subject.place.node
    if not (node.gpu_sought and node.gpu_label):
        return
    for what, pattern in (("memory", r"(?<![A-Z0-9])(\d+)\s*GI?B?\b"), ("model", r"([A-Z]+\d+[A-Z]*)")):
        sought, label = (re.search(pattern, text.upper()) for text in (node.gpu_sought, node.gpu_label))
        if sought and label and sought[1] != label[1]:
            yield refuse(
                "gpu-label-differs",
                "node.labels",
                f"{node.gpu_sought} is asked for, the node says {node.gpu_label}: {what} {sought[1]} and {label[1]}",
                "ask for what the node has, or choose other nodes",
            )
            return


def promised_gpus(subject: Subject) -> Iterator[Verdict]:
    """Warn of labels without status.allocatable, which is what the kubelet offers (skypilot-org/skypilot#3318)."""
    node = subject.place.node
    if node.allocatable_gpus == 0 and (node.gpu_label or node.labels):
        yield warn(
            "label-without-allocatable",
            "node.status.allocatable",
            f"the label says {node.gpu_label or 'that there are GPUs'}, allocatable says 0",
            "install or repair driver and device plugin on the node",
        )


RULES = (
    whole_gpus, zero_gpus, gpu_limits, requests_below_limits, gpu_not_asked, gpus_enough, gpus_on_one_node,
    machine_without, slices, slice_names, slice_memory, vendors, shared_gpu, one_share, sought_gpu, promised_gpus,
)  # fmt: skip
