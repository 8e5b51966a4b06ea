"""The files beside config.json: embedding modules, adapters, pipelines, licence, and the two real sample models."""

import pytest
from support.project import require

from plinth_runtime.contract.card import CardError, ModelCard
from plinth_runtime.weights.inspect import inspect_folder


def sentence_model(folder, **pooling):
    """A BERT with sentence-transformers' files."""
    folder.add(
        "config.json",
        {
            "architectures": ["BertModel"], "model_type": "bert", "hidden_size": 384, "num_attention_heads": 12,
            "num_hidden_layers": 6, "vocab_size": 30522, "max_position_embeddings": 512,
            "position_embedding_type": "absolute",
        },
    )  # fmt: skip
    folder.add("modules.json", [
        {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
        {"idx": 2, "name": "2", "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"},
    ])  # fmt: skip
    folder.add(
        "1_Pooling/config.json", {"word_embedding_dimension": 384, **(pooling or {"pooling_mode_mean_tokens": True})}
    )
    folder.add("sentence_bert_config.json", {"max_seq_length": 256})
    folder.add(
        "README.md", "---\nlanguage:\n- en\n- de\nlicense: apache-2.0\npipeline_tag: sentence-similarity\n---\n# Hi\n"
    )
    return folder.weights({"embeddings.word_embeddings.weight": ("F32", [100, 384])})


def test_a_sentence_transformers_folder_is_an_embedding_model(folder):
    """Dimension, pooling, length of text, licence and languages."""
    card = sentence_model(folder).card()
    assert (card.kind, card.capabilities, card.license, card.languages) == (
        "embed",
        ("EMBEDDING",),
        "apache-2.0",
        ("en", "de"),
    )
    assert (card.embedding.dimension, card.embedding.pooling, card.embedding.normalized) == (384, "mean", True)
    assert (card.max_context, card.embedding.max_tokens) == (256, 256)


@pytest.mark.parametrize(
    ("pooling", "name"),
    [
        ({"pooling_mode_cls_token": True}, "cls"), ({"pooling_mode_lasttoken": True}, "last"),
        ({"pooling_mode": "lasttoken"}, "last"), ({"pooling_mode_max_tokens": True}, "max"),
        ({"nothing": 1}, "unknown"),
    ],
)  # fmt: skip
def test_pooling_is_named(folder, pooling, name):
    """Both spellings of sentence-transformers are read."""
    assert sentence_model(folder, **pooling).card().embedding.pooling == name


def test_a_dense_module_decides_the_dimension(folder):
    """What comes out last has the size of the vectors."""
    sentence_model(folder)
    folder.add("modules.json", [
        {"path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
        {"path": "2_Dense", "type": "sentence_transformers.models.Dense"},
    ])  # fmt: skip
    folder.add("2_Dense/config.json", {"in_features": 384, "out_features": 128})
    assert folder.card().embedding.dimension == 128


@pytest.mark.parametrize(
    ("changes", "readme", "kind"),
    [
        ({"architectures": ["XLMRobertaForSequenceClassification"], "id2label": {"0": "LABEL_0"}}, "", "rerank"),
        ({"architectures": ["BertForSequenceClassification"], "id2label": {"0": "a", "1": "b"}}, "", "classify"),
        ({"architectures": ["Qwen3ForCausalLM"]}, "---\npipeline_tag: text-ranking\n---\n", "rerank"),
        ({"architectures": ["MistralModel"]}, "", "embed"),
        ({"architectures": ["WhisperForConditionalGeneration"]}, "", "speech"),
        ({"architectures": ["InternLM2ForRewardModel"]}, "", "reward"),
        ({"architectures": []}, "", "generate"),
    ],
)
def test_kinds_are_told_apart(llama, folder, changes, readme, kind):
    """By class, then by the README's task."""
    llama(**changes)
    folder.add("README.md", readme)
    assert folder.card().kind == kind


def test_tokenizer_template_and_sampling_are_noted(llama, folder):
    """What vLLM will take over from the folder is known before it does."""
    llama(auto_map={"AutoModel": "modeling.X"})
    folder.add("tokenizer_config.json", {"tokenizer_class": "LlamaTokenizer", "chat_template": "{{ messages }}"})
    folder.add("generation_config.json", {"temperature": 0.6, "top_k": 20, "do_sample": True, "eos_token_id": [1, 2]})
    card = folder.card()
    assert (card.tokenizer, card.chat_template, card.remote_code) == ("LlamaTokenizer", True, True)
    assert card.generation == {"temperature": 0.6, "top_k": 20, "do_sample": True}


ADAPTER = {
    "peft_type": "LORA",
    "r": 16,
    "lora_alpha": 32,
    "target_modules": ["q_proj"],
    "base_model_name_or_path": "a/b",
}


def test_an_adapter_folder_has_a_card(folder):
    """Rank, base and targets of a LoRA."""
    folder.add("adapter_config.json", ADAPTER).weights(
        {"l.lora_A.weight": ("F32", [16, 64])}, "adapter_model.safetensors"
    )
    card = folder.card()
    assert (card.kind, card.adapter.rank, card.adapter.base_model, card.parameters) == ("adapter", 16, "a/b", 1024)


def test_an_adapter_beside_a_config_or_a_model_is_told_apart(llama, folder):
    """A copy of the base's config.json makes no model; an adapter beside a model adds no parameters."""
    adapter = {"l.lora_A.weight": ("F32", [16, 64])}
    llama()
    folder.add("adapter_config.json", ADAPTER).weights(adapter, "adapter_model.safetensors")
    assert (folder.card().kind, folder.card().parameters) == ("generate", 8192)
    del folder.sizes["model.safetensors"]
    assert folder.card().kind == "adapter"


def test_an_adapter_without_rank_is_refused(folder):
    """Rank and base are what serving needs."""
    folder.add("adapter_config.json", {"peft_type": "LORA"}).weights({"a": ("F32", [1])}, "adapter_model.safetensors")
    with pytest.raises(CardError, match="has no r"):
        folder.card()


def test_a_diffusers_pipeline_sums_its_components(folder):
    """Each component's weights count once; precision variants are left out."""
    folder.add("model_index.json", {
        "_class_name": "FluxKontextPipeline", "_diffusers_version": "0.35", "vae": ["diffusers", "AutoencoderKL"],
        "transformer": ["diffusers", "FluxTransformer2DModel"], "safety_checker": [None, None],
    })  # fmt: skip
    folder.weights({"a": ("BF16", [10])}, "vae/diffusion_pytorch_model.safetensors")
    folder.weights({"a": ("F16", [10])}, "vae/diffusion_pytorch_model.fp16.safetensors")
    folder.weights({"b": ("BF16", [30])}, "transformer/diffusion_pytorch_model.safetensors")
    card = folder.card()
    assert (card.kind, card.architecture, card.capabilities) == (
        "diffusion",
        "FluxKontextPipeline",
        ("IMAGE_TEXT_TO_IMAGE",),
    )
    assert (card.parameters, card.bytes_by_part) == (40, {"transformer": 60, "vae": 20})


def test_a_card_can_be_printed_and_read_again(folder):
    """What `plinth card --json` prints is a card again."""
    card = sentence_model(folder).card()
    assert ModelCard.model_validate_json(card.model_dump_json()) == card


def test_not_a_number_in_json_reads_as_nothing(llama, folder):
    """Python writes NaN and Infinity into JSON; they count as absent."""
    llama()
    folder.add("generation_config.json", '{"temperature": NaN, "top_p": Infinity, "top_k": 5}')
    assert folder.card().generation == {"top_k": 5}


@pytest.mark.slow
def test_the_sample_model_is_read_as_it_is(project_root):
    """SmolLM2-135M: 134,515,008 parameters, llama, bfloat16, 8192 tokens."""
    model = project_root / "models" / "smollm2-135m"
    require(model, "make model")
    card = inspect_folder(model)
    assert (card.parameters, card.model_type, card.dtype, card.max_context) == (134_515_008, "llama", "bfloat16", 8192)
    assert (card.tied_embeddings, card.kv_bytes_per_token(), card.chat_template) == (True, 23_040, True)
