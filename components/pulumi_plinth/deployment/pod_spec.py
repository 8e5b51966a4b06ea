"""Parts of a DeploymentSpec that speak of Kubernetes: pods, weights in them, scaling, rollouts. Pure."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from pulumi_plinth.model.adapters import Image
from pulumi_plinth.quantities import ByteSize, Count, Cpu, Label, Positive, Seconds, SecretName, Text
from pulumi_plinth.spec import Spec

WorkloadKind = Literal["auto", "deployment", "stateful-set", "leader-worker-set"]


class TolerationSpec(Spec):
    """A taint of nodes that pods bear."""

    key: Text | None = Field(default=None, description="The taint's key. Default: every key, with operator Exists.")
    operator: Literal["Equal", "Exists"] = Field(
        default="Exists", description="Equal also compares `value`. Default: Exists."
    )
    value: str | None = Field(default=None, description="The taint's value, for Equal. Default: none.")
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = Field(
        default=None, description="The taint's effect. Default: every effect."
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.operator == "Equal") != (self.value is not None):
            raise ValueError("needs `operator: Equal` and `value:` together; write both or neither")
        if self.key is None and self.operator == "Equal":
            raise ValueError("compares a value without a key; add `key:`")
        return self


class PodSpec(Spec):
    """How the pods of a deployment look."""

    namespace: Label | None = Field(
        default=None, description="Namespace; one that is there already. Default: that of `kubernetes`."
    )
    image: Image | None = Field(
        default=None, description="Image, best by digest. Default: the preset's own image, else that of `kubernetes`."
    )
    image_pull_secrets: tuple[SecretName, ...] = Field(
        default=(), description="Names of registry secrets, besides those of preset and `kubernetes`. Default: none."
    )
    service_account: Label | None = Field(
        default=None, description="A service account that is there already. Default: one of the deployment's own."
    )
    priority_class: Text | None = Field(
        default=None, description="Name of a PriorityClass. Default: the cluster's default."
    )
    runtime_class: Label | None = Field(
        default=None, description="Name of a RuntimeClass, such as nvidia. Default: the nodes' default runtime."
    )
    node_selector: dict[str, str] = Field(
        default_factory=dict,
        description="Labels of nodes. Default: the instance type where the plan chose a shape of a cloud.",
    )
    tolerations: tuple[TolerationSpec, ...] = Field(
        default=(), description="Taints that are borne, besides that of nodes with GPUs. Default: none."
    )
    spread: Text = Field(
        default="kubernetes.io/hostname",
        description="Label of nodes over whose values replicas are spread where possible. Default: over nodes.",
    )
    cpu: Cpu | None = Field(
        default=None, description="Cores that are reserved. Default: two, and one for each GPU; there is no limit."
    )
    memory: ByteSize | None = Field(default=None, gt=0, description="Memory, reserved and at most. Default: planned.")
    disk: ByteSize | None = Field(
        default=None, gt=0, description="Space for fetched weights on the node's disk. Default: their size and a tenth."
    )
    allowed_namespaces: tuple[Label, ...] = Field(
        default=(), description="Namespaces that may call this API, besides those of `kubernetes`. Default: none."
    )
    keys_secret: SecretName | None = Field(
        default=None,
        description="Secret whose key `keys` holds hashes of accepted API keys. Default: the deployment's name and "
        "-keys; `plinth render` says how it is made.",
    )
    service_port: Annotated[int, Field(ge=1, le=65535, strict=True)] | None = Field(
        default=None, description="Port of the Service. Default: 80 with `generate`, else the API's own."
    )
    public_url: Annotated[str, Field(pattern=r"^https?://[^\s/?#]+$")] | None = Field(
        default=None, description="Where a gateway of yours publishes it; shown as the endpoint. Default: inside only."
    )
    drain_delay: Seconds = Field(
        default=5.0,
        ge=0,
        description="Time before a stop in which proxies learn that the pod goes; it still answers. Default: 5s.",
    )
    grace: Seconds | None = Field(
        default=None,
        gt=0,
        description="Time after which the kubelet kills. Default: what the end takes: drainDelay + shutdownTimeout + "
        "20 s.",
    )
    labels: dict[str, str] = Field(default_factory=dict, description="Further labels of the pods. Default: none.")
    annotations: dict[str, str] = Field(
        default_factory=dict, description="Further annotations of the pods. Default: none."
    )


class PodWeightsSpec(Spec):
    """Weights that are in the cluster already. Default: as the model's URI says, else fetched by every pod."""

    claim: Label | None = Field(default=None, description="A PersistentVolumeClaim that holds models. Default: none.")
    image: Image | None = Field(
        default=None, description="An image whose files are the weights, mounted as image volume. Default: none."
    )
    path: Annotated[str, Field(pattern=r"^[^/].*[^/]$|^[^/]$")] | None = Field(
        default=None, description="The model's folder inside claim or image, relative. Default: its root."
    )

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if bool(self.claim) == bool(self.image):
            raise ValueError("needs one place; write exactly one of claim and image")
        if self.path and ".." in self.path.split("/"):
            raise ValueError("steps out of the volume; write a path without '..'")
        return self


class RolloutSpec(Spec):
    """How pods are replaced by newer ones."""

    strategy: Literal["auto", "surge", "in-place", "recreate"] = Field(
        default="auto",
        description="surge starts the new pod first, in-place ends an old one first, recreate ends all first. Default: "
        "auto, by the GPUs that are free.",
    )
    spare_gpus: Count | None = Field(
        default=None,
        description="GPUs of the right kind that are kept free for rollouts. Default: not known, so none is counted "
        "on.",
    )


class AutoscalingSpec(Spec):
    """Who changes the number of replicas within `replicas`, and by what."""

    by: Literal["hpa", "keda"] = Field(
        default="hpa",
        description="hpa is Kubernetes' own, with an adapter for Prometheus' metrics; keda asks Prometheus itself. "
        "Default: hpa.",
    )
    waiting: Annotated[float, Field(gt=0)] = Field(
        default=4.0, description="Requests that wait, a replica: above it one is added. Default: 4, of 3 to 5 advised."
    )
    running: Annotated[float, Field(gt=0)] | None = Field(
        default=None,
        description="Requests computed, a replica: above it none is taken away, and one is added. Default: three "
        "quarters of what a replica computes at once.",
    )
    up_window: Seconds = Field(
        default=0.0, ge=0, le=3600, description="Longest look back before one is added. Default: 0s, a start is slow."
    )
    down_window: Seconds = Field(
        default=300.0, ge=0, le=3600, description="Longest look back before one is taken away. Default: 5m."
    )
    step: Positive = Field(default=1, description="Replicas added at once, at most every minute. Default: 1.")
