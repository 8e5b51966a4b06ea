"""ModelParams: which model and tokenizer to build and how, by Oumi's fields and defaults. Loads nothing."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

from pydantic import Field, model_validator

from plinth_runtime.models.environment import require
from plinth_runtime.models.fields import Dtype, Flag, Params, Positive, Text
from plinth_runtime.models.peft_params import PeftParams

if TYPE_CHECKING:
    import torch


class ModelParams(Params):
    """What `build_model` and `build_tokenizer` follow. Fields that neither uses say who does."""

    model_name: Text = Field(description="A registered name, a hub id, a model's folder, or an adapter's folder.")
    adapter_model: Text | None = Field(default=None, description="Folder or hub id of an adapter to put on top.")
    tokenizer_name: Text | None = Field(default=None, description="Tokenizer's id or folder. None: the model's own.")
    tokenizer_pad_token: Text | None = Field(default=None, description="Wins over tokenizer_kwargs['pad_token'].")
    tokenizer_kwargs: dict[str, Any] = Field(default_factory=dict, description="For the tokenizer's constructor.")
    processor_kwargs: dict[str, Any] = Field(
        default_factory=dict, description="For image and audio processors, which other programs build."
    )
    model_max_length: Positive | None = Field(default=None, description="Longest sequence, in tokens.")
    load_pretrained_weights: Flag = Field(default=True, description="False: random weights from the config.")
    trust_remote_code: Flag = Field(default=False, description="Run Python that comes with the model.")
    torch_dtype_str: Dtype = Field(default="auto", description="Number format of the weights. auto: as saved.")
    compile: Flag = Field(default=False, description="Compile the model when it is first called.")
    chat_template: Text | None = Field(
        default=None, description="auto, a name, a file or the template itself. None: the tokenizer's own."
    )
    chat_template_kwargs: dict[str, Any] | None = Field(default=None, description="Template variables; vLLM only.")
    attn_implementation: Text | None = Field(
        default=None, description="sdpa, eager, flash_attention_2 or a kernel on the hub. None: the library's choice."
    )
    device_map: Text | None = Field(default="auto", description="Where layers go. None: one device.")
    model_kwargs: dict[str, Any] = Field(
        default_factory=dict, description="Config values and constructor arguments that have no field here."
    )
    enable_liger_kernel: Flag = Field(default=False, description="Liger kernels; CUDA only.")
    shard_for_eval: Flag = Field(default=False, description="Split over GPUs; evaluation programs only.")
    freeze_layers: tuple[Text, ...] = Field(default=(), description="Dotted names of what is not trained.")
    model_revision: Text | None = Field(default=None, description="Branch, tag or commit on the hub.")
    tool_call_parser: Text | None = Field(default=None, description="vLLM's parser of tool calls; vLLM only.")
    peft_params: PeftParams | None = Field(
        default=None, description="Quantisation, for build_model without a second argument."
    )

    @property
    def torch_dtype(self) -> torch.dtype | None:
        """The number format as torch's object; None for auto."""
        require("torch")
        import torch

        return None if self.torch_dtype_str == "auto" else getattr(torch, self.torch_dtype_str)

    @classmethod
    def _renamed(cls, data: Mapping[str, Any]) -> Mapping[str, Any]:
        """Read `torch_dtype` as torch_dtype_str, and the old place of the revision."""
        given = dict(data)
        if "torch_dtype" in given:
            if "torch_dtype_str" in given:
                raise ValueError("torch_dtype and torch_dtype_str are one parameter; write torch_dtype_str")
            given["torch_dtype_str"] = given.pop("torch_dtype")
        kwargs = given.get("model_kwargs")
        if isinstance(kwargs, Mapping) and "revision" in kwargs:
            warnings.warn("model_kwargs['revision'] is deprecated; write model_revision", FutureWarning, stacklevel=4)
            given["model_kwargs"] = {key: value for key, value in kwargs.items() if key != "revision"}
            given["model_revision"] = _one(given.get("model_revision"), kwargs["revision"])
        return given

    @model_validator(mode="after")
    def _no_repeated_names(self) -> Self:
        names = set(type(self).model_fields) | {"torch_dtype", "dtype"}
        for field in ("model_kwargs", "processor_kwargs"):
            repeated = sorted(set(getattr(self, field)) & names)
            if repeated:
                raise ValueError(f"{field} repeats {', '.join(repeated)}; use the parameter of that name instead")
        return self


def _one(first: Any, second: Any) -> Any:
    if first is not None and first != second:
        raise ValueError(f"model_revision {first!r} and model_kwargs['revision'] {second!r} differ; write the first")
    return second
