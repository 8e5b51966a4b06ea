"""What an engine compiled, as a bundle that can be kept on a node and shipped to others: its name and its table. Pure.

A bundle is a tar file: this table first, then the files in its order. It holds machine code and pickles, so nothing of
it is used before all of it agrees with the table, and the table with the launch, the engine and the device at hand.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from plinth_runtime.contract.base import Document
from plinth_runtime.contract.launch import LaunchConfig

TABLE_NAME = "plinth-cache.json"
KEY_DIGITS = 24

NOT_COMPILED = frozenset({"python", "cache", "environment"})
"""Fields of `engine` that change nothing in what is compiled; the engine's version is asked of the environment itself,
and of its variables only those that vLLM or torch read count."""

COMPILING_PREFIXES = ("VLLM_", "TORCH", "OMP_", "TRITON_", "CUDA_")


class CacheFacts(Document):
    """What a compiled file depends on. Two that differ in anything have different names."""

    engine: dict[str, str] = Field(description="Versions of Python and of the packages that compile.")
    device: str = Field(description="Processor with its features, or GPU with its driver.")
    model: str = Field(description="Digest of the model's manifest, or of its config.json where it has none.")
    settings: dict[str, Any] = Field(description="How the engine is started, as far as compiled code depends on it.")
    place: str = Field(description="Absolute path of the files when they are in use: they name each other by it.")

    def key(self) -> str:
        """Name what was compiled under these facts."""
        return self.digest()[:KEY_DIGITS]


class CachedFile(Document):
    """One file of a bundle."""

    path: str
    size: int = Field(ge=0)
    sha256: str


class CacheTable(Document):
    """What is in a bundle."""

    version: int = Field(default=1, ge=1, le=1)
    facts: CacheFacts
    files: tuple[CachedFile, ...]


def compiled_settings(launch: LaunchConfig, rank: int) -> dict[str, Any]:
    """Pick out of a launch what compiled code depends on; each member of a group compiles its own."""
    model, engine = launch.model, launch.engine.model_dump(mode="json", exclude=set(NOT_COMPILED), by_alias=False)
    variables = launch.engine.environment.items()
    return {
        **engine,
        "environment": {name: value for name, value in sorted(variables) if name.startswith(COMPILING_PREFIXES)},
        "kind": model.kind,
        "max_model_len": model.max_model_len,
        "dtype": model.dtype,
        "takes_adapters": model.takes_adapters,
        "nodes": launch.group.nodes if launch.group else 1,
        "rank": rank,
    }
