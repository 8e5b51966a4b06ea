"""Parsers by family: every row is known to the release, and well-known models find theirs."""

import pytest

from plinth_runtime.contract.card import Quantization
from pulumi_plinth.engines.arguments import check_arguments
from pulumi_plinth.engines.derived import derive, model_misfits
from pulumi_plinth.engines.environments import RELEASES, table_of
from pulumi_plinth.engines.parsers import load_parsers, parsers_of
from pulumi_plinth.model.catalogue import load_catalogue

TABLE = table_of("vllm-cpu")


@pytest.mark.parametrize("release", sorted(set(RELEASES)))
@pytest.mark.parametrize("row", load_parsers(), ids=lambda row: f"{row.model_types[0]} {row.name}")
def test_every_parser_exists_in_the_release(row, release):
    """And every row says where it is from."""
    table = table_of(release)
    assert row.tools is None or row.tools in table.tool_parsers
    assert row.reasoning is None or row.reasoning in table.reasoning_parsers
    assert row.source


def test_no_row_is_hidden_by_one_above():
    """The first that fits counts, so a general row stands below the special ones."""
    seen = set()
    for row in load_parsers():
        assert not seen & set(row.model_types), row
        seen |= set(row.model_types) if not row.name else set()


FAMILIES = {
    "llama-3.1-8b-instruct": ("llama3_json", None),
    "llama-2-7b-chat": None,
    "llama-4-scout-17b-16e-instruct": ("llama4_pythonic", None),
    "deepseek-r1-distill-llama-8b": (None, "deepseek_r1"),
    "deepseek-r1-distill-qwen-14b": (None, "deepseek_r1"),
    "deepseek-r1-0528": ("deepseek_v3", "deepseek_r1"),
    "deepseek-v3-0324": ("deepseek_v3", None),
    "kimi-k2-instruct": ("kimi_k2", None),
    "qwen2.5-7b-instruct": ("hermes", None),
    "qwen3-8b": ("hermes", "qwen3"),
    "qwen3-30b-a3b-instruct-2507": ("hermes", None),
    "qwen3-coder-480b-a35b-instruct": ("qwen3_xml", None),
    "qwen3-embedding-0.6b": (None, None),
    "gpt-oss-20b": ("openai", "openai_gptoss"),
    "glm-4.5-air": ("glm45", "glm45"),
    "glm-4.7-flash": ("glm47", "glm47"),
    "granite-3.3-8b-instruct": ("granite", None),
    "mistral-7b-instruct-v0.3": ("mistral", None),
    "mistral-7b-v0.3": None,
    "phi-4-mini-instruct": ("phi4_mini_json", None),
    "phi-4": None,
    "smollm2-135m-instruct": None,
}


@pytest.mark.parametrize(("name", "parsers"), FAMILIES.items())
def test_well_known_models_find_their_family(name, parsers):
    """None where nobody established a parser; models of the catalogue, by their hub ids."""
    entry = load_catalogue().find(name)
    row = parsers_of(entry.config["model_type"], [entry.name, entry.hub_id])
    assert (row and (row.tools, row.reasoning)) == parsers


def derived(card, names, *words):
    """What follows, by subject."""
    checked = check_arguments(words, TABLE)
    return {each.subject: each for each in derive(card, names, checked.arguments, TABLE)}


def changed(card, **fields):
    """Another model."""
    return card.model_copy(update=fields)


def test_parsers_are_shown_as_words_to_add(card):
    """Nothing is switched on for a user who did not ask; the words pass the check."""
    found = derived(changed(card, model_type="qwen3"), ["models/Qwen3-8B"])
    assert found["tools"].words == ("--enable-auto-tool-choice", "--tool-call-parser=hermes")
    assert found["tools"].text == (
        "not parsed; for models of this family add engineArgs: --enable-auto-tool-choice --tool-call-parser=hermes"
    )
    assert found["reasoning"].words == ("--reasoning-parser=qwen3",)
    assert check_arguments((*found["tools"].words, *found["reasoning"].words), TABLE).faults == ()


def test_a_parser_that_was_asked_for_is_compared_with_the_family(card):
    """A wrong one answers tool calls as plain text, and nobody says so."""
    model, names = changed(card, model_type="qwen3"), ["Qwen3-8B"]
    right = derived(model, names, "--enable-auto-tool-choice", "--tool-call-parser", "hermes")
    assert right["tools"].text == "--tool-call-parser hermes, as asked"
    wrong = derived(model, names, "--enable-auto-tool-choice", "--tool-call-parser", "mistral")
    assert wrong["tools"].text.startswith(
        "WARNING: --tool-call-parser mistral, as asked; models of this family are read"
    )


def test_models_that_do_not_chat_have_no_parsers(card):
    """An embedding model of a family that has some."""
    assert derived(changed(card, model_type="qwen3", kind="embed"), ["Qwen3-8B"]) == {}


@pytest.mark.parametrize(
    ("method", "words", "text"),
    [
        ("awq", (), "awq, as the checkpoint says; --quantization is left out"),
        (None, ("-q", "fp8"), "fp8, made while loading, as asked"),
    ],
)
def test_quantization_follows_from_the_checkpoint(card, method, words, text):
    """Or is made while the weights are loaded."""
    model = changed(card, quantization=Quantization(method=method) if method else None)
    assert derived(model, [], *words)["quantization"].text == text


@pytest.mark.parametrize(
    ("architecture", "text"),
    [
        ("BambaForCausalLM", "BambaForCausalLM runs by the code of Transformers, vllm 0.32.0 has none of its own"),
        ("NobodysModel", "WARNING: whether vllm 0.32.0 can run NobodysModel is not established"),
    ],
)
def test_architectures_without_a_class_of_the_engine_are_named(card, architecture, text):
    """Known before the weights are fetched; nothing is said of those that it has."""
    assert derived(changed(card, architecture=architecture), [])["architecture"].text == text
    assert "architecture" not in derived(card, [])


@pytest.mark.parametrize(
    ("fields", "words", "problems"),
    [
        ({}, (), []),
        ({"architecture": "BambaForCausalLM"}, (), []),
        (
            {"architecture": "MotifForCausalLM"},
            (),
            ["is a MotifForCausalLM, which vllm 0.32.0 cannot run (vllm 0.10.2 was"],
        ),
        ({"architecture": "NobodysForCausalLM"}, (), ["is a NobodysForCausalLM, which vllm 0.32.0 cannot run"]),
        ({"architecture": "NobodysForCausalLM"}, ("--hf-overrides.architectures+", "LlamaForCausalLM"), []),
        ({"architecture": ""}, (), []),
        ({"quantization": Quantization(method="gguf")}, (), ["is quantised by gguf, which vllm 0.32.0 does not know"]),
        ({"quantization": Quantization(method="awq")}, (), []),
    ],
)
def test_a_model_that_the_engine_cannot_run_is_refused(card, fields, words, problems):
    """Unless the user says that it is another one."""
    arguments = check_arguments(words, TABLE).arguments
    found = [problem for problem, _ in model_misfits(changed(card, **fields), arguments, TABLE)]
    assert [problem[: len(start)] for problem, start in zip(found, problems, strict=True)] == problems
