"""The commands: where a model may come from, what scripts read, exit codes."""

import json

import pytest
from click.testing import CliRunner

from pulumi_plinth.cli import main
from pulumi_plinth.fit.kaito import kaito_model

KEYS = {
    "gpus", "nodes", "parallel", "memory", "kv_tokens", "max_model_len", "disk_gib", "startup_seconds", "price",
    "alternatives", "reasons",
}  # fmt: skip


@pytest.fixture
def run():
    """Run a command; returns exit code, parsed or plain output, and what went to stderr."""

    def do(*arguments):
        result = CliRunner().invoke(main, list(map(str, arguments)), catch_exceptions=False)
        said = json.loads(result.stdout) if "--json" in arguments and result.stdout else result.stdout
        return result.exit_code, said, result.stderr

    return do


def test_a_fit_in_json(run):
    """All keys that scripts were promised."""
    code, said, _ = run("fit", "llama-3.3-70b-instruct", "--shape", "BM.GPU.H100.8", "--json")
    assert code == 0
    assert set(said) >= KEYS
    assert said["parallel"] == {"tensor": 4, "pipeline": 1, "data": 2, "expert": 1}
    assert sum(line["bytes"] for line in said["memory"]) == said["memory_bytes"]
    assert said["price"]["per_hour"] == [80.0, 80.0]
    assert all(option["reason"] for option in said["alternatives"])


def test_a_fit_in_words(run):
    """The bill, the reasons, the alternatives."""
    code, said, _ = run("fit", "phi-4", "--gpus-per-node", 4, "--gpu-memory-gib", 24)
    assert code == 0
    assert "TP2 x PP1 x DP2 on 1 x 4x24GiB" in said
    assert "each GPU" in said
    assert "no list price of 4x24GiB is established" in said


def test_what_does_not_fit_exits_3_with_both_numbers(run):
    """Needed and available, in words and in JSON."""
    where = ("--gpus-per-node", 1, "--gpu-memory-gib", 16, "--nodes", 1)
    code, said, error = run("fit", "llama-3.1-8b-instruct", *where, "--json")
    assert code == 3
    assert (said["fits"], said["available_gib"]) == (False, 14.4)
    assert said["needed_gib"] > 16
    assert said["faults"][0]["rule"] == "memory"
    code, said, error = run("fit", "llama-3.1-8b-instruct", *where)
    assert code == 3
    assert "GiB are needed on each GPU" in said
    assert error == "it does not fit\n"


def test_kaitos_numbers(run):
    """Its five keys; eight copies of Llama 3.1 8B on eight GPUs of 80."""
    code, said, _ = run(
        "fit", "llama-3.1-8b-instruct", "--gpus-per-node", 8, "--gpu-memory-gib", 80, "--estimator", "kaito", "--json"
    )
    assert code == 0
    assert said == {
        "fits": True, "estimator": "kaito", "nodes": 1, "min_gpus": 1, "disk_gib": 94, "startup_seconds": 1800,
        "parallel": {"tensor": 1, "pipeline": 1, "data": 8},
    }  # fmt: skip


def test_kaitos_refusal_exits_3(run):
    """A slice that is too small."""
    arguments = ("fit", "llama-3.1-8b-instruct", "--gpu-memory-gib", 20, "--mig", "--estimator", "kaito", "--json")
    code, said, _ = run(*arguments)
    assert (code, said["available_gib"]) == (3, 16.8)
    assert said["needed_gib"] == pytest.approx(18.57, abs=0.02)


def test_kaito_plans_with_documented_memory(run):
    """80 GiB of an H100, not the 79.22 that CUDA reports."""
    stated = run(
        "fit", "deepseek-v3-0324", "--gpus-per-node", 8, "--gpu-memory-gib", 80, "--estimator", "kaito", "--json"
    )
    named = run("fit", "deepseek-v3-0324", "--shape", "BM.GPU.H100.8", "--estimator", "kaito", "--json")
    assert stated == named


def test_what_plinth_card_prints_is_a_model(run, sparse_model):
    """The same plan as from the folder."""
    path = sparse_model / "printed.json"
    path.write_text(json.dumps(run("card", sparse_model, "--json")[1]))
    assert run("fit", path, "--shape", "BM.GPU4.8", "--json") == run(
        "fit", sparse_model, "--shape", "BM.GPU4.8", "--json"
    )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"adapter": {"method": "lora", "base_model": "org/base", "rank": 8, "alpha": 16}}, "its base model, org/base"),
        ({"layers": 0, "kind": "diffusion"}, "(diffusion) has no transformer layers"),
    ],
)
def test_what_is_no_language_model_is_refused(run, cards, tmp_path, changes, words):
    """Adapters and pipelines follow other rules."""
    path = tmp_path / "card.json"
    path.write_text(json.dumps(cards["phi-4"].model_dump(mode="json") | changes))
    code, _, error = run("fit", path, "--shape", "BM.GPU4.8")
    assert code == 1
    assert words in error


def test_a_card_in_json_is_a_model(run, cards, tmp_path):
    """The same plan as by name."""
    path = tmp_path / "card.json"
    path.write_text(cards["phi-4"].model_dump_json())
    by_card = run("fit", path, "--shape", "BM.GPU4.8", "--json")
    assert by_card == run("fit", "phi-4", "--shape", "BM.GPU4.8", "--json")


def test_a_folder_with_sparse_weights_is_a_model(run, sparse_model):
    """Headers are read, weights are not."""
    code, said, _ = run("fit", sparse_model, "--shape", "VM.GPU.A10.1", "--json")
    assert code == 0
    assert said["memory"][0]["part"] == "weights: embedding"
    code, said, _ = run("fit", sparse_model, "--shape", "VM.GPU.A10.1", "--estimator", "kaito", "--json")
    assert said["disk_gib"] == 80


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("fit", "llama-3.3-70b", "--shape", "BM.GPU.H100.8"), 1, "did you mean"),
        (("fit", "phi-4", "--shape", "BM.GPU.H10.8"), 1, "BM.GPU.H100.8"),
        (("fit", "phi-4"), 2, "either --shape, or --gpu-memory-gib"),
        (("fit", "phi-4", "--shape", "BM.GPU.H100.8", "--gpus-per-node", "4"), 2, "either --shape"),
        (("fit", "cohere-command-r-plus", "--shape", "BM.GPU.H100.8"), 1, "no geometry"),
    ],
)
def test_mistakes_are_explained(run, arguments, code, words):
    """With what to write instead."""
    found, _, error = run(*arguments)
    assert found == code
    assert words in error


def test_a_file_that_is_no_card_is_refused(run, tmp_path):
    """With the first field that is wrong."""
    path = tmp_path / "card.json"
    path.write_text("{}")
    code, _, error = run("fit", path, "--shape", "BM.GPU4.8")
    assert code == 1
    assert "is no card (architecture:" in error


def test_explicit_sizes_are_checked(run):
    """Eight GPUs for ten KV heads."""
    code, said, _ = run("fit", "phi-4", "--shape", "BM.GPU.H100.8", "--tensor", 8, "--json")
    assert code == 3
    assert [fault["rule"] for fault in said["faults"]] == ["kv-heads"]


def test_an_fp8_cache_holds_twice_the_tokens(run):
    """Half the bytes a token."""
    plain, small = (
        run("fit", "qwen3-8b", "--shape", "VM.GPU.L40S.1", "--context", 4096, *more, "--json")[1]
        for more in ((), ("--kv-cache-dtype", "fp8"))
    )
    assert small["kv_tokens"] == pytest.approx(2 * plain["kv_tokens"], rel=0.01)


def test_adapters_take_from_the_cache(run):
    """Eight of rank 64 have a line of their own."""
    plain, adapted = (
        run("fit", "qwen3-8b", "--shape", "VM.GPU.A10.1", "--context", 4096, *more, "--json")[1]
        for more in ((), ("--adapters", 8, "--adapter-rank", 64))
    )
    (line,) = [line for line in adapted["memory"] if line["part"] == "adapters"]
    assert line["formula"] == "8 adapters of rank 64 in seven projections"
    assert adapted["kv_tokens"] < plain["kv_tokens"]


def test_replicas_and_a_measured_throughput_are_priced(run):
    """One to four A10 at $2; 500 tokens a second are 1.8 million an hour."""
    more = ("--max-replicas", 4, "--tokens-per-second", 500)
    _, said, _ = run("fit", "qwen3-8b", "--shape", "VM.GPU.A10.1", *more, "--json")
    assert said["price"]["per_hour"] == [2.0, 8.0]
    assert said["price"]["per_month"] == [1460.0, 5840.0]
    assert said["price"]["per_million_tokens"] == pytest.approx(1.1111)
    assert any("$2.00 to $8.00 an hour" in reason["text"] for reason in said["reasons"])


def test_a_throughput_from_a_benchmarks_report(run, tmp_path):
    """The file of `plinth-runtime bench` gives number and source; what is none is refused by name."""
    report = tmp_path / "bench.json"
    report.write_text(json.dumps({"tokensPerSecond": {"value": 500, "source": "8 clients, 2026-11-21"}}))
    said = run("fit", "qwen3-8b", "--shape", "VM.GPU.A10.1", "--tokens-per-second", report, "--json")[1]
    assert said["price"]["per_million_tokens"] == pytest.approx(1.1111)
    assert any("(8 clients, 2026-11-21)" in reason["text"] for reason in said["reasons"])
    report.write_text("{}")
    for word, problem in (
        (report, "has no tokensPerSecond"),
        ("nope", "neither a number nor a file"),
        ("-1", "above 0"),
    ):
        code, _, error = run("fit", "qwen3-8b", "--shape", "VM.GPU.A10.1", "--tokens-per-second", word)
        assert (code, problem in error) == (2, True), error


@pytest.mark.parametrize("command", ["fit", "shapes"])
def test_examples_keep_their_lines(run, command):
    """One a line, so that they can be copied."""
    _, said, _ = run(command, "--help")
    assert f"\n  Examples:\n    plinth {command} " in said


def test_shapes_are_listed(run):
    """In words with a dash for what is not established, and in JSON."""
    code, said, _ = run("shapes", "--provider", "oci")
    assert code == 0
    row = next(line for line in said.splitlines() if line.startswith("BM.GPU.B200.8"))
    assert "8 B200" in row
    assert " - " in row
    assert "p5.48xlarge" not in said
    _, said, _ = run("shapes", "--gpu", "H100", "--json")
    assert {shape["gpu"] for shape in said["shapes"]} == {"H100"}


def test_the_size_kaito_sees_is_that_of_the_files(cards):
    """Where files are there they count, else the catalogue."""
    card = cards["qwen3-8b"]
    assert kaito_model(card).weights == "15.26"
    assert kaito_model(card, 2 * card.weight_bytes).weights == "30.51"
