"""Every name that more than one place must spell the same: type tokens, folders, the stack's outputs. Pure."""

from __future__ import annotations

from pathlib import Path

PACKAGE = "plinth"
PLATFORM = f"{PACKAGE}:index:Platform"
MODEL_STORE = f"{PACKAGE}:index:ModelStore"
MODEL_DEPLOYMENT = f"{PACKAGE}:index:ModelDeployment"
GPU_CLUSTER = f"{PACKAGE}:index:GpuCluster"
CLUSTER_ADDONS = f"{PACKAGE}:index:ClusterAddons"
WORKLOAD_IDENTITY = f"{PACKAGE}:index:WorkloadIdentity"
IMAGE_REPOSITORY = f"{PACKAGE}:index:ImageRepository"
VAULT_SECRET = f"{PACKAGE}:index:VaultSecret"
GPU_NODE_POOL = f"{PACKAGE}:index:GpuNodePool"

STATE_FOLDER = ".plinth"
"""Below the project's root: Pulumi state, passphrase and run directories of this machine."""

ENDPOINTS, KEYS, MANAGEMENT = "endpoints", "keys", "management"
"""The stack's outputs: each maps the name of a deployment to its value."""

TOTALS = "totals"
"""The stack's output that says what it takes; the next deployment is compared with it."""


def run_dir(root: Path, stack: str, deployment: str) -> Path:
    """Where a local server keeps its launch file, lock, status and log."""
    return runs_dir(root, stack) / deployment


def runs_dir(root: Path, stack: str) -> Path:
    """Return the folder of all run directories of a stack."""
    return root / STATE_FOLDER / "run" / stack


def compiled_cache(root: Path) -> Path:
    """Return where the servers of a project keep what their engines compiled."""
    return root / STATE_FOLDER / "compiled"


def weights_cache(root: Path) -> Path:
    """Return the folder that holds the weights which this machine's servers fetched."""
    return root / STATE_FOLDER / "weights"


def engine_python(root: Path, engine: str) -> Path:
    """Return the interpreter of an engine environment."""
    return root / "runtime" / "engines" / engine / ".venv" / "bin" / "python"


def child(parent: str, suffix: str) -> str:
    """Name a component's child: it starts with the component's name and never equals it."""
    return f"{parent}-{suffix}"


DOMAIN = "plinth.dev"
"""Prefix of our own labels and annotations."""

SERVER, MANAGER = "plinth-server", "plinth"
NAME_LABEL, INSTANCE_LABEL = "app.kubernetes.io/name", "app.kubernetes.io/instance"
GROUP_LABEL = f"{DOMAIN}/group"
"""Which replica of several nodes a pod belongs to, where a StatefulSet is one replica."""

LAUNCH_ANNOTATION = f"{DOMAIN}/launch"
"""sha256 of the LaunchConfig a pod serves."""

LONGEST_DEPLOYMENT = 45
"""Of a deployment on Kubernetes: pods, revisions and groups derive names from it, of at most 63 characters."""


def selector(deployment: str) -> dict[str, str]:
    """Return the labels that select a deployment's pods; they never change."""
    return {INSTANCE_LABEL: deployment, NAME_LABEL: SERVER}


def labels(deployment: str) -> dict[str, str]:
    """Return the labels of everything that belongs to a deployment."""
    return {
        **selector(deployment),
        "app.kubernetes.io/component": "model-server",
        "app.kubernetes.io/managed-by": MANAGER,
    }


def launch_map(deployment: str, digest: str) -> str:
    """Name the ConfigMap of a LaunchConfig: another config is another map, hence a rollout."""
    return f"{deployment}-launch-{digest[:10]}"


def group_service(deployment: str) -> str:
    """Name the headless Service by which the members of groups find each other."""
    return f"{deployment}-group"


def group_set(deployment: str, group: int) -> str:
    """Name the StatefulSet of one group; the first has the deployment's own name."""
    return deployment if group == 0 else f"{deployment}-{group}"


def keys_secret(deployment: str) -> str:
    """Name the Secret with the hashes of API keys."""
    return f"{deployment}-keys"


POOL_LABEL = "plinth.dev/pool"
"""Label of nodes: the pool they belong to. What a deployment on that pool selects."""

NO_DISK_TAINT = "plinth.dev/no-weights-disk"
"""Taint of nodes whose local drives could not be made one file system: no pod should fill their boot volume."""

NODE_DRIVES = "/mnt/plinth"
"""Where the local drives of a node are mounted as one file system."""

NODE_MODELS = "/mnt/models"
"""Where a node keeps models, as the node agent has it by default: on its local drives where it has some."""
