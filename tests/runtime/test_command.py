"""The engine's argv and environment, letter by letter."""

import json
from dataclasses import replace

import pytest
from pydantic import ValidationError

from plinth_runtime.contract.launch import LaunchConfig
from plinth_runtime.serving.command import Paths, Spot, build_argv, build_command, build_environment
from plinth_runtime.serving.seat import Seat

DOCUMENT = {
    "deployment": "chat",
    "model": {"servedName": "m", "folder": "/models/m", "maxModelLen": 2048, "dtype": "bfloat16"},
    "engine": {
        "python": "/engine/bin/python",
        "kvCacheBytes": 2 << 30,
        "maxNumSeqs": 8,
        "extraArgs": ["--seed", "7"],
        "environment": {"OMP_NUM_THREADS": "2"},
    },
    "api": {"host": "127.0.0.1", "port": 8000, "keysFile": "/run/keys"},
    "management": {"port": 8001},
}
PATHS = Paths("/lib/injected", "/run/draining", "/run/agent.hash")
INHERITED = {
    "PATH": "/bin",
    "HOME": "/home/x",
    "LC_ALL": "C",
    "CUDA_VISIBLE_DEVICES": "0",
    "VLLM_HOST_IP": "10.0.0.1",
    "VLLM_API_KEY": "secret",
    "VLLM_SERVER_DEV_MODE": "1",
    "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "1",
    "VLLM_LORA_RESOLVER_CACHE_DIR": "/x",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONHOME": "/x",
    "PYTHONPATH": "/x",
    "VIRTUAL_ENV": "/x",
    "PULUMI_CONFIG_PASSPHRASE": "secret",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "HF_TOKEN": "secret",
    "OMP_NUM_THREADS": "64",
}


def test_golden(project_root):
    """The whole command for a typical launch; to accept a change, write the printed document into the golden file."""
    command = build_command(LaunchConfig.model_validate(DOCUMENT), PATHS, INHERITED)
    made = {"argv": list(command.argv), "environment": dict(sorted(command.environment.items()))}
    golden = project_root / "tests" / "runtime" / "golden" / "command.json"
    assert made == json.loads(golden.read_text()), json.dumps(made, indent=2)


def test_a_chat_template_is_given_as_a_file():
    """The text stands in the launch, the engine reads it from the run directory; without one, no argument."""
    document = {**DOCUMENT, "model": {**DOCUMENT["model"], "chatTemplate": "{{ messages }}"}}
    paths = Paths("/lib/injected", "/run/draining", "/run/agent.hash", "/run/chat-template.jinja")
    argv = build_command(LaunchConfig.model_validate(document), paths, INHERITED).argv
    assert argv[argv.index("--chat-template") + 1] == "/run/chat-template.jinja"
    assert "--chat-template" not in build_command(LaunchConfig.model_validate(DOCUMENT), paths, INHERITED).argv


def test_no_secret_passes():
    """Nothing secret or of our own interpreter reaches argv or environment."""
    command = build_command(LaunchConfig.model_validate(DOCUMENT), PATHS, INHERITED)
    text = json.dumps([command.argv, dict(command.environment)])
    assert "secret" not in text
    assert not {"VLLM_ALLOW_RUNTIME_LORA_UPDATING", "VLLM_LORA_RESOLVER_CACHE_DIR"} & set(command.environment)
    assert not {"PYTHONDONTWRITEBYTECODE", "PYTHONHOME", "VIRTUAL_ENV"} & set(command.environment)


@pytest.mark.parametrize(
    "name",
    [
        "PYTHONPATH",
        "PLINTH_KEYS_FILE",
        "PLINTH_DRAINING_FILE",
        "PLINTH_AGENT_FILE",
        "PYTHONSAFEPATH",
        "VLLM_RPC_BASE_PATH",
    ],
)
def test_the_gate_cannot_be_switched_off(name):
    """A launch's own environment does not replace what the gate needs."""
    document = {**DOCUMENT, "engine": {**DOCUMENT["engine"], "environment": {name: "/elsewhere"}}}
    assert build_environment(LaunchConfig.model_validate(document), PATHS, {})[name] != "/elsewhere"


GROUP = DOCUMENT | {"group": {"nodes": 2}}
SEEN = {0: Spot(Seat(0, "chat-0.chat"), "10.0.0.1", "eth0"), 1: Spot(Seat(1, "chat-0.chat"), "10.0.0.2", "eth0")}


@pytest.mark.parametrize("rank", [0, 1])
def test_a_member_of_a_group(rank):
    """It knows its rank, its leader and the way to the others; only the leader has an API."""
    command = build_command(LaunchConfig.model_validate(GROUP), replace(PATHS, spot=SEEN[rank]), {})
    argv = list(command.argv)
    at = argv.index("--nnodes")
    assert argv[at : at + 10] == [
        "--nnodes", "2", "--node-rank", str(rank), "--master-addr", "chat-0.chat", "--master-port", "29501",
        "--distributed-executor-backend", "mp",
    ]  # fmt: skip
    assert ("--headless" in argv, argv[2] == "plinth_headless") == (rank == 1, rank == 1)
    assert command.environment["VLLM_HOST_IP"] == SEEN[rank].address
    assert command.environment["GLOO_SOCKET_IFNAME"] == command.environment["NCCL_SOCKET_IFNAME"] == "eth0"


def test_the_surroundings_know_the_way_better():
    """What the pod says of its network comes before what we find; without a name of the interface none is said."""
    launch = LaunchConfig.model_validate(GROUP)
    said = build_environment(launch, replace(PATHS, spot=SEEN[1]), {"VLLM_HOST_IP": "10.9.9.9"})
    assert (said["VLLM_HOST_IP"], said["GLOO_SOCKET_IFNAME"]) == ("10.9.9.9", "eth0")
    assert "GLOO_SOCKET_IFNAME" not in build_environment(
        launch, replace(PATHS, spot=replace(SEEN[1], interface=None)), {}
    )


CHANGES = {
    "servedName": ("model", "servedName", "other"),
    "kind": ("model", "kind", "embed"),
    "folder": ("model", "folder", "/other"),
    "maxModelLen": ("model", "maxModelLen", 1024),
    "dtype": ("model", "dtype", "float32"),
    "python": ("engine", "python", "/other"),
    "device": ("engine", "device", "cuda"),
    "kvCacheBytes": ("engine", "kvCacheBytes", 3 << 30),
    "maxNumSeqs": ("engine", "maxNumSeqs", 9),
    "enforceEager": ("engine", "enforceEager", False),
    "extraArgs": ("engine", "extraArgs", []),
    "environment": ("engine", "environment", {}),
    "host": ("api", "host", "0.0.0.0"),  # noqa: S104
    "port": ("api", "port", 8009),
    "keysFile": ("api", "keysFile", None),
    "maxQueuedRequests": ("api", "maxQueuedRequests", 1),
    "generate": ("api", "generate", True),
    "maxBodyBytes": ("api", "maxBodyBytes", 1),
    "adapterFolders": ("model", "adapterFolders", ["/adapters"]),
}


@pytest.mark.parametrize("change", CHANGES)
def test_every_field_matters(change):
    """Each field that concerns the engine changes its command beyond the fingerprint."""
    section, key, value = CHANGES[change]
    document = {**DOCUMENT, section: {**DOCUMENT[section], key: value}}
    commands = []
    for each in (DOCUMENT, document):
        command = build_command(LaunchConfig.model_validate(each), PATHS, {})
        argv = [word for word in command.argv if not word.startswith("plinth-")]
        commands.append((argv, command.environment))
    assert commands[0] != commands[1]


def test_shutdown_timeout_is_never_zero():
    """Zero would make the engine abort open streams as if they were complete."""
    document = {**DOCUMENT, "lifecycle": {"shutdownTimeoutSeconds": 0}}
    argv = build_argv(LaunchConfig.model_validate(document), PATHS)
    assert argv[argv.index("--shutdown-timeout") + 1] == "1"


ADAPTER = {"name": "pirate", "folder": "/adapters/a,b=c", "rank": 8}


def test_adapters():
    """An engine that takes adapters gets room for them, those that there are, and the routes that bring others."""
    model = DOCUMENT["model"] | {"adapters": [ADAPTER], "adapterFolders": ["/adapters"]}
    engine = DOCUMENT["engine"] | {"maxAdapterRank": 32, "maxActiveAdapters": 2}
    launch = LaunchConfig.model_validate({**DOCUMENT, "model": model, "engine": engine})
    command = build_command(launch, replace(PATHS, adapters=launch.model.adapters), {})
    first = command.argv.index("--enable-lora")
    assert command.argv[first : first + 9] == (
        *("--enable-lora", "--max-lora-rank", "32", "--max-loras", "2", "--max-cpu-loras", "10", "--lora-modules"),
        '{"name": "pirate", "path": "/adapters/a,b=c"}',
    )
    assert command.environment["VLLM_ALLOW_RUNTIME_LORA_UPDATING"] == "1"
    assert "--lora-modules" not in build_argv(launch, PATHS)  # all of them were removed meanwhile


@pytest.mark.parametrize(
    ("adapters", "words"),
    [
        ([ADAPTER, ADAPTER], "pirate names more than one model"),
        ([ADAPTER | {"name": "m"}], "m names more than one model"),
        ([ADAPTER | {"name": "../x"}], "should match pattern"),
        ([ADAPTER | {"rank": 20}], "20 is above engine.maxAdapterRank = 16"),
        ([ADAPTER | {"name": f"a{number}"} for number in range(11)], "at most 10 items"),
    ],
)
def test_adapters_that_cannot_be(adapters, words):
    """Names are unique and simple, ranks within the engine's room, and there are at most ten."""
    with pytest.raises(ValidationError, match=words):
        LaunchConfig.model_validate({**DOCUMENT, "model": DOCUMENT["model"] | {"adapters": adapters}})


def test_a_gpu_s_cache_may_be_what_its_share_leaves():
    """Without a size no argument is given; on processors, where there is no share, it is refused with its path."""
    engine = {**DOCUMENT["engine"], "kvCacheBytes": None, "extraArgs": ["--gpu-memory-utilization=0.9"]}
    launch = LaunchConfig.model_validate({**DOCUMENT, "engine": {**engine, "device": "cuda"}})
    assert "--kv-cache-memory-bytes" not in build_argv(launch, PATHS)
    with pytest.raises(ValidationError, match=r"engine\.kvCacheBytes: is missing"):
        LaunchConfig.model_validate({**DOCUMENT, "engine": engine})
