"""`plinth fit` that chooses: budget and allowed shapes."""

import json

import pytest
from click.testing import CliRunner

from pulumi_plinth.cli import main


def ask(*arguments):
    """Run `plinth fit --json`; exit code and answer."""
    run = CliRunner().invoke(main, ["fit", *arguments, "--json"])
    return run.exit_code, json.loads(run.stdout)


@pytest.mark.parametrize(
    ("arguments", "shape"),
    [
        (["--budget", "3"], "VM.GPU.A10.1"),
        (["--allow", "BM.GPU.H100.8"], "BM.GPU.H100.8"),
        (["--allow", "BM.GPU.H100.8", "--allow", "VM.GPU.A10.2", "--budget", "90"], "VM.GPU.A10.2"),
        (["--budget", "90", "--context", "40960"], "VM.GPU.L40S.1"),
    ],
)
def test_the_cheapest_of_what_may_be_taken_is_chosen(arguments, shape):
    """Without a shape, budget and allowed shapes choose."""
    code, said = ask("qwen3-8b", *arguments)
    assert (code, said["fits"], said["shape"]) == (0, True, shape)


def test_a_shape_over_the_budget_is_refused():
    """It has room, and is not taken: exit code 3 with both prices."""
    code, said = ask("qwen3-8b", "--shape", "BM.GPU.H100.8", "--budget", "3")
    assert (code, said["fits"], said["error"]) == (3, False, "over the budget: $80.00 an hour of $3.00")


def test_only_allowed_shapes_are_alternatives():
    """What nobody may take is not proposed."""
    _, said = ask("qwen3-8b", "--shape", "VM.GPU.A10.1", "--allow", "VM.GPU.A10.2", "--allow", "VM.GPU.A10.1")
    assert [option["shape"] for option in said["alternatives"]] == ["VM.GPU.A10.2"]


def test_an_allowed_shape_must_be_known():
    """A misspelt name gets the nearest one."""
    run = CliRunner().invoke(main, ["fit", "qwen3-8b", "--allow", "VM.GPU.A10.3"])
    assert run.exit_code == 1
    assert "did you mean 'VM.GPU.A10." in run.stderr
