"""Pools of a whole stack: registered by the platform, in the stack's cluster, owned by its autoscaler."""

import pytest
from fakes.pulumi_monitor import UNKNOWN, run
from support.components import cloud

from pulumi_plinth.deployment.facts import HostFacts
from pulumi_plinth.fit.market import Market
from pulumi_plinth.fit.shapes import load_shapes
from pulumi_plinth.fit.storage import load_unit_prices
from pulumi_plinth.planner import Facts, plan_stack
from pulumi_plinth.platform import Platform
from pulumi_plinth.stack import StackSpec

PLACE = {"shape": "VM.GPU.A10.1", "placements": [{"availabilityDomain": "Uocm:PHX-AD-1"}]}
DOCUMENT = {
    "oci": {"compartmentId": "ocid1.compartment.team", "region": "us-phoenix-1", "tags": {"owner": "me"}},
    "cluster": {"kubernetesVersion": "v1.34.1", "addons": {"ClusterAutoscaler": {"version": "v1.33.0"}}},
    "pools": {
        "small": {**PLACE, "autoscale": {"max": 3}},
        "large": {**PLACE, "shape": "BM.GPU.H100.8", "rdma": True, "size": 2},
        "spot": {**PLACE, "preemptible": True, "autoscale": {"min": 1, "max": 2}},
        "there": {"kind": "existing", "shape": "VM.GPU.A10.2", "labels": {"team": "a"}},
    },
}


def plan(tmp_path, **parts):
    """Plan a document that needs nothing of this host."""
    market = Market(load_shapes(), load_unit_prices())
    return plan_stack(StackSpec.parse(DOCUMENT | parts), Facts(tmp_path, "prod", HostFacts(0), {}, market=market))


def build(found, *, preview=False):
    """Register a platform."""
    return run(lambda: Platform("p", found) and None, cloud(preview=preview))


@pytest.mark.parametrize("preview", [False, True])
def test_pools_are_made_in_the_stacks_cluster(tmp_path, preview):
    """Cluster, subnets and version come from the cluster that is made with them; tags from what OCI shares."""
    monitor = build(plan(tmp_path), preview=preview)
    pools = {item.inputs["name"]: item for item in monitor.all(":NodePool") if item.parent.startswith("p-pool-")}
    assert set(pools) == {"small", "large", "spot"}
    small = pools["small"].inputs
    assert pools["small"].name == "p-pool-small-nodes"
    assert small["clusterId"] == (UNKNOWN if preview else "p-cluster-cluster-id")
    assert small["kubernetesVersion"] == "v1.34.1"
    assert small["freeformTags"]["owner"] == "me"
    (place,) = small["nodeConfigDetails"]["placementConfigs"]
    assert place["subnetId"] == (UNKNOWN if preview else "p-cluster-nodes-subnet-id")


def test_the_autoscaler_is_told_of_the_pools_it_owns(tmp_path):
    """Each autoscaled pool with its bounds, in the order of their names; what somebody wrote wins."""
    addon = build(plan(tmp_path)).one(":Addon").inputs
    told = {"key": "nodes", "value": "0:3:p-pool-small-nodes-id,1:2:p-pool-spot-nodes-id"}
    assert told in addon["configurations"]
    written = {"ClusterAutoscaler": {"version": "v1.33.0", "configuration": {"nodes": "0:1:mine"}}}
    cluster = DOCUMENT["cluster"] | {"addons": written}
    addon = build(plan(tmp_path, cluster=cluster)).one(":Addon").inputs
    assert [item["value"] for item in addon["configurations"] if item["key"] == "nodes"] == ["0:1:mine"]


def test_an_autoscaled_pool_without_autoscaler_is_warned_of(tmp_path):
    """Nobody would ever change its size: the reason says what to add."""
    found = plan(tmp_path, cluster={"kubernetesVersion": "v1.34.1"})
    warned = [pool.name for pool in found.pools if "ClusterAutoscaler" in str(pool.reasons)]
    assert warned == ["small", "spot"]
    assert not [pool for pool in plan(tmp_path).pools if "ClusterAutoscaler" in str(pool.reasons)]


def test_totals_are_those_of_the_pools(tmp_path):
    """Nodes that are made are paid for whether somebody uses them or not; nodes that exist are not."""
    said = plan(tmp_path).to_json()["totals"]
    assert said["gpus"] == (16 + 1, 16 + 3 + 2)
    assert said["nodes"] == {"BM.GPU.H100.8": (2, 2), "VM.GPU.A10.1": (1, 5)}
    assert said["per_hour"] == (160 + 1, 160 + 3 * 2 + 2)


@pytest.mark.slow
@pytest.mark.parametrize("parts", [{}, {"kubernetes": {"namespace": "serving"}}])
def test_a_platform_twice_gives_the_same_bytes(tmp_path, parts):
    """Nothing of order, clock or chance."""
    found = plan(tmp_path, **parts)
    assert build(found).normal() == build(found).normal()
