"""Ollama's Modelfile: its grammar, its errors with line numbers, and text that reads back."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pulumi_plinth.model.convert import convert
from pulumi_plinth.model.dialects.modelfile_text import Instruction, looks_like, parse, quote
from pulumi_plinth.model.modelfile import PARAMETERS, read_parameter


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("FROM llama3\n", [("FROM", "", "llama3")]),
        ("from   llama3  ", [("FROM", "", "llama3")]),
        ("# note\n\n  FROM a # not a comment", [("FROM", "", "a # not a comment")]),
        ('SYSTEM "quoted"', [("SYSTEM", "", "quoted")]),
        ('SYSTEM "two\nlines"', [("SYSTEM", "", "two\nlines")]),
        ('SYSTEM """\na\n\n"b"\n"""\nFROM x', [("SYSTEM", "", '\na\n\n"b"\n'), ("FROM", "", "x")]),
        ('SYSTEM """one"""', [("SYSTEM", "", "one")]),
        ('SYSTEM say "hi"', [("SYSTEM", "", 'say "hi"')]),
        ('SYSTEM ""', [("SYSTEM", "", "")]),
        ("PARAMETER stop <|im_end|>", [("PARAMETER", "stop", "<|im_end|>")]),
        ("MESSAGE assistant hello there", [("MESSAGE", "assistant", "hello there")]),
        ("\ufeffFROM a\r\nSYSTEM b\r\n", [("FROM", "", "a"), ("SYSTEM", "", "b")]),
        ("FROM a\rSYSTEM b\r", [("FROM", "", "a"), ("SYSTEM", "", "b")]),
        ('SYSTEM """\na "\n b """', [("SYSTEM", "", '\na "\n b ')]),
    ],
)
def test_instructions_are_read_by_ollamas_grammar(text, expected):
    """Bare, quoted and triple-quoted values; comments at line start only; any case."""
    found = [(item.command, item.argument, item.value) for item in parse(text) if isinstance(item, Instruction)]
    assert found == expected


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("SYSTEM x", 1, "no FROM line"),
        ("FROM x\nPARAMETER temprature 1", 2, "(line 2): is an unknown parameter 'temprature'"),
        ("FROM x\nPARAMETER top_k many", 2, "(line 2): is not a whole number"),
        ("FROM x\nPARAMETER temperature hot", 2, "(line 2): is not a number"),
        ("FROM x\nPARAMETER use_mmap perhaps", 2, "(line 2): is not true or false"),
        ("FROM x\nPARAMETER num_ctx", 2, "(line 2): has no value"),
        ("FROM x\n\n# c\nMESSAGE User hi", 4, "(line 4): is no role"),
        ("FROM x\nRUN apt", 2, "(line 2): is no instruction"),
        ('FROM x\nSYSTEM """open\nmore', 2, "(line 2): has a quote that is never closed"),
        ("FROM x\nREQUIRES soon", 2, "(line 2): is not a version"),
        ("FROM", 1, "(line 1): has no value"),
        ("FROM x\nSYSTEM\n", 2, "(line 2): has no value"),
        ("FROM x\nMESSAGE user\nSYSTEM y", 2, "(line 2): has no value"),
        ("FROM x\nPARAMETER temperature=0.7", 2, "(line 2): is no name of a parameter"),
        ("FROM x # base", 1, "(line 1): has a # behind the name"),
        ("FROM $BASE", 1, "(line 1): is a placeholder"),
        ("FROM {__FILE_LOCATION__}", 1, "(line 1): is a placeholder"),
        ("FROM x\nADAPTER <adapter>", 2, "(line 2): is a placeholder"),
        ("# c\nFROM ../up/x.gguf", 2, "(line 2): steps out of its folder"),
        ("FROM x\nADAPTER ../up/lora", 2, "(line 2): steps out of its folder"),
    ],
)
def test_faults_name_their_line(text, line, message):
    """Unknown words, wrong types and open quotes are answered with the line they stand in."""
    errors = convert([("Modelfile", text)]).errors
    assert any(message in error.message and error.line == line for error in errors), errors


def test_all_faults_of_a_modelfile_come_at_once():
    """One run shows them all."""
    errors = convert([("Modelfile", "PARAMETER foo 1\nMESSAGE User x\nWHAT\nPARAMETER seed x\n")]).errors
    assert [error.line for error in errors] == [1, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("PARAMETER max_tokens 20", "write num_predict"),
        ("PARAMETER n_gpu_layers 20", "write num_gpu"),
        ("PARAMETER tempperature 1", "did you mean 'temperature'?"),
        ('SYSTEM "hi" # greeting', "what stands behind a closing quote belongs to the text"),
        ("Always answer in French.", 'text of several lines needs """ around it'),
    ],
)
def test_usual_mistakes_are_answered_with_what_to_write(line, hint):
    """Parameters of other programs, comments behind quotes, prompts without quotes."""
    assert hint in convert([("Modelfile", f"FROM x\n{line}\n")]).errors[0].hint


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("PARAMETER stop '</s>'", "is taken with its single quotes"),
        ("SYSTEM '''You are'''", "is taken with its single quotes"),
        ('PARAMETER stop ["a", "b"]', "is taken with its brackets"),
    ],
)
def test_quotes_of_other_languages_are_pointed_out(line, message):
    """Ollama keeps them in the text, which hardly anybody means."""
    result = convert([("Modelfile", f"FROM x\n{line}\n")])
    assert result.errors == ()
    assert message in result.warnings[0].message


@pytest.mark.parametrize(
    ("text", "base", "lost"),
    [
        ("FROM ./model.gguf\nFROM ./projector.gguf", "./model.gguf", "./projector.gguf"),
        ("FROM a\nFROM b", "b", "a"),
        ("FROM a\nFROM ./b.gguf", "./b.gguf", "a"),
    ],
)
def test_a_second_base_is_never_lost_in_silence(text, base, lost):
    """Files are put together by Ollama, and the first is the language model; of names the last wins."""
    result = convert([("Modelfile", text)])
    assert result.models[0].spec.modelfile.base == base
    assert [finding.message for finding in result.warnings] == [
        f"(line 2): is one of several; {lost} is not carried over"
    ]


@pytest.mark.parametrize(
    ("base", "uri"),
    [
        ("C:\\models\\x.gguf", "local://C:/models/x.gguf"),
        (".\\models\\x.gguf", "local://models/x.gguf"),
        ("D:/models/x.gguf", "local://D:/models/x.gguf"),
        ("./my model.gguf", "local://my model.gguf"),
        ("hf.co/org/Model-GGUF:Q4_K_M", "hf://org/Model-GGUF"),
        ("registry.ollama.ai/library/llama3:8b", None),
        ("library/llama3:8b", None),
        (".", None),
        ("./", None),
    ],
)
def test_bases_are_files_folders_hub_ids_or_names(base, uri):
    """Paths of Windows are paths, a registry's host is no folder; the base stays as it was written."""
    result = convert([("Modelfile", f"FROM {base}\n")], "modelfile")
    spec = result.models[0].spec
    assert (spec.storage and spec.storage.uri, spec.modelfile.base) == (uri, base)
    assert result.outputs[0][1] == f"FROM {base}\n"


def test_of_instructions_that_count_once_the_last_one_wins():
    """FROM, ADAPTER, SYSTEM; stop, LICENSE and MESSAGE repeat."""
    text = "FROM a\nFROM ./b.gguf\nADAPTER x\nADAPTER ./y\nSYSTEM 1\nSYSTEM 2\nLICENSE p\nLICENSE q\n"
    spec = convert([("Modelfile", text)]).models[0].spec
    assert (spec.modelfile.base, spec.storage.uri) == ("./b.gguf", "local://b.gguf")
    assert [adapter.uri for adapter in spec.adapters] == ["local://y"]
    assert (spec.modelfile.system, spec.modelfile.licenses) == ("2", ("p", "q"))


def test_a_system_prompt_and_template_survive_every_character():
    """What the converter writes is what Ollama reads."""
    prompt = 'You are "SmolLM",\n  trained by   \n\n{{ braces }} # and <|im_end|>'
    spec = {"store": "models", "path": "smol", "modelfile": {"system": prompt, "template": "{{ .Prompt }}"}}
    import json

    result = convert([("x.json", json.dumps({"models": {"smol": spec}}))], "modelfile")
    again = convert([("Modelfile", result.outputs[0][1])])
    assert again.models[0].spec.modelfile.system == prompt


def test_parameters_have_the_types_of_the_table():
    """Every parameter reads an example of its type."""
    examples = {int: ("-1", -1), float: ("0.5", 0.5), bool: ("true", True), list: ("x", ["x"])}
    for name, kind in PARAMETERS.items():
        text, value = examples[kind]
        assert read_parameter(name, text) == value


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("FROM x", True),
        ("# c\n\nfrom x", True),
        ("from: x", False),
        ("system: x\n", False),
        ("a: 1", False),
        ("FROM", False),
    ],
)
def test_a_modelfile_is_known_by_its_first_instruction(text, expected):
    """YAML that begins with the same words is none."""
    assert looks_like(text) is expected


VALUE = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r"), max_size=30)


@settings(max_examples=200, deadline=None)
@given(st.lists(VALUE, max_size=5))
def test_any_value_that_can_be_quoted_reads_back(items):
    """Quoting and reading is the identity; only three quotes in a row cannot be written."""
    text, expected = "FROM x\n", ["x"]
    for item in items:
        try:
            text += f"SYSTEM {quote(item)}\n"
        except ValueError:
            assert '"""' in item
            continue
        expected.append(item)
    assert [item.value for item in parse(text) if isinstance(item, Instruction)] == expected
