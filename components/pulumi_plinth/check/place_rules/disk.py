"""Room for image and weights: limits, mounts, root file systems, pulls. Sources stand with each rule."""

from __future__ import annotations

from collections.abc import Iterator

from pulumi_plinth.check.core import Verdict, refuse, warn
from pulumi_plinth.check.place_node import Pulls
from pulumi_plinth.check.place_pod import EPHEMERAL, SHARED_MEMORY
from pulumi_plinth.check.place_rules.common import covering, on_node_disk, weight_bytes
from pulumi_plinth.check.subject import Subject
from pulumi_plinth.fit.disk import FULL_SHARE, IMAGE_BYTES, SYSTEM_BYTES
from pulumi_plinth.quantities import human_bytes

SLACK_BYTES = 1e9
"""Beside the weights lie tokenizer, compiled graphs, locks and logs."""

UNPACKED = 3.2
"""Unpacked layers by compressed ones: 18 GiB of 5.6 GB (see fit.disk)."""

SMALL_ROOT_BYTES = 47e9
"""Root partition of an OKE image whatever the boot volume's size, until it is grown (production-stack's notes)."""

GROWN_SHARE = 0.6
"""kubelet keeps back some; below this share of the boot volume the file system was not grown."""

SMALLEST_BOOT_BYTES = 50e9
"""Smallest boot volume of a node pool (OCI: node source details)."""


def ephemeral_limit(subject: Subject) -> Iterator[Verdict]:
    """Count weights on the node's disk against the pod's ephemeral storage (substratusai/runbooks#92)."""
    size, container = weight_bytes(subject), subject.place.pod.container
    limit = container.limits.get(EPHEMERAL)
    if size and limit and on_node_disk(subject) and size + SLACK_BYTES > limit:
        yield refuse(
            "ephemeral-limit",
            f"pod.container.resources.limits.{EPHEMERAL}",
            f"{human_bytes(size)} of weights and 1 GB for what lies beside them, above {human_bytes(limit)}",
            f"write at least {(size + SLACK_BYTES) / 2**30 + 1:.0f}Gi, or mount a volume for the weights",
        )


def outside_mount(subject: Subject) -> Iterator[Verdict]:
    """Refuse a download that goes beside the volume mounted for it
    (GoogleCloudPlatform/kubernetes-engine-samples#1581).
    """
    container = subject.place.pod.container
    volumes, folder = container.volumes or (), container.cache_folder
    meant = [volume for volume in volumes if volume.kind == "claim" and volume.mount]
    local = (subject.serving.model or "").startswith("/")
    if folder is None or local or not meant or covering(volumes, folder) is not None:
        return
    yield refuse(
        "cache-outside-mount",
        "pod.container.volumeMounts",
        f"weights are written to {folder}, which is not below {meant[0].mount}: they count against ephemeral storage",
        f"set HF_HOME={meant[0].mount}, or mount the volume at {folder}",
    )


def volume_sizes(subject: Subject) -> Iterator[Verdict]:
    """Refuse a volume that is smaller than the weights it takes."""
    size, place = weight_bytes(subject), subject.place
    sizes = [
        (volume.kind, volume.size_bytes)
        for volume in place.pod.container.volumes or ()
        if volume.mount != SHARED_MEMORY
    ]
    for kind, room in (*sizes, ("claim", place.claim.size_bytes)):
        if size and room and kind in {"claim", "emptyDir"} and room < size:
            yield refuse(
                "volume-too-small",
                f"pod.volumes.{kind}",
                f"{human_bytes(room)} for {human_bytes(size)} of weights",
                f"ask for at least {(size + SLACK_BYTES) / 2**30 + 1:.0f}Gi",
            )
            return


def unbounded(subject: Subject) -> Iterator[Verdict]:
    """Warn of a need that is not requested, so that the scheduler cannot see it (defilantech/LLMKube#1452)."""
    container = subject.place.pod.container
    open_ended = any(volume.kind == "emptyDir" and volume.size_bytes == 0 for volume in container.volumes or ())
    requested = container.requests.get(EPHEMERAL, 0) or container.limits.get(EPHEMERAL)
    if open_ended and EPHEMERAL in container.requests and not requested:
        size = weight_bytes(subject)
        amount = f"{(size + SLACK_BYTES) / 2**30 + 1:.0f}Gi" if size else "weights + 1Gi"
        yield warn(
            "emptydir-unbounded",
            f"pod.container.resources.requests.{EPHEMERAL}",
            "an emptyDir without sizeLimit and no request: the node may run full and evict the pod",
            f"request {amount} and set sizeLimit",
        )


def boot_not_grown(subject: Subject) -> Iterator[Verdict]:
    """Refuse a boot volume that was bought and not grown into (oracle-terraform-modules/terraform-oci-oke#701)."""
    boot, room = subject.place.pool.boot_bytes, subject.place.node.allocatable_disk_bytes
    if boot and room and room < GROWN_SHARE * boot:
        yield refuse(
            "boot-volume-not-grown",
            "pool.cloudInit",
            f"{human_bytes(boot)} are bought and {human_bytes(room)} allocatable: any larger request stays Pending",
            "run oci-growfs -y in cloud-init, before the node's bootstrap script",
        )


def grow_order(subject: Subject) -> Iterator[Verdict]:
    """Refuse to grow after the bootstrap: kubelet reads its capacity when it starts
    (oracle-terraform-modules/terraform-oci-oke#661).
    """
    steps = subject.place.pool.cloud_init or ()
    if "grow" in steps and "kubelet" in steps and steps.index("kubelet") < steps.index("grow"):
        yield refuse(
            "growfs-after-kubelet",
            "pool.cloudInit",
            "the file system is grown after the bootstrap script started kubelet, which keeps reporting the small one",
            "grow first, then run the bootstrap script",
        )


def root_bytes(subject: Subject) -> float | None:
    """Return the root file system as far as it is known, not larger than what an image has until it is grown."""
    pool, disk = subject.place.pool, subject.place.node.disk_bytes
    if disk is None and pool.boot_bytes and pool.cloud_init is not None and "grow" not in pool.cloud_init:
        return min(pool.boot_bytes, SMALL_ROOT_BYTES)
    return pool.boot_bytes if disk is None else disk


def _image_bytes(pulls: Pulls) -> float | None:
    """Return what one image takes: its compressed layers are kept beside the unpacked ones."""
    if pulls.image_bytes:
        return pulls.image_bytes * (1 + UNPACKED)
    return pulls.unpacked_bytes * (1 + 1 / UNPACKED) if pulls.unpacked_bytes else None


def node_disk(subject: Subject) -> Iterator[Verdict]:
    """Add up system, unpacked image and weights against the disk (NVIDIA-NeMo/Nemotron#342)."""
    room, pulls = root_bytes(subject), subject.place.pulls
    image = _image_bytes(pulls) or IMAGE_BYTES
    weights = (weight_bytes(subject) or 0.0) if on_node_disk(subject) else 0.0
    need = SYSTEM_BYTES + image + weights
    if room and need > room:
        yield refuse(
            "node-disk",
            "pool.bootVolumeSize",
            f"{human_bytes(SYSTEM_BYTES)} system + {human_bytes(image)} image + {human_bytes(weights)} weights = "
            f"{human_bytes(need)} > {human_bytes(room)}",
            f"give nodes a root file system of {need / FULL_SHARE / 2**30:.0f} GiB, grown in cloud-init",
        )


def allocatable_disk(subject: Subject) -> Iterator[Verdict]:
    """Refuse a request that no node can hold: the pod stays Pending."""
    room = subject.place.node.allocatable_disk_bytes or subject.place.node.disk_bytes
    request = subject.place.pod.container.asked(EPHEMERAL)
    weights = weight_bytes(subject) if on_node_disk(subject) else None
    need = request or (weights + SLACK_BYTES if weights else 0)
    if room and need > room:
        yield refuse(
            "ephemeral-above-allocatable",
            f"pod.container.resources.requests.{EPHEMERAL}",
            f"{human_bytes(need)} against {human_bytes(room)} allocatable on a node",
            "enlarge and grow the nodes' root file system, or mount a volume for the weights",
        )


def parallel_pulls(subject: Subject) -> Iterator[Verdict]:
    """Add up what is pulled at once: compressed and unpacked layers lie side by side (hivecommons/hive#2349)."""
    pulls, room = subject.place.pulls, root_bytes(subject)
    image = _image_bytes(pulls)
    if not (pulls.count and image and room):
        return
    need = pulls.count * image
    if need > FULL_SHARE * room:
        yield warn(
            "parallel-pulls",
            "node.disk",
            f"{pulls.count:g} pulls x {human_bytes(image)} (compressed and {UNPACKED} times that unpacked) = "
            f"{human_bytes(need)}, above {FULL_SHARE:.0%} of {human_bytes(room)}",
            "enlarge the node's disk, or set serializeImagePulls",
        )


def boot_size(subject: Subject) -> Iterator[Verdict]:
    """Refuse boot volumes below 50 GB, the smallest for OKE nodes (OCI: node source details)."""
    pool = subject.place.pool
    if pool.provider == "oci" and pool.boot_bytes and pool.boot_bytes < SMALLEST_BOOT_BYTES:
        yield refuse(
            "boot-volume-size",
            "pool.bootVolumeSize",
            f"{human_bytes(pool.boot_bytes)} is below the smallest boot volume of 50 GB",
            "write 50 or more",
        )


def read_only_root(subject: Subject) -> Iterator[Verdict]:
    """Demand a mount for every folder that is written below a read-only root (facts: serving 6.3)."""
    container = subject.place.pod.container
    folder = container.cache_folder or ("~/.cache" if container.volumes == () else None)
    if container.read_only_root and folder and covering(container.volumes or (), folder) is None:
        yield refuse(
            "read-only-cache",
            "pod.container.securityContext.readOnlyRootFilesystem",
            f"the root file system is read-only and {folder} is below no mount",
            f"mount a volume at {folder}",
        )


def read_only_mount(subject: Subject) -> Iterator[Verdict]:
    """Demand leave to write where the hub's cache lies: it writes locks also beside files that are all there
    (llm-d-incubation/llm-d-modelservice#243).
    """
    container = subject.place.pod.container
    volume = covering(container.volumes or (), container.cache_folder) if container.cache_folder else None
    if volume is not None and volume.read_only:
        yield refuse(
            "read-only-cache",
            "pod.container.volumeMounts",
            f"{container.cache_folder} lies in {volume.mount}, which is mounted read-only",
            "leave readOnly out, or name the model by the folder it lies in",
        )


RULES = (
    ephemeral_limit, outside_mount, volume_sizes, unbounded, boot_not_grown, grow_order, node_disk, allocatable_disk,
    parallel_pulls, boot_size, read_only_root, read_only_mount,
)  # fmt: skip
