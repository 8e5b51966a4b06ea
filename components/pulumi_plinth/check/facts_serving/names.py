"""Names of models: which row of the catalogue is meant, how large it is, how it was quantised, of which type. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

from plinth_runtime.contract.card import ModelCard
from plinth_runtime.contract.card_types import CardError, Quantization
from pulumi_plinth.model.catalogue import Catalogue

NOISE = frozenset({
    "instruct", "chat", "it", "hf", "base", "preview", "fp8", "fp16", "bf16", "bfloat16", "float16", "awq", "gptq",
    "gguf", "int4", "int8", "w4a16", "w8a8", "w8a16", "nvfp4", "mxfp4", "bnb", "4bit", "8bit", "dynamic", "marlin",
    "quantized", "autoround", "unsloth", "mlx", "dense", "model", "weights", "checkpoint", "the", "official", "v1",
})  # fmt: skip
"""Words that do not tell one model's geometry from another's."""

TYPES: tuple[tuple[str, str], ...] = (
    (r"qwen3\.?5.*a\d+b", "qwen3_5_moe"), (r"qwen3[.-]5", "qwen3_5"), (r"qwen3-next", "qwen3_next"),
    (r"qwen3-omni", "qwen3_omni_moe"), (r"qwen3-vl.*a\d+b", "qwen3_vl_moe"), (r"qwen3-vl", "qwen3_vl"),
    (r"qwen3-.*a\d+b", "qwen3_moe"), (r"qwen3(?![.\d])", "qwen3"), (r"qwen2[.-]5-omni", "qwen2_5_omni"),
    (r"qwen2[.-]5-vl", "qwen2_5_vl"), (r"qwen2-vl", "qwen2_vl"), (r"qwen(1[.-]5|2)-.*moe", "qwen2_moe"),
    (r"qwen(1[.-]5|2([.-]5)?)(?!\d)", "qwen2"), (r"qwq-32b", "qwen2"), (r"gemma-?4", "gemma4"),
    (r"gemma-?3n", "gemma3n"), (r"gemma-?3-(270m|1b)", "gemma3_text"), (r"gemma-?3", "gemma3"),
    (r"gemma-?2(?!b)", "gemma2"), (r"gemma-", "gemma"), (r"whisper", "whisper"), (r"deepseek-v4", "deepseek_v4"),
    (r"deepseek-v3[.-]2", "deepseek_v32"), (r"deepseek-(v3|r1)(?!.*distill)", "deepseek_v3"),
    (r"deepseek-(coder-)?v2", "deepseek_v2"), (r"llama-4", "llama4"), (r"llama-3[.-]2-.*vision", "mllama"),
    (r"gpt-oss", "gpt_oss"), (r"glm-4[.-][567].*v\b", "glm4v_moe"), (r"glm-4[.-][567](?!-flash)", "glm4_moe"),
    (r"glm-4-(9b|32b)-0414", "glm4"), (r"glm-4[.-]1v", "glm4v"), (r"mixtral", "mixtral"), (r"pixtral", "pixtral"),
    (r"mistral-small-3[.-][12]", "mistral3"), (r"kimi-vl", "kimi_vl"), (r"kimi-linear", "kimi_linear"),
    (r"minimax-m2", "minimax_m2"), (r"seed-oss", "seed_oss"), (r"smollm3", "smollm3"), (r"olmo-?3", "olmo3"),
    (r"olmo-?2", "olmo2"), (r"olmoe", "olmoe"), (r"phi-?4-multimodal", "phi4mm"), (r"phi-?3[.-]5-moe", "phimoe"),
    (r"phi-?(3|4)", "phi3"), (r"starcoder-?2", "starcoder2"), (r"dbrx", "dbrx"), (r"command-(r|a)", "cohere"),
    (r"paligemma", "paligemma"), (r"zamba-?2", "zamba2"), (r"baichuan", "baichuan"),
    (r"nemotron-(h|3|nano-v2)", "nemotron_h"), (r"ernie-4[.-]5-.*a\d+b", "ernie4_5_moe"),
    (r"modernbert", "modernbert"), (r"bge-(m3|reranker)|multilingual-e5|xlm-roberta", "xlm-roberta"),
    (r"bge-|minilm|mpnet-base|^e5-", "bert"), (r"exaone-4", "exaone4"),
    (r"internlm-", "internlm"), (r"granite-3", "granite"),
)  # fmt: skip
"""Pattern over a name in small letters with dashes -> model type, the first that is found."""

METHODS: tuple[tuple[str, Quantization], ...] = (
    (r"w4a8", Quantization(method="compressed-tensors", bits=4, group_size=128, format="w4a8")),
    (r"gptq.*int8|w8a16", Quantization(method="gptq", bits=8, group_size=128)),
    (r"gptq|int4|w4a16|autoround", Quantization(method="gptq", bits=4, group_size=128)),
    (r"awq", Quantization(method="awq", bits=4, group_size=128)),
    (r"fp8.*block|block.*fp8|qwen/qwen3.*fp8|minimax-m2", Quantization(method="fp8", bits=8, format="e4m3")),
    (r"fp8", Quantization(method="fp8", bits=8)),
    (r"nvfp4", Quantization(method="modelopt_fp4", bits=4, group_size=16)),
    (r"bnb|4bit", Quantization(method="bitsandbytes", bits=4)),
    (r"int8|w8a8", Quantization(method="compressed-tensors", bits=8)),
)
"""Pattern over a name -> what the checkpoint is; groups as makers choose them."""


def plain(name: str) -> str:
    """Spell a name in small letters with dashes, without what stands before the last slash."""
    return re.sub(r"[\s_/()]+", "-", name.strip().rpartition("/")[2].lower()).strip("-")


def card_of_name(name: str, catalogue: Catalogue) -> ModelCard | None:
    """Find the card of the model that is meant: by its exact name, else by all words that tell models apart."""
    entry = catalogue.find(name) or catalogue.find(plain(name))
    if entry is None:
        wanted = _words(name)
        found = [row for row in sorted(catalogue.rows) if wanted and _words(row) == wanted]
        tuned = [row for row in found if "instruct" in row or row.endswith("-it")]
        entry = catalogue.entry((tuned or found)[0]) if found else None
    try:
        return entry.card() if entry else None
    except CardError:
        return None


def type_of_name(name: str) -> str:
    """Return the model type that a name speaks of; '' where it names no family that is known."""
    spelled = plain(name)
    return next((kind for pattern, kind in TYPES if re.search(pattern, spelled)), "")


def type_of_architecture(name: str) -> str:
    """Return the model type of a class such as Qwen3MoeForCausalLM: qwen3_moe."""
    stem = re.sub(r"(For[A-Z]\w+|LMHeadModel|Model)$", "", name)
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", stem).lower()


def quantization_of_name(name: str) -> Quantization | None:
    """Return how a checkpoint was quantised, as its name says."""
    return next((made for pattern, made in METHODS if re.search(pattern, name.lower())), None)


def made_at_load(method: str) -> Quantization | None:
    """Return what a method that quantises while loading makes; None for methods of checkpoints."""
    return Quantization(method=method, bits=8) if re.fullmatch(r"(fp8|int8)_per_\w+", method) else None


def parameters_of_name(name: str) -> int | None:
    """Return the number of weights that a name speaks of; None for mixtures whose name counts otherwise."""
    spelled = plain(name)
    if re.search(r"\d+e\b|\be\d+b\b", spelled):
        return None
    if mixture := re.search(r"(\d+)x(\d+(?:\.\d+)?)b\b", spelled):
        return round(int(mixture[1]) * float(mixture[2]) * 0.83e9)
    sizes = re.findall(r"(?<![\w.])(\d+(?:\.\d+)?)([bm])(?![a-z0-9])", spelled)
    return min((round(float(number) * UNITS[unit]) for number, unit in sizes), default=None)


UNITS: Mapping[str, float] = {"b": 1e9, "m": 1e6}


def _words(name: str) -> frozenset[str]:
    """Return the words that tell models apart; dates of releases do not."""
    parts = re.split(r"-+", plain(name))
    return frozenset(part for part in parts if part and part not in NOISE and not re.fullmatch(r"\d{2,4}", part))
