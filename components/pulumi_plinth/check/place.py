"""Where a server is meant to run: pod, workload, nodes, pool, storage. Values only; None is not known."""

from __future__ import annotations

from dataclasses import dataclass, field

from pulumi_plinth.check.place_node import Node, Pool, Pulls, Quota
from pulumi_plinth.check.place_pod import Label, Pod, Workload
from pulumi_plinth.check.place_storage import Access, Bucket, Claim, Download, Runtimes, Weights


@dataclass(frozen=True, slots=True)
class Traffic:
    """Ports on the way to the server."""

    engine_port: int | None = None
    other_ports: tuple[tuple[str, int], ...] = ()
    """(what it is, port) of probes, services and routes that must reach the engine."""
    service_name: str | None = None
    timeout_seconds: float | None = None
    """How long a proxy, gateway or balancer waits for an answer."""
    answer_seconds: float | None = None
    """How long an answer, or its first part, takes."""
    port_variable: str | None = None
    """What VLLM_PORT is in the container's environment."""


@dataclass(frozen=True, slots=True)
class Scaling:
    """What makes the number of servers change."""

    metrics: tuple[str, ...] = ()
    utilization: str | None = None
    """What else it looks at: cpu, memory or the GPU's utilization."""
    minimum: float | None = None
    maximum: float | None = None
    idle_seconds: float | None = None
    """Seconds without requests after which the last server goes."""
    resets: bool | None = None
    """True: the workload states a number of replicas beside the scaler that owns it."""


@dataclass(frozen=True, slots=True)
class GpuChoice:
    """GPUs chosen outside Kubernetes' own fields: counts by hand, profiles, slices."""

    wanted: float | None = None
    """GPUs of one server as some chart's or launcher's field says; may be a fraction, which is the fault."""
    profile: str | None = None
    """MIG profile such as 3g.40gb."""
    card_bytes: float | None = None
    """Memory of the whole card that slices are cut from."""
    resource: str | None = None
    """Name of the resource the pod asks for, when it is not nvidia.com/gpu."""


@dataclass(frozen=True, slots=True)
class Place:
    """Everything around the server."""

    pod: Pod = field(default_factory=Pod)
    workload: Workload = field(default_factory=Workload)
    labels: tuple[Label, ...] = ()
    node: Node = field(default_factory=Node)
    pool: Pool = field(default_factory=Pool)
    pulls: Pulls = field(default_factory=Pulls)
    quota: Quota = field(default_factory=Quota)
    gpus: GpuChoice = field(default_factory=GpuChoice)
    traffic: Traffic = field(default_factory=Traffic)
    scaling: Scaling = field(default_factory=Scaling)
    weights: Weights = field(default_factory=Weights)
    access: Access = field(default_factory=Access)
    claim: Claim = field(default_factory=Claim)
    bucket: Bucket = field(default_factory=Bucket)
    download: Download = field(default_factory=Download)
    runtimes: Runtimes = field(default_factory=Runtimes)
