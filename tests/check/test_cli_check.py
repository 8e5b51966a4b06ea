"""`plinth check`: files of every kind, exit codes, output, and errors that say what to give instead."""

import json

import pytest
from click.testing import CliRunner

from pulumi_plinth.cli import main

POD = """
apiVersion: v1
kind: Pod
metadata: {name: chat}
spec:
  containers:
  - name: vllm
    image: vllm/vllm-openai:v0.32.0
    args: [serve, Qwen/Qwen2.5-7B-Instruct, --tensor-parallel-size, "SIZE"]
    resources: {limits: {nvidia.com/gpu: SIZE}}
    volumeMounts: [{name: shm, mountPath: /dev/shm}]
  volumes: [{name: shm, emptyDir: {medium: Memory, sizeLimit: 8Gi}}]
"""
RIGHT = "vllm serve Qwen/Qwen2.5-7B-Instruct --tensor-parallel-size 2"
WRONG = "vllm serve Qwen/Qwen2.5-7B-Instruct --tensor-parallel-size 3"


def run(*arguments, stdin=None):
    """Run the command."""
    return CliRunner().invoke(main, ["check", *map(str, arguments)], input=stdin)


@pytest.fixture
def written(tmp_path):
    """Write a file and return its path."""

    def write(text, name="file.yaml"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        (RIGHT, 0, "accept"),
        (WRONG, 3, "[heads]"),
        ("num_attention_heads: 40\ntensor_parallel_size: 16\n", 3, "[heads]"),
        ("num_attention_heads: 40\ntensor_parallel_size: 8\n", 0, "accept"),
        ("- id: one\n  facts: {gpu: P100}\n- id: two\n  facts: {gpu: T4}\n", 3, "[gpu-generation]"),
        ("gpu_memory_utilization: 0.99\n", 0, "[utilization]"),
        (POD.replace("SIZE", "3"), 3, "[heads]"),
    ],
)
def test_files(text, code, said, written):
    """A command line, facts, a list of entries, a manifest; refusals are exit code 3, warnings are not."""
    result = run(written(text))
    assert (result.exit_code, said in result.output) == (code, True), result.output


def test_standard_input():
    """A dash is what comes in."""
    assert run("-", stdin=WRONG).exit_code == 3


def test_options_fill_what_a_file_leaves_out(written):
    """The model's heads, the shape's GPUs, the release."""
    facts = written("tensor_parallel_size: 3\n")
    assert run(facts).exit_code == 0
    assert "[heads]" in run(facts, "--model", "Qwen/Qwen2.5-7B-Instruct").output
    assert "[gpus]" in run(written("tp: 8\nnum_attention_heads: 32\n"), "--shape", "BM.GPU.A10.4").output
    assert "[model-release]" in run(written("model_type: qwen3\n"), "--engine-version", "0.8.0").output


def test_options_reach_manifests(written):
    """The shape's memory judges the manifest's model."""
    path = written(POD.replace("SIZE", "1"))
    assert "[memory]" not in run(path).output
    assert "[memory]" in run(path, "--shape", "VM.GPU3.1").output


def test_a_manifest_says_its_gpus(written):
    """The node selector names the kind, the limit counts; a command without sizes uses one of them."""
    path = written(
        POD.replace(', --tensor-parallel-size, "SIZE"', "")
        .replace("SIZE", "2")
        .replace("Qwen/Qwen2.5-7B", "Qwen/Qwen2.5-72B")
    )
    assert "[memory]" not in run(path).output
    selected = path.read_text().replace(
        "spec:", "spec:\n  nodeSelector: {nvidia.com/gpu.product: NVIDIA-A100-SXM4-80GB}"
    )
    assert "of weights on 1 GPU" in run(written(selected)).output


def test_json(written):
    """Every verdict with its parts, refusals first, and the keys that nobody understood."""
    path = written("gpu: P100\nengine_version: 0.9.0\ngpu_memory_utilization: 0.99\nmoon: full\n")
    said = json.loads(run(path, "--json").output)
    (server,) = said["servers"]
    assert (said["refused"], server["verdict"], server["notUnderstood"]) == (True, "refuse", ["moon"])
    assert [verdict["severity"] for verdict in server["verdicts"]] == ["refuse", "warn"]
    assert set(server["verdicts"][0]) == {"rule", "severity", "path", "problem", "remedy"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        ("a: [1", "is neither YAML (line"),
        ("just words", "is neither facts nor a manifest"),
        ("- 3\n", "is neither facts nor a manifest"),
        ("id: x\nfacts: 3\n", "is no mapping"),
        ("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n", "has no pod"),
        ("vllm serve 'x", "mend the quotes"),
    ],
)
def test_bad_files(text, said, written):
    """One sentence that says what to give instead, exit code 1, no traceback."""
    result = run(written(text))
    assert (result.exit_code, said in result.output) == (1, True), result.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["/no/such/file"], "is no file"),
        (["-", "--shape", "BM.GPU.A10.5"], "BM.GPU.A10.4"),
        (["-", "--engine-version", "new"], "is no release"),
    ],
)
def test_bad_arguments(arguments, said):
    """The nearest name, or an example."""
    result = run(*arguments, stdin=RIGHT)
    assert (result.exit_code, said in result.output) == (1, True), result.output


def test_a_file_that_is_no_text(tmp_path):
    """Weights are not looked into."""
    (tmp_path / "model.safetensors").write_bytes(b"\xff\xfe\x00\x01")
    result = run(tmp_path / "model.safetensors")
    assert (result.exit_code, "is not text" in result.output) == (1, True)
