"""Plans of pools: what is refused and how, what every field changes, what the reasons say."""

import dataclasses

import pytest
from pool.conftest import ARGS, METAL, RACK, SELF, changed

from pulumi_plinth.errors import SpecError
from pulumi_plinth.fit.market import Market
from pulumi_plinth.fit.shapes import load_shapes
from pulumi_plinth.fit.storage import load_unit_prices
from pulumi_plinth.pool.arguments import planned
from pulumi_plinth.pool.case import Needs, PoolCase, shape_of
from pulumi_plinth.pool.plan import plan_pool
from pulumi_plinth.pool.resources import cluster_network, ignored, instance_configuration, node_pool
from pulumi_plinth.pool.spec import PoolSpec
from pulumi_plinth.quantities import GIB

MARKET = Market(load_shapes(), load_unit_prices())
EXISTING = {"kind": "existing", "gpus": 8, "gpu_memory": "80Gi", "labels": {"team": "a"}}
TWO = [{"availability_domain": "AD-1"}, {"availability_domain": "AD-2"}]


def plan(args=ARGS, needs=None, faults=None):
    """Plan a pool as the stack's planner does."""
    found = [] if faults is None else faults
    spec = PoolSpec.model_validate(args)
    shape = shape_of("p", spec, MARKET, found)
    made = plan_pool(PoolCase("p", "gpu", spec, shape, needs or Needs(), MARKET.storage), found) if shape else None
    assert faults is not None or not found, [str(fault) for fault in found]
    return made


REFUSED = [
    ({"shape": None}, "p.shape: is missing"),
    ({"shape": "VM.GPU.A1O.1"}, "did you mean 'VM.GPU.A10.1'"),
    ({"shape": "BM.GPU.X9.8"}, "or write gpus: and gpuMemory:"),
    ({"shape": "BM.GPU.X9.8", "gpus": 8}, "p.gpuMemory: is missing, and no shape 'BM.GPU.X9.8' is known"),
    ({"gpus": 2}, "p.gpus: 2 differs from what is known of VM.GPU.A10.1: 1"),
    ({"gpu": "H100"}, 'p.gpu: "H100" differs from what is known'),
    ({"gpu_memory": "80Gi"}, "differs from what is known of VM.GPU.A10.1: 24Gi"),
    ({"cluster_id": None}, "p.clusterId: is missing"),
    ({"compartment_id": None}, "p.compartmentId: is missing"),
    ({"placements": []}, "p.placements: is missing"),
    ({"subnet_id": None}, "p.placements.0.subnetId: is missing"),
    ({"kubernetes_version": None}, "p.image: cannot be selected without the version"),
    ({"placements": TWO, "capacity_reservation_id": "ocid1.r"}, "one reservation and 2 availability domains"),
    ({"shape": "BM.GPU.H100.8", "preemptible": True}, "is bare metal, which is not offered preemptible"),
    ({"capacity_reservation_id": "ocid1.r", "preemptible": True}, "cannot be of a reservation"),
    ({"flex": {"ocpus": 15, "memory_gib": 240}}, "p.flex: VM.GPU.A10.1 has fixed cores and memory"),
    ({"shape": "VM.GPU.Z.Flex", "gpus": 1, "gpu_memory": "24Gi"}, "VM.GPU.Z.Flex needs cores and memory"),
    ({"shape": "BM.GPU.GB200.4"}, "parts of a rack with one memory; write gpu-memory-cluster"),
    ({"kind": "gpu-memory-cluster"}, "in hosts of their own; write managed"),
    ({"kind": "cluster-network"}, "has no RDMA network"),
    ({"rdma": True}, "VM.GPU.A10.1 has no RDMA network"),
    ({"shape": "BM.GPU.H100.8", "rdma": True, "placements": TWO}, "holds one availability domain, and 2 are named"),
    ({"compute_cluster_id": "ocid1.n"}, "add `rdma: true`"),
    ({"shape": "BM.GPU.H100.8", "replacement": "surge"}, "cannot cycle instances of BM.GPU.H100.8"),
    ({"cycling": {"maximum_surge": 1}}, "write `replacement: surge` too"),
    ({"eviction": {"grace": "90s"}}, "is not whole minutes, which is what OKE takes; write 2m"),
    ({"boot_volume": "50Gi", "weights": "100Gi"}, "(15 system + 24 image + 100.0 weights) GiB / 0.85 = 163.5 GiB"),
    ({"boot_volume": 60 * GIB + 1}, "is not whole GiB"),
    ({"boot_script": "x" * 30_000}, "and its metadata holds 32,000"),
    ({"placements": [*TWO, TWO[0]]}, "p.placements.2.availabilityDomain"),
    ({"shape": "BM.GPU.H100.8", "encrypt_in_transit": True}, "bare metal reaches its boot volume by iSCSI"),
    ({"pod_network": "flannel", "pod_subnet_ids": ["ocid1.s"]}, "has no meaning with flannel"),
    ({"control_plane": {"endpoint": "e", "certificate": "c"}}, "OKE tells managed nodes their cluster"),
]
SELF_REFUSED = [
    ({"control_plane": None}, "nodes of this kind join by themselves"),
    ({"placements": TWO}, "one RDMA network is in one availability domain"),
    ({"autoscale": {"max": 3}}, "the autoscaler knows managed pools only"),
    ({"rdma": True}, "its nodes are on an RDMA network anyway"),
    ({"replacement": "in-place"}, "nodes of kind cluster-network are not OKE's"),
    ({"kubernetes_version": None, "image": {"id": "ocid1.i"}}, "p.kubernetesVersion: is missing"),
    ({"shape": "VM.GPU.A10.1"}, "does not suit VM.GPU.A10.1, which has no RDMA network"),
]
EXISTING_REFUSED = [
    ({"labels": None}, "nothing tells which nodes are meant"),
    ({"cluster_id": "ocid1.c", "boot_volume": "90Gi"}, "p.bootVolume: "),
    ({"gpus": None, "gpu_memory": None}, "write shape:, or gpus: and gpuMemory: of one node"),
]


@pytest.mark.parametrize(
    ("base", "fields", "said"),
    [
        *((ARGS, *row) for row in REFUSED),
        *((SELF, *row) for row in SELF_REFUSED),
        *((EXISTING, *row) for row in EXISTING_REFUSED),
    ],
)
def test_what_cannot_be_is_refused_with_the_reason(base, fields, said):
    """Each fault has a path, arithmetic where there is some, and what to write instead."""
    faults = []
    plan(changed(base, **fields), faults=faults)
    assert said in "\n".join(map(str, faults))
    assert all(fault.remedy for fault in faults)


def test_all_faults_come_at_once():
    """One run tells everything that is wrong."""
    faults = []
    plan({"shape": "BM.GPU.H100.8", "preemptible": True, "eviction": {"grace": 61}}, faults=faults)
    assert [fault.path for fault in faults] == [
        "p.clusterId", "p.compartmentId", "p.placements", "p.image", "p.eviction.grace", "p.preemptible",
    ]  # fmt: skip


OTHER = {
    "kind": SELF,
    "shape": {"shape": "VM.GPU.A10.2"},
    "gpu": changed(ARGS, shape="VM.GPU.New", gpus=1, gpu_memory="24Gi", gpu="A10"),
    "gpus": changed(ARGS, shape="VM.GPU.New", gpus=2, gpu_memory="24Gi"),
    "gpu_memory": changed(ARGS, shape="VM.GPU.New", gpus=1, gpu_memory="48Gi"),
    "flex": changed(ARGS, shape="VM.GPU.New.Flex", gpus=1, gpu_memory="24Gi", flex={"ocpus": 4, "memory_gib": 64}),
    "size": {"size": 2},
    "autoscale": {"autoscale": {"max": 2}},
    "cluster_id": {"cluster_id": "ocid1.cluster.other"},
    "compartment_id": {"compartment_id": "ocid1.compartment.other"},
    "placements": {"placements": TWO},
    "subnet_id": {"subnet_id": "ocid1.subnet.other"},
    "nsg_ids": {"nsg_ids": ["ocid1.nsg"]},
    "pod_network": {"pod_network": "flannel"},
    "pod_subnet_ids": {"pod_subnet_ids": ["ocid1.pods"]},
    "pod_nsg_ids": {"pod_nsg_ids": ["ocid1.nsg"]},
    "max_pods": {"max_pods": 20},
    "kubernetes_version": {"kubernetes_version": "v1.33.0"},
    "image": {"image": {"id": "ocid1.image"}},
    "boot_volume": {"boot_volume": "90Gi"},
    "weights": {"weights": "90Gi"},
    "nvme": {"nvme": "none"},
    "labels": {"labels": {"team": "a"}},
    "taints": {"taints": [{"key": "team"}]},
    "capacity_reservation_id": {"capacity_reservation_id": "ocid1.r"},
    "preemptible": {"preemptible": True},
    "rdma": METAL | {"rdma": True},
    "compute_cluster_id": METAL | {"rdma": True, "compute_cluster_id": "ocid1.n"},
    "control_plane": SELF | {"control_plane": {"endpoint": "10.0.0.6", "certificate": "Q0E="}},
    "agent_plugins": SELF | {"agent_plugins": ["One"]},
    "eviction": {"eviction": {"grace": "20m"}},
    "replacement": {"replacement": "surge"},
    "cycling": {"cycling": {"enabled": False}},
    "boot_script": {"boot_script": "true"},
    "ssh_key": {"ssh_key": "ssh-ed25519 AAAA"},
    "key_id": {"key_id": "ocid1.key"},
    "encrypt_in_transit": {"encrypt_in_transit": True},
    "tags": {"tags": {"owner": "me"}},
    "defined_tags": {"defined_tags": {"Finance.Team": "a"}},
    "ignore_tags": {"defined_tags": {"Finance.Team": "a"}, "ignore_tags": ["Other.Tag"]},
}
"""Another value for every field of a pool; whole arguments where the field needs others beside it."""
BASES = {
    "gpu": changed(ARGS, shape="VM.GPU.New", gpus=1, gpu_memory="24Gi"),
    "gpus": changed(ARGS, shape="VM.GPU.New", gpus=1, gpu_memory="24Gi"),
    "gpu_memory": changed(ARGS, shape="VM.GPU.New", gpus=1, gpu_memory="24Gi"),
    "flex": changed(ARGS, shape="VM.GPU.New.Flex", gpus=1, gpu_memory="24Gi", flex={"ocpus": 2, "memory_gib": 64}),
    "kind": METAL,
    "rdma": METAL,
    "compute_cluster_id": METAL | {"rdma": True},
    "control_plane": SELF,
    "agent_plugins": SELF,
    "ignore_tags": changed(ARGS, defined_tags={"Finance.Team": "a"}),
}
"""What stands there before the field is changed; else ARGS."""


def everything(args):
    """All that a plan comes to: JSON, inputs of resources, what is ignored."""
    made = plan(args)
    inputs = [made.to_json(), ignored(made)]
    if made.spec.kind == "managed":
        inputs.append(
            node_pool(made, args, "image", args.get("compute_cluster_id") or ("made" if made.spec.rdma else ""))
        )
    else:
        inputs += [instance_configuration(made, args, "image"), cluster_network(made, args, "configuration")]
    return inputs


@pytest.mark.parametrize("field", PoolSpec.model_fields)
def test_every_field_matters(field):
    """Changing any field changes what is planned or registered: a field that does nothing is a bug."""
    base, other = BASES.get(field, ARGS), OTHER[field]
    assert everything(
        other if "cluster_id" in other and field != "cluster_id" else changed(base, **other)
    ) != everything(base)


PARTS = {
    "placements": [
        {"availability_domain": "AD-9"},
        {"subnet_id": "ocid1.other"},
        {"fault_domains": ["FAULT-DOMAIN-1"]},
        {"capacity_reservation_id": "ocid1.r"},
        {"host_group_id": "ocid1.h"},
    ],
    "image": [{"id": "ocid1.i"}, {"os": "Ubuntu"}, {"os_version": "9"}],
    "autoscale": [{"min": 1}, {"max": 9}],
    "eviction": [{"grace": "5m"}, {"force": False}],
    "cycling": [{"enabled": False}, {"maximum_unavailable": 2}, {"maximum_surge": 2}],
    "taints": [{"key": "other"}, {"value": "b"}, {"effect": "NoExecute"}],
    "flex": [{"ocpus": 9}, {"memory_gib": 99}],
}
STARTS = {
    "placements": ARGS,
    "image": ARGS,
    "autoscale": changed(ARGS, autoscale={"max": 3}),
    "eviction": ARGS,
    "cycling": changed(ARGS, replacement="surge"),
    "taints": changed(ARGS, taints=[{"key": "team", "value": "a"}]),
    "flex": BASES["flex"],
}


@pytest.mark.parametrize(("part", "fields"), [(part, fields) for part, rows in PARTS.items() for fields in rows])
def test_every_field_of_a_part_matters(part, fields):
    """The same one level down."""
    base = STARTS[part]
    said = base.get(part, {})
    other = [said[0] | fields] if isinstance(said, list) else said | fields
    assert everything(changed(base, **{part: other})) != everything(base)


@pytest.mark.parametrize(
    ("args", "weights", "gib", "said"),
    [
        (ARGS, 0, 50, "50 GiB: (15 system + 24 image + 0.0 weights) GiB / 0.85, at least 50"),
        (ARGS, 100 * GIB, 164, "164 GiB: (15 system + 24 image + 100.0 weights of chat)"),
        (METAL, 100 * GIB, 50, "at least 50"),
        (METAL | {"nvme": "none"}, 100 * GIB, 164, "100.0 weights"),
        (changed(ARGS, boot_volume="200Gi"), 100 * GIB, 200, "as written"),
    ],
)
def test_the_boot_volume_holds_what_the_drives_do_not(args, weights, gib, said):
    """System, image and weights at 85 %; weights go to local drives where the shape is known to have them."""
    made = plan(args, Needs(weights, ("chat",)))
    assert made.boot_gib == gib
    assert said in next(reason.text for reason in made.reasons if reason.subject == "boot volume")
    cost = next((reason.text for reason in made.reasons if reason.subject == "storage"), "")
    assert f"{gib} GiB" in cost


@pytest.mark.parametrize(
    ("args", "how", "first", "modes", "nodes"),
    [
        (ARGS, "delete-first", True, ("INSTANCE_REPLACE",), (0, 1)),
        (METAL, "in-place", True, ("BOOT_VOLUME_REPLACE",), (0, 1)),
        (SELF, "delete-first", True, (), (0, 1)),
        (changed(ARGS, replacement="surge"), "surge", False, ("INSTANCE_REPLACE",), (1, 0)),
        (changed(ARGS, replacement="in-place"), "in-place", True, ("BOOT_VOLUME_REPLACE",), (0, 1)),
        (METAL | {"replacement": "delete-first"}, "delete-first", True, (), (0, 1)),
        (changed(ARGS, cycling={"maximum_unavailable": 3}), "delete-first", True, ("INSTANCE_REPLACE",), (0, 3)),
        (changed(ARGS, cycling={"enabled": False}), "delete-first", True, (), (0, 1)),
    ],
)
def test_scarce_gpus_are_never_needed_twice_unless_asked(args, how, first, modes, nodes):
    """Bare metal keeps its host, VMs go before they come; OKE cycles no instances of bare metal."""
    made = plan(args).replacing
    assert (made.how, made.delete_first, made.modes) == (how, first, modes)
    assert (made.surge, made.unavailable) == nodes
    assert made.text.startswith(how)


def test_prices_are_those_of_the_bounds():
    """From the fewest to the most nodes; preemptible is half; reserved is paid for the most."""
    assert plan(changed(ARGS, autoscale={"max": 3})).price.per_hour == (0.0, 6.0)
    assert plan(changed(ARGS, preemptible=True)).price.per_hour == (1.0, 1.0)
    reserved = plan(changed(METAL, capacity_reservation_id="ocid1.r", autoscale={"max": 2})).price
    assert reserved.per_hour == (136.0, 160.0)
    unknown = plan(changed(ARGS, shape="VM.GPU.New", gpus=1, gpu_memory="24Gi"))
    assert unknown.price is None
    assert "no list price of VM.GPU.New is established" in [reason.text for reason in unknown.reasons]
    assert plan(EXISTING).price is None


@pytest.mark.parametrize("name", [name for name, shape in MARKET.shapes.items() if shape.provider == "oci"])
def test_every_shape_of_the_table_can_be_a_pool(name):
    """With its own kind, and the same facts as the planner's."""
    shape = MARKET.shapes[name]
    made = plan((RACK if shape.gpu.startswith("GB") else ARGS) | {"shape": name})
    assert made.shape is shape
    assert f"{made.gpu_resource}=present:NoSchedule" in made.taints
    assert (made.gpu_resource == "amd.com/gpu") == (shape.vendor == "amd")


def test_pods_are_told_where_the_pool_is():
    """A made pool is found by its own label and its taints are known; an existing one by the labels written."""
    made = plan(changed(ARGS, preemptible=True, taints=[{"key": "team", "value": "a"}]))
    assert made.selector == {"plinth.dev/pool": "gpu"}
    assert made.taints == (
        "nvidia.com/gpu=present:NoSchedule",
        "oci.oraclecloud.com/oke-is-preemptible=present:NoSchedule",
        "team=a:NoSchedule",
    )
    there = plan(EXISTING | {"taints": [{"key": "gpu"}]})
    assert (there.selector, there.taints) == ({"team": "a"}, ("gpu=:NoSchedule",))


def test_replicas_over_several_nodes_without_rdma_are_warned_of():
    """Named, with what to expect; a pool on RDMA is quiet."""
    needs = Needs(GIB, ("large",), ("large",))
    (doubt,) = plan(METAL, needs).doubts
    assert doubt == "replicas of large span nodes and this pool has no RDMA: expect slow answers"
    assert plan(METAL | {"rdma": True}, needs).doubts == ()


def test_a_plan_is_told_as_json_and_in_a_line():
    """Plain values for scripts, one line for a preview."""
    made = plan(changed(ARGS, autoscale={"max": 3}))
    assert made.summary() == "pool gpu: 0 to 3 x VM.GPU.A10.1 (1 x A10), $6.00 an hour"
    said = made.to_json()
    assert (said["shape"], said["nodes"], said["boot_gib"]) == ("VM.GPU.A10.1", {"min": 0, "max": 3}, 50)
    assert plan(EXISTING).summary().endswith("already there")


def test_arguments_are_planned_as_the_stack_file_is():
    """The component's own planning comes to the same plan."""
    assert planned("gpu", ARGS) == dataclasses.replace(plan(ARGS), spec=planned("gpu", ARGS).spec)
    with pytest.raises(SpecError, match=r"gpu\.size"):
        planned("gpu", ARGS | {"size": -1})
