"""`plinth runtimes` says which declared runtime would be taken, and why no other."""

import json

import pytest
from click.testing import CliRunner

from pulumi_plinth.cli_runtimes import runtimes
from pulumi_plinth.errors import PlinthError

MODEL = """
apiVersion: ome.io/v1beta1
kind: ClusterBaseModel
metadata: {name: llama}
spec:
  modelFormat: {name: safetensors, version: "1"}
  modelFramework: {name: transformers, version: "4.43.0"}
  modelArchitecture: LlamaForCausalLM
  modelParameterSize: 70B
  storage: {storageUri: "hf://meta-llama/Llama-3.1-70B"}
"""


@pytest.fixture
def run(project_root, tmp_path):
    """Run the command on a declared model and the documents; returns exit code and output."""
    model, listed = tmp_path / "model.yaml", project_root / "tests/engines/documents/runtimes.yaml"
    model.write_text(MODEL)

    def call(*words):
        given = [str({"MODEL": model, "FILE": listed}.get(word, word)) for word in words]
        result = CliRunner().invoke(runtimes, given, catch_exceptions=False)
        return result.exit_code, result.stdout

    return call


def test_a_declared_model_gets_the_runtime_that_ome_would_take(run):
    """With its points, what the accelerator changes in its arguments, and the reasons against each other one."""
    code, said = run("MODEL", "FILE", "--accelerator", "nvidia-h100-80gb", "--json")
    found = json.loads(said)
    assert (code, found["runtime"]) == (0, "llama-70b")
    assert found["arguments"][2:4] == ["--tensor-parallel-size=2", "--max-model-len"]
    assert found["environment"] == {"VLLM_LOGGING_LEVEL": "DEBUG"}
    assert set(found["rejected"]) == {"careless", "team-qwen"}
    assert any("perhaps" not in remark and "autoSelect" in remark for remark in found["remarks"])


def test_people_read_it_line_by_line(run):
    """The one that is taken first."""
    code, said = run("MODEL", "FILE")
    assert (code, said.splitlines()[0]) == (0, "llama-70b: (1 + 1) x priority 1 = 2 points, cluster-wide, taken")


def test_no_runtime_is_an_exit_code(run):
    """As when a model does not fit."""
    code, said = run("MODEL", "FILE", "--accelerator", "tpu")
    assert (code, said.splitlines()[0]) == (3, "no runtime can serve the model")


def test_lists_of_kubectl_and_names_of_the_catalogue(run, tmp_path, project_root):
    """A List is its items; without a file, this release's own engines are asked."""
    listed = tmp_path / "list.yaml"
    body = (project_root / "tests/engines/documents/runtimes.yaml").read_text().split("---")[1]
    listed.write_text("kind: List\nitems:\n- " + body.strip().replace("\n", "\n  ") + "\n")
    assert "team-qwen: " in run("phi-4", listed)[1]
    assert run("phi-4")[1].startswith("vllm-cpu: serves what vllm")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("nothing-of-this-name",), "is no folder, no card and not in the catalogue"),
        (("phi-4", "MODEL"), "no ServingRuntime or ClusterServingRuntime of ome.io"),
        (("FILE", "FILE"), "is no card"),
    ],
)
def test_what_is_no_model_or_no_runtime_is_named(run, words, message):
    """With what to give instead."""
    with pytest.raises(PlinthError, match=message):
        run(*words)
