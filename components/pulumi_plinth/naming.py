"""Every name that more than one place must spell the same: type tokens, folders, the stack's outputs. Pure."""

from __future__ import annotations

from pathlib import Path

PACKAGE = "plinth"
PLATFORM = f"{PACKAGE}:index:Platform"
MODEL_STORE = f"{PACKAGE}:index:ModelStore"
MODEL_DEPLOYMENT = f"{PACKAGE}:index:ModelDeployment"

STATE_FOLDER = ".plinth"
"""Below the project's root: Pulumi state, passphrase and run directories of this machine."""

ENDPOINTS, KEYS, MANAGEMENT = "endpoints", "keys", "management"
"""The stack's outputs: each maps the name of a deployment to its value."""


def run_dir(root: Path, stack: str, deployment: str) -> Path:
    """Where a local server keeps its launch file, lock, status and log."""
    return runs_dir(root, stack) / deployment


def runs_dir(root: Path, stack: str) -> Path:
    """Return the folder of all run directories of a stack."""
    return root / STATE_FOLDER / "run" / stack


def engine_python(root: Path, engine: str) -> Path:
    """Return the interpreter of an engine environment."""
    return root / "runtime" / "engines" / engine / ".venv" / "bin" / "python"


def child(parent: str, suffix: str) -> str:
    """Name a component's child: it starts with the component's name and never equals it."""
    return f"{parent}-{suffix}"
