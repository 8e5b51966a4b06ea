"""The rendered command of a plan on GPUs is judged as `plinth check` judges anybody's."""

import re

import pytest

from pulumi_plinth.errors import SpecError

RULE = re.compile(r"\[([a-z-]+)\]; ")
"""How a refusal of the checks names its rule."""


def stack(model, **deployment):
    """A stack of one deployment on GPUs."""
    return {
        "models": {"m": {"preset": {"name": model}}},
        "deployments": {"d": {"model": "m", "target": "kubernetes", "shape": "BM.GPU.H100.8", **deployment}},
    }


@pytest.mark.parametrize(
    ("model", "deployment", "path", "expected"),
    [
        ("llama-3.2-11b-vision-instruct", {}, "model", "served until vLLM 0.10"),
        ("gemma-3-27b-it", {"dtype": "float16"}, "dtype", "float16"),
        ("qwen3-8b", {"engineArgs": ["--no-such"]}, "engineArgs", "is not a flag"),
        ("qwen3-8b", {"engineArgs": ["--tool-call-parser", "hermse"]}, "engineArgs", "did you mean 'hermes'"),
        (
            "qwen3-8b",
            {"environment": {"VLLM_LOGGING_LEVL": "x"}},
            "environment.VLLM_LOGGING_LEVL",
            "VLLM_LOGGING_LEVEL",
        ),
        (
            "qwen3-8b",
            {"environment": {"VLLM_API_KEY": "secret"}},
            "environment",
            "may not have VLLM_API_KEY (a key in plain",
        ),
    ],
)
def test_what_the_engine_would_refuse_is_refused_at_preview(refused, model, deployment, path, expected):
    """With the field it stands in, although every field by itself is well formed."""
    (fault,) = refused(stack(model, **deployment))
    assert fault.startswith(f"plinth:stack.deployments.d.{path}:")
    assert expected in fault
    assert "secret" not in fault


def test_a_doubt_is_a_reason(gpus):
    """What may work is said and not refused; where there is no doubt nothing is said."""
    for environment, doubts in (({}, 0), ({"VLLM_NO_SUCH": "1"}, 1)):
        (plan,) = gpus(stack("qwen3-8b", environment=environment)).kubernetes
        assert len([reason for reason in plan.reasons if reason.subject == "engine"]) == doubts


@pytest.mark.slow
def test_the_planner_s_own_commands_pass(gpus, catalogue):
    """A rule that refuses what the planner wrote is wrong, or the planner is; releases that dropped a model aside."""
    planned, broken = 0, {}
    for name in catalogue.rows:
        try:
            planned += len(gpus(stack(name)).kubernetes)
        except SpecError as error:
            broken[name] = {RULE.search(str(fault)) and RULE.search(str(fault)).group(1) for fault in error.faults}
    assert planned > len(catalogue.rows) / 2
    assert {name: rules for name, rules in broken.items() if not rules <= {"model-release", None}} == {}
