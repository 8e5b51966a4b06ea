"""What GpuCluster registers."""

import pytest
from fakes.pulumi_monitor import UNKNOWN, Secret, unknown
from support.provider_types import argument_faults

from pulumi_plinth.cluster.component import GpuCluster
from pulumi_plinth.cluster.image import newest_image
from pulumi_plinth.errors import SpecError

from .conftest import CLUSTER, OCI

MADE = {"oci": OCI, "kubernetes_version": "v1.34.1"}
PUBLIC = MADE | {"public": True, "allowed": ["192.0.2.0/24"], "network": {"load_balancers": "public"}}
SUBNETS = {
    "vcn_id": "ocid1.vcn.oc1..v",
    "api_subnet_id": "ocid1.subnet.oc1..a",
    "node_subnet_id": "ocid1.subnet.oc1..n",
    "pod_subnet_id": "ocid1.subnet.oc1..p",
    "load_balancer_subnet_id": "ocid1.subnet.oc1..b",
}


def test_a_made_cluster_can_do_what_gpus_need(build):
    """Enhanced, with pods that have addresses of the network: add-ons, workload identity and GPU pools need both."""
    monitor = build(lambda: GpuCluster("main", MADE) and None)
    cluster = monitor.one(":Cluster")
    assert cluster.inputs["type"] == "ENHANCED_CLUSTER"
    assert cluster.inputs["clusterPodNetworkOptions"] == [{"cniType": "OCI_VCN_IP_NATIVE"}]
    assert cluster.inputs["endpointConfig"] == {"subnetId": "main-api-subnet-id", "isPublicIpEnabled": False}
    assert cluster.protect
    assert not monitor.all("InternetGateway")
    assert all(subnet.inputs["prohibitPublicIpOnVnic"] for subnet in monitor.all(":Subnet"))


def test_the_system_pool_stands_in_every_domain_and_does_not_drift(build):
    """A node in each availability domain; an image that was selected is no difference later, a pinned one is."""
    pool = build(lambda: GpuCluster("main", MADE) and None).one(":NodePool")
    placements = pool.inputs["nodeConfigDetails"]["placementConfigs"]
    assert [item["availabilityDomain"] for item in placements] == [f"Uocm:PHX-AD-{number}" for number in (1, 2, 3)]
    assert pool.inputs["nodeSourceDetails"]["imageId"] == "ocid1.image.oc1..new"
    assert "nodeSourceDetails" in pool.ignore_changes
    pinned = MADE | {"system_pool": {"image_id": "ocid1.image.oc1..mine", "size": 2.0}}
    pool = build(lambda: GpuCluster("main", pinned) and None).one(":NodePool")
    assert pool.inputs["nodeSourceDetails"]["imageId"] == "ocid1.image.oc1..mine"
    assert "nodeSourceDetails" not in pool.ignore_changes
    assert pool.inputs["nodeConfigDetails"]["size"] == 2


def test_what_is_public_has_a_way_to_the_internet(build):
    """Public parts, and only they, are routed through an internet gateway."""
    monitor = build(lambda: GpuCluster("main", PUBLIC) and None)
    routes = {item.inputs["displayName"]: item.inputs["routeTableId"] for item in monitor.all(":Subnet")}
    assert routes["main-api-subnet"] == routes["main-balancers-subnet"] == "main-public-routes-id"
    assert routes["main-nodes-subnet"] == routes["main-pods-subnet"] == "main-private-routes-id"


def test_a_network_that_is_there_is_used(build):
    """No part of it is made."""
    args = MADE | {"network": {"existing": SUBNETS}}
    monitor = build(lambda: GpuCluster("main", args) and None)
    assert {item.type.rsplit(":", 1)[1] for item in monitor.all()} == {"GpuCluster", "Cluster", "NodePool"}
    assert monitor.one(":Cluster").inputs["vcnId"] == SUBNETS["vcn_id"]
    assert monitor.one(":NodePool").inputs["nodeConfigDetails"]["nodePoolPodNetworkOptionDetails"]["podSubnetIds"] == [
        SUBNETS["pod_subnet_id"]
    ]


def test_a_cluster_that_is_there_is_left_alone(build):
    """Nothing is registered but the component; how it is reached is a secret output."""
    monitor = build(lambda: GpuCluster("main", {"oci": OCI, "id": CLUSTER}) and None)
    assert [item.name for item in monitor.all()] == ["main"]
    outputs = monitor.outputs_of("main")
    assert outputs["cluster_id"] == CLUSTER
    assert outputs["kubeconfig"] == Secret("apiVersion: v1")
    assert outputs["node_subnet_id"] == ""


@pytest.mark.parametrize(
    "args",
    [MADE, PUBLIC, MADE | {"network": {"existing": SUBNETS}, "key_id": "ocid1.key.oc1..k", "protect": False}],
)
def test_every_property_is_one_the_provider_knows(build, args):
    """Types and names are those of the provider's own argument classes."""
    monitor = build(lambda: GpuCluster("main", args) and None)
    assert [fault for item in monitor.all() for fault in argument_faults(item.type, item.inputs)] == []


@pytest.mark.parametrize(
    "args",
    [
        lambda: MADE | {"oci": OCI | {"compartment_id": unknown()}},
        lambda: MADE | {"key_id": unknown(), "network": {"existing": dict.fromkeys(SUBNETS, unknown())}},
        lambda: {"oci": OCI, "id": unknown()},
    ],
)
def test_nothing_is_known_at_preview(build, args):
    """Every id may be unknown, and so are the outputs that depend on it."""
    monitor = build(lambda: GpuCluster("main", args()) and None, preview=True)
    outputs = monitor.outputs_of("main")
    assert outputs["cluster_id"] is UNKNOWN
    assert outputs["kubeconfig"] in (UNKNOWN, Secret(UNKNOWN))


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"kubernetes_version": None}, "has neither id nor kubernetesVersion"),
        ({"kubernetes_version": "1.34"}, 'main.kubernetes_version: "1.34" is not written as it must be'),
        ({"id": CLUSTER, "public": True}, "has the id of a cluster that is there and says public"),
        ({"public": True}, "is public and open to nobody"),
        ({"public": True, "allowed": ["0.0.0.0/0"]}, "which is everybody"),
        ({"allowed": ["192.0.2.1"]}, None),
        ({"allowed": ["anywhere"]}, "is not a network of IPv4 addresses"),
        ({"network": {"cidr": "10.0.0.0/24"}}, "which is not /16 to /20"),
        ({"network": {"cidr": "10.96.0.0/16"}}, "has services 10.96.0.0/16 inside 10.96.0.0/16"),
        ({"network": {"nodes": 5000}}, "has 4,093 addresses for nodes in 10.0.16.0/20"),
        ({"network": {"existing": SUBNETS, "nodes": 5}}, "has a network that is there and says nodes"),
        ({"system_pool": {"size": 0}}, "main.system_pool.size: 0 is too small"),
        ({"oci": {"region": "us-phoenix-1"}}, "main.oci.compartmentId: is missing"),
    ],
)
def test_what_is_wrong_is_told_before_anything_is_registered(build, more, expected):
    """The path, the value and what to write."""
    args = {key: value for key, value in (MADE | more).items() if value is not None}
    if expected is None:
        assert build(lambda: GpuCluster("main", args) and None).all()
        return
    with pytest.raises(SpecError) as caught:
        build(lambda: GpuCluster("main", args) and None)
    assert any(expected in str(fault) for fault in caught.value.faults), caught.value


@pytest.mark.parametrize(
    ("version", "shape", "image"),
    [
        ("v1.34.1", "VM.Standard.E5.Flex", "new"),
        ("v1.34.1", "VM.Standard.A1.Flex", "arm"),
        ("v1.33.2", "VM.Standard.E5.Flex", "other"),
        ("v1.30.0", "VM.Standard.E5.Flex", None),
    ],
)
def test_the_image_is_the_newest_that_fits(version, shape, image):
    """By version and processor, never one with drivers for GPUs; none is a fault that says what to write."""
    from .conftest import IMAGES

    if image is None:
        with pytest.raises(SpecError, match=r"has no image for v1\.30\.0"):
            newest_image(IMAGES, version, shape)
    else:
        assert newest_image(IMAGES, version, shape) == f"ocid1.image.oc1..{image}"
