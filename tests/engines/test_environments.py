"""What a stack file says to an engine is checked with the release that its environment pins."""

import re

import pytest

from pulumi_plinth.engines.environments import DEVICES, RELEASES, check_stack, table_of

PATH = "plinth:stack.deployments.chat"
OWNED = frozenset({"--port", "--enforce-eager", "--max-model-len"})


@pytest.mark.parametrize("name", RELEASES)
def test_an_environment_has_the_release_that_it_pins(name, project_root):
    """The table would otherwise speak of another engine; an environment that is not here yet pins nothing."""
    assert str(table_of(name)) == " ".join(RELEASES[name])
    assert name in DEVICES
    requirements = project_root / "runtime" / "engines" / name / "requirements.in"
    if requirements.exists():
        pins = re.findall(r"^vllm(?:-cpu)?==([\d.]+)", requirements.read_text(), re.MULTILINE)
        assert pins == [RELEASES[name][1]]


CASES = [
    (["--seed", "7"], [], []),
    (["--sede", "7"], [], [f"{PATH}.engineArgs: \"--sede\" is not a flag of vllm 0.32.0; did you mean '--seed'?"]),
    (["--see", "7"], [], [f'{PATH}.engineArgs: "--see" is short for --seed; write --seed, another release may']),
    (["--max-model-l", "7"], [], [f'{PATH}.engineArgs: "--max-model-l" contradicts the plan (--max-model-len); use']),
    (["--no_enforce_eager"], [], [f'{PATH}.engineArgs: "--no_enforce_eager" contradicts the plan (--enforce-eager)']),
    ([], ["VLLM_LOGGING_LEVEL", "OMP_NUM_THREADS"], []),
    ([], ["VLLM_LOGING_LEVEL"], [f"{PATH}.environment.VLLM_LOGING_LEVEL: is not a variable of vllm 0.32.0; did you"]),
]


@pytest.mark.parametrize(("words", "variables", "expected"), CASES)
def test_each_fault_names_the_place_in_the_stack_file(words, variables, expected):
    """Unknown, cut short, owned by another field, misspelt variables."""
    faults = [str(fault) for fault in check_stack("vllm-cpu", words, variables, PATH, OWNED).faults]
    assert [fault[: len(start)] for fault, start in zip(faults, expected, strict=True)] == expected


def test_cautions_of_both_are_collected():
    """Arguments first."""
    checked = check_stack("vllm-cpu", ["--seed=1", "--seed=2"], ["VLLM_FOO_BAR"], PATH)
    assert [caution.split()[0] for caution in checked.cautions] == ["--seed", "VLLM_FOO_BAR"]
    assert checked.faults == ()
