"""Tiny models with random weights, and how each is asked to be served. A table; `make_models.py` writes the folders."""

from dataclasses import dataclass, field

BASE = {
    "hidden_size": 128, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 32, "num_hidden_layers": 4,
    "intermediate_size": 256, "vocab_size": 512, "max_position_embeddings": 4096, "tie_word_embeddings": False,
}  # fmt: skip
LATENT = {
    "hidden_size": 128, "num_attention_heads": 2, "num_key_value_heads": 2, "num_hidden_layers": 3, "vocab_size": 512,
    "intermediate_size": 256, "moe_intermediate_size": 64, "n_routed_experts": 4, "num_experts_per_tok": 2,
    "n_shared_experts": 1, "first_k_dense_replace": 1, "kv_lora_rank": 512, "qk_rope_head_dim": 64,
    "qk_nope_head_dim": 128, "v_head_dim": 128, "max_position_embeddings": 2048, "tie_word_embeddings": False,
}  # fmt: skip
EXPERTS = {"num_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 64}


@dataclass(frozen=True)
class Tiny:
    """One model: its configuration, the format its weights are stored in, what the engine is asked for."""

    name: str
    config: dict
    stored: str = "bfloat16"
    asked: dict = field(default_factory=dict)
    exhaustive: bool = True


def llama(**changes):
    """A Llama with grouped heads."""
    return {"model_type": "llama", **BASE, **changes}


MODELS = (
    Tiny("llama, grouped heads", llama(), exhaustive=False),
    Tiny("llama, float32, tied", llama(tie_word_embeddings=True), "float32", exhaustive=False),
    Tiny("gemma 2, a window in every other layer", {"model_type": "gemma2", **BASE, "num_hidden_layers": 5,
         "sliding_window": 256, "tie_word_embeddings": True}, exhaustive=False),
    Tiny("deepseek 2, latent attention, experts", {"model_type": "deepseek_v2", **LATENT, "q_lora_rank": None,
         "topk_method": "greedy", "n_group": 1, "topk_group": 1}, exhaustive=False),
    Tiny("mixtral, experts", {"model_type": "mixtral", **BASE, "num_local_experts": 4, "sliding_window": None},
         exhaustive=False),
    Tiny("qwen 2, bias, tied, 5,000 tokens", {"model_type": "qwen2", **BASE, "tie_word_embeddings": True,
         "max_position_embeddings": 5000}, exhaustive=False),
    Tiny("llama, the longest context that fits", llama(max_position_embeddings=8_000_000),
         asked={"max_model_len": -1}, exhaustive=False),
    Tiny("llama, untied, float32 kept", llama(), "float32", {"dtype": "float32"}),
    Tiny("llama, one KV head", llama(num_key_value_heads=1)),
    Tiny("llama, float16", llama(), "float16"),
    Tiny("llama, 1,000 tokens asked", llama(), asked={"max_model_len": 1000}),
    Tiny("llama, cache in fp8", llama(), asked={"kv_cache_dtype": "fp8"}),
    Tiny("llama, linear rope scaling", llama(rope_scaling={"rope_type": "linear", "factor": 4.0})),
    Tiny("llama, dynamic rope scaling", llama(rope_scaling={"rope_type": "dynamic", "factor": 2.0})),
    Tiny("llama, rope scaling of Llama 3", llama(max_position_embeddings=16_384, rope_scaling={
         "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
         "original_max_position_embeddings": 2048})),
    Tiny("qwen 3, yarn", {"model_type": "qwen3", **BASE, "max_position_embeddings": 16_384, "rope_scaling": {
         "rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 4096}}),
    Tiny("qwen 2, a window that no layer has", {"model_type": "qwen2", **BASE, "use_sliding_window": True,
         "sliding_window": 512, "max_window_layers": 4}),
    Tiny("mistral, a window everywhere", {"model_type": "mistral", **BASE, "sliding_window": 1024}),
    Tiny("gemma 3, five windows, one full", {"model_type": "gemma3_text", **BASE, "num_hidden_layers": 13,
         "sliding_window": 512, "sliding_window_pattern": 6, "tie_word_embeddings": True}),
    Tiny("gemma 3, the longest context that fits", {"model_type": "gemma3_text", **BASE, "num_hidden_layers": 13,
         "sliding_window": 512, "tie_word_embeddings": True, "max_position_embeddings": 16_000_000},
         asked={"max_model_len": -1}),
    Tiny("cohere 2, three windows, one full", {"model_type": "cohere2", **BASE, "num_hidden_layers": 8,
         "sliding_window": 512, "tie_word_embeddings": True}),
    Tiny("gpt-oss, windows, sinks, experts", {"model_type": "gpt_oss", **BASE, "num_local_experts": 4,
         "num_experts_per_tok": 2, "sliding_window": 128}),
    Tiny("qwen 3, experts", {"model_type": "qwen3_moe", **BASE, **EXPERTS}),
    Tiny("deepseek 3, latent attention, float32", {"model_type": "deepseek_v3", **LATENT, "q_lora_rank": 64,
         "n_group": 1, "topk_group": 1, "topk_method": "noaux_tc"}, "float32"),
    Tiny("qwen 3 next, states and full attention", {"model_type": "qwen3_next", **BASE, **EXPERTS,
         "num_hidden_layers": 8, "linear_num_key_heads": 2, "linear_num_value_heads": 4, "linear_key_head_dim": 32,
         "linear_value_head_dim": 32, "shared_expert_intermediate_size": 64}),
    Tiny("phi 3, long rope", {"model_type": "phi3", **BASE, "max_position_embeddings": 16_384,
         "original_max_position_embeddings": 4096, "sliding_window": None, "pad_token_id": 0, "rope_scaling": {
         "rope_type": "longrope", "short_factor": [1.0] * 16, "long_factor": [2.0] * 16}}),
    Tiny("gpt 2, absolute positions", {"model_type": "gpt2", "n_embd": 128, "n_head": 4, "n_layer": 3,
         "n_positions": 1024, "vocab_size": 512}),
)  # fmt: skip
"""The first of them are asked in every run; the others with `make test-all`."""
