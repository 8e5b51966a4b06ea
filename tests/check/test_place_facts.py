"""Loosely written facts about places: words, units, ranges and absence, and keys in any spelling."""

import pytest

from pulumi_plinth.check.facts_place import place_of_facts, understood
from pulumi_plinth.check.facts_place_words import Facts, normal
from pulumi_plinth.check.place import Place
from pulumi_plinth.check.place_pod import Probe, Taint

GIB = 2**30


@pytest.mark.parametrize(
    ("key", "spelt"),
    [
        ("livenessProbe.initialDelaySeconds", "liveness_probe_initial_delay_seconds"),
        ("requestGPU", "request_gpu"),
        ("HF_HUB_OFFLINE", "hf_hub_offline"),
        ("limits.ephemeral-storage", "limits_ephemeral_storage"),
        ("nvidia.com/gpu", "nvidia_com_gpu"),
    ],
)
def test_keys_have_one_spelling(key, spelt):
    """Camel case, dots, dashes and slashes do not matter."""
    assert normal(key) == spelt


@pytest.mark.parametrize(
    ("key", "value", "size"),
    [
        ("weights_gb", 26, 26e9),
        ("weights_gib", 26, 26 * GIB),
        ("weights_gb", "above 5", 5e9),
        ("disk", "5Gi", 5 * GIB),
        ("root_gb", "30 to 47", 30e9),
        ("boot_volume_size_in_gbs", "500", 500e9),
        ("allocatable_bytes", 37070025462, 37070025462),
        ("pvc", "20Gi", 20 * GIB),
        ("pvc", 20, 20e9),
        ("size", "absent", 0),
        ("size", "large", None),
    ],
)
def test_sizes(key, value, size):
    """The unit stands with the value or ends the key; of a range it is the lower end; plain small numbers are GB."""
    assert Facts({key: value}).size(normal(key)) == size


@pytest.mark.parametrize(
    ("key", "value", "seconds"),
    [("budget", "10 min", 600), ("budget_minutes", 10, 600), ("budget", 600, 600), ("budget", "1 h", 3600)],
)
def test_durations(key, value, seconds):
    """Without a unit it is seconds."""
    assert Facts({key: value}).seconds(key) == seconds


@pytest.mark.parametrize(
    ("value", "so"),
    [
        (True, True), ("requested", True), ("present", True), (1, True), ("with driver", True),
        (False, False), ("absent", False), ("none", False), ("no", False), (0, False), ("disabled", False),
        (None, False), ([], False), ("without it", False),
    ],
)  # fmt: skip
def test_flags(value, so):
    """A word that does not deny affirms."""
    assert Facts({"x": value}).flag("x") is so


def test_what_is_not_said_is_not_known():
    """Missing keys give None everywhere, and no facts give an empty place."""
    facts = Facts({})
    assert [facts.flag("x"), facts.number("x"), facts.size("x"), facts.text("x"), facts.words("x")] == [None] * 5
    assert place_of_facts({}) == Place()


PLACES = [
    (
        {"livenessProbe": {"initialDelaySeconds": 60}},
        ("pod", "container", "probes", "liveness"),
        Probe(delay_seconds=60),
    ),
    (
        {"startupProbe": "failureThreshold 60, periodSeconds 5"},
        ("pod", "container", "probes", "startup"),
        Probe(failures=60, period_seconds=5),
    ),
    ({"tolerations": []}, ("pod", "tolerations"), ()),
    (
        {"taint": "nvidia.com/gpu=present:NoSchedule"},
        ("node", "taints"),
        (Taint("nvidia.com/gpu", "present", "NoSchedule"),),
    ),
    ({"resourceProfile": "nvidia-gpu-l4:2"}, ("gpus", "wanted"), 2),
    ({"resourceProfile": "cpu:2"}, ("gpus", "wanted"), None),
    ({"cloud_init": "kubelet bootstrap, then growfs"}, ("pool", "cloud_init"), ("kubelet", "grow")),
    ({"cloud_init": "absent"}, ("pool", "cloud_init"), ()),
    ({"runtimeClassName": "absent"}, ("pod", "runtime_class"), ""),
    ({"pods": ["store", "server"]}, ("claim", "users"), 2),
    ({"accessModes": "RWO"}, ("claim", "modes"), ("ReadWriteOnce",)),
    ({"nodeSelector": {"a.b/c": "d"}}, ("pod", "node_selector"), {"a.b/c": "d"}),
    ({"cache_dir": "default under the home folder"}, ("pod", "container", "cache_folder"), "~/.cache/huggingface"),
    ({"kubernetes_version": "v1.26.2"}, ("pool", "version"), (1, 26, 2)),
    ({"maxSurge": "25%", "replicas": 5}, ("workload", "surge"), 2),
    ({"maxUnavailable": "25%", "replicas": 5}, ("workload", "unavailable"), 1),
    ({"model": "gemma-3-27b-it"}, ("runtimes", "low"), None),
    ({"image": "rocm/vllm:rocm6.2_mi300"}, ("scaling", "metrics"), ()),
    ({"query": "sum(vllm:num_requests_waiting)"}, ("scaling", "metrics"), ("vllm:num_requests_waiting",)),
    ({"model": "3 to 4B"}, ("runtimes", "high"), 4e9),
]


@pytest.mark.parametrize(("facts", "path", "value"), PLACES, ids=str)
def test_places(facts, path, value):
    """Facts arrive in the field they speak of."""
    found = place_of_facts(facts)
    for name in path:
        found = getattr(found, name)
    assert found == value


def test_what_is_understood_is_told():
    """Keys that a reader makes sense of are told from those that nobody reads."""
    assert understood({"storage_tier": "Archive", "weather": "fine"}) == {"storage_tier"}


def test_facts_that_hold_themselves():
    """YAML can write a mapping that contains itself; it is read like any other."""
    facts: dict = {"storage_tier": "Archive"}
    facts["more"] = facts
    assert place_of_facts(facts).bucket.tier == "Archive"


ODD = [None, "", "absent", 0, -1, 1.5, True, [], [None], {}, {"a": {"b": []}}, "x" * 1000, "1.2.3", "=:", ":", "="]
ODD += ["%", float("inf"), float("nan"), "9e999", 10**400, "1 2 3", {"key": None}, [{"key": 1}], "v1", "a/b=c", "."]
KEYS = [
    "tolerations", "taint", "nodeSelector", "accessModes", "cloud_init", "shm", "livenessProbe", "startupProbe",
    "shape", "weights_gb", "runtime_a", "model", "metric", "label_value", "name_length", "replicas", "maxSurge",
    "placement_ads", "resource", "limit", "image", "auth", "api", "requestGPU", "gpus_per_pod", "mig_profile",
    "kubernetes_version", "endpoint", "files", "ignore_patterns", "resourceProfile", "capacity", "cache_dir", "policy",
    "limits.memory", "limits.nvidia.com/gpu", "service_name", "name", "engine_port", "probe_port", "priority",
]  # fmt: skip


@pytest.mark.parametrize("key", KEYS)
def test_any_value_is_survived(key):
    """Whatever stands under a known key, reading it and judging it raises nothing."""
    from pulumi_plinth.check.core import judge
    from pulumi_plinth.check.place_rules import PLACE_RULES
    from pulumi_plinth.check.subject import Subject

    for value in ODD:
        judge(Subject(place=place_of_facts({key: value, "kind": "StatefulSet"})), PLACE_RULES)
