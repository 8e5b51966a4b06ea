"""The safetensors header: bytes -> rows, checked before anything is believed. Knows the format, not models.

A header may come from anybody. So its length is bounded before it is read, every number is checked before it is
multiplied, and the tensors must tile the file exactly, without holes, overlaps or names given twice.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

PREFIX_BYTES = 8
HEADER_LIMIT_BYTES = 16 << 20
"""The format allows 100 MB; 5 MB is the largest seen. Parsing takes up to 15 times the header's size in memory."""

MAX_ELEMENTS = 1 << 53
MAX_DIMENSIONS = 32

FORMATS: Mapping[str, tuple[str, int]] = {
    "F64": ("float64", 64), "F32": ("float32", 32), "F16": ("float16", 16), "BF16": ("bfloat16", 16),
    "F8_E4M3": ("float8_e4m3fn", 8), "F8_E5M2": ("float8_e5m2", 8), "F8_E8M0": ("float8_e8m0fnu", 8),
    "F8_E4M3FNUZ": ("float8_e4m3fnuz", 8), "F8_E5M2FNUZ": ("float8_e5m2fnuz", 8),
    "F6_E2M3": ("float6_e2m3", 6), "F6_E3M2": ("float6_e3m2", 6), "F4": ("float4_e2m1", 4), "C64": ("complex64", 64),
    "I64": ("int64", 64), "I32": ("int32", 32), "I16": ("int16", 16), "I8": ("int8", 8),
    "U64": ("uint64", 64), "U32": ("uint32", 32), "U16": ("uint16", 16), "U8": ("uint8", 8), "BOOL": ("bool", 8),
}  # fmt: skip
"""The format's spelling -> the ecosystem's, and bits per element."""


class HeaderError(ValueError):
    """A header that cannot be trusted; the message says why, without the file's name."""


class Tensor(NamedTuple):
    """One tensor: number format as the ecosystem spells it, elements, stored bytes."""

    dtype: str
    elements: int
    size: int


def header_length(prefix: bytes, file_size: int) -> int:
    """Read the first 8 bytes: how long the header is. Raises HeaderError when it cannot be one."""
    length = int.from_bytes(prefix, "little")
    if len(prefix) < PREFIX_BYTES or length < 2 or length > file_size - PREFIX_BYTES:  # noqa: PLR2004 "{}"
        raise HeaderError(f"is no safetensors file or is cut inside its header ({file_size} bytes)")
    if length > HEADER_LIMIT_BYTES:
        raise HeaderError(f"has a header of {length} bytes, more than the {HEADER_LIMIT_BYTES} that are read")
    return length


def parse_header(header: bytes, file_size: int) -> dict[str, Tensor]:
    """Read the header itself. Raises HeaderError; `file_size` is the whole file's, to see that nothing is missing."""
    rows = _rows(header)
    tensors: dict[str, Tensor] = {}
    spans: list[tuple[int, int, str]] = []
    for name, row in rows.items():
        if name == "__metadata__":
            continue
        tensor, start = _tensor(name, row)
        tensors[name] = tensor
        spans.append((start, start + tensor.size, name))
    _check_tiling(spans, file_size - PREFIX_BYTES - len(header))
    return tensors


def _rows(header: bytes) -> dict[str, Any]:
    try:
        rows = json.loads(header, object_pairs_hook=_no_duplicates)
    except HeaderError:
        raise
    except (ValueError, RecursionError) as error:
        raise HeaderError(f"has an unreadable header: {str(error)[:120]}") from None
    if not isinstance(rows, dict):
        raise HeaderError("has an unreadable header: it is not an object")
    return rows


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1) if len(names) < 1 << 10 else "a tensor"
        raise HeaderError(f"has a header that names {twice[:80]} twice")
    return found


def _tensor(name: str, row: Any) -> tuple[Tensor, int]:
    try:
        dtype, bits = FORMATS[row["dtype"]]
        start, end = row["data_offsets"]
        shape = row["shape"]
    except (KeyError, TypeError, ValueError):
        raise HeaderError(
            f"has an unreadable header: tensor {name[:80]} lacks a known dtype, shape or offsets"
        ) from None
    elements = _elements(name, shape)
    if type(start) is not int or type(end) is not int or not 0 <= start <= end <= MAX_ELEMENTS:
        raise HeaderError(f"has an unreadable header: tensor {name[:80]} has impossible offsets")
    if elements * bits != 8 * (end - start):
        raise HeaderError(f"says tensor {name[:80]} has {elements} elements of {bits} bits in {end - start} bytes")
    return Tensor(dtype, elements, end - start), start


def _elements(name: str, shape: Any) -> int:
    if not isinstance(shape, list) or len(shape) > MAX_DIMENSIONS:
        raise HeaderError(f"has an unreadable header: tensor {name[:80]} has no usable shape")
    elements = 1
    for extent in shape:
        if type(extent) is not int or not 0 <= extent <= MAX_ELEMENTS:
            raise HeaderError(f"has an unreadable header: tensor {name[:80]} has an impossible shape")
        elements *= extent
    if elements > MAX_ELEMENTS:
        raise HeaderError(f"has an unreadable header: tensor {name[:80]} has more elements than any model")
    return elements


def _check_tiling(spans: list[tuple[int, int, str]], data_bytes: int) -> None:
    end = 0
    for start, stop, name in sorted(spans):
        if start != end:
            raise HeaderError(f"has a header whose tensors overlap or leave gaps (before {name[:80]})")
        end = stop
    if end != data_bytes:
        raise HeaderError(f"has {data_bytes} bytes of tensors, its header describes {end}: cut short or appended to")
