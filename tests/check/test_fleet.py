"""Room for pods on nodes that are there: what is free, what keeps pods away, in which words."""

import json

import pytest
from click.testing import CliRunner

from pulumi_plinth.check.fleet import fleet_of, room_for, wish_of
from pulumi_plinth.cli import main

GPU = "nvidia.com/gpu"
TAINT = {"key": GPU, "value": "present", "effect": "NoSchedule"}


def node(name="a", gpus=8, taints=(), *, cordoned=False, **labels):
    """A node with GPUs."""
    offered = {"cpu": "8", "memory": "64Gi", "pods": "10", GPU: str(gpus)}
    spec = {"taints": list(taints), "unschedulable": cordoned}
    return {
        "kind": "Node",
        "metadata": {"name": name, "labels": labels},
        "spec": spec,
        "status": {"allocatable": offered},
    }


def containers(*rows, **more):
    """A pod's spec whose containers ask for these."""
    return {"containers": [{"resources": row} for row in rows], **more}


def pod(spec, where=None, phase="Running"):
    """A pod, on a node or nowhere."""
    placed = {"nodeName": where} if where else {}
    return {"kind": "Pod", "metadata": {"name": "x"}, "spec": {**spec, **placed}, "status": {"phase": phase}}


TWO = containers({"limits": {GPU: "2"}, "requests": {"cpu": "500m"}})
BORNE = {**TWO, "tolerations": [{"key": GPU, "operator": "Exists", "effect": "NoSchedule"}]}
CORES = "Insufficient cpu"


@pytest.mark.parametrize(
    ("spec", "items", "pods", "waiting"),
    [
        (TWO, [node()], {"a": 4}, f"1 Insufficient {GPU}"),
        (TWO, [node(gpus=1)], {}, f"1 Insufficient {GPU}"),
        (TWO, [node(), pod(TWO, "a")], {"a": 3}, f"1 Insufficient {GPU}"),
        (TWO, [node(), pod(TWO), pod(TWO, "a", "Succeeded"), pod(TWO, "b")], {"a": 4}, f"1 Insufficient {GPU}"),
        (TWO, [node(taints=[TAINT])], {}, "1 node(s) had untolerated taint(s)"),
        (BORNE, [node(taints=[TAINT])], {"a": 4}, f"1 Insufficient {GPU}"),
        (TWO, [node(taints=[{**TAINT, "effect": "PreferNoSchedule"}])], {"a": 4}, f"1 Insufficient {GPU}"),
        (BORNE, [node(cordoned=True)], {}, "1 node(s) were unschedulable"),
        ({**TWO, "tolerations": [{"operator": "Exists"}]}, [node(cordoned=True)], {"a": 4}, f"1 Insufficient {GPU}"),
        (
            {**TWO, "nodeSelector": {"pool": "x"}},
            [node(), node("b", pool="x"), node("c", cordoned=True, pool="x")],
            {"b": 4},
            f"1 Insufficient {GPU}, 1 node(s) didn't match Pod's node affinity/selector, 1 node(s) were unschedulable",
        ),
        (containers({"requests": {"cpu": "3", GPU: "5"}}), [node()], {"a": 1}, f"1 Insufficient {GPU}"),
        (containers({"requests": {"cpu": "5", GPU: "5"}}), [node()], {"a": 1}, f"1 {CORES}, 1 Insufficient {GPU}"),
        (containers({"requests": {"cpu": "100m"}}), [node()], {"a": 10}, "1 Too many pods"),
        (containers({"requests": {"cpu": "1"}}, {"limits": {"cpu": "1"}}), [node()], {"a": 4}, f"1 {CORES}"),
        (
            containers({"requests": {"cpu": "1"}}, initContainers=[{"resources": {"requests": {"cpu": "4"}}}]),
            [node()], {"a": 2}, f"1 {CORES}",
        ),
        (
            containers(
                {"requests": {"cpu": "1"}},
                initContainers=[{"restartPolicy": "Always", "resources": {"requests": {"cpu": "3"}}}],
            ),
            [node()], {"a": 2}, f"1 {CORES}",
        ),
        (containers({"requests": {"cpu": "1"}}, overhead={"cpu": "1"}), [node()], {"a": 4}, f"1 {CORES}"),
    ],
)  # fmt: skip
def test_room_and_what_is_said_of_the_next_pod(spec, items, pods, waiting):
    """Free resources count, not those of the machine; the first hindrance of a node is the one that is told."""
    room = room_for(wish_of(spec), fleet_of({"kind": "List", "items": items}))
    count = sum(item["kind"] == "Node" for item in items)
    assert (dict(room.pods), room.total) == (pods, sum(pods.values()))
    assert room.waiting == f"0/{count} nodes are available: {waiting}."


def test_without_nodes_nothing_finds_room():
    """As the scheduler says it."""
    room = room_for(wish_of(TWO), fleet_of({"kind": "List", "items": []}))
    assert (room.total, room.waiting) == (0, "no nodes available to schedule pods")


MANIFEST = """
apiVersion: apps/v1
kind: {kind}
metadata: {{name: chat}}
spec:
  replicas: {replicas}
  template:
    spec:
      containers:
      - {{name: vllm, image: "vllm/vllm-openai:v0.32.0", args: [serve, Qwen/Qwen2.5-7B-Instruct, -tp, "2"],
         resources: {{limits: {{nvidia.com/gpu: 2}}}}, volumeMounts: [{{name: shm, mountPath: /dev/shm}}]}}
      volumes: [{{name: shm, emptyDir: {{medium: Memory, sizeLimit: 8Gi}}}}]
"""


def check(tmp_path, nodes, **values):
    """Ask the command about a manifest and what `kubectl get nodes,pods` printed."""
    file = tmp_path / "chat.yaml"
    file.write_text(MANIFEST.format(**{"kind": "Deployment", "replicas": 4, **values}))
    return CliRunner().invoke(main, ["check", str(file), "--nodes", "-"], input=nodes)


@pytest.mark.parametrize(
    ("values", "nodes", "said"),
    [
        ({}, [node()], ""),
        ({"kind": "DaemonSet"}, [node(gpus=0)], ""),
        (
            {"replicas": 5}, [node(gpus=4), node("b")],
            "",
        ),
        (
            {"replicas": 7}, [node(gpus=4), node("b")],
            "7 pods, and the nodes have room for 6 (2 on a, 4 on b): 0/2 nodes are available: 2 Insufficient ",
        ),
        (
            {"kind": "StatefulSet"}, [node(taints=[TAINT])],
            "4 pods, and the nodes have room for 0: 0/1 nodes are available: 1 node(s) had untolerated taint(s); add",
        ),
        (
            {"replicas": 99}, [node(str(number), gpus=2) for number in range(7)],
            "(1 on 0, 1 on 1, 1 on 2, 1 on 3, 1 on 4 and 2 more)",
        ),
    ],
)  # fmt: skip
def test_the_command_says_what_finds_no_room(tmp_path, values, nodes, said):
    """Exit code 3, with the nodes that have room, the reason of the others, and what to do."""
    result = check(tmp_path, json.dumps({"kind": "List", "items": nodes}), **values)
    assert ("[cluster-room]" in result.output, result.exit_code) == ((True, 3) if said else (False, 0)), result.output
    assert said in result.output


@pytest.mark.parametrize("nodes", ["", "kind: List", '{"items": []}', '{"kind": "List", "items": []}'])
def test_what_lists_no_nodes_is_refused(tmp_path, nodes):
    """With the command that lists them."""
    result = check(tmp_path, nodes)
    assert result.exit_code == 1
    assert "lists no nodes; make it with `kubectl get nodes,pods -A -o json`" in result.output
