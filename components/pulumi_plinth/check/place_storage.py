"""Where weights come from and lie: claims, buckets, downloads, runtimes that fit them. Values only; None is unknown."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Weights:
    """The model's files as far as the place is concerned."""

    byte_count: float | None = None
    """Bytes of all weights; of 'above N' it is N."""
    formats: tuple[str, ...] = ()
    """safetensors, bin, pt, gguf."""
    files: tuple[str, ...] = ()
    download_seconds: float | None = None
    """How long the download takes, where somebody says."""
    large: bool | None = None
    """True: somebody only says that it is large."""


@dataclass(frozen=True, slots=True)
class Access:
    """Secrets on the way to weights and images."""

    gated: bool | None = None
    token: bool | None = None
    """False: it is known that no token is given."""
    secret_namespace: str | None = None
    pod_namespace: str | None = None
    secret_key: str | None = None
    """Key under which the secret holds the token."""
    read_key: str | None = None
    """Key that is read."""
    private_image: bool | None = None
    pull_secret: bool | None = None
    identity: str | None = None
    """How the bucket is entered: workload identity, instance principal, a key."""
    dynamic_group: bool | None = None
    created: str | None = None
    """What is created, in words: a policy, a dynamic group."""
    in_home_region: bool | None = None
    policy: bool | None = None
    """False: the policy that allows reading the bucket is known to be missing."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A persistent volume and everybody who mounts it."""

    modes: tuple[str, ...] = ()
    """ReadWriteOnce, ReadOnlyMany, ReadWriteMany, ReadWriteOncePod."""
    users: float | None = None
    """Pods that mount it, of any workload."""
    same_node: bool | None = None
    """Whether an affinity keeps them on one node."""
    storage_class: str | None = None
    class_exists: bool | None = None
    default_class: bool | None = None
    """False: the cluster is known to have no default class."""
    domain: str | None = None
    """Availability domain that the volume lies in."""
    size_bytes: float | None = None


@dataclass(frozen=True, slots=True)
class Bucket:
    """Object storage behind the weights."""

    tier: str | None = None
    restored: bool | None = None
    endpoint: str | None = None
    endpoint_region: str | None = None
    home: bool | None = None
    """False: the endpoint is outside the tenancy's home region."""
    client_region: str | None = None
    """Region the client signs with; '' where it is known that none is set."""
    api: str | None = None
    """Interface that the client speaks, such as S3."""
    operation: str | None = None
    service_policy: bool | None = None
    """False: the policy for the object storage service itself is known to be missing."""
    checksums: bool | None = None
    """Whether the client sends checksums in chunks (AWS: request checksum calculation when supported)."""
    path_style: bool | None = None
    """False: the client writes the bucket into the host name."""


@dataclass(frozen=True, slots=True)
class Download:
    """How weights reach the node."""

    uri: str | None = None
    revision: str | None = None
    cached_revision: str | None = None
    cached: bool | None = None
    """False: the cache is known to be empty."""
    offline: bool | None = None
    ignore: tuple[str, ...] = ()
    allow: tuple[str, ...] = ()
    deadline_seconds: float | None = None
    """Bound on a download that does not move; 0 where it is known that there is none."""
    start_seconds: float | None = None
    """What a launcher grants from provisioning to ready; 0 where only its default holds."""


@dataclass(frozen=True, slots=True)
class RuntimeChoice:
    """One serving runtime that may be picked for the model. Sizes are parameters."""

    name: str
    low: float | None = None
    high: float | None = None
    priority: float | None = None
    framework: str | None = None
    differs_in: tuple[str, ...] = ()
    """What it is known to differ in from the model: version, architecture, format, quantization."""


@dataclass(frozen=True, slots=True)
class Runtimes:
    """The runtimes on offer, and the model's own size in parameters and framework."""

    choices: tuple[RuntimeChoice, ...] = ()
    low: float | None = None
    high: float | None = None
    framework: str | None = None
