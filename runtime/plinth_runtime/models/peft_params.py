"""PeftParams: how an adapter is trained and how the weights under it are quantised, by Oumi's fields and defaults.

The class is a value; its two methods make the libraries' own settings and need the engine environment.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from plinth_runtime.models.environment import require
from plinth_runtime.models.fields import Dtype, Flag, Params, Positive, read_dtype

if TYPE_CHECKING:
    from peft import LoraConfig
    from transformers import BitsAndBytesConfig

WIDEST = 8
INIT_WEIGHTS = ("default", "random", "gaussian", "eva", "pissa", "loftq", "olora")


def _init(value: str) -> str:
    if value not in INIT_WEIGHTS and not re.fullmatch(r"pissa_niter_[1-9]\d{0,3}", value):
        known = f"one of {', '.join(INIT_WEIGHTS)}, or pissa_niter_16 with any number of iterations"
        raise ValueError(f"is not a way to initialise an adapter; write {known}")
    return value


def _bits(value: Any) -> Any:
    if value not in (4, 8) or isinstance(value, bool):
        raise ValueError("is not a width that exists (any other is silently read as 4 bits); write 4 or 8")
    return value


def _storage(value: Any) -> str:
    name = str(value).removeprefix("torch.").lower()
    found = name if name in ("uint8", "int8") else read_dtype(value)
    if found in ("auto", "float64"):
        raise ValueError("is not a storage format; write uint8, int8, float16, float32 or bfloat16")
    return found


class PeftParams(Params):
    """LoRA and QLoRA. `build_model` uses the quantisation; the LoRA fields are for who trains an adapter."""

    lora_r: Positive = Field(default=8, description="Rank. 8 is small and usually enough.")
    lora_alpha: Positive = Field(default=8, description="Scale, usually r or 2r.")
    lora_dropout: Annotated[float, Field(ge=0, lt=1)] = Field(default=0.0, description="0 to below 1.")
    lora_target_modules: tuple[str, ...] | None = Field(
        default=None, description='Modules by suffix, ["all-linear"] for all, [] for none. None: by architecture.'
    )
    lora_exclude_modules: tuple[str, ...] | None = Field(
        default=None, description="Regular expressions on whole module names, not suffixes."
    )
    lora_target_parameters: tuple[str, ...] | None = Field(default=None, description="Parameters, for MoE.")
    lora_modules_to_save: tuple[str, ...] | None = Field(default=None, description="Modules trained in full.")
    lora_bias: Literal["none", "all", "lora_only"] = Field(default="none", description="Biases to train.")
    lora_init_weights: Annotated[str, AfterValidator(_init)] = Field(default="default", description="Start values.")
    lora_task_type: Literal[
        "CAUSAL_LM", "SEQ_CLS", "SEQ_2_SEQ_LM", "TOKEN_CLS", "QUESTION_ANS", "FEATURE_EXTRACTION"
    ] = Field(default="CAUSAL_LM", description="PEFT's name of the task.")
    q_lora: Flag = Field(default=False, description="Load the base weights quantised.")
    q_lora_bits: Annotated[int, BeforeValidator(_bits)] = Field(default=4, description="4 or 8.")
    bnb_4bit_quant_type: Literal["fp4", "nf4"] = Field(default="fp4", description="4-bit format.")
    bnb_4bit_quant_storage: Annotated[str, BeforeValidator(_storage)] = Field(
        default="uint8", description="Format packed weights are kept in; FSDP needs a float."
    )
    bnb_4bit_compute_dtype: Dtype = Field(default="float32", description="Format to compute in; safe and slow.")
    llm_int8_skip_modules: tuple[str, ...] | None = Field(default=None, description="Modules kept in full.")
    use_bnb_nested_quant: Flag = Field(default=False, description="Quantise the scales too.")
    peft_save_mode: Literal["adapter_only", "adapter_and_base_model", "merged"] = Field(
        default="adapter_only", description="What training saves."
    )

    def to_lora(self) -> LoraConfig:
        """Make PEFT's LoraConfig. Here targets match by suffix, and exclusions as whole regular expressions."""
        require("peft")
        from peft import LoraConfig

        start = {"default": True, "random": False}.get(self.lora_init_weights, self.lora_init_weights)
        excluded = "|".join(f"(?:{pattern})" for pattern in self.lora_exclude_modules or ())
        return LoraConfig(
            r=self.lora_r,
            lora_alpha=self.lora_alpha,
            lora_dropout=self.lora_dropout,
            target_modules=self._targets(),
            exclude_modules=excluded or None,
            target_parameters=_list(self.lora_target_parameters),
            modules_to_save=_list(self.lora_modules_to_save),
            bias=self.lora_bias,
            init_lora_weights=start,
            task_type=self.lora_task_type,
        )

    def to_bits_and_bytes(self) -> BitsAndBytesConfig:
        """Make transformers' settings for weights in 4 or 8 bits."""
        require("transformers", "bitsandbytes")
        from transformers import BitsAndBytesConfig

        eight = self.q_lora_bits == WIDEST
        return BitsAndBytesConfig(
            load_in_4bit=not eight,
            load_in_8bit=eight,
            llm_int8_skip_modules=_list(self.llm_int8_skip_modules),
            bnb_4bit_compute_dtype=self.bnb_4bit_compute_dtype,
            bnb_4bit_quant_type=self.bnb_4bit_quant_type,
            bnb_4bit_quant_storage=self.bnb_4bit_quant_storage,
            bnb_4bit_use_double_quant=self.use_bnb_nested_quant,
        )

    def _targets(self) -> str | list[str] | None:
        return "all-linear" if self.lora_target_modules == ("all-linear",) else _list(self.lora_target_modules)


def _list(values: tuple[str, ...] | None) -> list[str] | None:
    """PEFT writes its settings as JSON and tests for lists."""
    return None if values is None else list(values)
