"""The small files beside config.json: sentence-transformers modules, adapters, diffusers pipelines, sampling."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from plinth_runtime.contract.card_config import Settings
from plinth_runtime.contract.card_files import Folder, mapping, number, text, whole
from plinth_runtime.contract.card_types import Adapter, CardKind, Diffusion, Embedding

SENTENCE_FILES = tuple(
    f"sentence_{kind}_config.json"
    for kind in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
)
POOLING_KEYS: Mapping[str, str] = {
    "pooling_mode_cls_token": "cls", "pooling_mode_mean_tokens": "mean", "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len", "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "last",
}  # fmt: skip
POOLING_NAMES: Mapping[str, str] = {"lasttoken": "last"}
GENERATING_MODELS = frozenset({
    "ChatGLMModel", "MiDashengLMModel", "MossAudioModel", "Qwen2_5OmniModel", "UltravoxModel",
})  # fmt: skip
"""Classes called …Model that generate all the same; the others embed, as in vLLM's `_SUFFIX_TO_DEFAULTS`."""

IMAGE_KEYS = (
    "vision_config", "vision_tower_config", "visual", "vit_config", "img_processor", "mm_vision_tower",
    "vision_tower_name", "visual_tokenizer_config",
)  # fmt: skip
AUDIO_KEYS = ("audio_config", "audio_encoder_config", "audio_processor", "sound_config", "speech_config")
"""Keys under which multimodal models keep what sees and hears."""

VIDEO_OUT = re.compile(
    r"Video|Wan|Mochi|LTX|Animate|Allegro|Latte|SkyReels|Cosmos|I2V|T2V|Framepack|HeliosPipeline", re.IGNORECASE
)
IMAGE_IN = re.compile(
    r"Img2Img|ImageTo|Image2|I2V|Inpaint|Fill|Edit|Kontext|Upscale|InstructPix|Control|Redux|Depth2Img|StableVideo",
)
"""What diffusers' class names say of output and input."""

SAMPLING = ("temperature", "top_p", "top_k", "min_p", "repetition_penalty", "max_new_tokens", "do_sample")
MAX_COMPONENTS = 100
RANKED = frozenset({"lora", "adalora", "loha", "lokr", "randlora", "vera"})
"""Methods of PEFT whose adapters have a rank."""

VARIANTS: Mapping[str, str] = {
    "use_rslora": "rslora", "use_dora": "dora", "use_qalora": "qalora", "lora_bias": "bias",
    "alora_invocation_tokens": "alora", "layer_replication": "layer_replication", "rank_pattern": "rank_pattern",
    "alpha_pattern": "alpha_pattern",
}  # fmt: skip
"""Keys of adapter_config.json that change what a LoRA means -> their names."""


def read_sentence_limit(folder: Folder) -> int | None:
    """Read sentence-transformers' max_seq_length, from the first file that says it."""
    for path in SENTENCE_FILES:
        limit = whole(mapping(folder.object(path)).get("max_seq_length"))
        if limit:
            return limit
    return None


def read_embedding(folder: Folder, settings: Settings, limit: int | None) -> Embedding | None:
    """Read modules.json and what it points to; None when the folder is no sentence-transformers model."""
    modules = folder.value("modules.json")
    if not isinstance(modules, list):
        return None
    rows = [(text(row.get("type")) or "", text(row.get("path")) or "") for row in modules if isinstance(row, dict)]
    names = [(kind.rsplit(".", 1)[-1], path) for kind, path in rows]
    pooling_path = next((path for kind, path in names if kind == "Pooling"), None)
    if pooling_path is None:
        return None
    pooling = mapping(folder.object(f"{pooling_path}/config.json" if pooling_path else "config.json"))
    dimension = whole(pooling.get("word_embedding_dimension")) or settings.count("hidden_size") or 0
    dense = [path for kind, path in names if kind == "Dense"]
    if dense:
        dimension = whole(mapping(folder.object(f"{dense[-1]}/config.json")).get("out_features")) or dimension
    normalized = any(kind == "Normalize" for kind, _ in names)
    return Embedding(dimension=dimension, pooling=_pooling(pooling), normalized=normalized, max_tokens=limit)


def read_task(folder: Folder, head: Mapping[str, tuple[str, ...]]) -> str:
    """Return what the README says that it is for; sentence-transformers' cross encoders rank, whatever it says."""
    modules = folder.value("modules.json")
    rows = modules if isinstance(modules, list) else []
    if any(".cross_encoder." in (text(mapping(row).get("type")) or "") for row in rows):
        return "text-ranking"
    return next(iter(head.get("pipeline_tag", ())), "")


def read_adapter(folder: Folder) -> Adapter | None:
    """Read adapter_config.json; None when there is none."""
    config = folder.object("adapter_config.json")
    if config is None:
        return None
    method = (text(config.get("peft_type")) or "LORA").lower()
    rank = whole(config.get("r")) or whole(config.get("rank"))
    base = text(config.get("base_model_name_or_path"))
    if not rank and method not in RANKED:
        folder.faults.append(f"adapter_config.json describes {method}, which has no rank; engines here serve lora only")
    elif not rank:
        folder.faults.append("adapter_config.json has no r (rank)")
    if base is None:
        folder.faults.append("adapter_config.json has no base_model_name_or_path, the model that it works on")
    if not rank or base is None:
        return None
    patterns = mapping(config.get("rank_pattern")).values()
    return Adapter(
        method=method,
        base_model=base,
        rank=max(rank, *(found for value in patterns if (found := whole(value))), 0),
        variants=tuple(name for key, name in VARIANTS.items() if config.get(key) not in (None, False, {}, [])),
        alpha=number(config.get("lora_alpha")) or float(rank),
        target_modules=_names(config.get("target_modules")),
        modules_to_save=_names(config.get("modules_to_save")),
        base_revision=text(config.get("revision")),
    )


def read_diffusion(folder: Folder) -> Diffusion | None:
    """Read model_index.json; None when there is none."""
    index = folder.object("model_index.json")
    if index is None:
        return None
    rows = {
        str(name)[:80]: (value[0], value[1])
        for name, value in list(index.items())[:MAX_COMPONENTS]
        if isinstance(value, list) and len(value) == 2 and all(isinstance(part, str) for part in value)  # noqa: PLR2004
    }
    pipeline = text(index.get("_class_name")) or "unknown"
    return Diffusion(pipeline=pipeline, components=rows, version=text(index.get("_diffusers_version")))


def read_generation(folder: Folder) -> dict[str, float | int | bool]:
    """Read the sampling defaults that vLLM takes over from generation_config.json."""
    config = mapping(folder.object("generation_config.json"))
    return {
        key: config[key] for key in SAMPLING if isinstance(config.get(key), bool) or number(config.get(key)) is not None
    }


def kind_of(settings: Settings, embedding: Embedding | None, task: str) -> CardKind:
    """Tell what the model is for, by its class, then by the README's pipeline_tag (`task`)."""
    name = settings.architecture
    if re.search(r"Whisper|ForCTC|ForSpeechSeq2Seq|Wav2Vec2|Hubert", name):
        return "speech"
    if "Reward" in name:
        return "reward"
    if "ForSequenceClassification" in name or "ForTokenClassification" in name:
        labels = settings.root.get("id2label")
        one = settings.root.get("num_labels") == 1 or (isinstance(labels, dict) and len(labels) == 1)
        return "rerank" if one or task == "text-ranking" else "classify"
    if task == "text-ranking":
        return "rerank"
    return "embed" if embedding is not None or settings.encoder_only or _is_bare(name) else "generate"


def _is_bare(name: str) -> bool:
    """Tell a class that ends in vectors from one that ends in tokens, as vLLM does."""
    if name.endswith(("LMHeadModel", "ChatModel")) or name in GENERATING_MODELS:
        return False
    return name.endswith(("Model", "ForMaskedLM", "Embedding", "ForTextEncoding"))


def default_embedding(settings: Settings) -> Embedding:
    """Describe an embedding model that says nothing: vLLM takes the first token of encoders, the last of decoders."""
    return Embedding(dimension=settings.count("hidden_size") or 0, pooling="cls" if settings.encoder_only else "last")


def capabilities_of(kind: CardKind, settings: Settings) -> tuple[str, ...]:
    """Name what it can do in OME's words (the preferred set)."""
    fixed: Mapping[str, tuple[str, ...]] = {
        "embed": ("EMBEDDING",), "rerank": ("RERANK",), "speech": ("AUDIO_TO_TEXT",), "classify": (), "reward": (),
    }  # fmt: skip
    if kind in fixed:
        return fixed[kind]
    parts = {**settings.root, **mapping(settings.root.get("thinker_config"))}
    found = ["TEXT_TO_TEXT"]
    if any(isinstance(parts.get(key), (dict, str)) and parts[key] for key in IMAGE_KEYS):
        found.append("IMAGE_TEXT_TO_TEXT")
    if any(isinstance(parts.get(key), (dict, str)) and parts[key] for key in AUDIO_KEYS):
        found.append("AUDIO_TO_TEXT")
    return tuple(found)


def diffusion_capabilities(pipeline: str) -> tuple[str, ...]:
    """Read a diffusers class name: what goes in and what comes out."""
    out = "VIDEO" if VIDEO_OUT.search(pipeline) else "IMAGE"
    out = "AUDIO" if re.search(r"Audio|Music", pipeline) else out
    return (f"{'IMAGE_TEXT' if IMAGE_IN.search(pipeline) else 'TEXT'}_TO_{out}",)


def _pooling(config: Mapping[str, Any]) -> str:
    named = text(config.get("pooling_mode"))
    if named:
        return POOLING_NAMES.get(named, named)
    return next((name for key, name in POOLING_KEYS.items() if config.get(key) is True), "unknown")


def _names(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value[:200],)
    return tuple(item[:200] for item in value[:1000] if isinstance(item, str)) if isinstance(value, list) else ()
