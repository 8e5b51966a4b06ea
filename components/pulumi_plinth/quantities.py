"""Small value types of stack files: sizes, durations, names, ports. Pure parsing with errors that say what to write."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

GIB = 1 << 30
_UNITS = {
    "": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "Ki": 1 << 10, "Mi": 1 << 20, "Gi": GIB, "Ti": 1 << 40,
}  # fmt: skip
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0}
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


def parse_bytes(value: Any) -> int:
    """Read a size as Kubernetes writes it: 1073741824, "1Gi", "1.5Gi", "500M". Bytes."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([kMGT]|[KMGT]i)?", str(value)) if _plain(value) else None
    if match is None:
        raise ValueError('is not a size; write bytes or a number with a unit, such as "1Gi" or "500M"')
    return int(float(match[1]) * _UNITS[match[2] or ""])


def parse_seconds(value: Any) -> float:
    """Read a duration: 30 (seconds), "30s", "5m", "1h"."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh])?", str(value)) if _plain(value) else None
    if match is None:
        raise ValueError('is not a duration; write seconds or a number with a unit, such as "30s" or "5m"')
    return float(match[1]) * _SECONDS[match[2] or "s"]


def parse_label(value: Any) -> str:
    """Read a name that Kubernetes, DNS and folders all accept (RFC 1123 label)."""
    if not isinstance(value, str) or not _LABEL.fullmatch(value):
        suggestion = re.sub(r"[^a-z0-9]+", "-", str(value).lower()).strip("-")[:63] or "chat"
        raise ValueError(
            "is not a DNS label (lower-case letters, digits and '-', at most 63, no '-' at the ends); "
            f"write for example '{suggestion}'"
        )
    return value


def human_bytes(count: float) -> str:
    """Write bytes with decimal units and three figures at most: 269 MB, 1.07 GB."""
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.3g} {unit}" if count < 999.5 * size else f"{count / size:.0f} {unit}"
    return f"{count:.0f} B"


def human_gib(count: float) -> str:
    """Write bytes in GiB with two decimals, the unit memory is bought in."""
    return f"{count / GIB:.2f} GiB"


def _plain(value: Any) -> bool:
    return isinstance(value, (int, float, str)) and not isinstance(value, bool)


ByteSize = Annotated[int, BeforeValidator(parse_bytes), Field(json_schema_extra={"examples": ["1Gi", "500M"]})]
Seconds = Annotated[float, BeforeValidator(parse_seconds), Field(json_schema_extra={"examples": ["30s", "5m"]})]
Label = Annotated[str, BeforeValidator(parse_label), Field(json_schema_extra={"examples": ["chat"]})]
Port = Annotated[int, Field(ge=1, le=65535, strict=True)]
