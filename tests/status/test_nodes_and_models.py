"""Rows of GPU nodes and of declared models."""

import json

import pytest

from plinth_runtime.contract.model_names import ModelKey, ModelKind
from pulumi_plinth.check.place_pod import Taint
from pulumi_plinth.status.models import model_status
from pulumi_plinth.status.nodes import Barrier, asked_on, gpu_nodes, node_status, silent_nodes
from pulumi_plinth.status.workloads import Workload

GPU_TAINT = {"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}
CHAT = Workload(
    ("deployment/chat",), gpus=2, selector=(("pool", "a"),), tolerations=(Taint("nvidia.com/gpu", exists=True),)
)
WORKLOADS = {"chat": CHAT, "small": Workload(("deployment/small",)), "wide": Workload(("deployment/wide",), gpus=8)}


def node(name="gpu-0", *, gpus="8", allocatable=None, labels=None, ready="True", **spec):
    """A node with GPUs."""
    offered = {} if gpus is None else {"nvidia.com/gpu": gpus}
    given = offered if allocatable is None else {"nvidia.com/gpu": allocatable}
    conditions = [{"type": "Ready", "status": ready, "reason": "NodeStatusUnknown", "message": "Kubelet stopped"}]
    status = {"capacity": offered, "allocatable": given, "conditions": conditions}
    return {"metadata": {"name": name, "labels": labels or {}}, "spec": spec, "status": status}


def pod(on, gpus, phase="Running", resource="nvidia.com/gpu"):
    """Somebody's pod."""
    spec = {"nodeName": on, "containers": [{"resources": {"limits": {resource: gpus}}}, {}]}
    return {"metadata": {"name": "p"}, "spec": spec, "status": {"phase": phase}}


def test_gpus_are_summed_over_the_pods_of_all():
    """Also other people's; what ended or runs elsewhere does not count; unknown where they may not be read."""
    pods = [
        pod("gpu-0", "2"),
        pod("gpu-0", "1", resource="amd.com/gpu"),
        pod("gpu-0", "4", "Succeeded"),
        pod("gpu-1", "1"),
    ]
    found = node_status(node(), asked_on(pods), {})
    assert (found.allocatable, found.requested) == (8, 3)
    assert node_status(node(), None, {}).to_json()["gpus"] == {"allocatable": 8, "requested": None}


@pytest.mark.parametrize(
    ("made", "ready", "words"),
    [
        (node(), True, ""),
        (node(unschedulable=True), True, "cordoned"),
        (node(allocatable="0"), True, "device plugin"),
        (node(ready="Unknown"), False, "Kubelet stopped"),
        (node(ready="False", unschedulable=True), False, "not ready"),
    ],
)
def test_what_is_wrong_with_a_node(made, ready, words):
    """One sentence, the gravest first."""
    found = node_status(made, {}, {})
    assert found.ready is ready
    assert words in found.message
    assert bool(words) == bool(found.message)


BARRIERS = [
    ({"taints": [GPU_TAINT], "labels": {"pool": "a"}}, [("taint nvidia.com/gpu=present:NoSchedule", ("wide",))]),
    (
        {"taints": [{"key": "x", "effect": "NoExecute"}]},
        [("taint x:NoExecute", ("chat", "wide")), ("no label pool=a", ("chat",))],
    ),
    ({"taints": [{"key": "x", "effect": "PreferNoSchedule"}], "labels": {"pool": "a"}}, []),
    ({"labels": {"pool": "b"}}, [("no label pool=a", ("chat",))]),
    ({"labels": {"pool": "a"}}, []),
]
"""What a node has, and what keeps whom out."""


@pytest.mark.parametrize(("made", "expected"), BARRIERS)
def test_what_keeps_pods_out(made, expected):
    """Taints that pods do not bear, labels that they miss, where they want GPUs; soft taints keep nobody out."""
    found = node_status(node(**made), {}, WORKLOADS)
    assert found.barriers == tuple(Barrier(*row) for row in expected)


def test_which_nodes_are_shown():
    """Those with GPUs, and those that a deployment selects for its GPUs though they offer none."""
    nodes = [node("with"), node("selected", gpus=None, labels={"pool": "a"}), node("other", gpus=None)]
    assert [item["metadata"]["name"] for item in gpu_nodes(nodes, WORKLOADS)] == ["with", "selected"]
    assert silent_nodes([node("a"), node("b", ready="Unknown"), node("c", ready="False")]) == {"b"}


KEY = ModelKey(ModelKind.CLUSTER_BASE_MODEL, "", "llama")
ENTRIES = [
    {"name": "b", "phase": "Failed", "reason": "NoSpace", "message": "3 GB lack; token hf_abcdefghijkl"},
    {"name": "a", "phase": "InTransit", "progress": {"bytesDone": 30, "bytesTotal": 40}},
    {"name": "c", "phase": "Ready"},
    {"name": "d", "phase": "Nonsense"},
]
STATUS = {
    "state": "Ready",
    "nodesReady": ["c"],
    "nodesFailed": ["b"],
    "nodes": ENTRIES,
    "conditions": [{"type": "Ready", "status": "True", "reason": "ContentOnNodes", "message": "one has it"}],
}


def test_a_model_with_its_nodes():
    """State, both lists, each node's phase, reason and percent; entries that are not ours are passed over."""
    said = model_status(KEY, {"status": STATUS}).to_json()
    assert (said["state"], said["nodesReady"], said["nodesFailed"]) == ("Ready", ["c"], ["b"])
    assert [(row["name"], row["phase"], row["percent"]) for row in said["nodes"]] == [
        ("a", "InTransit", 75),
        ("b", "Failed", None),
        ("c", "Ready", None),
    ]
    assert "NoSpace" in json.dumps(said)
    assert "hf_abc" not in json.dumps(said)


@pytest.mark.parametrize(
    ("item", "state", "words"),
    [
        (None, "missing", "`plinth up`"),
        ({}, "Creating", "no node agent has answered"),
        ({"status": {"state": "Ready", "nodesReady": ["x"]}}, "Ready", ""),
    ],
)
def test_models_that_say_little(item, state, words):
    """Not declared, never answered, or written by another operator."""
    found = model_status(KEY, item)
    assert found.state == state
    assert words in found.message
