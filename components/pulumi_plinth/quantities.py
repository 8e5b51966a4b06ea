"""Small value types of stack files: sizes, durations, names, ports. Pure parsing with errors that say what to write."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

GIB = 1 << 30
_UNITS = {
    "": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "Ki": 1 << 10, "Mi": 1 << 20, "Gi": GIB, "Ti": 1 << 40,
}  # fmt: skip
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0}
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_TECHNICAL = re.compile(r"[a-z0-9]([a-z0-9-]{0,18}[a-z0-9])?")
_QUANTITY_UNITS = {
    **_UNITS, "m": 1e-3, "P": 10**15, "E": 10**18, "Pi": 1 << 50, "Ei": 1 << 60,
}  # fmt: skip
_COUNT_UNITS = {"": 1, "K": 10**3, "M": 10**6, "B": 10**9, "T": 10**12}
_REFERENCE = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,126}[A-Za-z0-9])?")
SECRET_TEXT = re.compile(
    r"\b(?:hf_[A-Za-z0-9]{8,}|sk-(?=[A-Za-z_-]{0,80}\d)[A-Za-z0-9_-]{12,}|gh[pousr]_[A-Za-z0-9]{16,}|AKIA[0-9A-Z]{16}"
    r"|xox[abprs]-[A-Za-z0-9-]{10,}|AIza[0-9A-Za-z_-]{30,}|glpat-[\w-]{16,}|eyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]+)"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*"
)
"""What keys and tokens of well-known services look like. Where it matches, the text must not be shown."""


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


def parse_technical(value: Any) -> str:
    """Read a technical name: short enough that the names of trained and saved models still fit a DNS label."""
    if not isinstance(value, str) or not _TECHNICAL.fullmatch(value):
        suggestion = to_label(str(value), limit=20)
        raise ValueError(f"is not a valid name; use a-z, 0-9 and '-', at most 20 characters, such as '{suggestion}'")
    return value


def parse_cpu(value: Any) -> str:
    """Read an amount of CPU as Kubernetes writes it: 8, "8", "500m", "0.5". Kept as text."""
    if not _plain(value) or not re.fullmatch(r"\d{1,6}(\.\d{1,3})?|\d{1,9}m", str(value)):
        raise ValueError('is not an amount of CPU; write cores or thousandths, such as "8" or "500m"')
    return str(value)


def parse_memory(value: Any) -> str:
    """Read an amount of memory as Kubernetes writes it: "24Gi", "500M", bytes. Kept as text."""
    if not _plain(value) or not re.fullmatch(r"\d{1,20}(\.\d{1,6})?([kMGTPE]|[KMGTPE]i)?", str(value)):
        raise ValueError('is not an amount of memory; write a number with a unit, such as "24Gi" or "500M"')
    return str(value)


def quantity(text: str) -> float:
    """Return what a CPU or memory quantity is worth, in cores or bytes."""
    number, unit = re.fullmatch(r"([\d.]+)(\D*)", text).groups()  # type: ignore[union-attr] # parsed before
    return float(number) * _QUANTITY_UNITS[unit]


def parse_parameter_size(value: Any) -> str:
    """Read a model's size in parameters: "70B", "1.24B", "400M". Upper-case units, kept as text."""
    text = str(value).strip().upper() if _plain(value) else ""
    if not re.fullmatch(r"\d+(\.\d+)?[KMBT]?", text):
        raise ValueError('is not a number of parameters; write for example "7B", "1.24B" or "400M"')
    return text


def parameter_count(size: str) -> int:
    """Return the number of parameters that a size such as "1.24B" stands for."""
    unit = size[-1] if size[-1].isalpha() else ""
    return round(float(size.removesuffix(unit)) * _COUNT_UNITS[unit])


def parse_reference(value: Any) -> str:
    """Read the name of a secret. What looks like the secret itself is refused and never shown."""
    if isinstance(value, str) and SECRET_TEXT.search(value):
        raise PydanticCustomError("secret_value", "is a secret in plain text; write the name of a config secret")
    if not isinstance(value, str) or not _REFERENCE.fullmatch(value):
        raise PydanticCustomError("secret_value", "is not the name of a secret; write a name such as 'hf-token'")
    return value


def to_label(text: str, limit: int = 63) -> str:
    """Suggest the DNS label nearest to a text; `model` when nothing of it can stay."""
    return re.sub(r"[^a-z0-9]+", "-", text[:1000].lower()).strip("-")[:limit].strip("-") or "model"


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
TechnicalName = Annotated[str, BeforeValidator(parse_technical), Field(json_schema_extra={"examples": ["llama3-8b"]})]
Cpu = Annotated[str, BeforeValidator(parse_cpu), Field(json_schema_extra={"examples": ["8", "500m"]})]
Memory = Annotated[str, BeforeValidator(parse_memory), Field(json_schema_extra={"examples": ["24Gi"]})]
ParameterSize = Annotated[str, BeforeValidator(parse_parameter_size), Field(json_schema_extra={"examples": ["70B"]})]
SecretName = Annotated[str, BeforeValidator(parse_reference), Field(json_schema_extra={"examples": ["hf-token"]})]
Text = Annotated[str, Field(min_length=1)]
Count = Annotated[int, Field(ge=0, strict=True)]
Positive = Annotated[int, Field(gt=0, strict=True)]
Flag = Annotated[bool, Field(strict=True)]
