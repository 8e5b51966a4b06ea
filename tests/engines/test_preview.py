"""What a stack file says to an engine is refused, or explained, by the plan of its deployment."""

from pathlib import Path

import pytest

from pulumi_plinth.deployment.facts import HostFacts, ModelFacts
from pulumi_plinth.errors import SpecError
from pulumi_plinth.planner import Facts, plan_stack
from pulumi_plinth.quantities import GIB
from pulumi_plinth.stack import StackSpec


@pytest.fixture
def plan(card):
    """A function that plans one deployment of a model of the Qwen3 family."""

    def make(**fields):
        document = {
            "stores": {"disk": {"kind": "folder", "path": "models"}},
            "models": {"tiny": {"store": "disk", "path": "qwen3-tiny"}},
            "deployments": {"chat": {"model": "tiny", "port": 18000, **fields}},
        }
        model = ModelFacts(Path("/srv/models/qwen3-tiny"), card.model_copy(update={"model_type": "qwen3"}))
        host = HostFacts(memory_bytes=24 * GIB, engines={"vllm-cpu": Path("/srv/python")})
        facts = Facts(Path("/srv"), "local", host, {"tiny": model})
        (planned,) = plan_stack(StackSpec.parse(document), facts).deployments
        return planned

    return make


HERMEZ = "is not a tool-call parser of vllm 0.32.0; did you mean 'hermes'?"
SHORT = "is short for --max-num-batched-tokens; write --max-num-batched-tokens, another release may have two such"


def test_every_mistake_is_refused_before_anything_is_created(plan):
    """All of them at once, each with its place, its value and what to write."""
    with pytest.raises(SpecError) as caught:
        plan(
            engineArgs=["--sede=7", "--tool-call-parser", "hermez", "--max-num-batched", "4096"],
            environment={"VLLM_LOGING_LEVEL": "DEBUG"},
        )
    place = "plinth:stack.deployments.chat"
    assert [str(fault) for fault in caught.value.faults] == [
        f"{place}.engineArgs: \"--sede=7\" is not a flag of vllm 0.32.0; did you mean '--seed'?",
        f'{place}.engineArgs: "--tool-call-parser hermez" {HERMEZ}',
        f'{place}.engineArgs: "--max-num-batched" {SHORT}',
        f"{place}.environment.VLLM_LOGING_LEVEL: is not a variable of vllm 0.32.0; did you mean 'VLLM_LOGGING_LEVEL'?",
    ]


def test_right_arguments_are_launched_as_they_are_written(plan):
    """Nothing is added to what the user asked for."""
    words = ["--seed=7", "--enable-auto-tool-choice", "--tool-call-parser=hermes"]
    planned = plan(engineArgs=words)
    assert list(planned.launch.engine.extra_args) == words
    assert list(plan().launch.engine.extra_args) == []


def test_the_plan_says_what_follows_from_the_model_and_what_deserves_a_second_look(plan):
    """Parsers of its family, and what does nothing."""
    reasons = {reason.subject: reason.text for reason in plan().reasons}
    assert reasons["runtime"] == (
        "vllm-cpu: serves what vllm 0.32.0 knows, taken; vllm-cuda: is built for cuda, this is cpu"
    )
    assert reasons["tools"].endswith("add engineArgs: --enable-auto-tool-choice --tool-call-parser=hermes")
    assert reasons["reasoning"].endswith("add engineArgs: --reasoning-parser=qwen3")
    planned = plan(engineArgs=["--seed=1", "--seed=2"], environment={"VLLM_OURS": "1"})
    assert [reason.text for reason in planned.reasons if reason.subject == "engine"] == [
        "WARNING: --seed is given 2 times; the last one counts",
        "WARNING: VLLM_OURS is not a variable of vllm 0.32.0; without a plug-in that reads it, it does nothing",
    ]
