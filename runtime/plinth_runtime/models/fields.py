"""Types of fields that both parameter classes use, and their common manners. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from plinth_runtime.models.errors import near

Text = Annotated[str, Field(min_length=1)]
Positive = Annotated[int, Field(gt=0, strict=True)]
Flag = Annotated[bool, Field(strict=True)]

_DTYPES = {
    "auto": "auto", "float32": "float32", "float": "float32", "f32": "float32", "fp32": "float32",
    "float16": "float16", "half": "float16", "f16": "float16", "fp16": "float16", "bfloat16": "bfloat16",
    "bf16": "bfloat16", "float64": "float64", "double": "float64", "f64": "float64",
}  # fmt: skip


def read_dtype(value: Any) -> str:
    """Read a number format in any of its spellings; torch's own objects print as `torch.bfloat16`."""
    name = str(value).removeprefix("torch.").lower()
    if name not in _DTYPES:
        raise ValueError("is not a number format to compute in; write auto, bfloat16, float16, float32 or float64")
    return _DTYPES[name]


Dtype = Annotated[str, BeforeValidator(read_dtype)]


class Params(BaseModel):
    """Frozen keyword arguments; a name that does not exist is refused with the nearest that does."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=(), use_enum_values=True)

    @model_validator(mode="before")
    @classmethod
    def _known_names(cls, data: Any) -> Any:
        given = cls._renamed(data) if isinstance(data, Mapping) else data
        unknown = sorted(set(given) - set(cls.model_fields)) if isinstance(given, Mapping) else []
        if unknown:
            like = near(unknown[0], cls.model_fields)
            raise ValueError(f"{unknown[0]} is no parameter of {cls.__name__}" + (f"; write {like}" if like else ""))
        return given

    @classmethod
    def _renamed(cls, data: Mapping[str, Any]) -> Mapping[str, Any]:
        """Put other accepted spellings of names into ours."""
        return data
