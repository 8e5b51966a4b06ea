"""`plinth card` and `plinth models`, as people and programs call them."""

import json

import pytest
from click.testing import CliRunner

from pulumi_plinth.cli import main


@pytest.fixture
def plinth():
    """A function that runs the command line in this process."""
    return lambda *arguments: CliRunner().invoke(main, list(arguments))


def test_card_prints_lines_and_json(plinth, make_model, tmp_path):
    """The same facts for people and programs."""
    folder = make_model(tmp_path / "tiny")
    lines = plinth("card", str(folder))
    assert lines.exit_code == 0
    assert "LlamaForCausalLM (llama)" in lines.output
    found = json.loads(plinth("card", str(folder), "--json").output)
    assert (found["parameters"], found["modelType"], found["dtype"], found["maxContext"]) == (
        12288,
        "llama",
        "bfloat16",
        4096,
    )
    assert found["attention"][0] == {
        "kind": "full", "layers": 2, "kvHeads": 2, "headDim": 16, "window": None, "convState": 0, "recurrentState": 0,
    }  # fmt: skip


def test_card_reads_an_embedding_model(plinth, project_root, tmp_path):
    """What sentence-transformers writes beside the weights is read from disk too."""
    (tmp_path / "1_Pooling").mkdir()
    (tmp_path / "1_Pooling" / "config.json").write_text(
        '{"word_embedding_dimension": 64, "pooling_mode_mean_tokens": true}'
    )
    (tmp_path / "modules.json").write_text('[{"path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}]')
    (tmp_path / "config.json").write_text(
        '{"architectures": ["BertModel"], "model_type": "bert", "hidden_size": 64, "num_attention_heads": 4,'
        ' "num_hidden_layers": 1, "vocab_size": 10, "max_position_embeddings": 512}'
    )
    header = b'{"a.weight":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
    (tmp_path / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + b"\0" * 4)
    found = json.loads(plinth("card", str(tmp_path), "--json").output)
    assert (found["embedding"]["dimension"], found["embedding"]["pooling"], found["kind"]) == (64, "mean", "embed")


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("hf://a/b", "'hf://a/b' is no folder; fetch the model first"),
        ("nowhere/at/all", "there is no folder 'nowhere/at/all'"),
    ],
)
def test_card_refuses_what_is_no_folder(plinth, where, message):
    """URIs are not fetched by a command that only looks."""
    run = plinth("card", where)
    assert run.exit_code == 1
    assert message in run.output


def test_card_tells_every_fault_of_a_folder(plinth, tmp_path):
    """No config, no weights: both."""
    run = plinth("card", str(tmp_path))
    assert run.exit_code == 1
    assert "config.json is missing" in run.output
    assert "no *.safetensors file" in run.output


def test_models_lists_and_narrows(plinth):
    """Lines for people, JSON with the card for programs."""
    lines = plinth("models", "--kind", "rerank").output.splitlines()
    assert lines[0].split() == ["NAME", "KIND", "PARAMETERS", "CONTEXT", "WEIGHTS", "LICENSE", "STATE"]
    assert all("rerank" in line for line in lines[1:])
    found = json.loads(plinth("models", "--capability", "vision", "--json").output)["models"]
    assert "gemma-3-27b-it" in {row["name"] for row in found}
    assert all("IMAGE_TEXT_TO_TEXT" in row["capabilities"] for row in found)
    assert next(row for row in found if row["name"] == "gemma-3-27b-it")["card"]["slidingWindow"] == 1024


def test_models_shows_proprietary_and_deprecated_ones_as_such(plinth):
    """Nobody is surprised later."""
    lines = {line.split()[0]: line for line in plinth("models").output.splitlines()}
    assert "not public" in lines["cohere-embed-english-v3.0"]
    assert "deprecated since 2026-04-04" in lines["cohere-embed-english-v2.0"]


def test_models_takes_a_team_folder(plinth, tmp_path):
    """--catalogue adds rows."""
    (tmp_path / "ours.yaml").write_text("- {name: ours, storageUri: 'pvc://a/b', source: us, checked: '2026-01-01'}\n")
    assert "ours " in plinth("models", "--catalogue", str(tmp_path)).output


def test_models_refuses_an_unknown_capability(plinth):
    """With the near one."""
    run = plinth("models", "--capability", "visoin")
    assert run.exit_code == 2
    assert "did you mean 'VISION'" in run.output


def test_models_that_fit_a_shape(plinth):
    """`--fits` keeps what one machine of the shape can serve, and names near shapes for an unknown one."""
    run = plinth("models", "--fits", "VM.GPU.A10.1", "--json")
    names = {model["name"] for model in json.loads(run.output)["models"]}
    assert {"llama-3.1-8b-instruct", "bge-m3"} <= names
    assert not {"llama-3.1-70b-instruct", "deepseek-v3"} & names
    assert "is no shape" in plinth("models", "--fits", "VM.GPU.A11").stderr
