"""The catalogue: what is in it, that its numbers agree with each other, and how teams change it."""

import re

import pytest

from pulumi_plinth.errors import SpecError
from pulumi_plinth.model.catalogue import Filter, geometry, load_catalogue, weights_fault


@pytest.fixture(scope="module")
def catalogue():
    """The catalogue as shipped."""
    return load_catalogue()


OME = """
llama-3.1-70b-instruct llama-3.1-405b-instruct llama-3.2-11b-vision-instruct llama-3.2-90b-vision-instruct
llama-3.2-1b-instruct llama-3.2-3b-instruct llama-3.3-70b-instruct phi-3-vision-128k-instruct e5-mistral-7b-instruct
cohere-embed-english-v2.0 cohere-embed-english-v3.0 cohere-embed-english-light-v2.0 cohere-embed-english-light-v3.0
cohere-embed-multilingual-v3.0 cohere-embed-multilingual-light-v3.0 cohere-command-r-16k cohere-command-r-128k
cohere-command-r-plus
"""
KAITO = ["llama2-7b", "llama2-13b", "llama2-70b", "llama-2-7b-chat", "llama-2-13b-chat", "llama-2-70b-chat"]


def test_every_model_that_ome_and_kaito_document_is_found(catalogue):
    """With and without the hyphen that KAITO's registry had."""
    for name in [*OME.split(), *KAITO, "llama-2-7b", "LLAMA2-7B-CHAT", "meta-llama/Llama-3.3-70B-Instruct"]:
        assert catalogue.find(name) is not None, name


def test_there_are_enough_open_models_of_each_sort(catalogue):
    """At least 60 with geometry: text, vision, experts, latent attention, embedding, reranking."""
    cards = {entry.name: geometry(entry) for entry in catalogue.entries()}
    known = {name: card for name, card in cards.items() if card}
    assert len(known) >= 60
    assert sum("IMAGE_TEXT_TO_TEXT" in card.capabilities for card in known.values()) >= 8
    assert sum(card.experts is not None for card in known.values()) >= 12
    assert sum(card.mla is not None for card in known.values()) >= 4
    assert sum(card.kind == "embed" for card in known.values()) >= 10
    assert sum(card.kind == "rerank" for card in known.values()) >= 5
    assert sum(card.quantization is not None for card in known.values()) >= 4


BYTES = {"bfloat16": 2, "float16": 2, "float32": 4}


def test_numbers_of_a_row_agree_with_each_other(catalogue):
    """Bytes follow from parameters where nothing is quantised; active parameters are fewer; sources are named."""
    for entry in catalogue.entries():
        card = geometry(entry)
        assert entry.source
        assert entry.checked.startswith("2026-")
        if card is None:
            assert not entry.has_public_weights, entry.name
            continue
        assert card.max_context >= 128, entry.name
        assert card.attention or card.kind in ("embed", "rerank"), entry.name
        assert (card.active_parameters is None) == (card.experts is None), entry.name
        assert (card.active_parameters or 0) < card.parameters
        if card.quantization is None and "once more" not in (entry.notes or ""):
            assert entry.weight_bytes == card.parameters * BYTES[card.dtype], entry.name


def layers_by_hand(card):
    """Parameters of a plain Llama-like model, from its shape alone."""
    attention = card.hidden_size * card.head_dim * 2 * (card.attention_heads + card.kv_heads)
    block = attention + 3 * card.hidden_size * card.intermediate_size + 2 * card.hidden_size
    embedding = card.vocabulary * card.hidden_size * (1 if card.tied_embeddings else 2)
    return card.layers * block + embedding + card.hidden_size


def test_parameter_counts_follow_from_the_geometry(catalogue):
    """Counted by hand for every dense Llama and Mistral: no digit of shape or size is wrong."""
    counted = 0
    for entry in catalogue.entries(Filter(kind="generate")):
        card = geometry(entry)
        if card and card.architecture in ("LlamaForCausalLM", "MistralForCausalLM"):
            assert layers_by_hand(card) == card.parameters, entry.name
            counted += 1
    assert counted >= 18


def test_known_caches_are_right(catalogue):
    """Bytes per token as everybody quotes them."""
    expected = {
        "llama-3.1-8b-instruct": 131_072, "llama-3.3-70b-instruct": 327_680, "llama-2-7b": 524_288,
        "deepseek-v3-0324": 70_272, "qwen2.5-7b-instruct": 57_344, "smollm2-135m-instruct": 23_040,
        "mixtral-8x7b-instruct-v0.1": 131_072, "llama-3.2-11b-vision-instruct": 131_072,
    }  # fmt: skip
    for name, size in expected.items():
        assert geometry(catalogue.find(name)).kv_bytes_per_token() == size, name


def test_deprecated_models_warn_with_the_date(catalogue):
    """The date, and what to take instead."""
    entry, warnings = catalogue.resolve("llama2-7b", "models.old.model")
    assert entry.hub_id == "meta-llama/Llama-2-7b-hf"
    assert warnings == ("llama-2-7b is deprecated since 2025-05-01; take llama-3.1-8b-instruct instead",)
    assert catalogue.resolve("qwen3-8b", "x")[1] == ()


def test_every_deprecated_row_has_a_date_and_a_replacement_that_exists(catalogue):
    """A warning without them helps nobody."""
    for entry in catalogue.entries():
        if entry.lifecycle.phase == "DEPRECATED":
            assert entry.lifecycle.deprecation_time, entry.name
            assert catalogue.find(entry.replacement), entry.name


def test_unknown_names_are_refused_with_a_near_one(catalogue):
    """A typing mistake is told."""
    with pytest.raises(
        SpecError, match=r"models.chat: \"llama-3.1-8b-instrct\" .* did you mean 'llama-3.1-8b-instruct'"
    ):
        catalogue.resolve("llama-3.1-8b-instrct", "models.chat")


def test_proprietary_models_are_honest(catalogue):
    """Cohere's models are known, and nobody pretends that their weights can be fetched."""
    entry, _ = catalogue.resolve("cohere.embed-english-v3.0", "models.e")
    fault = weights_fault(entry, "models.e")
    assert str(fault) == 'models.e: "cohere-embed-english-v3.0" has no public weights; give your own storageUri'
    assert weights_fault(catalogue.find("qwen3-8b"), "x") is None
    assert "c4ai-command-r-08-2024" in weights_fault(catalogue.find("command-r-08-2024"), "x").remedy


def test_lists_can_be_narrowed(catalogue):
    """By kind, by capability under its old and new name, and by whatever a caller judges."""
    by_old = {entry.name for entry in catalogue.entries(Filter(capability="TEXT_EMBEDDINGS"))}
    assert by_old == {entry.name for entry in catalogue.entries(Filter(kind="embed"))}
    seeing = {entry.name for entry in catalogue.entries(Filter(capability="VISION"))}
    assert {"gemma-3-4b-it", "phi-3-vision-128k-instruct"} <= seeing
    small = Filter(kind="generate", accepts=lambda entry: (entry.parameters or 1 << 60) < 1_000_000_000)
    assert {entry.name for entry in catalogue.entries(small)} >= {"qwen3-0.6b", "smollm2-135m-instruct"}


TEAM = """
- name: qwen3-8b
  storageUri: oci://n/team/b/models/o/qwen3-8b
  config: {max_position_embeddings: 131072}
- name: gemma-2-2b-it
  lifecycle: {disabled: true}
  replacement: gemma-3-4b-it
- name: our-chat
  parameters: 1000
  weightBytes: 2000
  license: proprietary
  storageUri: pvc://models/our-chat
  config: {model_type: llama, architectures: [LlamaForCausalLM], num_hidden_layers: 2, hidden_size: 64,
    num_attention_heads: 4, vocab_size: 100, max_position_embeddings: 512}
  source: the team
  checked: 2026-11-01
"""


@pytest.fixture
def team(tmp_path):
    """A team's folder of rows."""
    (tmp_path / "team.yaml").write_text(TEAM)
    return tmp_path


def test_a_team_extends_and_overrides(team):
    """New rows are added; given fields change, the others stay."""
    catalogue = load_catalogue(team)
    changed = catalogue.find("qwen3-8b")
    assert (changed.storage_uri, changed.parameters) == ("oci://n/team/b/models/o/qwen3-8b", 8_190_735_360)
    assert geometry(changed).max_context == 131_072
    assert geometry(changed).layers == 36
    assert geometry(catalogue.find("our-chat")).kv_heads == 4
    assert load_catalogue().find("our-chat") is None


def test_disabled_models_are_refused(team):
    """With the one to take instead."""
    with pytest.raises(SpecError, match="is disabled in the catalogue; write 'gemma-3-4b-it'"):
        load_catalogue(team).resolve("gemma-2-2b-it", "models.x")


WRONG = {
    "no YAML": ("- name: [", r"bad.yaml: is not YAML \(line 2\)"),
    "a row without a name": ("- hubId: a/b", r"bad.yaml\[0\]: has no name"),
    "a row that is text": ("- hello", r"bad.yaml\[0\]: has no name"),
    "a name twice": ("- name: a\n- name: a", r"bad.yaml.a: stands here twice"),
}


@pytest.mark.parametrize("case", WRONG)
def test_broken_files_are_refused_with_their_place(tmp_path, case):
    """File, line or row, and what to write."""
    text, message = WRONG[case]
    (tmp_path / "bad.yaml").write_text(text)
    with pytest.raises(SpecError, match=message):
        load_catalogue(tmp_path)


def test_a_wrong_field_is_told_when_the_row_is_asked_for(tmp_path):
    """Rows are checked lazily, with file, name and field."""
    (tmp_path / "bad.yaml").write_text("- name: a\n  paramters: 5\n  source: us\n  checked: '2026-01-01'\n")
    catalogue = load_catalogue(tmp_path)
    with pytest.raises(SpecError, match=r"bad\.yaml\.a\.paramters: is an unknown key; did you mean 'parameters'"):
        catalogue.find("a")


def test_a_config_that_is_no_model_is_told(tmp_path):
    """The reasons of the card's reader, at the row."""
    row = "- {name: a, parameters: 5, weightBytes: 5, config: {model_type: llama}, source: us, checked: '2026-01-01'}"
    (tmp_path / "bad.yaml").write_text(row)
    with pytest.raises(SpecError, match=r"a\.config: config.json has no num_hidden_layers"):
        geometry(load_catalogue(tmp_path).find("a"))


def test_names_are_fit_for_files_and_urls(catalogue):
    """Lower case, digits, dots and hyphens; aliases point to one model only."""
    seen = {}
    for entry in catalogue.entries():
        assert re.fullmatch(r"[a-z0-9][a-z0-9.-]*", entry.name)
        for alias in (*entry.aliases, entry.hub_id):
            assert alias is None or seen.setdefault(alias.casefold(), entry.name) == entry.name
