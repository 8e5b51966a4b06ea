"""LaunchConfig: everything the agent needs to start one engine, and nothing it would have to decide.

Written by the planner, named by its digest, read by `plinth-runtime serve`. Secrets never appear here, only the path of
the file that holds their hashes.
"""

from __future__ import annotations

from typing import Literal, Self, get_args

from pydantic import Field, model_validator

from plinth_runtime.contract.base import Document
from plinth_runtime.contract.group import LaunchGroup

Dtype = Literal["auto", "bfloat16", "float16", "float32"]

ModelKind = Literal["generate", "embed", "rerank", "classify", "reward"]
"""What the engine is started for: all but the first are served without generating."""

AdapterRank = Literal[1, 8, 16, 32, 64, 128, 256, 320, 512]
"""Ranks that the engine has room for; an adapter of rank 20 needs 32."""

MOST_ADAPTERS = 10
"""Of one server, listed or added: each costs memory, and KAITO stops here too."""


def launch_kind(kind: str) -> ModelKind:
    """Turn what a model is, by its card or declaration, into what the engine is started for."""
    kinds: tuple[ModelKind, ...] = get_args(ModelKind)
    return next((known for known in kinds if known == kind), "generate")


class LaunchAdapter(Document):
    """A LoRA adapter that is served as a model of its own beside its base."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$", description="The `model` of API requests.")
    folder: str = Field(description="Absolute path: adapter_config.json, adapter_model.safetensors.")
    rank: int = Field(ge=1, le=512, description="The highest rank of its matrices.")


class LaunchSource(Document):
    """A store that weights come from. Credentials are the agent's: by its environment, identity or mounted files."""

    uri: str = Field(min_length=1, description="Storage URI; plain http:// only from this machine.")
    cache: str | None = Field(
        default=None,
        description="Absolute path of a cache that servers share; the model's folder becomes a link into it. "
        "None: the files lie in the folder itself.",
    )


class LaunchModel(Document):
    """The weights to serve and the name clients ask for."""

    served_name: str = Field(description="The `model` of API requests.")
    kind: ModelKind = Field(default="generate", description="What it is made for; decides which routes answer.")
    folder: str = Field(description="Absolute path of the model folder: safetensors, config.json, tokenizer.")
    manifest_digest: str | None = Field(
        default=None,
        description="sha256 of the folder's manifest file when the plan was made; the agent refuses another one. "
        "None: the folder has no manifest and is served as *unverified*.",
    )
    source: LaunchSource | None = Field(
        default=None, description="Where the agent fetches the folder from first. None: the folder is there."
    )
    max_model_len: int = Field(gt=0, description="Longest context (prompt and answer), in tokens.")
    dtype: Dtype = Field(default="auto", description="Number format of the weights in memory.")
    chat_template: str | None = Field(default=None, description="Text of a Jinja template; None: the tokenizer's own.")
    adapters: tuple[LaunchAdapter, ...] = Field(
        default=(), max_length=MOST_ADAPTERS, description="LoRA adapters to start with; others may be added later."
    )
    adapter_folders: tuple[str, ...] = Field(
        default=(), description="Absolute paths; what lies inside may be added as an adapter while the server runs."
    )

    @property
    def takes_adapters(self) -> bool:
        """Whether the engine is started with room for adapters."""
        return bool(self.adapters or self.adapter_folders)


class LaunchEngine(Document):
    """How the engine process is started."""

    kind: Literal["vllm"] = "vllm"
    python: str = Field(description="Absolute path of the engine environment's interpreter.")
    device: Literal["cpu", "cuda"] = "cpu"
    kv_cache_bytes: int | None = Field(
        gt=0,
        description="Memory for the KV cache, in bytes (whole GiB on CPU). None, on GPUs: what the engine's share of "
        "the GPU leaves.",
    )
    max_num_seqs: int = Field(gt=0, description="Requests computed at the same time; more are queued.")
    enforce_eager: bool = Field(default=True, description="Skip compilation: starts faster, computes slower.")
    max_adapter_rank: AdapterRank = Field(default=16, description="Highest rank of an adapter that can be loaded.")
    max_active_adapters: int = Field(
        default=1, ge=1, le=MOST_ADAPTERS, description="Different adapters computed at the same time; more take turns."
    )
    cache: str | None = Field(
        default=None,
        description="Absolute path of a folder on this node that keeps what engines compile, for the next start. None: "
        "the engine's own place, which nobody checks.",
    )
    extra_args: tuple[str, ...] = Field(default=(), description="Passed through to the engine, last.")
    environment: dict[str, str] = Field(default_factory=dict, description="Added to the engine's environment.")

    @model_validator(mode="after")
    def _cache_is_sized(self) -> Self:
        if self.device == "cpu" and self.kv_cache_bytes is None:
            raise ValueError("engine.kvCacheBytes: is missing; only GPUs have a share that can be left; write bytes")
        return self


class LaunchApi(Document):
    """Where clients reach the engine."""

    host: str = "127.0.0.1"
    port: int = Field(ge=1, le=65535)
    keys_file: str | None = Field(
        default=None, description="Absolute path of the file with sha256 hashes of accepted keys; None: open to all."
    )
    max_queued_requests: int = Field(
        default=256, ge=0, description="Requests that may wait beyond those computed; one more is answered 429."
    )
    generate: bool = Field(default=False, description="Also answer /generate and /healthz, as llama-2 services do.")
    max_body_bytes: int = Field(default=8 << 20, gt=0, description="A larger request body is answered 413.")


class LaunchManagement(Document):
    """Where probes and operators reach the agent."""

    host: str = "127.0.0.1"
    port: int = Field(ge=1, le=65535)


class LaunchLifecycle(Document):
    """Time limits and restart policy. Every wait has its bound here."""

    startup_timeout_seconds: float = Field(default=600, gt=0, description="From start of the engine to ready.")
    shutdown_timeout_seconds: float = Field(
        default=30, ge=0, description="Open requests may finish for this long, then SIGKILL."
    )
    kill_after_seconds: float = Field(
        default=10, gt=0, description="From SIGTERM, sent when nothing is open, to SIGKILL."
    )
    max_restarts: int = Field(default=3, ge=0, description="Engine deaths within the window before giving up.")
    restart_window_seconds: float = Field(default=600, gt=0)
    restart_backoff_seconds: float = Field(default=1, gt=0, description="Wait before the first restart; it doubles.")
    stall_seconds: float = Field(
        default=8, gt=0, description="Work that stands still for this long: no more clients are sent here."
    )
    hang_seconds: float = Field(
        default=60, gt=0, description="Work that stands still for this long: the engine is killed and started again."
    )
    step_seconds: float = Field(
        default=300,
        gt=0,
        description="One step may compute for this long: longer than `hangSeconds`, within which an "
        "engine is killed that does not even use the processor.",
    )
    probe_seconds: float = Field(default=5, gt=0, description="An idle engine is asked for one token this often.")
    warm_up: bool = Field(
        default=False,
        description="Ask for one token before the server counts as ready, so that no client pays for what the first "
        "request allocates and compiles.",
    )


class LaunchConfig(Document):
    """One deployment of one model on one engine, as the agent starts it."""

    version: Literal[1] = 1
    deployment: str = Field(description="Name of the deployment, a DNS label.")
    model: LaunchModel
    engine: LaunchEngine
    api: LaunchApi
    management: LaunchManagement
    lifecycle: LaunchLifecycle = LaunchLifecycle()
    group: LaunchGroup | None = Field(
        default=None, description="Set for a server that spans several nodes. None: one node, one agent."
    )

    @model_validator(mode="after")
    def _adapters_fit(self) -> Self:
        names = [self.model.served_name, *(adapter.name for adapter in self.model.adapters)]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"model.adapters: {', '.join(twice)} names more than one model; give each its own name")
        for index, adapter in enumerate(self.model.adapters):
            if adapter.rank > self.engine.max_adapter_rank:
                raise ValueError(
                    f"model.adapters.{index}.rank: {adapter.rank} is above engine.maxAdapterRank = "
                    f"{self.engine.max_adapter_rank}; write that one higher"
                )
        return self

    @property
    def endpoint(self) -> str:
        """Base URL of the OpenAI API."""
        host = self.api.host
        return f"http://{'127.0.0.1' if host == '0.0.0.0' else host}:{self.api.port}/v1"  # noqa: S104 compared

    @property
    def management_url(self) -> str:
        """Base URL of the management port."""
        return f"http://{self.management.host}:{self.management.port}"
