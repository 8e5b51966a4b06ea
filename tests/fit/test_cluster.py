"""A cluster's own nodes: which there are, and which of them a model is planned on."""

import json

import pytest
from click.testing import CliRunner

from pulumi_plinth.cli import main
from pulumi_plinth.fit.cluster import cluster_nodes


def node(product, gpus, mebibytes, **changes):
    """A node as the API server describes it, with labels of GPU Feature Discovery."""
    labels = {
        "nvidia.com/gpu.count": str(gpus), "nvidia.com/gpu.memory": str(mebibytes), "nvidia.com/gpu.product": product,
        "nvidia.com/gpu.compute.major": "8", "nvidia.com/gpu.compute.minor": "0",
    }  # fmt: skip
    status = {"allocatable": {"nvidia.com/gpu": str(gpus)}, "conditions": [{"type": "Ready", "status": "True"}]}
    return {"metadata": {"labels": labels}, "spec": {}, "status": status} | changes


LARGE, SMALL = node("NVIDIA-A100-SXM4-80GB", 8, 81_920), node("NVIDIA-A10", 1, 23_028)
NOT_READY = {"status": {"conditions": [{"type": "Ready", "status": "False"}]}}
NO_GPU = {"status": {"allocatable": {"nvidia.com/gpu": "0"}, "conditions": []}}


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        ([SMALL, LARGE, SMALL], [("NVIDIA-A100-SXM4-80GB", 8, 1), ("NVIDIA-A10", 1, 2)]),
        ([SMALL | {"spec": {"unschedulable": True}}, SMALL], [("NVIDIA-A10", 1, 1)]),
        ([SMALL | NOT_READY], []),
        ([SMALL | NO_GPU], []),
        ([LARGE | {"status": {"allocatable": {"nvidia.com/gpu": "6"}}}], [("NVIDIA-A100-SXM4-80GB", 6, 1)]),
        ([{"metadata": {}, "status": {}}], []),
    ],
)
def test_nodes_are_grouped_by_what_they_offer(items, expected):
    """Labels are promises: cordoned nodes, unready ones and GPUs that are not allocatable do not count."""
    groups = cluster_nodes({"items": items})
    assert [(nodes.shape.gpu, nodes.shape.gpus, nodes.count) for nodes in groups] == expected


def test_slices_are_not_joined():
    """A GPU cut into slices is one GPU a slice."""
    (nodes,) = cluster_nodes([node("NVIDIA-A100-SXM4-80GB-MIG-3g.40gb", 2, 40_192)])
    assert nodes.mig


def fit(text, *arguments):
    """Run the command on a list of nodes."""
    return CliRunner().invoke(main, ["fit", *arguments, "--cluster", "-", "--json"], input=text)


@pytest.mark.parametrize(
    ("model", "shape", "code"),
    [
        ("qwen3-8b", "NVIDIA-A10", 0),
        ("llama-3.3-70b-instruct", "NVIDIA-A100-SXM4-80GB", 0),
        ("deepseek-r1-0528", "", 3),
    ],
)
def test_the_smallest_group_that_holds_the_model_is_taken(model, shape, code):
    """One A10 for 8 B, the large node for 70 B, nothing for 671 B."""
    run = fit(json.dumps({"items": [SMALL, LARGE, SMALL]}), model, "--context", "8192")
    assert run.exit_code == code, run.output
    assert json.loads(run.stdout)["shape"] == shape or code


@pytest.mark.parametrize(("text", "said"), [("kind: List", "is not JSON"), ('{"items": []}', "has no ready node")])
def test_what_is_no_list_of_nodes_is_refused(text, said):
    """With what to do instead."""
    run = fit(text, "qwen3-8b")
    assert run.exit_code == 1
    assert said in run.stderr
