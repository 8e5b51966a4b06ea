"""The KV cache as vLLM allocates it: groups of layers that share blocks, tokens in a cache, the longest context.

Follows vLLM 0.32, `v1/core/kv_cache_utils.py`: layers of one kind form a group; kinds are cut into groups of equal
size that draw blocks of one size from one pool. What a layer kind keeps per request is in `Rows.blocks`.
"""

from __future__ import annotations

from dataclasses import dataclass

from plinth_runtime.contract.card import ModelCard
from plinth_runtime.contract.card_types import LayerGroup

BLOCK_TOKENS = 16
"""Tokens of one block (CacheConfig.DEFAULT_BLOCK_SIZE). Backends may take more; that only rounds coarser."""

HOST_BLOCK_TOKENS = 128
"""Tokens of one block on CPUs (`CpuPlatform.check_and_update_config`); latent attention keeps sixteen there."""

LATENT_STATE_TOKENS = 128
"""Tokens that blocks of latent attention are multiples of beside layers with states (`_align_hybrid_block_size`)."""

STATE_BLOCKS = 2
"""Pages of state that a request holds: one in use and one being kept for prefix caching (mamba_cache_mode align)."""

CHECKPOINT_BLOCKS = 1
"""One more where the second generation of Mamba exports the state inside a prefill (`MambaMixer2`)."""

FIRST_MAMBA = frozenset({"falcon_mamba", "jamba", "mamba"})
"""Types with layers of Mamba's first generation."""

CONVOLUTION_BYTES = 2
RECURRENT_BYTES = 4
"""Formats of the two states of a linear layer: the model's own and float32 (Qwen3-Next, Kimi, Nemotron-H)."""

GROUP_SIZE_SLACK = 1.5
"""Kinds whose counts differ by less are padded to the larger count instead of being cut."""

ATTENTION = ("full", "sliding", "chunked", "mla")
STATES = ("linear", "mamba", "conv")
FP8_FORMATS = ("fp8", "float8", "e4m3", "e5m2")


@dataclass(frozen=True, slots=True)
class Rows:
    """Layers of one kind: `page` bytes a layer and block, `block` tokens a block, `groups` draws on the pool.

    `states` are pages that one request holds of each group, for kinds whose size does not depend on its length.
    """

    kind: str
    layers: int
    page: int
    block: int
    window: int
    states: int = 0
    groups: int = 1

    def blocks(self, context: int, in_flight: int) -> int:
        """Blocks one request of `context` tokens holds while `in_flight` tokens are being computed."""
        if self.kind in STATES:
            return self.states * self.groups
        if self.kind == "sliding":
            return (-(-min(self.window - 1 + in_flight, context) // self.block) + 1) * self.groups
        if self.kind == "chunked":
            return -(-min(self.window + in_flight, context) // self.block) * self.groups
        return -(-context // self.block) * self.groups


@dataclass(frozen=True, slots=True)
class Cache:
    """How the cache of one GPU is cut. `block_bytes` is the pool's unit; `in_flight` tokens are being computed."""

    rows: tuple[Rows, ...]
    block_bytes: int
    in_flight: int
    token_bytes: int

    def request_bytes(self, context: int) -> int:
        """Bytes that one request of that length holds."""
        return self.block_bytes * sum(row.blocks(context, self.in_flight) for row in self.rows)

    def least_bytes(self, context: int) -> int:
        """Bytes without which the engine refuses to start: one request, and the block that it never gives away."""
        return self.request_bytes(context) + self.block_bytes

    def tokens(self, cache_bytes: int, context: int) -> int:
        """Tokens that vLLM reports for the cache: requests of `context` tokens that fit, times their length."""
        needed = sum(row.blocks(context, self.in_flight) for row in self.rows)
        if not self.block_bytes or not needed or cache_bytes <= 0:
            return 0
        return cache_bytes // self.block_bytes * context // needed

    def longest(self, cache_bytes: int, limit: int) -> int:
        """Longest context up to `limit` that one request can have; 0 when not a single token fits."""
        low, high = 0, limit
        if not self.rows or self.least_bytes(limit) <= cache_bytes:
            return limit
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if self.least_bytes(middle) <= cache_bytes else (low, middle - 1)
        return low


def element_bytes(card: ModelCard, wanted: str | None = None) -> int:
    """Bytes of a cached element: `wanted` (--kv-cache-dtype) first, then what the checkpoint asks for, else two."""
    said = wanted if wanted and wanted != "auto" else (card.quantization.kv_cache if card.quantization else None)
    return 1 if said and any(name in said.lower() for name in FP8_FORMATS) else 2


def cache_of(
    card: ModelCard,
    tensor: int,
    share: tuple[int, int] = (1, 1),
    sizes: tuple[int, int] = (2, 0),
    block: int = BLOCK_TOKENS,
) -> Cache:
    """Cut the cache of one GPU.

    `share` is the stage's layers of all layers, `sizes` the bytes of an element and the tokens in flight, `block` the
    tokens of a block before kinds are made to share pages.
    """
    element, in_flight = sizes
    groups = [group for group in groups_of(card) if group.layers]
    kinds: set[str] = {group.kind for group in groups}
    block = _aligned(kinds, block)
    states = _states(card, kinds)
    rows = _unified([_rows(group, tensor, (element, states), block) for group in groups])
    if not rows:
        return Cache((), 0, in_flight, 0)
    size = _group_size(rows)
    rows = [_with_groups(row, -(-row.layers // size)) for row in rows]
    own = -(-size * share[0] // max(share[1], 1))
    token = sum(row.layers * row.page / row.block for row in rows if row.kind in ATTENTION)
    return Cache(tuple(rows), own * rows[0].page, in_flight, round(token * share[0] / max(share[1], 1)))


def groups_of(card: ModelCard) -> tuple[LayerGroup, ...]:
    """Layers by what they keep; a card that names no kinds has full attention everywhere, unless it never generates."""
    if card.attention:
        return tuple(group for group in card.attention if group.kind in ATTENTION + STATES)
    if card.kind != "generate" or not card.kv_heads:
        return ()
    return (LayerGroup(kind="full", layers=card.layers, kv_heads=card.kv_heads, head_dim=card.head_dim),)


def _aligned(kinds: set[str], block: int) -> int:
    return max(block, LATENT_STATE_TOKENS) if "mla" in kinds and not kinds.isdisjoint(STATES) else block


def _states(card: ModelCard, kinds: set[str]) -> int:
    """Pages of state a request holds; models without any attention cache no prefixes."""
    if kinds.isdisjoint(ATTENTION):
        return 1
    second = "mamba" in kinds and card.model_type not in FIRST_MAMBA
    return STATE_BLOCKS + (CHECKPOINT_BLOCKS if second else 0)


def _rows(group: LayerGroup, tensor: int, sizes: tuple[int, int], block: int) -> Rows:
    element, states = sizes
    if group.kind in STATES:
        state = group.conv_state * CONVOLUTION_BYTES + group.recurrent_state * RECURRENT_BYTES
        return Rows(group.kind, group.layers, -(-state // tensor), block, 0, states)
    if group.kind == "mla":  # the latent is one for all heads, so every GPU keeps all of it
        return Rows("mla", group.layers, group.head_dim * element * block, block, 0)
    heads = max(group.kv_heads // tensor, 1)
    return Rows(group.kind, group.layers, 2 * heads * group.head_dim * element * block, block, group.window or 0)


def _unified(rows: list[Rows]) -> list[Rows]:
    """Give all kinds pages of one size: more tokens a block for small attention pages, padding for the rest."""
    state = max((row.page for row in rows if row.kind in STATES), default=0)
    widest = max((row.page for row in rows if row.kind in ATTENTION), default=state)
    page = max(widest * -(-state // widest) if widest else state, widest)
    return [_with_page(row, page) for row in rows]


def _with_page(row: Rows, page: int) -> Rows:
    ratio = page // row.page if row.kind in ATTENTION and row.page and page % row.page == 0 else 1
    return Rows(row.kind, row.layers, page, row.block * ratio, row.window, row.states)


def _with_groups(row: Rows, groups: int) -> Rows:
    return Rows(row.kind, row.layers, row.page, row.block, row.window, row.states, groups)


def _group_size(rows: list[Rows]) -> int:
    fewest, most = min(row.layers for row in rows), max(row.layers for row in rows)
    return most if most < fewest * GROUP_SIZE_SLACK else fewest
