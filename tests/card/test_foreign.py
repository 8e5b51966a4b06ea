"""Folders as others publish them: misleading class names, layers that differ, odd quantizations, no text at all."""

import pytest

from plinth_runtime.contract.card import CardError, card_of_config

LLAMA = {
    "model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 64, "num_attention_heads": 4,
    "num_key_value_heads": 2, "num_hidden_layers": 2, "vocab_size": 100, "max_position_embeddings": 512,
}  # fmt: skip


def card(**changes):
    """The card of a small configuration with something changed."""
    return card_of_config({**LLAMA, **changes}, 0, 0, None)


@pytest.mark.parametrize(
    ("architecture", "kind"),
    [
        ("GPT2LMHeadModel", "generate"),
        ("QWenLMHeadModel", "generate"),
        ("ChatGLMModel", "generate"),
        ("InternVLChatModel", "generate"),
        ("Qwen2_5OmniModel", "generate"),
        ("MistralModel", "embed"),
        ("NomicBertModel", "embed"),
        ("Qwen3ForTextEncoding", "embed"),
        ("InternLM2ForRewardModel", "reward"),
        ("unknown", "generate"),
    ],
)
def test_a_class_called_model_is_served_as_the_engine_would(architecture, kind):
    """Most of them embed; language-model heads, chat models and a few others generate."""
    assert card(architectures=[architecture]).kind == kind


def blocks(*groups):
    """Blocks of a searched model; None: no attention."""
    return [
        {"attention": {"no_op": group is None, "n_heads_in_group": group}, "ffn": {"no_op": False}} for group in groups
    ]


def test_blocks_without_attention_keep_nothing():
    """Each block has its own key-value heads; those without attention have no cache."""
    found = card(
        num_hidden_layers=4, num_key_value_heads=None, num_attention_heads=64, block_configs=blocks(8, None, 16, 8)
    )
    assert found.layer_pattern == ("full", "none", "full", "full")
    assert [(group.layers, group.kv_heads) for group in found.attention] == [(2, 8), (1, 4)]
    assert found.kv_heads == 8


def test_heads_listed_by_layer_are_counted_by_layer():
    """The first DeciLM gives a list."""
    found = card(num_hidden_layers=3, num_key_value_heads=None, num_key_value_heads_per_layer=[4, 2, 2])
    assert [(group.layers, group.kv_heads) for group in found.attention] == [(1, 4), (2, 2)]


@pytest.mark.parametrize("changes", [{"block_configs": blocks(8)}, {"num_key_value_heads_per_layer": [1, "x"]}])
def test_lists_of_another_length_or_type_count_as_absent(changes):
    """Two layers, and a list that does not say something about both."""
    assert [(group.layers, group.kv_heads) for group in card(**changes).attention] == [(2, 2)]


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"quant_method": "bitsandbytes", "_load_in_4bit": True, "_load_in_8bit": False}, ("bitsandbytes", 4, None)),
        ({"quant_method": "bitsandbytes", "load_in_8bit": True}, ("bitsandbytes", 8, None)),
        ({"quant_method": "awq", "w_bit": 4, "q_group_size": 128}, ("awq", 4, 128)),
        ({"quant_method": "quanto", "weights": "int4"}, ("quanto", 4, None)),
        ({"quant_method": "quanto", "weights": "float8"}, ("quanto", 8, None)),
        ({"quant_method": "eetq", "weights": "int8"}, ("eetq", 8, None)),
        (
            {"quant_method": "torchao", "quant_type": "int4_weight_only", "quant_type_kwargs": {"group_size": 64}},
            ("torchao", 4, 64),
        ),
        (
            {
                "quant_method": "torchao",
                "quant_type": {"default": {"_type": "Int4WeightOnlyConfig", "_data": {"group_size": 128}}},
            },
            ("torchao", 4, 128),
        ),
        (
            {"quant_method": "hqq", "quant_config": {"weight_quant_params": {"nbits": 4, "group_size": 64}}},
            ("hqq", 4, 64),
        ),
        ({"quant_method": "quark", "global_quant_config": {"weight": {"dtype": "fp8_e4m3"}}}, ("quark", 8, None)),
        ({"quant_method": "intel/auto-round", "bits": 4, "group_size": 128}, ("auto-round", 4, 128)),
        ({"quant_method": "aqlm", "nbits_per_codebook": 16}, ("aqlm", None, None)),
    ],
)
def test_bits_and_groups_are_found_where_each_method_keeps_them(config, expected):
    """Each library writes them its own way; what is not said stays unknown."""
    found = card(quantization_config=config).quantization
    assert (found.method, found.bits, found.group_size) == expected


def test_a_window_that_is_switched_off_does_not_count():
    """Whatever the type, use_sliding_window: false says no."""
    assert card(model_type="mistral", sliding_window=128, use_sliding_window=False).layer_pattern == ("full", "full")
    assert card(model_type="mistral", sliding_window=128).layer_pattern == ("sliding", "sliding")


@pytest.mark.parametrize(
    ("key", "value", "capability"),
    [
        ("mm_vision_tower", "openai/clip-vit-large-patch14-336", "IMAGE_TEXT_TO_TEXT"),
        ("img_processor", {"name": "clip_vision_model"}, "IMAGE_TEXT_TO_TEXT"),
        ("audio_processor", {"name": "cascades"}, "AUDIO_TO_TEXT"),
    ],
)
def test_what_sees_and_hears_is_known_by_any_of_its_keys(key, value, capability):
    """Models from before vision_config."""
    assert capability in card(**{key: value}).capabilities
    assert capability not in card(**{key: None}).capabilities


def test_sizes_that_may_be_zero_are_kept():
    """A latent cache without a rotary part is as wide as its rank."""
    found = card(model_type="glm5_next_text", kv_lora_rank=512, qk_rope_head_dim=0, qk_nope_head_dim=256)
    assert (found.mla.qk_rope_head_dim, found.attention[0].head_dim) == (0, 512)


def test_heads_of_states_are_no_heads_of_attention():
    """Mamba 2 has num_heads and attends to nothing."""
    found = card(model_type="mamba2", num_attention_heads=None, num_heads=8, head_dim=16, num_key_value_heads=None)
    assert (found.attention_heads, found.kv_heads, found.attention[0].kind) == (0, 0, "mamba")


@pytest.mark.parametrize("model_type", ["clip", "siglip"])
def test_models_of_images_and_text_lean_on_the_defaults_of_their_text_part(model_type):
    """Their published files leave the vocabulary out."""
    config = {"model_type": model_type, "architectures": ["XModel"], "text_config": {"num_hidden_layers": 2}}
    found = card_of_config(config, 0, 0, None)
    assert (found.kind, found.layers, found.attention) == ("embed", 2, ())
    assert found.vocabulary > 0


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"architecture": "vit_base", "num_classes": 1000, "pretrained_cfg": {}}, "is timm's"),
        ({"model_type": "vit", "image_size": 224, "hidden_size": 8}, "vit reads no text"),
        ({"d_model": 64, "n_layer": 2, "vocab_size": 100}, "has no model_type"),
        ({"model_type": "llama", "vocab_size": 100, "hidden_size": 8}, "has no num_hidden_layers"),
    ],
)
def test_what_is_no_language_model_is_called_by_its_name(config, reason):
    """Not a list of keys that such a file never has."""
    with pytest.raises(CardError, match=reason):
        card_of_config(config, 0, 0, None)


@pytest.mark.parametrize(
    ("path", "reason"), [("params.json", "own format"), ("m.Q4_K_M.gguf", "GGUF"), ("m.nemo", "NeMo"), ("x", "")]
)
def test_a_missing_config_is_explained_by_what_lies_there(folder, path, reason):
    """Other formats keep the same elsewhere."""
    with pytest.raises(CardError, match=r"config\.json is missing") as caught:
        folder.add(path, b"x").card()
    assert reason in str(caught.value)


ADAPTER = {"peft_type": "LORA", "base_model_name_or_path": "org/base", "r": 8, "lora_alpha": 16}
TENSORS = {"base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight": ("F32", [8, 64])}


def test_an_adapter_names_what_it_has_beyond_plain_lora(folder):
    """Rank by module counts; switches that are off do not."""
    config = {**ADAPTER, "rank_pattern": {"q_proj": 32}, "use_dora": True, "use_rslora": False, "alpha_pattern": {}}
    found = folder.add("adapter_config.json", config).weights(TENSORS, "adapter_model.safetensors").card().adapter
    assert (found.rank, found.variants) == (32, ("dora", "rank_pattern"))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"peft_type": "PREFIX_TUNING", "r": None, "num_virtual_tokens": 20}, "describes prefix_tuning"),
        ({"peft_type": "IA3", "r": None}, "describes ia3"),
        ({"r": None}, r"has no r \(rank\)"),
        ({"base_model_name_or_path": None}, "has no base_model_name_or_path"),
    ],
)
def test_an_adapter_that_cannot_be_served_says_why(folder, changes, reason):
    """What has no rank is another method; the two missing keys are told apart."""
    folder.add("adapter_config.json", {**ADAPTER, **changes}).weights(TENSORS, "adapter_model.safetensors")
    with pytest.raises(CardError, match=reason):
        folder.card()


@pytest.mark.parametrize(
    ("pipeline", "capability"),
    [
        ("FluxPipeline", "TEXT_TO_IMAGE"),
        ("FluxFillPipeline", "IMAGE_TEXT_TO_IMAGE"),
        ("StableDiffusionControlNetPipeline", "IMAGE_TEXT_TO_IMAGE"),
        ("QwenImageEditPipeline", "IMAGE_TEXT_TO_IMAGE"),
        ("WanPipeline", "TEXT_TO_VIDEO"),
        ("AnimateDiffPipeline", "TEXT_TO_VIDEO"),
        ("StableVideoDiffusionPipeline", "IMAGE_TEXT_TO_VIDEO"),
        ("LTXImageToVideoPipeline", "IMAGE_TEXT_TO_VIDEO"),
        ("StableAudioPipeline", "TEXT_TO_AUDIO"),
    ],
)
def test_pipelines_say_by_their_class_what_goes_in_and_out(folder, pipeline, capability):
    """Parts that are left out are null, switches are no parts."""
    index = {"_class_name": pipeline, "vae": ["diffusers", "AutoencoderKL"], "safety": [None, None], "x": True}
    folder.add("model_index.json", index).add("vae/config.json", {})
    found = folder.weights({"w": ("F16", [4, 4])}, "vae/diffusion_pytorch_model.safetensors").card()
    assert found.capabilities == (capability,)
    assert list(found.diffusion.components) == ["vae"]


@pytest.mark.parametrize(
    ("module", "kind"),
    [
        ("sentence_transformers.cross_encoder.models.LogitScore", "rerank"),
        ("sentence_transformers.models.Transformer", "generate"),
    ],
)
def test_a_cross_encoder_on_a_generating_class_ranks(llama, folder, module, kind):
    """Qwen3's rerankers are causal models with a score at the end."""
    llama()
    folder.add("modules.json", [{"idx": 0, "path": "", "type": module}])
    assert folder.card().kind == kind
