"""`plinth engine` shows what the release knows."""

import json

import pytest
from click.testing import CliRunner

from pulumi_plinth.cli_engine import engine
from pulumi_plinth.errors import PlinthError


def said(*words):
    """Run the command and return what it printed."""
    run = CliRunner().invoke(engine, words, catch_exceptions=False)
    assert run.exit_code == 0
    return run.stdout


def test_people_see_the_names_they_may_write():
    """And how many there are of what would fill pages."""
    lines = dict(line.split(maxsplit=1) for line in said().splitlines() if not line.startswith(("tool", "kv", "load")))
    assert lines["release"] == "vllm 0.32.0, described on cpu"
    assert "hermes" in said()
    assert lines["flags"].endswith("see --flag NAME or --json")


@pytest.mark.parametrize("spelling", ["max-model-len", "--max_model_len", "--max-model-len"])
def test_a_flag_is_found_in_any_spelling(spelling):
    """Dashes in front or not, underscores or dashes."""
    assert said("--flag", spelling).splitlines() == [
        "flag                --max-model-len",
        "takes               one value",
        "kind                integer, such as 32k",
        "also                auto",
    ]


def test_a_short_flag_and_one_with_bounds():
    """All spellings, and what its value may be."""
    assert "flag                --tensor-parallel-size, -tp" in said("--flag", "tp")
    assert "bounds              more than 0, at most 1" in said("--flag", "gpu-memory-utilization")
    assert "takes               no value" in said("--flag", "enforce-eager")


def test_scripts_get_everything():
    """The whole table, and one flag."""
    table = json.loads(said("--json"))
    assert (table["engine"], table["version"]) == ("vllm", "0.32.0")
    assert {"--seed", "--model"} <= set(table["flags"])
    assert "VLLM_LOGGING_LEVEL" in table["environment"]
    assert json.loads(said("--flag", "seed", "--json"))["kind"] == "integer"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--flag", "sede"], "sede is not a flag of vllm 0.32.0; did you mean '--seed'"),
        (["--engine", "vllm-cpuu"], "no engine is called vllm-cpuu; did you mean 'vllm-cpu'"),
        (["--engine", "zzz"], "no engine is called zzz; there are vllm-cpu, vllm-cuda"),
    ],
)
def test_what_nobody_knows_is_refused_with_a_hint(words, message):
    """A near name, or the list."""
    with pytest.raises(PlinthError) as caught:
        CliRunner().invoke(engine, words, catch_exceptions=False)
    assert message in str(caught.value)
