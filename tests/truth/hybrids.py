"""Models whose layers keep different things: states beside attention, windows of another width, shared caches.

A table of configurations, small but with the proportions of real ones; no weights belong to them.
"""

BASE = {
    "hidden_size": 1024, "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 128, "num_hidden_layers": 8,
    "intermediate_size": 2048, "vocab_size": 4096, "max_position_embeddings": 8192, "dtype": "bfloat16",
}  # fmt: skip
MIXED = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 256}

HYBRIDS = (
    {"model_type": "jamba", "architectures": ["JambaForCausalLM"], **BASE, "attn_layer_period": 4,
     "attn_layer_offset": 1, "expert_layer_period": 2, "expert_layer_offset": 1, "num_experts": 4,
     "num_experts_per_tok": 2, "mamba_d_state": 16, "mamba_d_conv": 4, "mamba_expand": 2, "mamba_dt_rank": 64},
    {"model_type": "falcon_h1", "architectures": ["FalconH1ForCausalLM"], **BASE, "mamba_d_ssm": 1024,
     "mamba_n_heads": 16, "mamba_d_head": 64, "mamba_n_groups": 1, "mamba_d_state": 128, "mamba_d_conv": 4,
     "mamba_expand": 2},
    {"model_type": "nemotron_h", "architectures": ["NemotronHForCausalLM"], **BASE,
     "hybrid_override_pattern": "M-M*M-M-", "mamba_num_heads": 16, "mamba_head_dim": 64, "n_groups": 2,
     "ssm_state_size": 128, "conv_kernel": 4},
    {"model_type": "granitemoehybrid", "architectures": ["GraniteMoeHybridForCausalLM"], **BASE,
     "layer_types": ["mamba"] * 3 + ["attention"] + ["mamba"] * 4, "num_local_experts": 4, "num_experts_per_tok": 2,
     "shared_intermediate_size": 512, "mamba_n_heads": 32, "mamba_d_head": 64, "mamba_n_groups": 1,
     "mamba_d_state": 128, "mamba_d_conv": 4, "mamba_expand": 2},
    {"model_type": "zamba2", "architectures": ["Zamba2ForCausalLM"], "hidden_size": 1024, "num_hidden_layers": 6,
     "num_attention_heads": 16, "num_key_value_heads": 16, "vocab_size": 4096, "max_position_embeddings": 4096,
     "mamba_d_state": 64, "mamba_d_conv": 4, "mamba_expand": 2, "mamba_ngroups": 1, "n_mamba_heads": 32,
     "layers_block_type": ["mamba", "hybrid", "mamba", "mamba", "hybrid", "mamba"], "hybrid_layer_ids": [1, 4],
     "intermediate_size": 2048, "dtype": "bfloat16"},
    {"model_type": "qwen3_next", "architectures": ["Qwen3NextForCausalLM"], **BASE, **MIXED,
     "shared_expert_intermediate_size": 256, "linear_num_key_heads": 8, "linear_num_value_heads": 16,
     "linear_key_head_dim": 128, "linear_value_head_dim": 128},
    {"model_type": "gemma3n_text", "architectures": ["Gemma3nForCausalLM"], **BASE, "num_key_value_heads": 2,
     "num_hidden_layers": 10, "intermediate_size": [2048] * 10, "vocab_size_per_layer_input": 4096,
     "num_kv_shared_layers": 5, "sliding_window": 512, "activation_sparsity_pattern": [0.0] * 10,
     "layer_types": (["sliding_attention"] * 4 + ["full_attention"]) * 2},
    {"model_type": "gemma4_text", "architectures": ["Gemma4ForCausalLM"], **BASE, "num_hidden_layers": 12,
     "sliding_window": 512, "global_head_dim": 256, "num_global_key_value_heads": 2},
    {"model_type": "gemma4_text", "architectures": ["Gemma4ForCausalLM"], **BASE, "num_hidden_layers": 12,
     "sliding_window": 512, "num_global_key_value_heads": 1, "attention_k_eq_v": True},
    {"model_type": "exaone4", "architectures": ["Exaone4ForCausalLM"], **BASE, "sliding_window": 1024,
     "sliding_window_pattern": 4},
    {"model_type": "llama4_text", "architectures": ["Llama4ForCausalLM"], **BASE, "attention_chunk_size": 1024,
     "num_local_experts": 4, "num_experts_per_tok": 1, "intermediate_size_mlp": 2048, "interleave_moe_layer_step": 2},
)  # fmt: skip
