"""What a card says about shape: every known family, cache per token, patterns, context, and the generic path."""

import json
from pathlib import Path

import pytest

from plinth_runtime.contract.card import CardError, card_of_config

FAMILIES = json.loads((Path(__file__).parent / "families.json").read_text())
OME_TYPES = sorted(
    [
        "baichuan",
        "bert",
        "chatglm",
        "cohere",
        "command-r",
        "dbrx",
        "deepseek_v3",
        "deepseek_vl_v2",
        "exaone",
        "gemma",
        "gemma2",
        "gemma3",
        "gemma3_text",
        "gpt_oss",
        "internlm",
        "internlm2",
        "janus",
        "kimi_k2",
        "llama",
        "llama4",
        "llava",
        "minicpm",
        "minicpm3",
        "mistral",
        "mixtral",
        "mllama",
        "multi_modality",
        "phi",
        "phi3",
        "phi3_v",
        "phi3small",
        "phimoe",
        "qwen",
        "qwen2",
        "qwen2_vl",
        "qwen2_5_vl",
        "qwen3",
        "qwen3_moe",
        "qwen3_vl",
        "qwen3_vl_moe",
        "qwen3_5",
        "qwen3_5_moe",
        "stablelm",
        "xverse",
    ]
)


def card_of(model_type, **config):
    """The card of a config.json alone."""
    return card_of_config({"model_type": model_type, **config}, 1, 1, None)


def test_the_44_types_of_ome_are_all_here():
    """None of the families that OME's agent knows is missing."""
    assert sorted(row[0] for row in FAMILIES) == sorted(OME_TYPES)
    assert len(OME_TYPES) == 44


@pytest.mark.parametrize("row", FAMILIES, ids=lambda row: row[0])
def test_each_family_has_its_heads_context_and_cache(row):
    """Key-value heads, head size, longest context and cache bytes per token, as computed by hand."""
    model_type, config, (kv_heads, head_dim, context, cache) = row
    card = card_of(model_type, **config)
    assert (card.kv_heads, card.head_dim, card.max_context) == (kv_heads, head_dim, context)
    assert card.kv_bytes_per_token() == cache
    assert card.architecture == config["architectures"][0]
    assert len(card.layer_pattern) == card.layers


BASE = {"hidden_size": 64, "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 100}


def groups(card):
    """Kinds, layers and windows of the layer groups."""
    return [(group.kind, group.layers, group.window) for group in card.attention]


PATTERNS = [
    ("gemma2", {"num_hidden_layers": 4, "sliding_window": 8}, [("sliding", 2, 8), ("full", 2, None)]),
    ("gemma3_text", {"num_hidden_layers": 13, "sliding_window": 8}, [("sliding", 11, 8), ("full", 2, None)]),
    ("cohere2", {"num_hidden_layers": 8, "sliding_window": 8}, [("sliding", 6, 8), ("full", 2, None)]),
    ("gpt_oss", {"num_hidden_layers": 4, "sliding_window": 8}, [("sliding", 2, 8), ("full", 2, None)]),
    ("mistral", {"num_hidden_layers": 4, "sliding_window": 8}, [("sliding", 4, 8)]),
    ("mistral", {"num_hidden_layers": 4, "sliding_window": None}, [("full", 4, None)]),
    ("qwen2", {"num_hidden_layers": 4, "sliding_window": 8, "use_sliding_window": False}, [("full", 4, None)]),
    (
        "qwen2",
        {"num_hidden_layers": 4, "sliding_window": 8, "use_sliding_window": True, "max_window_layers": 3},
        [("full", 3, None), ("sliding", 1, 8)],
    ),
    ("qwen3_next", {"num_hidden_layers": 8}, [("linear", 6, None), ("full", 2, None)]),
    (
        "gemma3n_text",
        {"num_hidden_layers": 10, "num_kv_shared_layers": 4, "sliding_window": 8},
        [("sliding", 5, 8), ("full", 1, None)],
    ),
    (
        "nemotron_h", {"num_hidden_layers": 5, "hybrid_override_pattern": "M-M*E"},
        [("mamba", 2, None), ("full", 1, None)],
    ),
    (
        "jamba",
        {"num_hidden_layers": 8, "attn_layer_period": 8, "attn_layer_offset": 4},
        [("mamba", 7, None), ("full", 1, None)],
    ),
    (
        "llama",
        {"num_hidden_layers": 2, "layer_types": ["sliding_attention", "full_attention"], "sliding_window": 8},
        [("sliding", 1, 8), ("full", 1, None)],
    ),
    ("lfm2", {"num_hidden_layers": 3, "full_attn_idxs": [2]}, [("conv", 2, None), ("full", 1, None)]),
    ("mamba2", {"num_hidden_layers": 3}, [("mamba", 3, None)]),
    (
        "kimi_linear",
        {
            "num_hidden_layers": 4, "kv_lora_rank": 512, "qk_rope_head_dim": 64, "qk_nope_head_dim": 128,
            "linear_attn_config": {"kda_layers": [1, 2, 3], "num_heads": 4, "head_dim": 16},
        },
        [("linear", 3, None), ("mla", 1, None)],
    ),
]  # fmt: skip


@pytest.mark.parametrize(("model_type", "config", "expected"), PATTERNS)
def test_layers_are_grouped_by_what_they_keep(model_type, config, expected):
    """Windows, states and latents, by each family's own rule."""
    assert groups(card_of(model_type, **{**BASE, **config})) == expected


def test_states_have_the_size_that_vllm_allocates():
    """Gated delta net of Qwen3-Next: (2 x 16 x 128 + 32 x 128) x 3 and 32 x 128 x 128; Mamba 2 likewise."""
    linear = card_of("qwen3_next", **BASE, num_hidden_layers=4).attention[0]
    assert (linear.conv_state, linear.recurrent_state) == (8192 * 3, 32 * 128 * 128)
    nemotron = {"mamba_num_heads": 128, "mamba_head_dim": 80, "ssm_state_size": 128, "n_groups": 8, "conv_kernel": 4}
    mamba = card_of("nemotron_h", **BASE, num_hidden_layers=1, hybrid_override_pattern="M", **nemotron).attention[0]
    assert (mamba.conv_state, mamba.recurrent_state) == ((128 * 80 + 2 * 8 * 128) * 3, 128 * 80 * 128)


def test_a_window_does_not_change_what_one_token_costs():
    """Until windows are full every layer keeps every token; states cost nothing per token."""
    card = card_of("qwen3_next", **BASE, num_hidden_layers=8, head_dim=32)
    assert card.kv_bytes_per_token() == 2 * 2 * 2 * 32 * 2
    assert card.kv_bytes_per_token(1) == 2 * 2 * 2 * 32


def test_encoders_keep_no_cache():
    """An encoder has no layer groups; the formula over all layers stays for what divides by it."""
    card = card_of("bert", **BASE, num_hidden_layers=2)
    assert (card.attention, card.kind, card.embedding.pooling) == ((), "embed", "cls")


LLAMA = {**BASE, "num_hidden_layers": 2}
CONTEXTS = [
    ({"max_position_embeddings": 4096}, 4096, 4096),
    ({"max_position_embeddings": 4096, "rope_scaling": {"type": "linear", "factor": 4.0}}, 16384, 16384),
    ({"max_position_embeddings": 4096, "rope_scaling": {"type": "dynamic", "factor": 2.0}}, 8192, 8192),
    ({"max_position_embeddings": 32768, "rope_scaling": {"type": "yarn", "factor": 4.0}}, 32768, 32768),
    ({"max_position_embeddings": 4096, "rope_scaling": {"type": "linear", "factor": None}}, 4096, 4096),
    ({"max_position_embeddings": 4096, "rope_scaling": None}, 4096, 4096),
    ({"max_position_embeddings": 4096, "max_seq_len": 2048}, 2048, 2048),
    ({"max_position_embeddings": 8192, "model_max_length": 131072}, 131072, 131072),
    ({"max_position_embeddings": 4096, "rope_parameters": {"rope_type": "linear", "factor": 2.0}}, 8192, 8192),
    (
        {
            "max_position_embeddings": 131072, "original_max_position_embeddings": 4096,
            "rope_scaling": {"type": "longrope"},
        },
        131072, 4096,
    ),
    (
        {
            "max_position_embeddings": 4096,
            "rope_parameters": {"full_attention": {"rope_type": "linear", "factor": 8.0}, "sliding_attention": None},
        },
        32768, 32768,
    ),
]  # fmt: skip


@pytest.mark.parametrize(("config", "longest", "default"), CONTEXTS)
def test_context_is_derived_as_vllm_derives_it(config, longest, default):
    """Keys, rope types, factors, and the trained length of LongRoPE."""
    card = card_of("llama", **{**LLAMA, **config})
    assert (card.max_context, card.default_context) == (longest, default)
    assert card.context_source


def test_a_context_that_nobody_states_has_no_bound():
    """The engine assumes 2048 then, and accepts any wish."""
    card = card_of("some_new_type", **LLAMA)
    assert (card.max_context, card.default_context, card.context_source) == (0, 2048, "no key says it")


def test_pooling_models_with_absolute_positions_heed_the_tokenizer(folder):
    """XLM-RoBERTa has 514 positions and a tokenizer that stops at 512."""
    config = {
        **LLAMA,
        "architectures": ["XLMRobertaModel"],
        "model_type": "xlm-roberta",
        "max_position_embeddings": 514,
    }
    folder.add("config.json", {**config, "position_embedding_type": "absolute"})
    folder.add("tokenizer_config.json", {"model_max_length": 512}).weights({"a.weight": ("F32", [4])})
    assert folder.card().max_context == 512


def test_an_unknown_type_is_read_generically():
    """A model type from next year with the usual keys gives a full card."""
    card = card_of("zeta9", **LLAMA, max_position_embeddings=512, architectures=["Zeta9ForCausalLM"])
    assert (card.model_type, card.kind, card.max_context, groups(card)) == (
        "zeta9",
        "generate",
        512,
        [("full", 2, None)],
    )


def test_nested_unknown_types_are_read_generically():
    """The language part is found, and pictures make it multimodal."""
    card = card_of("zeta9", text_config={**LLAMA, "max_position_embeddings": 512}, vision_config={"depth": 3})
    assert (card.layers, card.max_context, card.capabilities) == (2, 512, ("TEXT_TO_TEXT", "IMAGE_TEXT_TO_TEXT"))


@pytest.mark.parametrize("key", ["num_hidden_layers", "hidden_size", "num_attention_heads", "vocab_size"])
def test_a_plain_model_must_state_its_shape(key):
    """A default that fits another model would be worse than a refusal."""
    with pytest.raises(CardError, match=f"config.json has no {key}"):
        card_of("llama", **{name: value for name, value in LLAMA.items() if name != key})


def test_experts_are_described():
    """Routed, active and shared experts, dense layers in front, and their width."""
    row = next(config for name, config, _ in FAMILIES if name == "deepseek_v3")
    card = card_of("deepseek_v3", **row)
    assert (card.experts.count, card.experts.active, card.experts.shared, card.experts.dense_layers) == (256, 8, 1, 3)
    assert (card.mla.kv_lora_rank, card.mla.latent_dim, card.mla.q_lora_rank) == (512, 576, 1536)
