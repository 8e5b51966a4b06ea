"""Models of transformers: config, class, number format, quantisation and attention for one `from_pretrained` call."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from plinth_runtime.models.environment import has, placement, require
from plinth_runtime.models.errors import BuildError, MissingPackageError
from plinth_runtime.models.folders import without_adapter
from plinth_runtime.models.model_params import ModelParams
from plinth_runtime.models.peft_params import PeftParams


def build_pretrained(params: ModelParams, quantisation: PeftParams | None) -> Any:
    """Load a model from a folder or the hub, or make one with random weights from its config."""
    require("accelerate")
    _check_folder(params)
    _check_attention(params.attn_implementation)
    with without_adapter(params.model_name) as place:
        config, rest = _config(params, place)
        model_class = _model_class(config)
        if params.load_pretrained_weights:
            model = _load(model_class, params, place, {"config": config, **rest, **_weights(params, quantisation)})
        else:
            model = _random(model_class, params, config, {**rest, "quantisation": quantisation})
    # The folder's own name stays in the config, not that of a view of it: adapters write it down as their base.
    model.config._name_or_path = params.model_name  # noqa: SLF001 there is no public way
    _switch_cache_off(model.config)
    return model


def _config(params: ModelParams, place: str) -> tuple[Any, dict[str, Any]]:
    """Read the config with model_kwargs laid over it; what it does not know is for the model's constructor."""
    from transformers import AutoConfig

    overrides = {name: value for name, value in params.model_kwargs.items() if name not in _OWN}
    config, rest = AutoConfig.from_pretrained(
        place,
        return_unused_kwargs=True,
        revision=params.model_revision,
        trust_remote_code=params.trust_remote_code,
        **overrides,
    )
    # What AutoConfig hands on for itself comes back as unused, too.
    return config, {name: value for name, value in rest.items() if name in overrides}


_OWN = frozenset({"quantization_config", "load_in_4bit", "load_in_8bit"})
"""Keys of model_kwargs that are read here."""


def _model_class(config: Any) -> Any:
    """Choose by the config: models that see need another class than those that only read.

    A vision config decides, not the model type alone: some families have one type for both.
    """
    import transformers
    from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES

    remote = getattr(config, "auto_map", None) or {}
    sees = config.model_type in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES and hasattr(config, "vision_config")
    if (sees and "AutoModelForCausalLM" not in remote) or "AutoModelForImageTextToText" in remote:
        return transformers.AutoModelForImageTextToText
    return transformers.AutoModelForCausalLM


def _weights(params: ModelParams, quantisation: PeftParams | None) -> dict[str, Any]:
    settings = _quantisation_config(params, quantisation)
    return {} if settings is None else {"quantization_config": settings}


def _quantisation_config(params: ModelParams, quantisation: PeftParams | None) -> Any:
    """Make the one quantisation that is asked for, in any of the three places where people write it."""
    kwargs = params.model_kwargs
    asked = [name for name in sorted(_OWN) if kwargs.get(name)]
    if len(asked) + (quantisation is not None) > 1:
        raise BuildError("model_kwargs", asked, "asks for a second quantisation", "keep one")
    if quantisation is not None:
        return quantisation.to_bits_and_bytes()
    if "load_in_4bit" in asked or "load_in_8bit" in asked:
        return PeftParams(q_lora=True, q_lora_bits=4 if "load_in_4bit" in asked else 8).to_bits_and_bytes()
    given = kwargs.get("quantization_config")
    if isinstance(given, dict) and given.get("quant_method") == "mxfp4":
        from transformers import Mxfp4Config

        # Packed mxfp4 weights compute on few GPUs and cannot be trained.
        return Mxfp4Config(dequantize=given.get("dequantize", True))
    return given


def _load(model_class: Any, params: ModelParams, place: str, settings: dict[str, Any]) -> Any:
    return model_class.from_pretrained(
        place,
        dtype=params.torch_dtype or "auto",
        device_map=placement(params.device_map, os.environ),
        revision=params.model_revision,
        trust_remote_code=params.trust_remote_code,
        attn_implementation=params.attn_implementation,
        **settings,
    )


def _random(model_class: Any, params: ModelParams, config: Any, rest: dict[str, Any]) -> Any:
    quantisation = rest.pop("quantisation")
    if _quantisation_config(params, quantisation) is not None:
        remedy = "set load_pretrained_weights to True, or q_lora to False"
        raise BuildError("load_pretrained_weights", False, "random weights cannot be quantised", remedy)  # noqa: FBT003
    if rest:
        remedy = "write a setting of the model's config"
        raise BuildError("model_kwargs", sorted(rest), "is no setting of this model's config", remedy)
    # `auto` is understood by from_pretrained only; here the config's own format is what it means.
    dtype = {} if params.torch_dtype is None else {"dtype": params.torch_dtype}
    return model_class.from_config(
        config, trust_remote_code=params.trust_remote_code, attn_implementation=params.attn_implementation, **dtype
    )


def _check_folder(params: ModelParams) -> None:
    folder = Path(params.model_name)
    # A GGUF file, which model_kwargs may name, carries its config inside.
    if folder.is_dir() and not (folder / "config.json").is_file() and "gguf_file" not in params.model_kwargs:
        remedy = "give the folder that config.json and the weights are in"
        raise BuildError("model_name", params.model_name, "is a folder without config.json", remedy)


def _check_attention(name: str | None) -> None:
    """Refuse flash attention where it cannot run, before gigabytes are read."""
    if name != "flash_attention_2":
        return
    import torch

    if not (has("flash_attn") or has("kernels")) or not torch.cuda.is_available():
        raise MissingPackageError(
            "attn_implementation: flash_attention_2 needs a GPU and the package flash-attn (or kernels), and one of "
            "them is not here. Write sdpa, which runs everywhere.",
            name="flash_attn",
        )


def _switch_cache_off(config: Any) -> None:
    """Training cannot use the cache; generation has a setting of its own."""
    config.use_cache = False
    if hasattr(config, "text_config"):
        config.text_config.use_cache = False
