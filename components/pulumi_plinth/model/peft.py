"""PeftParams: how an adapter is trained, by Oumi's fields, with what PEFT really accepts. Pure."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from pulumi_plinth.model.parameters import read_dtype
from pulumi_plinth.quantities import Flag, Positive
from pulumi_plinth.spec import Spec

INIT_WEIGHTS = ("default", "random", "gaussian", "eva", "pissa", "pissa_niter_<int>", "loftq", "olora")


def _init(value: str) -> str:
    if (value not in INIT_WEIGHTS and not re.fullmatch(r"pissa_niter_[1-9]\d{0,3}", value)) or "<" in value:
        hint = "with a number, such as pissa_niter_16" if "niter" in value else "one of " + ", ".join(INIT_WEIGHTS)
        raise ValueError(f"is not a way to initialise an adapter; write {hint}")
    return value


def _bits(value: Any) -> Any:
    if value not in (4, 8) or isinstance(value, bool):
        raise ValueError("is not a width that exists (any other is silently read as 4 bits); write 4 or 8")
    return value


_STORAGE = {**dict.fromkeys(("uint8", "int8"), None), "float16": None, "float32": None, "bfloat16": None}


def _storage(value: Any) -> str:
    name = str(value).removeprefix("torch.").lower()
    if name in _STORAGE:
        return name
    found = read_dtype(value)
    if found not in _STORAGE:
        raise ValueError(f"is not a storage format; write {', '.join(_STORAGE)}")
    return found


class PeftParams(Spec):
    """LoRA and QLoRA settings. Defaults are Oumi's; where code and documentation differ, the code's."""

    lora_r: Positive = Field(default=8, description="Rank. Default: 8, small and usually enough.")
    lora_alpha: Positive = Field(default=8, description="Scale, usually r or 2r. Default: 8.")
    lora_dropout: Annotated[float, Field(ge=0, lt=1)] = Field(default=0.0, description="0 to below 1. Default: 0.")
    lora_target_modules: tuple[str, ...] | None = Field(
        default=None, description='Modules by suffix, ["all-linear"] for all, [] for none. Default: by architecture.'
    )
    lora_exclude_modules: tuple[str, ...] | None = Field(
        default=None, description="Regular expressions on whole module names. Default: none."
    )
    lora_target_parameters: tuple[str, ...] | None = Field(
        default=None, description="Parameters, for MoE. Default: none."
    )
    lora_modules_to_save: tuple[str, ...] | None = Field(default=None, description="Trained in full. Default: none.")
    lora_bias: Literal["none", "all", "lora_only"] = Field(
        default="none", description="Biases to train. Default: none."
    )
    lora_init_weights: Annotated[str, AfterValidator(_init)] = Field(
        default="default", description="Start values; pissa_niter_<int> names its iterations. Default: default."
    )
    lora_task_type: Literal[
        "CAUSAL_LM", "SEQ_CLS", "SEQ_2_SEQ_LM", "TOKEN_CLS", "QUESTION_ANS", "FEATURE_EXTRACTION"
    ] = Field(default="CAUSAL_LM", description="PEFT task. Default: CAUSAL_LM.")
    q_lora: Flag = Field(default=False, description="Quantise the base model. Default: false.")
    q_lora_bits: Annotated[int, BeforeValidator(_bits)] = Field(default=4, description="4 or 8 bits. Default: 4.")
    bnb_4bit_quant_type: Literal["fp4", "nf4"] = Field(default="fp4", description="4-bit format. Default: fp4.")
    bnb_4bit_quant_storage: Annotated[str, BeforeValidator(_storage)] = Field(
        default="uint8", description="Format packed weights are kept in; FSDP needs a float. Default: uint8."
    )
    bnb_4bit_compute_dtype: Annotated[str, BeforeValidator(read_dtype)] = Field(
        default="float32", description="Format to compute in. Default: float32, safe and slow."
    )
    llm_int8_skip_modules: tuple[str, ...] | None = Field(default=None, description="Kept in full. Default: none.")
    use_bnb_nested_quant: Flag = Field(default=False, description="Quantise the scales too. Default: false.")
    peft_save_mode: Literal["adapter_only", "adapter_and_base_model", "merged"] = Field(
        default="adapter_only", description="What is saved. Default: adapter_only."
    )
