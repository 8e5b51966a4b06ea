"""Pools in stack files: deployments that name them, the room they have, what all of OCI's resources share."""

import pytest
from rich.console import Console
from support.gpus import changed, reason, said

from pulumi_plinth.errors import SpecError
from pulumi_plinth.pool.arguments import arguments_of, planned
from pulumi_plinth.pool.resources import node_pool
from pulumi_plinth.pools import Claim, nodes_needed, spread_doubts
from pulumi_plinth.rendering_html import page
from pulumi_plinth.rendering_plan import show_plan
from pulumi_plinth.stack import StackSpec

PLACE = {"placements": [{"availabilityDomain": "AD-1"}], "subnetId": "ocid1.subnet.s", "clusterId": "ocid1.cluster.c"}
POOL = {"shape": "VM.GPU.L40S.1", "compartmentId": "ocid1.compartment.x", "kubernetesVersion": "v1.32.1", **PLACE}
OCI = {"compartmentId": "ocid1.compartment.all", "region": "us-chicago-1", "tags": {"a": "1"}, "ignoreTags": ["X.Y"]}


def stack(deployment=None, pool=None, **parts):
    """A stack with one pool and a deployment on it."""
    return changed({"pool": "gpu", **(deployment or {})}, pools={"gpu": POOL | (pool or {})}, **parts)


def test_a_deployment_runs_on_the_shape_of_its_pool(gpus):
    """Shape, price and place are the pool's; the pool's boot volume is large enough for the weights."""
    plan = gpus(stack())
    assert said(plan)["shape"]["name"] == "VM.GPU.L40S.1"
    assert said(plan)["pool"] == "gpu"
    (pool,) = plan.to_json()["pools"]
    assert pool["nodes"] == {"min": 1, "max": 1}
    assert pool["boot_gib"] > 60
    (larger,) = gpus(stack(models={"qwen": {"preset": {"name": "qwen3-14b"}}})).to_json()["pools"]
    assert larger["boot_gib"] > pool["boot_gib"]


def test_capacity_is_the_pools(gpus, refused):
    """A preemptible pool is priced so; capacity beside a pool contradicts it."""
    assert said(gpus(stack(pool={"preemptible": True})))["price"]["capacity"] == "preemptible"
    (fault,) = _parse_faults(stack({"capacity": "reserved"}))
    assert "capacity" in fault
    assert "stands beside pool" in fault


@pytest.mark.parametrize(
    ("deployment", "text"),
    [
        ({"pool": "gpus"}, "deployments.chat.pool: \"gpus\" is not declared; did you mean 'gpu'?"),
        ({"shape": "VM.GPU.A10.1"}, "say one of shape, node, shapes and pool"),
        ({"target": "local"}, "deployments.chat.pool: has no meaning for the target local"),
    ],
)
def test_a_pool_is_named_rightly_or_refused(deployment, text):
    """Names that are not declared, two ways to say where, a target without pools."""
    assert any(text in fault for fault in _parse_faults(stack(deployment)))


def _parse_faults(document):
    with pytest.raises(SpecError) as caught:
        StackSpec.parse(document)
    return [str(fault) for fault in caught.value.faults]


@pytest.mark.parametrize(
    ("deployment", "pool", "text"),
    [
        (
            {"replicas": {"max": 3}},
            {},
            "pools.gpu.size: 1 holds 1 nodes of 1 GPUs, and at most replicas chat 3 x 1 GPU need 3 nodes; write 3",
        ),
        ({"replicas": {"max": 3}}, {"autoscale": {"max": 2}}, "pools.gpu.autoscale.max: 2 holds 2 nodes"),
        ({"maxModelLen": 4_000_000}, {}, "deployments.chat"),
    ],
)
def test_a_pool_that_cannot_hold_its_deployments_is_refused(refused, deployment, pool, text):
    """With the sum of what is asked and what there is."""
    assert any(text in fault for fault in refused(stack(deployment, pool)))


def test_behaviour_19_a_model_that_does_not_fit_the_pool(refused):
    """Refused when the stack is planned: GPUs by their memory, nodes by their number, each with the sum."""
    large = {"models": {"qwen": {"preset": {"name": "qwen3-32b"}}}}
    one_gpu = {"parallel": {"tensor": 1, "pipeline": 1}}
    (fault,) = refused(stack(one_gpu, pool={"shape": "VM.GPU.A10.1"}, **large))
    assert fault.startswith("plinth:stack.deployments.chat.p")
    assert fault.count("GiB") >= 2
    assert "22.08 GiB" in fault
    (fault,) = refused(stack(pool={"shape": "VM.GPU.A10.1"}, **large))
    assert "pools.gpu.size: 1 holds 1 nodes of 1 GPUs" in fault
    assert "need 4 nodes" in fault


def test_several_deployments_share_the_nodes(gpus):
    """Eight replicas of one GPU stand on one node of eight, and a ninth makes two."""
    fields = {"parallel": {"tensor": 1, "data": 1}}
    eight = stack(fields | {"replicas": {"max": 8}}, {"shape": "BM.GPU.H100.8"})
    assert gpus(eight).pools
    nine = stack(fields | {"replicas": {"max": 9}}, {"shape": "BM.GPU.H100.8"})
    with pytest.raises(SpecError, match="chat 9 x 1 GPU need 2 nodes"):
        gpus(nine)


@pytest.mark.parametrize(
    ("claims", "nodes"),
    [
        ([], 0),
        ([(3, 1, 1)], 1),
        ([(8, 1, 1)], 1),
        ([(2, 1, 4), (1, 1, 1)], 2),
        ([(3, 1, 5)], 3),
        ([(1, 2, 8), (2, 1, 4)], 3),
        ([(2, 1, 6), (4, 1, 1)], 2),
    ],
)
def test_replicas_are_packed_as_a_scheduler_would(claims, nodes):
    """Whole nodes for those that span several, first fit for the others."""
    assert nodes_needed([Claim("x", *claim) for claim in claims], 8) == nodes


@pytest.mark.parametrize(
    ("claims", "most", "said"),
    [
        ([], 1, []),
        ([(8, 1, 1)], 1, []),
        ([(2, 2, 8)], 4, []),
        ([(6, 1, 4)], 3, []),
        ([(1, 1, 8), (3, 1, 2)], None, []),
        ([(1, 1, 8), (3, 1, 2)], 4, []),
        ([(1, 1, 8), (3, 1, 2)], 3, ["x 1 x 8 GPUs may wait: the other pods take 6 GPUs, and 2 on each of 3 nodes"]),
        ([(1, 1, 4), (2, 1, 3)], 2, []),
        ([(1, 2, 8), (2, 1, 1)], 3, ["x 1 x 2 nodes may wait: the other pods take 10 GPUs, and 1 on each of 3 nodes"]),
        ([(2, 1, 4), (2, 1, 4)], 2, []),
    ],
)
def test_room_that_depends_on_the_order_is_doubted(claims, most, said):
    """Small pods on every node keep a large one out, though there is room if they come in the best order."""
    found = list(spread_doubts([Claim("x", *claim) for claim in claims], 8, most))
    assert [text.partition(" keep")[0] for text in found] == said


def test_a_doubt_about_room_is_told(gpus):
    """Beside the plan of the pool, with the number of nodes at which it is gone."""
    small = {"model": "qwen", "target": "kubernetes", "pool": "gpu", "maxModelLen": 8192, "replicas": {"min": 3}}
    document = stack({"parallel": {"tensor": 8, "data": 1}}, {"shape": "BM.GPU.H100.8", "size": 3})
    document["deployments"]["small"] = {**small, "parallel": {"tensor": 2, "data": 1}}
    (pool,) = gpus(document).pools
    (doubt,) = [text for text in pool.doubts if "may wait" in text]
    assert "write 4 nodes" in doubt
    document["pools"]["gpu"]["size"] = 4
    assert not [text for text in gpus(document).pools[0].doubts if "may wait" in text]


def test_nodes_that_exist_are_only_chosen(gpus):
    """By the labels written; how many there are is not asked where nobody said."""
    there = {"kind": "existing", "shape": "BM.GPU.H100.8", "labels": {"team": "a"}}
    plan = gpus(changed({"pool": "gpu", "replicas": {"max": 50}}, pools={"gpu": there}))
    assert said(plan)["pool"] == "gpu"
    with pytest.raises(SpecError, match=r"pools\.gpu\.size"):
        gpus(changed({"pool": "gpu", "replicas": {"max": 50}}, pools={"gpu": there | {"size": 2}}))


def test_shapes_of_the_stack_may_be_pools(gpus):
    """A declared shape is known to pools as it is to deployments."""
    rack = {"gpu": "H100", "gpus": 4, "gpuMemory": "80Gi", "nvme": "7680G"}
    plan = gpus(stack(pool={"shape": "VM.GPU.New"}, shapes={"VM.GPU.New": rack}))
    assert plan.pools[0].boot_gib == 50
    assert reason(plan, "layout")


@pytest.mark.parametrize(
    ("pool", "parts"),
    [
        ({}, {}),
        ({"autoscale": {"max": 3}, "size": 1, "taints": [{"key": "t"}], "eviction": {"grace": "5m"}}, {}),
        ({"shape": "VM.GPU.New"}, {"shapes": {"VM.GPU.New": {"gpu": "H100", "gpus": 1, "gpuMemory": "80Gi"}}}),
        ({"tags": {"b": "2"}}, {"oci": OCI}),
    ],
)
def test_the_component_comes_to_what_the_stack_planned(gpus, pool, parts):
    """A plan written as arguments is planned to the same inputs, boot volume included."""
    (made,) = gpus(stack(pool=pool, **parts)).pools
    given = arguments_of(made)
    again = planned("other", given)
    assert node_pool(again, given, "image") == node_pool(made, given, "image")
    assert again.shape.gpus == made.shape.gpus


def test_pools_share_what_oci_shares(gpus):
    """Compartment and tags of `oci` are theirs unless they have their own; ignored tags add up."""
    plan = gpus(stack(pool={"compartmentId": None, "tags": {"b": "2"}}, oci=OCI))
    spec = plan.pools[0].spec
    assert spec.compartment_id == "ocid1.compartment.all"
    assert spec.tags == {"a": "1", "b": "2"}
    assert set(spec.ignore_tags) >= {"X.Y", "Oracle-Tags.CreatedBy"}


def test_a_pool_with_faults_does_not_hide_others(refused):
    """An unknown shape and a wrong deployment are told together."""
    document = stack(pool={"shape": "VM.GPU.None"})
    document["deployments"]["other"] = {"model": "qwen", "target": "kubernetes", "shape": "none"}
    faults = refused(document)
    assert any("pools.gpu.shape" in fault for fault in faults)
    assert any("deployments.other.shape" in fault for fault in faults)


def test_terminal_and_page_show_the_pools(gpus):
    """A line for each with its price, and every reason, in both."""
    plan = gpus(stack(pool={"autoscale": {"max": 2}}))
    console = Console(record=True, width=200)
    show_plan(console, StackSpec.parse(stack(pool={"autoscale": {"max": 2}})), plan)
    html = page("prod", plan)
    for text in (console.export_text(), html):
        assert "pool gpu: 0 to 2 x VM.GPU.L40S.1 (1 x L40S), $7.00 an hour" in text
        assert "the cluster autoscaler owns the size" in text
    assert '<section id="pool-gpu">' in html
