"""Pairs of configurations: one that the planner refuses, and its twin that it passes. A table; nothing is judged here.

A pair is a model and two command lines, or two models and one. `rule` is the planner's rule that refuses, or the flag.
"""

from dataclasses import dataclass, field

LLAMA = {
    "model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 384, "num_attention_heads": 12,
    "num_key_value_heads": 4, "head_dim": 32, "num_hidden_layers": 4, "intermediate_size": 768, "vocab_size": 768,
    "max_position_embeddings": 4096, "tie_word_embeddings": False, "dtype": "bfloat16", "hidden_act": "silu",
}  # fmt: skip
MIXTRAL = LLAMA | {
    "model_type": "mixtral", "architectures": ["MixtralForCausalLM"], "num_local_experts": 4, "num_experts_per_tok": 2,
    "sliding_window": None,
}  # fmt: skip
GEMMA2 = LLAMA | {
    "model_type": "gemma2", "architectures": ["Gemma2ForCausalLM"], "sliding_window": 1024, "tie_word_embeddings": True,
    "query_pre_attn_scalar": 32, "final_logit_softcapping": 30.0, "attn_logit_softcapping": 50.0,
    "hidden_activation": "gelu_pytorch_tanh",
}  # fmt: skip
DEEPSEEK = {
    "model_type": "deepseek_v2", "architectures": ["DeepseekV2ForCausalLM"], "hidden_size": 256, "dtype": "bfloat16",
    "num_attention_heads": 4, "num_key_value_heads": 4, "num_hidden_layers": 3, "vocab_size": 512, "n_group": 1,
    "intermediate_size": 512, "moe_intermediate_size": 128, "n_routed_experts": 4, "num_experts_per_tok": 2,
    "n_shared_experts": 1, "first_k_dense_replace": 1, "kv_lora_rank": 512, "qk_rope_head_dim": 64, "topk_group": 1,
    "qk_nope_head_dim": 128, "v_head_dim": 128, "q_lora_rank": None, "topk_method": "greedy",
    "max_position_embeddings": 2048, "tie_word_embeddings": False, "hidden_act": "silu",
}  # fmt: skip
MAMBA = {
    "model_type": "mamba2", "architectures": ["Mamba2ForCausalLM"], "hidden_size": 128, "state_size": 16, "expand": 2,
    "num_heads": 8, "head_dim": 32, "num_hidden_layers": 4, "vocab_size": 512, "n_groups": 1, "dtype": "bfloat16",
}  # fmt: skip
GPTQ = {"quant_method": "gptq", "bits": 4, "group_size": 128, "desc_act": False, "sym": True}
AWQ = {"quant_method": "awq", "bits": 4, "group_size": 128, "zero_point": True, "version": "gemm"}
FP8 = {"quant_method": "fp8", "fmt": "e4m3", "activation_scheme": "dynamic", "weight_block_size": [128, 128]}


@dataclass(frozen=True)
class Side:
    """One configuration: what differs from the pair's model, the words after `vllm serve MODEL`, an adapter's rank."""

    words: str = ""
    config: dict = field(default_factory=dict)
    adapter: int | None = None


@dataclass(frozen=True)
class Pair:
    """What is refused, what is passed, of which model, by which rule."""

    name: str
    wrong: Side
    right: Side
    rule: str
    model: dict = field(default_factory=lambda: LLAMA)


def tensor(size, more="", **config):
    """A tensor-parallel size."""
    return Side(f"--tensor-parallel-size {size} {more}".strip(), config)


def length(tokens, **config):
    """A context."""
    return Side(f"--max-model-len {tokens}", config)


def scaled(**rope):
    """A rope scaling, as config.json of today writes it."""
    return {"rope_parameters": {"rope_theta": 10_000.0, **rope}}


LINEAR, DYNAMIC = scaled(rope_type="linear", factor=4.0), scaled(rope_type="dynamic", factor=2.0)
YARN = scaled(rope_type="yarn", factor=4.0, original_max_position_embeddings=1024)

PAIRS = (
    # Layouts
    Pair("heads", tensor(5), tensor(4), "heads"),
    Pair("heads of a small qwen", tensor(4, num_attention_heads=14, hidden_size=448, num_key_value_heads=2),
         tensor(2, num_attention_heads=14, hidden_size=448, num_key_value_heads=2), "heads"),
    Pair("heads that share a latent", tensor(3), tensor(4), "heads", DEEPSEEK),
    Pair("KV heads that do not divide", tensor(2, num_key_value_heads=3), tensor(3, num_key_value_heads=3), "kv-heads"),
    Pair("KV heads that cannot be copied evenly", tensor(6), tensor(12), "kv-heads"),
    Pair("vocabulary", tensor(3, num_key_value_heads=3, vocab_size=500),
         tensor(3, num_key_value_heads=3, vocab_size=550), "vocabulary"),
    Pair("intermediate size", tensor(4, intermediate_size=770), tensor(4, intermediate_size=772), "intermediate"),
    Pair("experts' intermediate size", tensor(4, intermediate_size=770),
         tensor(4, "--enable-expert-parallel", intermediate_size=770), "intermediate", MIXTRAL),
    Pair("experts of a model without", tensor(2, "--enable-expert-parallel"), tensor(2), "experts"),
    Pair("blocks of fp8 in a shard", tensor(4, quantization_config=FP8), tensor(2, quantization_config=FP8),
         "quantization-groups", LLAMA | {"head_dim": 128}),
    Pair("blocks of fp8 in the heads of a shard", tensor(4, quantization_config=FP8),
         tensor(2, quantization_config=FP8), "quantization-groups",
         LLAMA | {"head_dim": 64, "intermediate_size": 1024}),
    Pair("groups of gptq in a shard", tensor(4, quantization_config=GPTQ), tensor(2, quantization_config=GPTQ),
         "quantization-groups", LLAMA | {"head_dim": 128}),
    Pair("groups of awq in the heads of a shard", tensor(2, quantization_config=AWQ),
         tensor(1, quantization_config=AWQ), "quantization-groups",
         LLAMA | {"hidden_size": 896, "num_attention_heads": 14, "num_key_value_heads": 2, "head_dim": 64,
                  "intermediate_size": 4864}),
    Pair("stages of a class that has none", Side("--pipeline-parallel-size 2"), Side(), "pipeline-support", MAMBA),
    # Lengths
    Pair("context", length(4097), length(4096), "context"),
    Pair("context beside a window", length(4097), length(4096), "context", GEMMA2),
    Pair("context of linear scaling", length(16_385, **LINEAR), length(16_384, **LINEAR), "context"),
    Pair("context of dynamic scaling", length(8193, **DYNAMIC), length(8192, **DYNAMIC), "context"),
    Pair("context of yarn, scaled already", length(4097, **YARN), length(4096, **YARN), "context"),
    Pair("context of absolute positions", length(1025), length(1024), "context",
         {"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], "n_embd": 128, "n_head": 4, "n_layer": 2,
          "n_positions": 1024, "vocab_size": 512}),
    Pair("context of a latent model", length(2049), length(2048), "context", DEEPSEEK),
    Pair("context that config.json repeats", length(2049, model_max_length=2048), length(2048, model_max_length=2048),
         "context"),
    Pair("steps shorter than a prompt", Side("--no-enable-chunked-prefill --max-num-batched-tokens 2048"),
         Side("--no-enable-chunked-prefill --max-num-batched-tokens 4096"), "batched-tokens"),
    Pair("steps with fewer tokens than sequences", Side("--max-num-batched-tokens 64 --max-num-seqs 128"),
         Side("--max-num-batched-tokens 128 --max-num-seqs 128"), "batched-tokens"),
    # Names
    Pair("tool parser", Side("--enable-auto-tool-choice --tool-call-parser hermess"),
         Side("--enable-auto-tool-choice --tool-call-parser hermes"), "--tool-call-parser"),
    Pair("tools without a parser", Side("--enable-auto-tool-choice"),
         Side("--enable-auto-tool-choice --tool-call-parser llama3_json"), "--enable-auto-tool-choice"),
    Pair("reasoning parser", Side("--reasoning-parser deepseek-r1"), Side("--reasoning-parser deepseek_r1"),
         "--reasoning-parser"),
    Pair("flag", Side("--max-model-length 1024"), Side("--max-model-len 1024"), "--max-model-length"),
    Pair("number format", Side("--dtype fp16"), Side("--dtype float16"), "--dtype"),
    Pair("float16 that overflows", Side("--dtype float16"), Side("--dtype bfloat16"), "float16", GEMMA2),
    Pair("format of the cache", Side("--kv-cache-dtype int3"), Side("--kv-cache-dtype fp8"), "--kv-cache-dtype"),
    Pair("load format", Side("--load-format gguf"), Side("--load-format safetensors"), "--load-format"),
    Pair("block size", Side("--block-size sixteen"), Side("--block-size 32"), "--block-size"),
    Pair("attention backend", Side("--attention-backend FLASH"), Side("--attention-backend CPU_ATTN"),
         "--attention-backend"),
    # Quantization
    Pair("quantization that needs a plug-in", Side("--quantization gguf"), Side(), "--quantization"),
    Pair("deprecated quantization", Side("--quantization fbgemm_fp8"), Side("--quantization fp8"), "--quantization"),
    # Adapters
    Pair("adapter's rank", Side("--enable-lora --max-lora-rank 16", adapter=32),
         Side("--enable-lora --max-lora-rank 32", adapter=32), "lora"),
    Pair("rank that is none", Side("--enable-lora --max-lora-rank 24"), Side("--enable-lora --max-lora-rank 32"),
         "--max-lora-rank"),
    Pair("quantization that the checkpoint has not", Side("--quantization awq"), Side(), "quantization-checkpoint"),
    Pair("quantization beside another", Side("--quantization fp8", {"quantization_config": GPTQ}),
         Side("--quantization gptq", {"quantization_config": GPTQ}), "quantization-checkpoint"),
    Pair("adapters in host memory", Side("--enable-lora --max-loras 4 --max-cpu-loras 2"),
         Side("--enable-lora --max-loras 4 --max-cpu-loras 4"), "lora-slots"),
    Pair("share of the memory", Side("--gpu-memory-utilization 1.2"), Side("--gpu-memory-utilization 0.9"),
         "utilization"),
)  # fmt: skip

UNRULED = (
    Pair("a window in some layers of qwen 2", Side(config={"max_window_layers": 2}),
         Side(config={"max_window_layers": 4}), "window", LLAMA | {"model_type": "qwen2",
         "architectures": ["Qwen2ForCausalLM"], "use_sliding_window": True, "sliding_window": 512}),
    Pair("nodes without GPUs to share", Side("--nnodes 2"), Side("--nnodes 2 --tensor-parallel-size 2"), "nnodes"),
    Pair("context of nothing", length(0), length(1), "--max-model-len"),
    Pair("executor", Side("--distributed-executor-backend slurm"), Side("--distributed-executor-backend mp"),
         "--distributed-executor-backend"),
    Pair("architecture", Side(config={"architectures": ["LlamaForCasualLM"]}), Side(), "architecture"),
    Pair("quantization of a checkpoint that needs a plug-in",
         Side(config={"quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": True}}),
         Side(config={"quantization_config": GPTQ}), "quantization"),
)  # fmt: skip
"""Pairs for which the planner has no rule: vLLM refuses one side when it starts, the planner passes both."""
