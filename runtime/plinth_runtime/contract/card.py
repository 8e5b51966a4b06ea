"""ModelCard: what can be read from a model folder without loading it. Pure: the caller passes a reading function.

Reads config.json, the small files beside it and the headers of the safetensors files (a few kilobytes each), whatever
the size of the weights. Every read, list and number is bounded: a folder from anywhere may be looked at.
This module puts the parts together; each part has its own `card_*` module.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from plinth_runtime.contract.card_config import Settings, read_settings
from plinth_runtime.contract.card_context import read_context
from plinth_runtime.contract.card_files import Folder, Reader, mapping, text
from plinth_runtime.contract.card_layers import read_experts, read_layers
from plinth_runtime.contract.card_quantization import read_quantization
from plinth_runtime.contract.card_sidecars import (
    capabilities_of,
    default_embedding,
    kind_of,
    read_embedding,
    read_generation,
    read_sentence_limit,
    read_task,
)
from plinth_runtime.contract.card_special import adapter_card, diffusion_card
from plinth_runtime.contract.card_types import CardError, ModelCard, Quantization
from plinth_runtime.contract.card_weights import FLOATS, Totals, add_up, read_tensors
from plinth_runtime.contract.safetensors import HEADER_LIMIT_BYTES

__all__ = ["HEADER_LIMIT_BYTES", "CardError", "ModelCard", "Reader", "card_of_config", "read_card"]

DTYPES = {"half": "float16", "float": "float32", "fp16": "float16", "bf16": "bfloat16", "fp32": "float32"}


def read_card(files: Mapping[str, int], read: Reader) -> ModelCard:
    """Read the card of a folder given its files (path to bytes). Raises CardError with every fault found."""
    folder = Folder(files, read)
    if "model_index.json" in files:
        card = diffusion_card(folder)
    elif _is_adapter(files):
        card = adapter_card(folder)
    else:
        card = _model_card(folder)
    if folder.faults or card is None:
        raise CardError(tuple(dict.fromkeys(folder.faults)) or ("the folder holds no model",))
    return card


def _is_adapter(files: Mapping[str, int]) -> bool:
    """Tell a LoRA folder, with or without a copy of its base's config.json, from a model with an adapter beside it."""
    weights = [path for path in files if path.endswith(".safetensors") and "/" not in path]
    return "adapter_config.json" in files and (
        "config.json" not in files or (bool(weights) and all(path.startswith("adapter_") for path in weights))
    )


def card_of_config(config: Mapping[str, Any], parameters: int, weight_bytes: int, active: int | None) -> ModelCard:
    """Make the card that a config.json alone gives, with sizes known from elsewhere. Raises CardError."""
    body = json.dumps(config).encode()
    folder = Folder({"config.json": len(body)}, lambda _path, start, length: body[start : start + length])
    settings = read_settings(folder)
    if settings is None:
        raise CardError(tuple(folder.faults))
    sizes = {"parameters": parameters, "weight_bytes": weight_bytes, "active_parameters": active}
    return _describe(folder, settings, Totals()).model_copy(update=sizes)


def _model_card(folder: Folder) -> ModelCard | None:
    settings = read_settings(folder)
    tensors, shards = read_tensors(folder)
    if settings is None or folder.faults:
        return None
    totals = add_up(tensors, settings.layers, _quantization(folder, settings))
    totals.shards = shards
    return _describe(folder, settings, totals)


def _describe(folder: Folder, settings: Settings, totals: Totals) -> ModelCard:
    head = folder.front_matter()
    tokenizer = mapping(folder.object("tokenizer_config.json"))
    limit = read_sentence_limit(folder)
    embedding = read_embedding(folder, settings, limit)
    kind = kind_of(settings, embedding, read_task(folder, head))
    context = read_context(settings, tokenizer, limit, pooling=kind in ("embed", "rerank", "classify", "reward"))
    layers, experts = read_layers(settings), read_experts(settings)
    return ModelCard(
        architecture=settings.architecture,
        model_type=settings.model_type,
        parameters=totals.parameters_by_dtype.total(),
        weight_bytes=totals.bytes_by_part.total(),
        dtype=_dtype(settings, totals),
        layers=settings.layers,
        hidden_size=settings.count("hidden_size") or 0,
        attention_heads=settings.count("num_attention_heads") or 0,
        kv_heads=layers.kv_heads,
        head_dim=layers.head_dim,
        vocabulary=settings.count("vocab_size") or 0,
        max_context=context.longest,
        default_context=context.default,
        context_source=context.source,
        kind=kind,
        capabilities=capabilities_of(kind, settings),
        parameters_by_dtype=dict(sorted(totals.parameters_by_dtype.items())),
        bytes_by_part=dict(sorted(totals.bytes_by_part.items())),
        tensors=totals.tensors,
        shards=totals.shards,
        intermediate_size=settings.count("intermediate_size"),
        layer_pattern=layers.pattern,
        attention=layers.groups,
        sliding_window=layers.window,
        mla=layers.mla,
        experts=experts,
        active_parameters=totals.active(experts.active / experts.count) if experts and totals.tensors else None,
        tied_embeddings=_is_tied(settings, totals),
        quantization=_quantization(folder, settings),
        embedding=embedding or (default_embedding(settings) if kind == "embed" else None),
        license=next(iter(head.get("license", ())), None),
        languages=head.get("language", ()),
        chat_template="chat_template.jinja" in folder.files or bool(tokenizer.get("chat_template")),
        tokenizer=text(tokenizer.get("tokenizer_class")),
        generation=read_generation(folder),
        remote_code=bool(mapping(settings.root.get("auto_map"))),
        transformers_version=text(settings.root.get("transformers_version")),
    )


def _quantization(folder: Folder, settings: Settings) -> Quantization | None:
    return read_quantization(settings, folder.object("hf_quant_config.json"))


def _dtype(settings: Settings, totals: Totals) -> str:
    """Return config.json's format (its root, then its language part), else the float that most bytes are stored in."""
    for part in (settings.root, settings.text):
        said = text(part.get("dtype")) or text(part.get("torch_dtype"))
        if said:
            name = said.removeprefix("torch.")
            return DTYPES.get(name, name)
    floats = {dtype: size for dtype, size in totals.bytes_by_dtype.items() if dtype in FLOATS}
    return max(sorted(floats), key=lambda dtype: floats[dtype], default="unknown")


def _is_tied(settings: Settings, totals: Totals) -> bool:
    """Believe the tensors first: with a stored head nothing is tied, with an embedding alone nothing else can be."""
    if totals.tensors:
        return not totals.bytes_by_part["head"] and bool(totals.bytes_by_part["embedding"])
    return settings.root.get("tie_word_embeddings", settings.text.get("tie_word_embeddings")) is True
