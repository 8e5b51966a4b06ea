"""Who may mount and write a volume. Sources stand with each rule."""

from __future__ import annotations

from collections.abc import Iterator

from pulumi_plinth.check.core import Verdict, refuse
from pulumi_plinth.check.subject import Subject

BLOCK_CLASSES = (
    "oci-bv", "oci-bv-encrypted", "gp2", "gp3", "io1", "io2", "standard-rwo", "premium-rwo", "hyperdisk", "pd-",
    "managed-csi", "managed-premium", "default-disk", "local-path", "ceph-block", "ebs.csi",
    "blockvolume.csi", "pd.csi", "disk.csi", "rook-ceph-block", "longhorn-single",
)  # fmt: skip
"""Beginnings of storage classes whose volumes are disks: one node at a time."""


def single_writer(subject: Subject) -> Iterator[Verdict]:
    """Refuse pods of whatever workload on many nodes with one ReadWriteOnce volume
    (nekomeowww/ollama-operator#5, Multi-Attach error).
    """
    claim = subject.place.claim
    shared = {"ReadWriteMany", "ReadOnlyMany"} & set(claim.modes)
    if not claim.modes or shared or (claim.users or 0) <= 1:
        return
    one_pod = "ReadWriteOncePod" in claim.modes
    single = subject.serving.nodes == 1 or subject.place.workload.pods_per_replica == 1
    one_node = claim.same_node or single or subject.place.pool.max_nodes == 1 or subject.place.pool.size == 1
    if one_pod or not one_node:
        yield refuse(
            "volume-single-writer",
            "claim.accessModes",
            f"{claim.users:g} pods mount a {claim.modes[0]} volume, which attaches to one "
            f"{'pod' if one_pod else 'node'}",
            "use ReadWriteMany, give each pod a claim, or keep the pods on one node by affinity",
        )


def shared_block(subject: Subject) -> Iterator[Verdict]:
    """Refuse disks for ReadWriteMany: the claim stays Pending (Kubernetes: access modes)."""
    claim = subject.place.claim
    if "ReadWriteMany" in claim.modes and (claim.storage_class or "").startswith(BLOCK_CLASSES):
        yield refuse(
            "shared-block-volume",
            "claim.storageClassName",
            f"class {claim.storage_class} makes disks, and ReadWriteMany is asked for",
            "take a file system class (on OKE fss.csi.oraclecloud.com), or ReadWriteOnce with one pod",
        )


def no_class(subject: Subject) -> Iterator[Verdict]:
    """Demand a storage class: without a default one a claim that names none stays Pending (Kubernetes)."""
    claim = subject.place.claim
    if claim.class_exists is False:
        yield refuse(
            "claim-without-class",
            "claim.storageClassName",
            f"the cluster has no storage class {claim.storage_class or 'of that name'}: the claim stays Pending",
            "make the class, or name another",
        )
    elif not claim.storage_class and claim.default_class is False:
        yield refuse(
            "claim-without-class",
            "claim.storageClassName",
            "the claim names no storage class and the cluster has no default one",
            "name a storage class",
        )


def volume_domain(subject: Subject) -> Iterator[Verdict]:
    """Refuse a disk in a domain where the pool has no nodes: it attaches in its own only (OCI: block volumes)."""
    domain, domains = subject.place.claim.domain, subject.place.pool.domains
    if domain and domains and domain not in domains:
        yield refuse(
            "volume-domain",
            "claim.availabilityDomain",
            f"the volume lies in {domain} and nodes in {', '.join(domains)}",
            "place nodes in the volume's domain, or use a file system that all domains reach",
        )


def host_folder(subject: Subject) -> Iterator[Verdict]:
    """Refuse folders of root for other users: fsGroup is not applied to hostPath (llm-d/llm-d#485)."""
    container = subject.place.pod.container
    user = container.user
    for volume in container.volumes or ():
        if volume.kind == "hostPath" and volume.owner and user and user not in {volume.owner, "root", "0"}:
            yield refuse(
                "host-folder-owner",
                "pod.volumes.hostPath",
                f"the folder is {volume.owner}'s and the image runs as {user}; fsGroup does not apply to hostPath",
                f"change the folder's owner to {user} on the node, or use a claim",
            )


RULES = (single_writer, shared_block, no_class, volume_domain, host_folder)
