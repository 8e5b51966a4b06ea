"""What rules about places ask of a subject more than once: parallel sizes, weights, GPUs of a shape. Pure."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from pulumi_plinth.check.place_pod import GPU_RESOURCE, Volume
from pulumi_plinth.check.subject import Subject

MOST_DIGITS = 9
"""Longer numbers are no counts."""

PERSISTENT = ("claim", "hostPath")


def argument(subject: Subject, name: str) -> str | None:
    """Return an engine argument by its long name (`tensor-parallel-size`)."""
    arguments = subject.serving.arguments
    return arguments.get(name, arguments.get(name.replace("-", "_")))


def size_argument(subject: Subject, name: str) -> int | None:
    """Return an engine argument that is a count; None when it is not given as one."""
    value = argument(subject, name) or ""
    return int(value) if value.isdecimal() and len(value) <= MOST_DIGITS else None


def tensor_size(subject: Subject) -> int:
    """Return the tensor-parallel size; vLLM's default is 1."""
    return size_argument(subject, "tensor-parallel-size") or 1


def ranks(subject: Subject) -> int:
    """Return how many GPUs one server takes on all its nodes together."""
    pipeline = size_argument(subject, "pipeline-parallel-size") or 1
    data = size_argument(subject, "data-parallel-size") or 1
    return tensor_size(subject) * pipeline * data


def local_ranks(subject: Subject) -> int:
    """Return how many ranks run in one pod: all of them, but no more than the pod or the node has GPUs."""
    bounds = (gpus_asked(subject), gpus_on_node(subject))
    return int(min([ranks(subject), *(bound for bound in bounds if bound and bound >= 1)]))


def says_parallel(subject: Subject) -> bool:
    """Tell whether any parallel size is given."""
    return any(size_argument(subject, f"{kind}-parallel-size") is not None for kind in ("tensor", "pipeline", "data"))


def weight_bytes(subject: Subject) -> float | None:
    """Return the bytes of the model's weights, as said of the place or by the card."""
    serving = subject.serving
    of_card = serving.card.weight_bytes if serving.card else None
    return subject.place.weights.byte_count or serving.weights.bytes or of_card or None


def runs_on_cpu(subject: Subject) -> bool:
    """Tell whether the server is said to need no GPU, by its device or its image."""
    return argument(subject, "device") == "cpu" or bool(re.search(r"\bcpu\b", subject.serving.image or ""))


def gpus_asked(subject: Subject) -> float | None:
    """Return the GPUs one pod asks for; None when nobody says."""
    place = subject.place
    if place.gpus.wanted is not None:
        return place.gpus.wanted
    return place.pod.container.asked(place.gpus.resource or GPU_RESOURCE)


def gpus_on_node(subject: Subject) -> float | None:
    """Return the GPUs of one node: as said, else as an OCI shape's name tells, else those of the serving side."""
    place = subject.place
    if place.node.gpus is not None:
        return place.node.gpus
    of_shape = gpus_of_oci_shape(place.pool.shape or "")
    return subject.serving.gpu.count if of_shape is None else of_shape


def gpus_of_oci_shape(shape: str) -> int | None:
    """Return the GPUs that an OCI shape's name tells by its last part: VM.GPU.A10.2 has 2, BM.GPU4.8 has 8."""
    found = re.fullmatch(r"(?:VM|BM)\.GPU[\w.-]*\.(\d{1,2})", shape)
    return int(found[1]) if found else None


def is_gpu_shape(shape: str) -> bool:
    """Tell whether a machine type's name says that it carries GPUs (OCI, AWS, Azure, Google)."""
    patterns = r"\.GPU", r"^(g[3-9]\w*|p[2-9]\w*)(\.| family)", r"^Standard_N[CDV]", r"^(a[2-9]|g[2-9])-"
    return any(re.search(pattern, word) for pattern in patterns for word in re.split(r",\s*|\s+and\s+", shape))


def is_cpu_shape(shape: str) -> bool:
    """Tell whether a machine type's name says that it carries none (OCI, AWS, Azure, Google)."""
    oci, aws = r"[VB]M\.(Standard|DenseIO|Optimized|HPC)", r"[cmrti]\d\w*\."
    azure, google = r"Standard_[ABDEFLM][A-Za-z]*\d", r"[cemnt]\d\w?-"
    return any(re.match(pattern, shape) for pattern in (oci, aws, azure, google))


def covering(volumes: tuple[Volume, ...], folder: str) -> Volume | None:
    """Return the volume below whose mount a folder lies, the deepest mount first."""
    path = PurePosixPath(folder.replace("~", "/root", 1))
    mounts = [volume for volume in volumes if volume.mount]
    mounts.sort(key=lambda volume: -len(str(volume.mount)))
    return next((volume for volume in mounts if path.is_relative_to(str(volume.mount))), None)


def on_node_disk(subject: Subject) -> bool:
    """Tell whether weights come to lie on the node's own disk, unless a volume is known to take them."""
    container = subject.place.pod.container
    volumes = container.volumes or ()
    if container.cache_folder is None:
        return not any(volume.kind in PERSISTENT for volume in volumes)
    volume = covering(volumes, container.cache_folder)
    return volume is None or volume.kind not in PERSISTENT
