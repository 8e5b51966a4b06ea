"""What is served and how: the model, the engine with its arguments, the GPU. Values only; None is not known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from plinth_runtime.contract.card import ModelCard

Version = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Gpu:
    """The GPUs of one node: `memory_bytes` of one, `count` on a node."""

    name: str | None = None
    capability: tuple[int, int] | None = None
    memory_bytes: int | None = None
    count: int | None = None


@dataclass(frozen=True, slots=True)
class Serving:
    """One engine. `arguments` are its flags without dashes in front, as text; a flag without a value is ''."""

    card: ModelCard | None = None
    engine: str = "vllm"
    version: Version | None = None
    arguments: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    image: str | None = None
    gpu: Gpu = field(default_factory=Gpu)
    nodes: int | None = None
