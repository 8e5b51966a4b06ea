"""What an excellent component package shows of its pools: behaviours by their number (others: tests/behaviours)."""

import pulumi
import pytest
from pool.conftest import ARGS, IMAGE, METAL, SELF, build, changed

from pulumi_plinth.errors import SpecError
from pulumi_plinth.fit.shapes import load_shapes
from pulumi_plinth.pool.arguments import planned

REPLACING = ("clusterId", "compartmentId")
"""Properties of a node pool that OCI cannot update; computeClusterId in its details is the third."""
NEWER = "Oracle-Linux-8.10-Gen2-GPU-2026.01.31-0-OKE-1.32.1-1200"


@pytest.mark.parametrize(
    ("base", "fields", "touched"),
    [
        (ARGS, {"size": 7}, {"nodeConfigDetails.size"}),
        (ARGS, {"labels": {"team": "a"}}, {"initialNodeLabels"}),
        (ARGS, {"eviction": {"grace": "5m"}}, {"nodeEvictionNodePoolSettings"}),
        (METAL | {"rdma": True}, {"size": 7}, {"nodeConfigDetails.size"}),
        (METAL, {"size": 7}, {"nodeConfigDetails.size"}),
    ],
)
def test_behaviour_13_day_two_changes_touch_nothing_else(base, fields, touched):
    """Size, labels and eviction change their own inputs; none that would replace the pool."""
    before, after = (build(args).one(":NodePool").inputs for args in (base, base | fields))
    assert set(_differences(before, after)) == touched
    assert all(before.get(key) == after.get(key) for key in REPLACING)


def _differences(before, after):
    for key in sorted(before.keys() | after.keys()):
        old, new = before.get(key), after.get(key)
        if old != new and key == "nodeConfigDetails":
            yield from (f"{key}.{inner}" for inner in old.keys() | new.keys() if old.get(inner) != new.get(inner))
        elif old != new:
            yield key


@pytest.mark.parametrize(("autoscale", "owned"), [(None, False), ({"max": 4}, True), ({"min": 2, "max": 2}, True)])
def test_behaviour_14_who_owns_the_size(autoscale, owned):
    """With autoscaling on the size is ignored, with it off it is not; the autoscaler is told of every node's parts."""
    pool = build(changed(ARGS, autoscale=autoscale, labels={"team": "a"}, taints=[{"key": "t", "value": "b"}])).one(
        ":NodePool"
    )
    assert ("nodeConfigDetails.size" in pool.ignore_changes) == owned
    prefix = "cluster-autoscaler/node-template"
    tags = {
        f"{prefix}/label/plinth-dev-pool": "plinth.dev/pool=gpu",
        f"{prefix}/label/team": "team=a",
        f"{prefix}/taint/nvidia-com-gpu": "nvidia.com/gpu=present:NoSchedule",
        f"{prefix}/taint/t": "t=b:NoSchedule",
        f"{prefix}/resources/nvidia-com-gpu": "nvidia.com/gpu=1",
        f"{prefix}/resources/ephemeral-storage": "ephemeral-storage=42Gi",
    }
    assert pool.inputs.get("freeformTags", {}) == (tags if owned else {})


@pytest.mark.parametrize(
    ("args", "opts", "first"),
    [
        (ARGS, None, True),
        (METAL, None, True),
        (SELF, None, True),
        (changed(ARGS, replacement="surge"), None, False),
        (changed(ARGS, replacement="in-place"), None, True),
        (ARGS, pulumi.ResourceOptions(delete_before_replace=False), False),
    ],
)
def test_behaviour_15_replacement_is_explicit(args, opts, first):
    """The pool always says how it is replaced; by default it goes first, and options may say otherwise."""
    monitor = build(args, opts=opts)
    pool = next(item for item in monitor.all() if item.name == "gpu-nodes")
    assert pool.delete_before_replace is first


def test_behaviour_16_a_new_image_changes_nothing():
    """The selected image is excluded from diffs, a pinned one is not; which one is taken follows its name alone."""
    selected = build(ARGS, names=[IMAGE, NEWER]).one(":NodePool")
    assert selected.inputs["nodeSourceDetails"]["imageId"] == NEWER
    assert selected.ignore_changes == ["nodeSourceDetails.imageId"]
    pinned = build(changed(ARGS, image={"id": "ocid1.image.i"}))
    assert pinned.one(":NodePool").ignore_changes == []
    assert pinned.cloud.called == []


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        (
            {
                "capacity_reservation_id": "ocid1.r",
                "placements": [{"availability_domain": "AD-1"}, {"availability_domain": "AD-2"}],
            },
            "2 availability domains",
        ),
        ({"shape": "BM.GPU.A10.4", "preemptible": True}, "bare metal, which is not offered preemptible"),
        ({"flex": {"ocpus": 8, "memory_gib": 64}}, "VM.GPU.A10.1 has fixed cores and memory"),
        ({"shape": "BM.GPU.GB300.4"}, "write gpu-memory-cluster"),
    ],
)
def test_behaviour_17_what_oci_would_refuse_is_refused_here(fields, reason):
    """A reservation over several domains, preemptible metal, sizes of fixed shapes, racks in the wrong kind."""
    with pytest.raises(SpecError) as caught:
        planned("gpu", ARGS | fields)
    assert reason in str(caught.value)


def test_behaviour_17_a_reservation_for_each_domain_is_fine():
    """What is refused is one reservation for two domains, not two."""
    places = [
        {"availability_domain": f"AD-{number}", "capacity_reservation_id": f"ocid1.r{number}"} for number in (1, 2)
    ]
    details = build(changed(ARGS, placements=places)).one(":NodePool").inputs["nodeConfigDetails"]
    assert [item["capacityReservationId"] for item in details["placementConfigs"]] == ["ocid1.r1", "ocid1.r2"]


def test_behaviour_18_new_shapes_need_count_and_memory():
    """A shape that no table knows is taken with both, and refused without; a known one has the table's facts."""
    unknown = {"shape": "BM.GPU.R900.8"}
    with pytest.raises(SpecError, match="is no shape that is known"):
        planned("gpu", ARGS | unknown)
    plan = planned("gpu", ARGS | unknown | {"gpus": 8, "gpu_memory": "512Gi"})
    assert (plan.shape.gpus, plan.shape.gpu_memory_gib) == (8, 512)
    assert build(ARGS | unknown | {"gpus": 8, "gpu_memory": "512Gi"}).one(":NodePool").inputs["nodeShape"] == (
        "BM.GPU.R900.8"
    )
    known = load_shapes()["VM.GPU.A10.1"]
    assert planned("gpu", ARGS).shape == known
    assert known.price_date
