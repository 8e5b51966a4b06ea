"""config.json -> the language model's own settings under one set of names, with transformers' defaults filled in.

Knows spellings and nesting. What the settings mean for cache, context and experts stands in the neighbours.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from plinth_runtime.contract.card_defaults import DEFAULTS, TEXT_TYPES
from plinth_runtime.contract.card_files import Folder, mapping, text, whole

TEXT_PARTS = (
    "text_config", "llm_config", "language_config", "thinker_config", "vlm_config", "decoder", "generator",
)  # fmt: skip
"""Where multimodal models keep the language model's settings, one level down (Omni and Col models: two)."""

WRAPPERS = ("thinker_config", "vlm_config")
"""Parts that hold a whole multimodal model themselves."""

ENCODER_TYPES = frozenset({
    "albert", "bert", "camembert", "deberta", "deberta-v2", "distilbert", "electra", "eurobert", "gte", "jina_bert",
    "clip_text_model", "modernbert", "mpnet", "new", "nomic_bert", "roberta", "siglip2_text_model", "siglip_text_model",
    "xlm-roberta",
})  # fmt: skip
"""Types that read in both directions and keep no cache."""

ATTENTION_FREE = frozenset({"falcon_mamba", "mamba", "mamba2"})

ALIASES: Mapping[str, tuple[str, ...]] = {
    "num_hidden_layers": ("n_layer", "n_layers", "num_layers", "decoder_layers"),
    "hidden_size": ("n_embd", "d_model", "dim", "model_dim"),
    "num_attention_heads": ("n_head", "n_heads", "num_heads", "decoder_attention_heads"),
    "num_key_value_heads": ("n_head_kv", "num_kv_heads", "multi_query_group_num", "num_attention_groups", "n_kv_heads"),
    "vocab_size": ("padded_vocab_size", "n_vocab"),
    "intermediate_size": ("n_inner", "ffn_hidden_size", "d_ff", "ffn_dim", "hidden_dim", "decoder_ffn_dim"),
    "head_dim": ("kv_channels", "hidden_size_per_head", "attention_head_dim", "d_kv"),
}
"""Our key (Llama's spelling) -> how GPT-2, ChatGLM, DBRX, Falcon, MPT and others spell it."""

OTHER_FORMATS: Mapping[str, str] = {
    "params.json": ": params.json is Mistral's or Meta's own format; take the files that transformers reads as well",
    "*.gguf": ": GGUF files keep it inside, and only llama.cpp's family reads it there; take the original model",
    "*.nemo": ": a .nemo archive is NVIDIA NeMo's; convert it to the files that transformers reads",
}
"""Files of other formats -> what to do where config.json is missing."""

CORE = ("num_hidden_layers", "hidden_size", "num_attention_heads", "vocab_size")
MAX_LAYERS = 4096
"""Per-layer lists are made from a number in a file; the deepest model has below 200 layers."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The root of config.json, its language part, and both types. `text` holds our spellings and defaults."""

    root: Mapping[str, Any]
    text: Mapping[str, Any]
    model_type: str
    text_type: str
    architecture: str

    def count(self, *keys: str) -> int | None:
        """Return the first whole number above zero among the keys of the language part."""
        return next((value for key in keys if (value := whole(self.text.get(key)))), None)

    @property
    def layers(self) -> int:
        """Layers of the language model."""
        return self.count("num_hidden_layers") or 0

    @property
    def encoder_only(self) -> bool:
        """Whether it reads in both directions, so that nothing is kept in a cache."""
        return self.text_type in ENCODER_TYPES


def read_settings(folder: Folder) -> Settings | None:
    """Read config.json. None when it is absent or unusable; the reasons are in the folder's faults."""
    if "config.json" not in folder.files:
        others = next(
            (reason for pattern, reason in OTHER_FORMATS.items() if fnmatch.filter(folder.files, pattern)), ""
        )
        folder.faults.append(f"config.json is missing{others}")
        return None
    root = folder.object("config.json")
    if root is None:
        return None
    settings = settings_of(root)
    faults = [f"config.json has no {key}" for key in CORE if not _is_known(key, settings)]
    if faults and (reason := _foreign(root, settings)):
        faults = [reason]
    if settings.layers > MAX_LAYERS:
        faults.append(f"config.json says {settings.layers} layers, more than any model has")
    folder.faults.extend(faults)
    return None if faults else settings


def _foreign(root: Mapping[str, Any], settings: Settings) -> str | None:
    """Say what else a config.json without the shape of a language model is; None where that is not known."""
    if "pretrained_cfg" in root or ("architecture" in root and "num_classes" in root):
        return "config.json is timm's: an image model without text, which no engine here serves"
    if "model_type" not in root:
        return "config.json has no model_type: transformers did not write it, and engines here read nothing else"
    if settings.text_type not in DEFAULTS and not _is_known("vocab_size", settings):
        name = text(root["model_type"])
        return f"config.json has no vocab_size: {name} reads no text, and engines here serve models of text"
    return None


def settings_of(root: Mapping[str, Any]) -> Settings:
    """Flatten a parsed config.json. Never fails: what is missing or of the wrong type is simply not there."""
    model_type = text(root.get("model_type")) or "unknown"
    part = _language_part(root)
    text_type = text(part.get("model_type")) or TEXT_TYPES.get(model_type, model_type)
    if part is root:
        text_type = TEXT_TYPES.get(model_type, model_type)
    architectures = root.get("architectures")
    first = architectures[0] if isinstance(architectures, list) and architectures else None
    return Settings(
        root=root,
        text=_spell(part, text_type),
        model_type=model_type,
        text_type=text_type,
        architecture=text(first) or "unknown",
    )


def _language_part(root: Mapping[str, Any]) -> Mapping[str, Any]:
    for key in TEXT_PARTS:
        part = root.get(key)
        if isinstance(part, dict) and part:
            return _language_part(part) if key in WRAPPERS else part
    return root


def _spell(part: Mapping[str, Any], text_type: str) -> dict[str, Any]:
    own = dict(part)
    for key, others in ALIASES.items():
        if key == "num_attention_heads" and text_type in ATTENTION_FREE:
            continue  # Mamba-2's `num_heads` are heads of its states.
        if own.get(key) is None and (found := next((o for o in others if whole(own.get(o))), None)):
            own[key] = own[found]
    attention = mapping(own.get("attn_config"))
    if whole(attention.get("kv_n_heads")) and text_type == "dbrx":
        own.setdefault("num_key_value_heads", attention["kv_n_heads"])
    if any(whole(own.get(key)) for key in ("n_positions", "max_seq_len")):
        own.setdefault("max_position_embeddings", None)
    return {**DEFAULTS.get(text_type, {}), **own}


def _is_known(key: str, settings: Settings) -> bool:
    """Tell whether a shape is there: said in some spelling; multimodal models may lean on defaults, as they do."""
    if key == "num_attention_heads" and settings.text_type in ATTENTION_FREE:
        return True
    nested = _language_part(settings.root) is not settings.root
    said = any(whole(settings.root.get(name)) for name in (key, *ALIASES.get(key, ())))
    return settings.count(key) is not None and (nested or said)
