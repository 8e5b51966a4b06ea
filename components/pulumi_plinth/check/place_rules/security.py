"""Users, privileges and what a namespace allows. Sources stand with each rule."""

from __future__ import annotations

from collections.abc import Iterator

from pulumi_plinth.check.core import Verdict, refuse
from pulumi_plinth.check.place_rules.common import covering
from pulumi_plinth.check.subject import Subject

ROOT = frozenset({"root", "0"})


def root_image(subject: Subject) -> Iterator[Verdict]:
    """Refuse runAsNonRoot with an image that runs as root: the container is not created (Kubernetes)."""
    container = subject.place.pod.container
    if container.must_not_be_root and container.user in ROOT:
        yield refuse(
            "root-refused",
            "pod.securityContext.runAsNonRoot",
            "runAsNonRoot is set and the image runs as root",
            "set runAsUser to a number above 0 that may write the cache folders",
        )


def unwritable_home(subject: Subject) -> Iterator[Verdict]:
    """Demand a home that the user can write: caches default to below it (facts: serving 6.3)."""
    container = subject.place.pod.container
    foreign = container.user is not None and container.user not in ROOT
    folder = container.cache_folder or container.home or ""
    mounted = covering(container.volumes or (), folder) if folder else None
    closed = container.home in {"/", "/root"} or folder.startswith("/root/")
    if foreign and closed and mounted is None:
        yield refuse(
            "home-not-writable",
            "pod.container.env.HOME",
            f"user {container.user} writes caches to {folder}, which root owns",
            "set HOME and HF_HOME to a mounted folder",
        )


def pod_security(subject: Subject) -> Iterator[Verdict]:
    """Compare the pod with the namespace's level (Kubernetes: Pod Security Standards)."""
    pod = subject.place.pod
    level = (pod.security or "").lower()
    if level not in {"restricted", "baseline"}:
        return
    uses = {
        "hostNetwork": bool(pod.host_network),
        "hostPorts": bool(pod.host_ports),
        "hostIPC": bool(pod.host_ipc),
        "hostPath volumes": any(volume.kind == "hostPath" for volume in pod.container.volumes or ()),
        "privileged": bool(pod.container.privileged),
        "root": level == "restricted" and pod.container.user in ROOT,
    }
    found = [name for name, used in uses.items() if used]
    if found:
        yield refuse(
            "pod-security",
            "pod.securityContext",
            f"the namespace is {level} and the pod uses {', '.join(found)}",
            "leave them out, or deploy into a namespace that allows them",
        )


RULES = (root_image, unwritable_home, pod_security)
