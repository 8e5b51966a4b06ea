"""Which runtime serves a model, in which order, and why each other one does not."""

from dataclasses import replace
from itertools import permutations

import pytest

from pulumi_plinth.engines.choice import choose, overridden
from pulumi_plinth.engines.environments import RELEASES
from pulumi_plinth.engines.runtime import (
    Accelerator,
    Candidate,
    Override,
    Runtime,
    SupportedFormat,
    candidate_of,
    default_runtimes,
)
from pulumi_plinth.engines.versions import parse_version, version_fits
from pulumi_plinth.model.formats import DiffusionPipeline, PipelinePart, VersionedName
from pulumi_plinth.model.spec import ModelSpec

SAFETENSORS = VersionedName(name="safetensors", version="1.0.0")
TRANSFORMERS = VersionedName(name="transformers", version="4.43.0")
LLAMA = SupportedFormat(SAFETENSORS, TRANSFORMERS, "LlamaForCausalLM", auto_select=True, priority=1)
RUNTIME = Runtime("llama", (LLAMA,), least=60 * 10**9, most=75 * 10**9, accelerators=("h100", "a100"))
MODEL = Candidate(SAFETENSORS, TRANSFORMERS, "LlamaForCausalLM", None, 70 * 10**9)
FP8 = replace(MODEL, quantization="fp8")
PIPELINE = DiffusionPipeline(class_name="FluxPipeline", vae=PipelinePart(library="diffusers", type="AutoencoderKL"))


def one_format(**changes):
    """A runtime whose only format differs."""
    return replace(RUNTIME, formats=(replace(LLAMA, **changes),))


REASONS = [
    (
        RUNTIME,
        replace(MODEL, architecture="MistralForCausalLM"),
        "is for architecture LlamaForCausalLM, the model's is",
    ),
    (RUNTIME, replace(MODEL, architecture=None), "is for architecture LlamaForCausalLM, the model's is not known"),
    (one_format(architecture=None), MODEL, "asks for no architecture, the model has LlamaForCausalLM"),
    (RUNTIME, FP8, "asks for no quantization, the model has fp8"),
    (one_format(quantization="int4"), FP8, "is for quantization int4, the model's is fp8"),
    (one_format(quantization="int4"), MODEL, "is for quantization int4, the model's is not known"),
    (RUNTIME, replace(MODEL, format=VersionedName(name="pytorch", version="1.0.0")), "is for format safetensors"),
    (
        RUNTIME,
        replace(MODEL, format=VersionedName(name="safetensors")),
        "wants safetensors Equal 1.0.0, the model says no",
    ),
    (one_format(format=VersionedName(name="safetensors")), MODEL, "wants safetensors no version, the model says 1.0.0"),
    (one_format(format=None), MODEL, "names no model format"),
    (RUNTIME, replace(MODEL, framework=None), "is for framework transformers, the model's is not known"),
    (one_format(framework=None), MODEL, "asks for no framework, the model has transformers"),
    (
        RUNTIME,
        replace(MODEL, framework=VersionedName(name="transformers", version="4.51.0")),
        "wants transformers Equal",
    ),
    (RUNTIME, replace(MODEL, parameters=8 * 10**9), "is for models from 60B to 75B, this one has 8B"),
    (replace(RUNTIME, most=None), replace(MODEL, parameters=8 * 10**9), "is for models from 60B to any"),
    (replace(RUNTIME, disabled=True), MODEL, "is disabled"),
    (one_format(auto_select=False), MODEL, "is not open to automatic choice (autoSelect), it must be named"),
    (one_format(auto_select=None), MODEL, "is not open to automatic choice (autoSelect), it must be named"),
    (one_format(pipeline=PIPELINE), MODEL, "is for a diffusion pipeline, the model is none"),
    (one_format(pipeline=PIPELINE), replace(MODEL, pipeline=DiffusionPipeline()), "is for pipelines FluxPipeline"),
    (
        one_format(pipeline=PIPELINE),
        replace(MODEL, pipeline=DiffusionPipeline(class_name="FluxPipeline", vae=PipelinePart(library="other"))),
        "is for vae diffusers, the model's is other",
    ),
    (Runtime("empty"), MODEL, "names no model format"),
]


@pytest.mark.parametrize(("runtime", "model", "reason"), REASONS)
def test_a_runtime_that_does_not_match_is_rejected_with_the_reason(runtime, model, reason):
    """What is said on one side only is a mismatch too, as in OME."""
    choice = choose([runtime], model)
    assert choice.chosen is None
    (rejected,) = choice.rejected
    assert reason in str(rejected)
    assert choice.reasons[0] == "no runtime can serve the model"


@pytest.mark.parametrize(
    "model",
    [MODEL, replace(MODEL, parameters=None), replace(MODEL, parameters=75 * 10**9)],
    ids=["fits", "unknown", "edge"],
)
def test_a_runtime_that_matches_is_chosen(model):
    """A size that nobody knows rules nothing out, and the bounds belong to the range."""
    choice = choose([RUNTIME], model)
    assert choice.chosen.runtime is RUNTIME
    assert choice.reasons == ("llama: (1 + 1) x priority 1 = 2 points, cluster-wide, taken",)


def test_a_demanded_accelerator_must_be_listed():
    """By name of its class."""
    assert choose([RUNTIME], MODEL, Accelerator("h100")).chosen
    (rejected,) = choose([RUNTIME], MODEL, Accelerator("t4")).rejected
    assert str(rejected) == "llama: does not list the accelerator class t4 (it lists: a100, h100)"


def weighted(name, *, weight=1, priority=1, **changes):
    """A runtime with points."""
    supported = replace(LLAMA, format=SAFETENSORS.model_copy(update={"weight": weight}), priority=priority)
    return replace(RUNTIME, name=name, formats=(supported,), **changes)


ORDERS = [
    ("points", [weighted("b", priority=3), weighted("a", priority=2)]),
    ("weight", [weighted("b", weight=5), weighted("a", weight=4)]),
    ("no weight counts ten", [weighted("b", weight=0), weighted("a", weight=9)]),
    ("the nearer range", [weighted("b", least=65 * 10**9), weighted("a")]),
    ("a team's own first", [weighted("b", namespaced=True), weighted("a", priority=9)]),
    ("name", [weighted("a"), weighted("b"), weighted("c")]),
]


@pytest.mark.parametrize(("_why", "expected"), ORDERS, ids=[why for why, _ in ORDERS])
def test_the_order_is_by_scope_points_size_and_name(_why, expected):
    """Whatever order the runtimes are given in."""
    names = [runtime.name for runtime in expected]
    for given in permutations(expected):
        choice = choose(given, MODEL)
        assert [choice.chosen.runtime.name, *(match.runtime.name for match in choice.others)] == names


def test_the_best_matching_format_counts_and_no_other():
    """A runtime does not win by what it offers to other models."""
    mistral = replace(LLAMA, architecture="MistralForCausalLM", priority=100)
    better = replace(LLAMA, priority=3)
    choice = choose([replace(RUNTIME, formats=(LLAMA, mistral, better))], MODEL)
    assert choice.chosen.points == 6
    assert choice.chosen.format is not mistral


def test_every_reason_is_given():
    """Not only the first one."""
    (rejected,) = choose([replace(RUNTIME, disabled=True)], replace(FP8, parameters=1)).rejected
    assert len(rejected.reasons) == 3


VERSIONS = [
    ("4.43.0", "Equal", "4.43.0", True),
    ("4.43.0", "Equal", "4.43.1", False),
    ("1", "Equal", "1.0.0", True),
    ("4.51.0", "GreaterThan", "4.43.0", True),
    ("4.43.0", "GreaterThan", "4.43.0", False),
    ("4.43.0", "GreaterThanOrEqual", "4.43.0", True),
    ("4.40.0", "GreaterThanOrEqual", "4.43.0", False),
    ("4.51", "GreaterThan", "4.43.0", False),
    ("v4.51.0", "GreaterThan", "4.43.0", False),
    ("4.51.0", "GreaterThan", "4.43.0.dev0", False),
    ("4.43.0.dev0", "GreaterThan", "4.43.0.dev0", True),
    ("4.43.0-preview", "Equal", "4.43.0", False),
    ("latest", "Equal", "latest", False),
    ("04.1.0", "Equal", "04.1.0", False),
    (None, "Equal", None, True),
    (None, "GreaterThan", "4.43.0", False),
]


@pytest.mark.parametrize(("ours", "operator", "theirs", "fits"), VERSIONS)
def test_versions_are_compared_as_ome_does(ours, operator, theirs, fits):
    """The runtime's must be greater; previews must be equal; another precision or prefix is not comparable."""
    runtime = VersionedName(name="x", version=ours, operator=operator)
    assert version_fits(runtime, VersionedName(name="x", version=theirs)) is fits


def test_parts_of_a_version():
    """Numbers that are not written are 0."""
    found = parse_version("v1.12")
    assert (found.prefix, found.numbers, found.parts) == ("v", (1, 12, 0), 2)


DEFAULTS = [
    (Candidate(SAFETENSORS, architecture="LlamaForCausalLM"), Accelerator(device="cpu"), "vllm-cpu"),
    (Candidate(SAFETENSORS, architecture="LlamaForCausalLM"), Accelerator("h100", "cuda", (9, 0)), "vllm-cuda"),
    (Candidate(SAFETENSORS, architecture="BambaForCausalLM"), Accelerator(device="cpu"), "vllm-cpu"),
    (Candidate(SAFETENSORS, architecture="NobodysModel"), Accelerator(device="cpu"), "vllm-cpu"),
    (Candidate(SAFETENSORS, architecture="NobodysForCausalLM"), Accelerator(), "cannot run NobodysForCausalLM"),
    (Candidate(SAFETENSORS, TRANSFORMERS, quantization="awq"), Accelerator(device="cuda"), "vllm-cuda"),
    (Candidate(SAFETENSORS, quantization="int4"), Accelerator(device="cuda"), "vllm-cuda"),
    (
        Candidate(SAFETENSORS, method="nonsense"),
        Accelerator(device="cuda"),
        "does not know the quantization nonsense",
    ),
    (
        Candidate(SAFETENSORS, quantization="mxfp4"),
        Accelerator(None, "cuda", (7, 5)),
        "computes mxfp4 from capability 8.0",
    ),
    (Candidate(SAFETENSORS, architecture="MotifForCausalLM"), Accelerator(), "0.10.2 was the last"),
    (Candidate(SAFETENSORS, architecture="EagleLlamaForCausalLM"), Accelerator(), "only as a draft for another model"),
    (Candidate(VersionedName(name="gguf")), Accelerator(), "is for format safetensors, the model's is gguf"),
]


@pytest.mark.parametrize(("model", "accelerator", "expected"), DEFAULTS)
def test_our_own_engines_serve_what_their_release_knows(model, accelerator, expected):
    """By device; what nobody said is not held against a model."""
    choice = choose(default_runtimes(), model, accelerator)
    if expected in RELEASES:
        assert choice.chosen.runtime.name == expected
    else:
        assert choice.chosen is None
        assert all(expected in str(rejected) for rejected in choice.rejected if "is built for" not in str(rejected))


def test_a_model_is_described_by_what_is_written_and_then_by_its_folder(card):
    """What somebody wrote wins."""
    spec = ModelSpec(store="disk", path="m", parameter_size="7B", quantization="fp8")
    found = candidate_of(spec, card)
    assert (found.format.name, found.architecture, found.quantization) == ("safetensors", "LlamaForCausalLM", "fp8")
    assert found.parameters == 7_000_000_000
    assert candidate_of(ModelSpec(store="disk", path="m"), card).parameters == card.parameters
    assert candidate_of(ModelSpec(store="disk", path="m"), None).architecture is None


OVERRIDES = {
    "h100": Override(("--max-model-len=65536", "--enable-prefix-caching"), {"LEVEL": "DEBUG"}, tensor=2, pipeline=2),
    "a100": Override(tensor=8, data=3),
}


@pytest.mark.parametrize(
    ("accelerator", "arguments", "environment"),
    [
        (None, ("--seed", "-1", "--tp", "4", "--max-model-len=131072"), {"LEVEL": "INFO", "A": "1"}),
        (
            "h100",
            (
                "--seed",
                "-1",
                "--tp=2",
                "--max-model-len=65536",
                "--enable-prefix-caching",
                "--pipeline-parallel-size=2",
            ),
            {"LEVEL": "DEBUG", "A": "1"},
        ),
        (
            "a100",
            ("--seed", "-1", "--tp=8", "--max-model-len=131072", "--data-parallel-size=3"),
            {"LEVEL": "INFO", "A": "1"},
        ),
    ],
)
def test_what_differs_on_an_accelerator_replaces_what_the_runtime_says(accelerator, arguments, environment):
    """Arguments by flag, variables by name, sizes of groups in the spelling that is there."""
    runtime = replace(
        RUNTIME,
        formats=(replace(LLAMA, overrides=OVERRIDES),),
        arguments=("--seed", "-1", "--tp", "4", "--max-model-len=131072"),
        environment={"LEVEL": "INFO", "A": "1"},
    )
    chosen = choose([runtime], MODEL, Accelerator(accelerator)).chosen
    assert overridden(chosen, Accelerator(accelerator)) == (arguments, environment)
