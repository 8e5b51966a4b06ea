"""Models in Python: `build_model` and `build_tokenizer` turn ModelParams into torch models and tokenizers.

Importing this needs pydantic only, so parameters can be read anywhere. Builders need torch, transformers and peft, and
say which environment has them; BaseModel, which is a torch module, is imported when it is first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from plinth_runtime.models.builder import build_model
from plinth_runtime.models.errors import BuildError, MissingPackageError
from plinth_runtime.models.model_params import ModelParams
from plinth_runtime.models.peft_params import PeftParams
from plinth_runtime.models.registry import register
from plinth_runtime.models.special_tokens import SpecialTokens, get_default_special_tokens
from plinth_runtime.models.tokenizer import build_tokenizer

if TYPE_CHECKING:
    from plinth_runtime.models.custom import BaseModel

__all__ = [
    "BaseModel",
    "BuildError",
    "MissingPackageError",
    "ModelParams",
    "PeftParams",
    "SpecialTokens",
    "build_model",
    "build_tokenizer",
    "get_default_special_tokens",
    "register",
]


def __getattr__(name: str) -> Any:
    """Import BaseModel late: its parent is a torch class."""
    if name != "BaseModel":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from plinth_runtime.models.environment import require

    require("torch", "safetensors")
    from plinth_runtime.models.custom import BaseModel

    return BaseModel
