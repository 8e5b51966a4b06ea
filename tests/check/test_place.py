"""Rules about the place: each on both sides of its border, from facts as people write them."""

import pytest
from support.pages import read_page

from pulumi_plinth.check.core import Severity, judge
from pulumi_plinth.check.facts_place import place_of_facts
from pulumi_plinth.check.place_rules import PLACE_RULES
from pulumi_plinth.check.serving import Gpu, Serving
from pulumi_plinth.check.subject import Subject

GIB = 2**30

ENGINE = {"tensor_parallel_size", "pipeline_parallel_size", "gpu_memory_utilization", "api_key", "enforce_eager"}
"""Facts of the serving side that some rules here read."""


def subject_of(facts):
    """The subject of facts; those of the engine go straight to its arguments."""
    arguments = {key.replace("_", "-"): str(value) for key, value in facts.items() if key in ENGINE}
    gpu = Gpu(memory_bytes=facts.get("card_gib", 0) * GIB or None, count=facts.get("gpus"))
    release = tuple(int(part) for part in facts["release"].split(".")) if "release" in facts else None
    serving = Serving(arguments=arguments, gpu=gpu, image=facts.get("engine_image"), version=release)
    return Subject(serving, place_of_facts(facts))


def verdicts(facts):
    """(rule, severity) of everything that is said about facts."""
    return {(verdict.rule, verdict.severity) for verdict in judge(subject_of(facts), PLACE_RULES)}


BORDERS = [
    (case["rule"], Severity(case["says"]), case["wrong"], case["right"])
    for case in read_page(__file__, "test_place_borders.yaml")
]


@pytest.mark.parametrize(("rule", "severity", "wrong", "right"), BORDERS, ids=lambda value: str(value)[:40])
def test_borders(rule, severity, wrong, right):
    """A rule speaks with its severity on one side of its border, and not on the other."""
    assert (rule, severity) in verdicts(wrong)
    assert (rule, severity) not in verdicts(right)


def test_every_rule_is_tried():
    """No rule is without a case in which it speaks; one about rendered objects alone is tried with manifests."""
    subjects = [subject_of(wrong) for _, _, wrong, _ in BORDERS]
    silent = [rule.__name__ for rule in PLACE_RULES if not any(list(rule(subject)) for subject in subjects)]
    assert silent == ["owned_twice"]


def test_nothing_is_held_against_the_unknown():
    """About a subject of which nothing is known, no rule says anything."""
    assert judge(Subject(), PLACE_RULES) == ()


RIGHT = [
    {"shapes": "B200, GB200, MI355X families"},
    {"shape": "BM.GPU.NEW900.8", "gpu": "NEW900", "gpus": 8},
    {"mig_strategy_mixed": "nvidia.com/mig-3g.40gb", "mig_strategy_single": "nvidia.com/gpu"},
    {"label": "RTX3070", "canonical_list": "without it"},
    {"tensor_parallel_size": 16, "pipeline_parallel_size": 1, "nodes": 2, "gpus_per_node": 8},
    {"files": ["pytorch_model.bin"], "load_format": "auto"},
    {"limits.memory": "16Gi", "weights_gb": 60, "format": "safetensors"},
    {"group_size": 128, "intermediate_size": 29568},
    {"max_length": 131072, "prompt_length": 100000, "trained_length": 8192, "native_context_length": 32768},
    {"length": 8192},
    {"image": "vllm/vllm-openai:latest", "shape": "VM.GPU.A10.1"},
    {"image": "rocm/vllm:rocm6.2_mi300_ubuntu", "gpu": "MI300X"},
    {"gpu": "H100 80GB MIG 2g.20gb"},
    {"name_length": 52, "label": "controller-revision-hash = name-hash"},
    {"mount": "/dev/shm", "cache_dir": "default under the home folder"},
    {"requested": "MI300X", "node_label": "AMD_Instinct_MI300X_OAM"},
    {"nvidia.com/gpu": 0, "engine_image": "example/vllm-cpu:0.32"},
]


@pytest.mark.parametrize("facts", RIGHT, ids=str)
def test_what_looks_wrong_and_is_right(facts):
    """Nothing is said about these, not even a warning."""
    assert verdicts(facts) == set()


def test_verdicts_say_what_to_write():
    """Every problem has a path and a remedy."""
    for _, _, wrong, _ in BORDERS:
        for verdict in judge(subject_of(wrong), PLACE_RULES):
            assert verdict.path
            assert verdict.problem
            assert verdict.remedy


def test_sources_are_named():
    """Each rule's docstring says more than its name: where the rule comes from or what the arithmetic is."""
    bare = [rule.__name__ for rule in PLACE_RULES if not rule.__doc__ or len(rule.__doc__) < 40]
    assert bare == []
