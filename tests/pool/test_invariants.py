"""Whatever a pool is configured to be, what it registers keeps the rules."""

import base64

import pytest
from fakes.pulumi_monitor import Cloud, Monitor
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pool.conftest import ARGS, IMAGE, RACK, SELF, build
from support.provider_types import argument_faults

from pulumi_plinth.errors import SpecError
from pulumi_plinth.pool.arguments import planned

pytestmark = pytest.mark.slow

NAMES = (IMAGE, "Oracle-Linux-8.10-GPU-AMD-ROCM-632-2025.09.01-0-OKE-1.32.1-1100")
OCID = st.sampled_from(["ocid1.one", "ocid1.two", "ocid1.three"])
WORD = st.from_regex(r"[a-z][a-z0-9]{0,5}", fullmatch=True)
PLACEMENTS = st.lists(
    st.fixed_dictionaries(
        {"availability_domain": st.sampled_from(["AD-1", "AD-2", "AD-3"])},
        optional={
            "fault_domains": st.lists(st.sampled_from(["FAULT-DOMAIN-1", "FAULT-DOMAIN-2"]), unique=True),
            "capacity_reservation_id": OCID,
            "subnet_id": OCID,
        },
    ),
    min_size=1,
    max_size=3,
    unique_by=lambda placement: placement["availability_domain"],
)
FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "shape": st.sampled_from(["VM.GPU.A10.1", "VM.GPU.L40S.2", "BM.GPU.H100.8", "BM.GPU.MI300X.8", "BM.GPU4.8"]),
        "size": st.integers(0, 9),
        "autoscale": st.fixed_dictionaries({"max": st.integers(3, 9)}, optional={"min": st.integers(0, 3)}),
        "placements": PLACEMENTS,
        "labels": st.dictionaries(WORD, WORD, max_size=3),
        "taints": st.lists(st.fixed_dictionaries({"key": WORD, "value": WORD}), max_size=2),
        "nsg_ids": st.lists(OCID, unique=True, min_size=2),
        "capacity_reservation_id": OCID,
        "preemptible": st.booleans(),
        "rdma": st.booleans(),
        "replacement": st.sampled_from(["delete-first", "surge", "in-place"]),
        "image": st.just({"id": "ocid1.image"}),
        "weights": st.sampled_from(["0", "100Gi", "2Ti"]),
        "nvme": st.sampled_from(["raid0", "none"]),
        "pod_network": st.sampled_from(["vcn-native", "flannel"]),
        "tags": st.dictionaries(WORD, WORD, max_size=2),
        "defined_tags": st.dictionaries(st.just("Finance.Team"), WORD, max_size=1),
        "cycling": st.fixed_dictionaries({"enabled": st.booleans()}),
    },
)


@settings(max_examples=75, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(base=st.sampled_from([ARGS, SELF, RACK]), fields=FIELDS, preview=st.booleans())
def test_what_is_registered_keeps_the_rules(base, fields, preview):
    """Either refused with reasons, or registered right: names, parents, properties, owners of fields, scripts."""
    args = base | fields
    faults = []
    plan = _plan(args, faults)
    if plan is None:
        assert all(fault.problem and fault.remedy for fault in faults)
        return
    monitor = build(args, preview=preview, names=NAMES)
    _structure(monitor)
    pool = next(item for item in monitor.all() if item.name == "gpu-nodes")
    assert pool.delete_before_replace == (plan.replacing.how != "surge")
    assert ("nodeConfigDetails.size" in pool.ignore_changes) == ("autoscale" in args)
    assert ("nodeSourceDetails.imageId" in pool.ignore_changes) == ("id" not in args.get("image", {}))
    if plan.spec.kind == "managed":
        _managed(pool.inputs, plan, args)


def _plan(args, faults):
    try:
        return planned("gpu", args)
    except SpecError as error:
        faults.extend(error.faults)
        return None


def _structure(monitor: Monitor) -> None:
    assert isinstance(monitor.cloud, Cloud)
    names = [item.name for item in monitor.all()]
    assert len(names) == len(set(names))
    for item in monitor.all():
        assert argument_faults(item.type, item.inputs) == []
        assert item.name == "gpu" or (item.name.startswith("gpu-") and item.parent == "gpu")


def _managed(inputs, plan, args) -> None:
    details = inputs["nodeConfigDetails"]
    assert plan.spec.least <= details["size"] <= max(plan.spec.most, plan.spec.least)
    domains = [placement["availabilityDomain"] for placement in details["placementConfigs"]]
    assert len(domains) == len(set(domains)) == len(args["placements"])
    for placement in details["placementConfigs"]:
        assert ("preemptibleNodeConfig" in placement) == args.get("preemptible", False)
        assert not ("preemptibleNodeConfig" in placement and "capacityReservationId" in placement)
    assert int(inputs["nodeSourceDetails"]["bootVolumeSizeInGbs"]) >= 50
    script = base64.b64decode(inputs["nodeMetadata"]["user_data"]).decode()
    for taint in args.get("taints", ()):
        assert f"{taint['key']}={taint['value']}:NoSchedule" in script
        assert f"{taint['key']}={taint['value']}" in inputs["nodeMetadata"]["kubelet-extra-args"]
    cycling = inputs["nodePoolCyclingDetails"]
    if cycling["isNodeCyclingEnabled"]:
        assert (cycling["maximumSurge"], cycling["maximumUnavailable"]) != ("0", "0")
        assert not (plan.shape.name.startswith("BM.") and "INSTANCE_REPLACE" in cycling["cycleModes"])
    tags = {key: value for key, value in inputs.get("freeformTags", {}).items() if "/node-template/" in key}
    assert bool(tags) == ("autoscale" in args)
    assert all(len(key) <= 100 and "." not in key and " " not in key for key in tags)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(fields=FIELDS, seed=st.randoms(use_true_random=False))
def test_order_of_what_has_none_is_no_change(fields, seed):
    """Maps and sets in another order give the same bytes."""
    args = ARGS | fields
    if _plan(args, []):
        assert build(args, names=NAMES).normal() == build(_shuffled(args, seed), names=NAMES).normal()


def _shuffled(args, seed):
    made = dict(seed.sample(sorted(args.items(), key=str), len(args)))
    for key in made.keys() & {"nsg_ids", "taints"}:
        made[key] = seed.sample(made[key], len(made[key]))
    if "labels" in made:
        made["labels"] = dict(seed.sample(sorted(made["labels"].items()), len(made["labels"])))
    return made
