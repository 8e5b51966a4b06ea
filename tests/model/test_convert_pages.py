"""Pages, scripts and templates that show documents: what is found in them, and what is said where nothing can be."""

import time

import pytest

WORKSPACE = """apiVersion: kaito.sh/v1beta1
kind: Workspace
metadata: {name: %s}
resource: {instanceType: a, labelSelector: {matchLabels: {apps: w}}}
inference: {preset: {name: falcon-7b}}
"""


def indented(text, by):
    """Every line moved to the right."""
    return "".join(" " * by + line for line in text.splitlines(keepends=True))


PAGES = {
    "a block in a list": "1. First\n\n   ```yaml\n" + indented(WORKSPACE % "w", 3) + "   ```\n",
    "a block with a title": f'```yaml title="w.yaml"\n{WORKSPACE % "w"}```\n',
    "a here-document": f"```bash\ncat <<EOF | kubectl apply -f -\n{WORKSPACE % 'w'}EOF\nkubectl get pods\n```\n",
    "a quoted here-document": f"```sh\nkubectl apply -f - <<-'YAML'\n{WORKSPACE % 'w'}YAML\n```\n",
    "what a command printed": f"```sh\n$ cat w.yaml\n\n{WORKSPACE % 'w'}\n$ kubectl apply -f w.yaml\n```\n",
    "a script": f"#!/bin/sh\nset -e\nkubectl apply -f - <<EOF\n{WORKSPACE % 'w'}EOF\n",
}


@pytest.mark.parametrize("case", PAGES)
def test_documents_are_found_wherever_a_page_shows_them(converted, case):
    """People bring what they have: a README, a run book, a script."""
    result = converted(PAGES[case], name="README.md")
    assert result.errors == ()
    assert [model.name for model in result.models] == ["w"]


def test_lines_count_in_the_page(converted):
    """A finding in a here-document inside a block points to its line of the page."""
    page = "# T\n\n```bash\ncat <<EOF\n" + WORKSPACE.replace("falcon-7b", "<PRESET>") % "w" + "EOF\n```\n"
    assert [(error.line, error.value) for error in converted(page, name="README.md").errors] == [(9, "<PRESET>")]


def test_a_modelfile_written_by_a_script_is_found(converted):
    """Templates with braces inside it are its own."""
    page = (
        '```bash\ncat > Modelfile <<\'EOF\'\nFROM ./m.gguf\nTEMPLATE """{{ .Prompt }}"""\nEOF\nollama create m\n```\n'
    )
    spec = converted(page, name="README.md").models[0].spec
    assert (spec.modelfile.base, spec.modelfile.template) == ("./m.gguf", "{{ .Prompt }}")


BLOCK = "```yaml\n{}```\n"
PIECE = "storage:\n  storageUri: pvc://claim/m\n"
MODEL = (
    "apiVersion: ome.io/v1beta1\nkind: ClusterBaseModel\nmetadata: {name: m}\nspec: {storage: {storageUri: hf://o/m}}\n"
)


def test_pieces_beside_a_whole_model_are_illustrations(converted):
    """A page that explains a field shows it alone; without a model the piece is explained."""
    assert converted(BLOCK.format(PIECE) + BLOCK.format(MODEL), name="README.md").errors == ()
    assert "not a model" in converted(BLOCK.format(PIECE), name="README.md").errors[0].message


def test_a_block_that_wants_to_be_a_model_is_not_passed_over_when_broken(converted):
    """What else a page shows may be anything; this says what it is."""
    broken = MODEL.replace("hf://o/m}}", '"hf://o/m}}')
    page = BLOCK.format(MODEL) + BLOCK.format("a: [\n") + BLOCK.format(broken)
    errors = converted(page, name="README.md").errors
    assert [error.message[:11] for error in errors] == ["is not YAML"]
    assert errors[0].line > 10, "the third block begins there"


@pytest.mark.parametrize(
    "text",
    [
        "{{- range .Values.models }}\n---\n" + MODEL.replace("{name: m}", "{name: {{ .name }}}") + "{{- end }}\n",
        MODEL.replace("{name: m}", "\n  name: {{ .Values.name }}"),
    ],
)
def test_templates_are_named_once(converted, text):
    """Not an error for each line that YAML cannot read."""
    errors = converted(text).errors
    assert len(errors) == 1
    assert "is a template with {{" in errors[0].message
    assert "helm template" in errors[0].hint


@pytest.mark.slow
@pytest.mark.parametrize("row", ["<<A\n", "{{", "```sh\n", "```\na\n```\n", "```sh\napiVersion: x\n$ a\n```\n"])
def test_long_pages_of_beginnings_without_ends_take_no_time(converted, row):
    """A megabyte of each."""
    started = time.perf_counter()
    converted("a: [\n" + row * (1_000_000 // len(row)), name="README.md")
    assert time.perf_counter() - started < 20
