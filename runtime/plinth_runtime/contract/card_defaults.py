"""What transformers takes for a model type when config.json leaves a key out. A table and its parser.

Made from transformers 5.19 by asking each configuration class; the `engine` tests ask again and compare. Multimodal
checkpoints rely on it most: gemma-3-4b's text part names neither its heads nor its context.
Columns: layers, hidden size, attention heads, key-value heads, head size, vocabulary, longest context, sliding window,
tied embeddings. A dash: no default, or one that follows from other keys.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

COLUMNS = (
    "num_hidden_layers", "hidden_size", "num_attention_heads", "num_key_value_heads", "head_dim", "vocab_size",
    "max_position_embeddings", "sliding_window", "tie_word_embeddings",
)  # fmt: skip

_TABLE = """
afmoe 32 2048 16 - 128 200192 16384 1024 0
apertus 32 4096 32 - - 131072 65536 - 0
arcee 32 2560 32 - - 32000 4096 - 0
bert 12 768 12 - - 30522 512 - 1
bitnet 30 2560 20 5 - 128256 2048 - 0
bloom 2 64 8 - - 250880 - - 1
camembert 12 768 12 - - 30522 512 - 1
clip_text_model 12 512 8 - - 49408 77 - 0
cohere 40 8192 64 - - 256000 8192 - 1
cohere2 40 8192 64 - - 256000 8192 4096 1
dbrx 24 2048 16 1 - 32000 2048 - 0
deberta-v2 24 1536 24 - - 128100 512 - 1
deepseek_v2 32 4096 32 - 64 102400 2048 - 0
deepseek_v3 61 7168 128 128 64 129280 4096 - 0
distilbert 6 768 12 - - 30522 512 - 1
dots1 62 4608 32 32 - 152064 2048 4096 0
electra 12 256 4 - - 30522 512 - 1
ernie4_5 18 1024 16 2 128 103424 131072 - 1
ernie4_5_moe 28 2560 20 4 - 103424 131072 - 1
exaone4 32 4096 32 32 - 102400 2048 4096 0
falcon 32 4544 71 - - 65024 2048 - 1
falcon_h1 32 4096 32 8 - 128000 8192 - 0
falcon_mamba 32 768 - - - 50280 - - 1
gemma 28 3072 16 16 256 256000 8192 - 1
gemma2 26 2304 8 4 256 256000 8192 4096 1
gemma3_text 26 2304 8 4 256 262208 131072 4096 1
gemma3n_text 35 2048 8 2 256 262400 32768 512 1
gemma4_text 30 2304 8 4 - 262144 131072 512 1
glm 40 4096 32 2 128 151552 131072 - 0
glm4 40 4096 32 2 128 151552 131072 - 0
glm4_moe 46 4096 96 8 - 151552 131072 - 0
glm4_moe_lite 47 2048 20 20 64 154880 202752 - 0
glm4v_text 40 4096 32 2 - 151552 32768 - 0
glm_moe_dsa 78 6144 64 64 64 154880 202752 - 0
gpt2 12 768 12 - - 50257 1024 - 1
gpt_bigcode 12 768 12 1 - 50257 1024 - 1
gpt_neox 44 6144 64 - - 50432 2048 - 0
gpt_oss 36 2880 64 8 64 201088 131072 128 0
gptj 28 4096 16 - - 50400 2048 - 0
granite 32 4096 32 - - 32000 2048 - 0
granitemoe 32 4096 32 - - 32000 2048 - 0
granitemoehybrid 32 4096 32 - - 32000 2048 - 0
granitemoeshared 32 4096 32 - - 32000 2048 - 0
helium 24 2560 20 20 128 48000 4096 - 0
hunyuan_v1_dense 32 4096 32 - - 290943 2048 - 0
hunyuan_v1_moe 32 4096 32 - - 290943 2048 - 0
jais2 32 3328 26 - - 150272 8192 - 0
jamba 32 4096 32 8 - 65536 262144 - 0
lfm2 32 2560 32 8 - 65536 128000 - 1
lfm2_moe 32 2048 32 8 - 65536 128000 - 1
llama 32 4096 32 - - 32000 2048 - 0
llama4_text 48 5120 40 8 128 202048 131072 - 0
longcat_flash 56 6144 64 - 64 131072 131072 - 0
mamba 32 768 - - - 50280 - - 1
mamba2 64 4096 - - 64 32768 - - 0
minicpm3 62 2560 40 40 32 73448 32768 - 1
minimax 32 4096 32 8 - 32000 131072 - 0
minimax_m2 62 3072 48 8 128 200064 196608 - 0
ministral 32 4096 32 8 - 32000 131072 4096 0
ministral3 34 4096 32 8 128 131072 262144 - 0
mistral 32 4096 32 8 - 32000 131072 4096 0
mistral4 36 4096 32 32 128 131072 1048576 - 0
mixtral 32 4096 32 8 - 32000 131072 - 0
mllama_text_model 40 4096 32 8 - 128256 131072 - 0
modernbert 22 768 12 - - 50368 8192 64 1
mpnet 12 768 12 - - 30527 512 - 1
mpt 24 2048 16 - - 50368 2048 - 1
nemotron 32 6144 48 - - 256000 4096 - 0
nemotron_h 4 4096 32 8 128 131072 4096 - 0
nomic_bert 12 768 12 - - 30528 2048 - 1
olmo 32 4096 32 - - 50304 2048 - 0
olmo2 32 4096 32 - - 50304 2048 - 0
olmo3 32 4096 32 - - 50304 2048 4096 0
olmoe 16 2048 16 - - 50304 4096 - 0
opt 12 768 12 - - 50272 2048 - 1
persimmon 36 4096 64 - - 262144 16384 - 0
phi 24 2048 32 - - 51200 2048 - 0
phi3 32 3072 32 - - 32064 4096 - 0
phi4_multimodal 32 3072 32 8 - 200064 131072 - 0
phimoe 32 4096 32 8 - 32064 131072 - 0
qwen2 32 4096 32 32 - 151936 32768 - 0
qwen2_5_vl_text 80 8192 64 8 - 152064 32768 - 0
qwen2_moe 24 2048 16 16 - 151936 32768 0 0
qwen2_vl_text 80 8192 64 8 - 152064 32768 - 0
qwen3 32 4096 32 32 128 151936 32768 - 0
qwen3_5_moe_text 40 2048 16 2 256 248320 32768 - 0
qwen3_5_text 32 4096 16 4 256 248320 32768 - 0
qwen3_moe 24 2048 32 4 - 151936 32768 - 0
qwen3_next 48 2048 16 2 256 151936 32768 - 0
qwen3_vl_moe_text 24 2048 16 16 - 151936 128000 - 1
qwen3_vl_text 32 4096 32 32 128 151936 128000 - 0
roberta 12 768 12 - - 50265 512 - 1
seed_oss 64 4096 80 8 128 155136 524288 - 0
siglip2_text_model 12 768 12 - - 32000 64 - 0
siglip_text_model 12 768 12 - - 32000 64 - 0
smollm3 36 2048 16 4 - 128256 32768 - 1
solar_open 48 4096 64 8 128 196608 131072 - 0
stablelm 32 2560 32 32 - 50304 4096 - 0
starcoder2 30 3072 24 2 - 49152 4096 - 1
xlm-roberta 12 768 12 - - 30522 512 - 1
zamba2 54 2560 32 - - 32000 4096 - 1
"""

TEXT_TYPES: Mapping[str, str] = {
    "audioflamingo3": "qwen2", "aya_vision": "cohere2", "blip-2": "opt", "clip": "clip_text_model",
    "cohere2_vision": "cohere2",
    "colmodernvbert": "modernbert", "colpali": "gemma", "colqwen2": "qwen2_vl_text", "cosmos3_omni": "qwen3_vl_text",
    "deepseek_vl": "llama", "deepseek_vl_hybrid": "llama", "exaone4_5": "exaone4", "fast_vlm": "qwen2",
    "fun_asr_nano": "qwen3", "fuyu": "persimmon", "gemma3": "gemma3_text", "gemma3n": "gemma3n_text",
    "gemma4": "gemma4_text", "glm46v": "glm4v_text", "glm4v": "glm4v_text", "glmasr": "llama", "glmga": "glm4v_text",
    "got_ocr2": "qwen2", "granite4_vision": "llama", "granite_speech": "granite", "granite_speech_plus": "granite",
    "grounding-dino": "bert", "idefics2": "mistral", "idefics3": "llama", "instructblip": "opt",
    "instructblipvideo": "opt", "internvl": "qwen2", "janus": "llama", "lfm2_vl": "lfm2", "lighton_ocr": "qwen3",
    "llama4": "llama4_text", "llava": "llama", "llava_next": "llama", "llava_next_video": "llama",
    "llava_onevision": "qwen2", "minicpmv4_6": "qwen3_5_text", "minicpmv4_7": "qwen3_5_text", "mistral3": "mistral",
    "mllama": "mllama_text_model", "mm-grounding-dino": "bert", "modernvbert": "modernbert", "musicflamingo": "qwen2",
    "nemotron_h_omni": "nemotron_h", "ovis2": "qwen2", "paligemma": "gemma", "pe_audio": "modernbert",
    "perception_lm": "llama", "pp_chart2table": "qwen2", "qianfan_ocr": "qwen3", "qwen2_5_vl": "qwen2_5_vl_text",
    "qwen2_audio": "qwen2", "qwen2_vl": "qwen2_vl_text", "qwen3_5": "qwen3_5_text", "qwen3_5_moe": "qwen3_5_moe_text",
    "qwen3_asr": "qwen3", "qwen3_vl": "qwen3_vl_text", "qwen3_vl_moe": "qwen3_vl_moe_text",
    "shieldgemma2": "gemma3_text", "siglip": "siglip_text_model", "siglip2": "siglip2_text_model",
    "smolvlm": "llama", "vibevoice": "qwen2", "vibevoice_asr": "qwen2",
    "video_llama_3": "qwen2", "video_llava": "llama", "vipllava": "llama", "voxtral": "llama",
}  # fmt: skip
"""Composite model type -> the type of its language model, for text parts that do not name theirs."""


def _parse(table: str) -> dict[str, dict[str, Any]]:
    rows = {}
    for line in table.split("\n"):
        name, *cells = line.split() or [""]
        values: dict[str, Any] = {key: int(cell) for key, cell in zip(COLUMNS, cells, strict=False) if cell != "-"}
        if values:
            rows[name] = {**values, "tie_word_embeddings": bool(values["tie_word_embeddings"])}
    return rows


DEFAULTS: Mapping[str, Mapping[str, Any]] = _parse(_TABLE)
