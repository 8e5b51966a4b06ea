"""How the weights were made smaller, from config.json or hf_quant_config.json, under vLLM's names. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from plinth_runtime.contract.card_config import Settings
from plinth_runtime.contract.card_files import mapping, text, whole
from plinth_runtime.contract.card_types import Quantization

BITS: Mapping[str, int] = {
    "fp8": 8, "fbgemm_fp8": 8, "modelopt": 8, "modelopt_mxfp8": 8, "mxfp8": 8, "mxfp4": 4, "modelopt_fp4": 4,
    "experts_int8": 8, "bitnet": 2, "eetq": 8, "fouroversix": 4,
}  # fmt: skip
"""Bits of methods that have one width; the others say theirs."""

MODELOPT: Mapping[str, str] = {
    "FP8": "modelopt", "FP8_PER_CHANNEL_PER_TOKEN": "modelopt", "FP8_PB_WO": "modelopt", "NVFP4": "modelopt_fp4",
    "W4A16_NVFP4": "modelopt_fp4", "MXFP8": "modelopt_mxfp8", "MIXED_PRECISION": "modelopt_mixed",
}  # fmt: skip
"""NVIDIA ModelOpt's quant_algo -> vLLM's method."""


_WIDTH = re.compile(r"(?:u?int|float|fp|nvfp|mxfp)(\d{1,2})(?:$|[^\d])")


def read_quantization(settings: Settings, separate: Mapping[str, Any] | None) -> Quantization | None:
    """Read the first description there is; `separate` is hf_quant_config.json (ModelOpt 0.29 and before)."""
    part = settings.text.get("quantization_config")
    own = settings.root.get("quantization_config") or settings.root.get("compression_config")
    config = mapping(own) or mapping(part) or mapping(separate)
    if not config:
        return None
    inner = mapping(config.get("quantization"))
    algorithm = text(config.get("quant_algo")) or text(inner.get("quant_algo"))
    method = (text(config.get("quant_method")) or "").lower().replace("compressed_tensors", "compressed-tensors")
    method = method.removeprefix("intel/")
    if method in ("", "modelopt") and algorithm:
        method = MODELOPT.get(algorithm.upper(), "modelopt")
    weights, inputs = _first_group(config)
    return Quantization(
        method=method or "unknown",
        bits=whole(weights.get("num_bits")) or _bits(config, method),
        group_size=next(
            (found for part in (weights, config, inner, *_own(config)) if (found := _group_size(part))), None
        ),
        format=text(config.get("format")) or text(config.get("fmt")) or (algorithm.lower() if algorithm else None),
        activations=_activations(config, inputs),
        kv_cache=_cache_format(config, inner),
    )


def _first_group(config: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return weights and input activations of compressed-tensors' first group."""
    for group in mapping(config.get("config_groups")).values():
        if isinstance(group, dict):
            return mapping(group.get("weights")), mapping(group.get("input_activations"))
    return {}, {}


def _group_size(part: Mapping[str, Any]) -> int | None:
    return whole(part.get("group_size")) or whole(part.get("q_group_size"))


def _own(config: Mapping[str, Any]) -> tuple[dict[str, Any], ...]:
    """Return the parts in which HQQ and TorchAO keep their settings."""
    kind = config.get("quant_type")
    default = mapping(mapping(kind).get("default"))
    hqq = mapping(mapping(config.get("quant_config")).get("weight_quant_params"))
    return hqq, mapping(default.get("_data")), mapping(config.get("quant_type_kwargs"))


def _bits(config: Mapping[str, Any], method: str) -> int | None:
    if method == "bitsandbytes":
        return 4 if any(config.get(key) is True for key in ("load_in_4bit", "_load_in_4bit")) else 8
    said = whole(config.get("bits")) or whole(config.get("w_bit")) or whole(_own(config)[0].get("nbits"))
    return said or BITS.get(method) or _named_bits(config)


def _named_bits(config: Mapping[str, Any]) -> int | None:
    """Read bits out of a type's name: Quanto's `int4`, TorchAO's `Int4WeightOnlyConfig`, Quark's `fp8_e4m3`."""
    kind = config.get("quant_type")
    weight = mapping(mapping(config.get("global_quant_config")).get("weight"))
    names = (config.get("weights"), kind, mapping(mapping(kind).get("default")).get("_type"), weight.get("dtype"))
    for name in names:
        match = _WIDTH.search(name.lower()) if isinstance(name, str) else None
        if match:
            return int(match[1])
    return None


def _activations(config: Mapping[str, Any], inputs: Mapping[str, Any]) -> str | None:
    if inputs:
        return "static" if inputs.get("dynamic") is False else "dynamic"
    return text(config.get("activation_scheme"))


def _cache_format(config: Mapping[str, Any], inner: Mapping[str, Any]) -> str | None:
    named = text(inner.get("kv_cache_quant_algo")) or text(config.get("kv_cache_quant_algo"))
    if named:
        return named.lower()
    scheme = mapping(config.get("kv_cache_scheme"))
    bits = whole(scheme.get("num_bits"))
    return f"{text(scheme.get('type')) or 'float'}{bits}".replace("float8", "fp8") if bits else None
