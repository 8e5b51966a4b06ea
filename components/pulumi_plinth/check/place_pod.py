"""A pod as it is rendered: containers, probes, volumes, and what creates it. Values only; None is not known.

Amounts are bytes, cores, seconds or plain counts. A resource, selector or toleration that is said to be absent is
there with the value None (in mappings) or as an empty tuple; one that nobody spoke of is missing or None.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

GPU_RESOURCE = "nvidia.com/gpu"
EPHEMERAL = "ephemeral-storage"
SHARED_MEMORY = "/dev/shm"  # noqa: S108 # a mount point that programs expect

Resources = Mapping[str, float | None]
"""Amount by Kubernetes' name of the resource; None where it is known that nothing is said."""


@dataclass(frozen=True, slots=True)
class Probe:
    """One probe of the server. What Kubernetes defaults to is the default here too."""

    present: bool = True
    """False: it is known that there is none."""
    delay_seconds: float = 0.0
    period_seconds: float = 10.0
    failures: float = 3.0
    timeout_seconds: float = 1.0
    port: int | None = None
    path: str | None = None

    @property
    def budget_seconds(self) -> float:
        """Seconds from the container's start to the last failure that is forgiven."""
        return self.delay_seconds + self.period_seconds * self.failures


@dataclass(frozen=True, slots=True)
class Probes:
    """The three probes of the server."""

    startup: Probe | None = None
    liveness: Probe | None = None
    readiness: Probe | None = None


@dataclass(frozen=True, slots=True)
class Volume:
    """One volume with the place where the server sees it."""

    kind: str
    """claim, emptyDir, memory (an emptyDir in memory), hostPath or configuration."""
    mount: str | None = None
    size_bytes: float | None = None
    """Size of the claim or the emptyDir's limit; 0 where it is known that none is set."""
    medium: str | None = None
    """Memory for an emptyDir that lies in memory."""
    owner: str | None = None
    """Who owns a host's folder: root, or a user's number."""
    claim: str | None = None
    """The claim's name."""
    read_only: bool | None = None
    """Whether it is mounted without leave to write."""


@dataclass(frozen=True, slots=True)
class Taint:
    """What keeps pods away from a node; as toleration: what a pod endures. An empty key or effect means any."""

    key: str
    value: str = ""
    effect: str = ""
    exists: bool = False
    """Only in tolerations: any value."""

    def tolerates(self, taint: Taint) -> bool:
        """Tell whether a pod with this toleration endures a taint."""
        same_effect = self.effect in ("", taint.effect)
        return same_effect and (not self.key or (self.key == taint.key and (self.exists or self.value == taint.value)))

    def __str__(self) -> str:
        """Render as kubectl does: key=value:effect."""
        return f"{self.key}{'=' + self.value if self.value else ''}{':' + self.effect if self.effect else ''}"


@dataclass(frozen=True, slots=True)
class Container:
    """The server's container."""

    limits: Resources = field(default_factory=dict)
    requests: Resources = field(default_factory=dict)
    ports: tuple[int, ...] = ()
    probes: Probes = field(default_factory=Probes)
    volumes: tuple[Volume, ...] | None = None
    cache_folder: str | None = None
    """Where weights are written; `~` stands for the home folder."""
    user: str | None = None
    """root, non-root or a number."""
    home: str | None = None
    must_not_be_root: bool | None = None
    """runAsNonRoot."""
    privileged: bool | None = None
    locks_memory: bool | None = None
    """Whether it may lock memory (capability IPC_LOCK)."""
    offload_bytes: float | None = None
    """Host memory that caches and offloaded weights are to take, for all ranks."""
    read_only_root: bool | None = None

    def asked(self, resource: str) -> float | None:
        """Return what is asked of a resource: its limit, else its request."""
        limit = self.limits.get(resource)
        return self.requests.get(resource) if limit is None else limit


@dataclass(frozen=True, slots=True)
class SideContainer:
    """A container that is not the server: the downloader in front of it, a router, a cache."""

    name: str
    memory_limit_bytes: float | None = None
    default_limit: bool | None = None
    """True: nobody set a limit, so that of the chart holds."""
    needed_bytes: float | None = None
    """Measured use, where somebody measured it."""


@dataclass(frozen=True, slots=True)
class Pod:
    """What one pod is made of, and how it is placed."""

    container: Container = field(default_factory=Container)
    sides: tuple[SideContainer, ...] = ()
    tolerations: tuple[Taint, ...] | None = None
    node_selector: Mapping[str, str] | None = None
    host_network: bool | None = None
    host_ports: tuple[int, ...] = ()
    host_ipc: bool | None = None
    runtime_class: str | None = None
    """Name of the RuntimeClass; '' where it is known that none is set."""
    runtime_class_exists: bool | None = None
    grace_seconds: float | None = None
    """terminationGracePeriodSeconds."""
    pre_stop_seconds: float | None = None
    shutdown_seconds: float | None = None
    """What the engine takes to finish open requests (--shutdown-timeout)."""
    service_links: bool | None = None
    rdma: bool | None = None
    network_functions: bool | None = None
    """True: it asks for a virtual function of the network card (SR-IOV)."""
    security: str | None = None
    """Pod Security level of the namespace: privileged, baseline, restricted."""
    per_node: float | None = None
    """How many of these pods may come to stand on one node."""


@dataclass(frozen=True, slots=True)
class Workload:
    """What creates the pods: names, numbers, order."""

    kind: str | None = None
    name: str | None = None
    namespace: str | None = None
    replicas: float | None = None
    pods_per_replica: float | None = None
    """Pods (and nodes) that make one server together."""
    gang: bool | None = None
    """True: all pods of a group are scheduled together or not at all."""
    strategy: str | None = None
    """RollingUpdate or Recreate."""
    surge: float | None = None
    """Pods above the wanted number during a rollout, in pods."""
    unavailable: float | None = None
    ordered: bool | None = None
    """True: a StatefulSet starts its pods one after the other (OrderedReady, the default)."""
    distributed: bool | None = None
    """False: the command knows nothing of other nodes."""
    workers_probed: bool | None = None
    """True: pods of a group that serve no HTTP are asked for it."""
    publishes_unready: bool | None = None
    """Whether the headless service names pods that are not ready."""
    progress_seconds: float | None = None
    """progressDeadlineSeconds of the rollout."""
    min_available: float | None = None
    """Of its PodDisruptionBudget."""


@dataclass(frozen=True, slots=True)
class Label:
    """A label, host name or other name that a controller makes, with its limit."""

    what: str
    length: float | None = None
    limit: float = 63
    value: str | None = None
    sought: str | None = None
    """What somebody looks for under this label."""
