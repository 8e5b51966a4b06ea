"""build_model: parameters to a torch module, in order: weights, adapter, kernels, freezing, compiling."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from plinth_runtime.models.environment import has, require
from plinth_runtime.models.errors import BuildError, MissingPackageError
from plinth_runtime.models.folders import resolve
from plinth_runtime.models.freezing import freeze
from plinth_runtime.models.model_params import ModelParams
from plinth_runtime.models.peft_params import PeftParams

if TYPE_CHECKING:
    from torch import nn


def build_model(model_params: ModelParams, peft_params: PeftParams | None = None) -> nn.Module:
    """Build the model that the parameters describe, a custom one or one of transformers.

    `peft_params` may also stand inside the model's parameters. Of them only the quantisation is used: adapters that
    are yet to be trained are put on by whoever trains them. Raises BuildError or MissingPackageError.
    """
    require("torch", "transformers", "safetensors")
    quantisation = _quantisation(model_params, peft_params)
    params = resolve(model_params)
    model = _build(params, quantisation)
    if params.enable_liger_kernel:
        _apply_liger(model)
    freeze(model, params.freeze_layers)
    return _compile(model) if params.compile else model


def _build(params: ModelParams, quantisation: PeftParams | None) -> Any:
    from plinth_runtime.models.custom import build_custom, find_custom

    custom = find_custom(params)
    if custom is not None:
        return build_custom(custom, params, quantisation)
    from plinth_runtime.models.pretrained import build_pretrained

    model = build_pretrained(params, quantisation)
    return _put_adapter(model, params.adapter_model) if params.adapter_model else model


def _quantisation(model_params: ModelParams, peft_params: PeftParams | None) -> PeftParams | None:
    """Take the PeftParams from either place; two that differ are a mistake that nobody would notice."""
    inside = model_params.peft_params
    if inside is not None and peft_params is not None and inside != peft_params:
        remedy = "give them once, as the second argument of build_model"
        raise BuildError("peft_params", peft_params, "differ from the ones inside the model's parameters", remedy)
    given = peft_params or inside
    return given if given is not None and given.q_lora else None


def _put_adapter(model: Any, adapter: str) -> Any:
    require("peft")
    from peft import PeftModel

    try:
        return PeftModel.from_pretrained(model, adapter)
    except (ValueError, RuntimeError, OSError) as error:
        remedy = "give the folder of an adapter that was trained on this model"
        raise BuildError("adapter_model", adapter, f"does not go on this model: {error}", remedy) from error


def _apply_liger(model: Any) -> None:
    if not has("liger_kernel"):
        raise MissingPackageError(
            "enable_liger_kernel: the package liger-kernel is not in this environment. It needs Triton and a GPU; "
            "set enable_liger_kernel to False or run in an environment for GPUs that has it.",
            name="liger_kernel",
        )
    from transformers.integrations.liger import apply_liger_kernel

    apply_liger_kernel(model, None)


def _compile(model: Any) -> Any:
    import torch

    return torch.compile(model)
