"""The model in loosely written facts: its card, what is stated of its configuration, its files. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from plinth_runtime.contract.card import ModelCard
from plinth_runtime.contract.card_types import Experts, Quantization
from pulumi_plinth.check.command import config_overrides
from pulumi_plinth.check.facts_place_words import Facts, is_absent, words_of
from pulumi_plinth.check.facts_serving.known import Known
from pulumi_plinth.check.facts_serving.names import (
    card_of_name,
    made_at_load,
    parameters_of_name,
    quantization_of_name,
    type_of_architecture,
    type_of_name,
)
from pulumi_plinth.check.facts_serving.words import online_method, rope_of
from pulumi_plinth.check.serving import Serving, Weights

HALF = 2
BLANK = ModelCard(
    architecture="unknown", model_type="unknown", parameters=0, weight_bytes=0, dtype="unknown", layers=0,
    hidden_size=0, attention_heads=0, kv_heads=0, head_dim=0, vocabulary=0, max_context=0,
)  # fmt: skip
"""A card of which nothing is known."""

NAMES = "model(_id|_name|_path|_uri|_repo)?|base(_model)?|repo(sitory)?(_id)?|checkpoint|served_model|storage_uri"
NUMBERS: Mapping[str, tuple[str, str]] = {
    "attention_heads": ("num_attention_heads", "(num_)?(attention_|q_|query_)?heads|num_attention_heads|n_head"),
    "kv_heads": ("num_key_value_heads", "(num_)?(key_value|kv)_heads|num_query_groups|n_head_kv"),
    "hidden_size": ("hidden_size", "hidden_size|d_model|n_embd"),
    "layers": ("num_hidden_layers", "(num_)?(hidden_)?layers|n_layer"),
    "head_dim": ("head_dim", "head_(dim|size)"),
    "vocabulary": ("vocab_size", "vocab(ulary)?(_size)?|padded_vocab_size"),
    "intermediate_size": ("intermediate_size", "intermediate_size|ffn_(hidden_size|dim)"),
    "max_context": (
        "max_position_embeddings",
        "max_position_embeddings|n_positions|(trained|native)_(context|length)|derived_max_model_len|max_target_positions|seq_length|n_ctx",
    ),
}
"""Field of a card -> config.json's key and how people spell it."""

OTHERS: Mapping[str, str] = {
    "model_max_length": "model_max_length",
    "original_max_position_embeddings": "original_max_position_embeddings",
    "vision_num_attention_heads": "(vision|vit|visual)_(tower_)?(num_)?(attention_)?heads",
    "sliding_window": "sliding_window",
    "shared_expert_intermediate_size": "shared_experts?_(intermediate_)?size",
    "n_predict": "n_predict|num_nextn_predict_layers|mtp_num_hidden_layers",
    "n_physical_experts": "(n|num)_physical_experts",
    "expert_parallel_size": "(ep|expert_parallel)_size",
}
"""Keys that no card has a field for, and how people spell them."""

FORMATS = ("safetensors", "gguf", "mlx", "onnx", "exl2", "exl3", "tensorrt")
FORMAT_KEYS = (
    "(weights?_|model_|file_|checkpoint_)?(file_?)?formats?|repo_(weights|files)|weight_files|files|weights(_in_repo)?"
)
HALF_MAKERS = ("awq", "gptq")
"""Makers of these write float16 into the checkpoint, whatever the model was trained in."""

SIXTEEN_BIT = 1.9
"""Bytes a parameter from which a row of the catalogue is that of an unquantised checkpoint."""

WEIGHT_KEYS = "(total_)?weights?(_size|_bytes|_total)?_(gb|gib|bytes|tb)|(model|checkpoint)_size(_gb|_gib)?"
DTYPES = {"half": "float16", "fp16": "float16", "bf16": "bfloat16", "fp32": "float32", "float": "float32"}


def read_model(facts: Facts, known: Known, serving: Serving) -> Serving:
    """Add the model to what is known of the engine."""
    name = facts.text(NAMES) or serving.model
    config = _config(facts, serving)
    card = _card(facts, known, name, config)
    formats = _formats(facts, name)
    weights = _weight_bytes(facts, name, card)
    files = facts.words(FORMAT_KEYS) or ()
    if card and weights != card.weight_bytes:
        card = card.model_copy(update={"weight_bytes": weights})
    return replace(serving, model=name, config=config, card=card, weights=Weights(formats, weights or None, files))


def _config(facts: Facts, serving: Serving) -> dict[str, Any]:
    """Collect config.json's keys as stated, then what the command overrides."""
    config: dict[str, Any] = {}
    for key, pattern in NUMBERS.values():
        number = facts.number(f"(text_config_|config_)?({pattern})")
        if number:
            config[key] = int(number)
    for key, pattern in OTHERS.items():
        if number := facts.number(f"(config_|vision_config_)?({pattern})"):
            config[key] = int(number)
    overrides = config_overrides(serving.arguments)
    config |= overrides
    ropes = overrides.get("rope_scaling", _ropes(facts))
    if ropes is not None:
        config["rope_scaling"] = rope_of(ropes)
    if facts.has("auto_map|custom_code|remote_code|own_code"):
        config["auto_map"] = facts.flag("auto_map|custom_code|remote_code|own_code")
    return config


def _ropes(facts: Facts) -> Any:
    """Return rope scaling as one value, also where type and factor are facts of their own; None where nobody speaks."""
    found = facts.find("(config_|text_config_)?rope_(scaling|parameters)|yarn|rope")
    kind, factor = facts.text("rope_(scaling_)?type"), facts.number("(rope_|yarn_)?(scaling_)?factor")
    if found and not (isinstance(found[1], str) and factor):
        return found[1]
    if not kind and not factor:
        return found[1] if found else None
    trained = facts.number("original_max_position_embeddings")
    said = {"rope_type": kind or (str(found[1]).lower() if found else "yarn"), "factor": factor or 1.0}
    return {**said, "original_max_position_embeddings": int(trained)} if trained else said


def _card(facts: Facts, known: Known, name: str | None, config: Mapping[str, Any]) -> ModelCard | None:
    found = card_of_name(name, known.catalogue) if name else None
    stated = {field: config[key] for field, (key, _) in NUMBERS.items() if key in config}
    stated |= _named(facts, name, found)
    quantization = _quantization(facts, name, found)
    if quantization:
        stated["quantization"] = quantization
        if quantization.method in HALF_MAKERS and (found is None or found.quantization is None):
            stated.setdefault("dtype", "float16")
    card = found or BLANK
    if facts.has("(moe_|expert_)intermediate_size|experts_intermediate_size"):
        stated["experts"] = _experts(facts, card)
    if "layers" in stated and stated["layers"] != card.layers:
        stated["attention"], stated["layer_pattern"] = (), ()
    return card.model_copy(update=stated) if found or stated else None


def _named(facts: Facts, name: str | None, found: ModelCard | None) -> dict[str, Any]:
    """Read what is a word and no number: type, number format, architecture, kind."""
    stated: dict[str, Any] = {}
    architecture = facts.words("architectures?(_name)?|model_class")
    kind = facts.text("(config_|hf_)?model_type") or ("" if found else type_of_name(name or ""))
    if kind:
        stated["model_type"] = kind.split()[0].strip(",")
    elif architecture and not found:
        stated["model_type"] = type_of_architecture(architecture[0])
    made = facts.text("(torch|model|checkpoint|config|card|weights|native|saved)_d?type|dtype_in_config|config_dtype")
    if made:
        plain = made.lower().split()[0].removeprefix("torch.").strip(",")
        stated["dtype"] = DTYPES.get(plain, plain)
    if architecture:
        stated["architecture"] = architecture[0]
    return stated


def _experts(facts: Facts, card: ModelCard) -> Experts:
    size = int(facts.number("(moe_|expert_)intermediate_size|experts_intermediate_size") or 0) or None
    made = card.experts or Experts(count=int(facts.number("(num_|n_)?(routed_|local_)?experts") or 0), active=0)
    return made.model_copy(update={"intermediate_size": size})


def _quantization(facts: Facts, name: str | None, found: ModelCard | None) -> Quantization | None:
    """Return how the checkpoint is quantised: as stated, else as its name says, else None.

    A bare `quantization: awq` beside a model describes its checkpoint; in a command line it is a flag and no more.
    """
    method = facts.text("(quantization_config_)?quant_?method|checkpoint_quanti[sz]ation|weights_quanti[sz]ation")
    bare = facts.text("quanti[sz]ation") if not facts.has("quanti[sz]ation_(arg|flag|asked)") else None
    if not method and bare and (found is None or found.quantization is None) and not quantization_of_name(name or ""):
        return made_at_load(online_method(bare)) or quantization_of_name(bare)
    blocks = facts.find("(quantization_config_)?(weight_)?(quanti[sz]ation_)?block_sizes?(_fp8)?|fp8_block(_size)?")
    group = facts.number("(quantization_config_)?(quanti[sz]ation_)?group_size")
    if blocks and (blocks[0] != "block_size") and not is_absent(blocks[1]):
        return Quantization(method="fp8", bits=8, format="e4m3")
    said = quantization_of_name(name or "")
    if method:
        made = quantization_of_name(method) or Quantization(method=method.lower().split()[0])
        said = made.model_copy(update={"method": method.lower().split()[0].strip(",")})
    if group and (said or found is None or found.quantization is None):
        said = (said or Quantization(method="gptq", bits=4)).model_copy(update={"group_size": int(group)})
    return said


def _weight_bytes(facts: Facts, name: str | None, card: ModelCard | None) -> int:
    """Return bytes of all weights: as stated, else parameters times their width, else the catalogue's."""
    stated = facts.size(WEIGHT_KEYS, max)
    if stated:
        return int(stated)
    made = card.quantization if card else None
    width = made.bits / 8 if made and made.bits else HALF
    billions = facts.number("(total_)?(params|parameters)(_b|_billions?)?|model_params(_b)?")
    if billions:
        return int(billions * (1e9 if billions < 1e5 else 1) * width)  # noqa: PLR2004 a plain count of parameters
    if card and card.weight_bytes:
        whole = card.weight_bytes >= SIXTEEN_BIT * card.parameters
        return int(card.parameters * width) if whole and width < HALF else card.weight_bytes
    count = parameters_of_name(name or "")
    return int(count * width) if count else 0


def _formats(facts: Facts, name: str | None) -> tuple[str, ...]:
    said = " ".join(" ".join(words_of(value)) for _, value in facts.each(FORMAT_KEYS)).lower()
    spelled = (name or "").lower()
    found = [known for known in FORMATS if re.search(rf"\b{known}\b", f"{said} {spelled}")]
    if re.search(r"\.bin\b|\bbin\b|pytorch_model|\bpytorch\b", said):
        found.append("bin")
    found += [known for known in ("pt", "pth") if re.search(rf"\.{known}\b", said)]
    return tuple(found)
