"""ModelParams: how a model is loaded for training, evaluation and inference, by Oumi's fields and meanings. Pure."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from pulumi_plinth.quantities import Flag, Positive, Text
from pulumi_plinth.spec import Spec

_DTYPES = {
    "auto": "auto", "float32": "float32", "float": "float32", "f32": "float32", "fp32": "float32",
    "float16": "float16", "half": "float16", "f16": "float16", "fp16": "float16", "bfloat16": "bfloat16",
    "bf16": "bfloat16", "float64": "float64", "double": "float64", "f64": "float64",
}  # fmt: skip
"""Every spelling that is understood, and what it means. uint8 is no format to compute in, so it is not here."""


def read_dtype(value: Any) -> str:
    """Read a number format in any of its spellings, `torch.bfloat16` included."""
    name = str(value).removeprefix("torch.").lower() if isinstance(value, str) else ""
    if name not in _DTYPES:
        known = "auto, bfloat16, float16, float32 or float64"
        raise ValueError(f"is not a number format to compute in; write {known}")
    return _DTYPES[name]


TorchDtype = Annotated[Literal["auto", "float32", "float16", "bfloat16", "float64"], BeforeValidator(read_dtype)]


class ModelParams(Spec):
    """Loading parameters. The model's own address, adapters and chat template are fields of ModelSpec."""

    tokenizer_name: Text | None = Field(
        default=None, description="Tokenizer's id or folder. Default: the model's own; GGUF files need one."
    )
    tokenizer_pad_token: Text | None = Field(
        default=None,
        description="Padding token, wins over tokenizerKwargs. Default: the tokenizer's; training needs one.",
    )
    tokenizer_kwargs: dict[str, Any] = Field(default_factory=dict, description="For the tokenizer. Default: none.")
    processor_kwargs: dict[str, Any] = Field(
        default_factory=dict, description="For the image or audio processor; no name of a field here. Default: none."
    )
    model_max_length: Positive | None = Field(
        default=None, description="Longest sequence, in tokens. Default: what the model was made for."
    )
    load_pretrained_weights: Flag = Field(
        default=True, description="False = random weights from the config. Default: true, what serving needs."
    )
    trust_remote_code: Flag = Field(
        default=False, description="Run Python from the model's folder. Default: false; true should pin a revision."
    )
    torch_dtype: TorchDtype = Field(
        default="auto", description="Number format of the weights. Default: as config.json says."
    )
    compile: Flag = Field(default=False, description="Compile the model. Default: false; training has its own switch.")
    chat_template_kwargs: dict[str, Any] | None = Field(
        default=None, description="Variables for the chat template, used by vLLM. Default: none."
    )
    attn_implementation: Text | None = Field(
        default=None,
        description="sdpa, eager, flash_attention_2 or a kernel on the hub. Default: the library's choice.",
    )
    device_map: Text | None = Field(
        default="auto", description="Where layers go in training. Default: auto; null keeps the model on one device."
    )
    model_kwargs: dict[str, Any] = Field(
        default_factory=dict, description="For the model's constructor, what has no field. Default: none."
    )
    enable_liger_kernel: Flag = Field(
        default=False, description="Liger kernels in training; CUDA only. Default: false."
    )
    shard_for_eval: Flag = Field(default=False, description="Split over GPUs in evaluation. Default: false.")
    freeze_layers: tuple[Text, ...] = Field(default=(), description="Dotted names that are not trained. Default: none.")
    tool_call_parser: Text | None = Field(default=None, description="vLLM's parser of tool calls. Default: none.")

    @model_validator(mode="after")
    def _no_repeated_names(self) -> Self:
        names = set(type(self).model_fields) | {"model_name", "torch_dtype_str", "chat_template", "adapter_model"}
        repeated = sorted(set(self.processor_kwargs) & names)
        if repeated:
            raise ValueError(f"repeats {', '.join(repeated)} in processorKwargs; use the field of that name instead")
        return self
