"""What GpuNodePool registers, kind by kind, with every option."""

import subprocess
import sys

import pulumi
import pytest
from fakes.pulumi_monitor import UNKNOWN, Monitor, run, unknown
from pool.conftest import ARGS, IMAGE, METAL, RACK, SELF, build, changed, cloud
from support.provider_types import argument_faults

from pulumi_plinth.errors import SpecError
from pulumi_plinth.pool import component
from pulumi_plinth.pool.arguments import GpuNodePoolArgs, planned
from pulumi_plinth.pool.component import GpuNodePool
from pulumi_plinth.pool.image import ImageWish
from pulumi_plinth.pool.spec import PoolSpec

KINDS = {
    "managed": (ARGS, ["nodes"]),
    "metal": (METAL, ["nodes"]),
    "rdma": (METAL | {"rdma": True}, ["rdma", "nodes"]),
    "given-network": (METAL | {"rdma": True, "compute_cluster_id": "ocid1.computecluster.n"}, ["nodes"]),
    "cluster-network": (SELF, ["configuration", "nodes"]),
    "rack": (RACK, ["rdma", "configuration", "nodes"]),
    "existing": ({"kind": "existing", "shape": "BM.GPU.H100.8", "labels": {"team": "a"}}, []),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("preview", [False, True])
def test_each_kind_registers_its_resources(kind, preview):
    """Children are the component's, named after it, and know only properties that their provider knows."""
    args, children = KINDS[kind]
    monitor = build(args, preview=preview)
    assert [item.name for item in monitor.all()] == ["gpu", *(f"gpu-{child}" for child in children)]
    assert {item.parent for item in monitor.all()[1:]} <= {"gpu"}
    for item in monitor.all():
        assert argument_faults(item.type, item.inputs) == []
    assert set(monitor.outputs_of("gpu")) == {"pool_id", "image_id", "node_selector", "node_taints", "autoscaler_nodes"}


@pytest.mark.processes
def test_importing_the_package_does_not_load_oracles(project_root):
    """`import pulumi_plinth`, even of the component, costs nothing of pulumi_oci before a pool is made."""
    code = "import sys; from pulumi_plinth import GpuNodePool; sys.exit('pulumi_oci' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=project_root)


def test_arguments_are_the_specs_fields():
    """What programs write and what stack files write are the same words; only `pool` is beside them."""
    assert set(GpuNodePoolArgs.__annotations__) == {*PoolSpec.model_fields, "pool"}


def test_a_pool_of_nodes_that_exist_only_describes():
    """No resource, no id; the selector is what was written."""
    outputs = build(KINDS["existing"][0]).outputs_of("gpu")
    assert outputs == {
        "pool_id": "", "image_id": "", "node_selector": {"team": "a"}, "node_taints": [], "autoscaler_nodes": "",
    }  # fmt: skip


TERMINATE = {"preemptionAction": {"type": "TERMINATE", "isPreserveBootVolume": False}}
TAGS = {"freeformTags": {"owner": "me"}, "definedTags": {"Finance.Team": "x"}}
MANAGED = {
    "clusterId": "ocid1.cluster.c",
    "compartmentId": "ocid1.compartment.x",
    "name": "a10",
    "nodeShape": "VM.GPU.A10.1",
    "kubernetesVersion": "v1.32.1",
    "nodeConfigDetails": {
        "size": 3,
        "placementConfigs": [
            {
                "availabilityDomain": "AD-1",
                "subnetId": "ocid1.subnet.s",
                "hostGroupId": "ocid1.hosts",
                "preemptibleNodeConfig": TERMINATE,
            },
            {
                "availabilityDomain": "AD-2",
                "subnetId": "ocid1.subnet.own",
                "faultDomains": ["FAULT-DOMAIN-1", "FAULT-DOMAIN-3"],
                "preemptibleNodeConfig": TERMINATE,
            },
        ],
        "nsgIds": ["ocid1.a", "ocid1.b"],
        "kmsKeyId": "ocid1.key",
        "isPvEncryptionInTransitEnabled": True,
        "nodePoolPodNetworkOptionDetails": {
            "cniType": "OCI_VCN_IP_NATIVE",
            "maxPodsPerNode": 20,
            "podSubnetIds": ["ocid1.pods"],
            "podNsgIds": ["ocid1.p"],
        },
        **TAGS,
    },
    "nodeSourceDetails": {"sourceType": "IMAGE", "imageId": IMAGE, "bootVolumeSizeInGbs": "100"},
    "initialNodeLabels": [{"key": "plinth.dev/pool", "value": "a10"}, {"key": "team", "value": "a"}],
    "nodeEvictionNodePoolSettings": {
        "evictionGraceDuration": "PT20M",
        "isForceActionAfterGraceDuration": False,
        "isForceDeleteAfterGraceDuration": False,
    },
    "nodePoolCyclingDetails": {
        "isNodeCyclingEnabled": True,
        "cycleModes": ["INSTANCE_REPLACE"],
        "maximumSurge": "0",
        "maximumUnavailable": "1",
    },
    "sshPublicKey": "ssh-ed25519 AAAA",
    **TAGS,
}  # fmt: skip
"""What OKE is told of the pool below."""


def test_the_managed_pool_in_full():
    """Every part of the plan stands where OKE looks for it."""
    args = changed(
        ARGS,
        size=3,
        placements=[
            {
                "availability_domain": "AD-2",
                "fault_domains": ["FAULT-DOMAIN-3", "FAULT-DOMAIN-1"],
                "subnet_id": "ocid1.subnet.own",
            },
            {"availability_domain": "AD-1", "host_group_id": "ocid1.hosts"},
        ],
        labels={"team": "a"},
        taints=[{"key": "team", "value": "a"}],
        max_pods=20,
        boot_volume="100Gi",
        nsg_ids=["ocid1.b", "ocid1.a"],
        pod_subnet_ids=["ocid1.pods"],
        pod_nsg_ids=["ocid1.p"],
        key_id="ocid1.key",
        encrypt_in_transit=True,
        ssh_key="ssh-ed25519 AAAA",
        preemptible=True,
        eviction={"grace": "20m", "force": False},
        tags={"owner": "me"},
        defined_tags={"Finance.Team": "x"},
        pool="a10",
    )
    inputs = build(args).one(":NodePool").inputs
    assert inputs.pop("nodeMetadata").keys() == {"user_data", "areLegacyImdsEndpointsDisabled", "kubelet-extra-args"}
    assert inputs == MANAGED


def test_a_node_that_joins_by_itself_knows_its_cluster():
    """Endpoint, certificate, pods' network and labels are in its metadata; agent plugins for RDMA are on."""
    monitor = build(changed(SELF, labels={"team": "a"}, size=4, agent_plugins=["One"]))
    launch = monitor.one(":InstanceConfiguration").inputs["instanceDetails"]["launchDetails"]
    assert launch["metadata"] | {"user_data": ""} == {
        "user_data": "",
        "apiserver_host": "10.0.0.5",
        "cluster_ca_cert": "Q0E=",
        "oke-k8version": "v1.32.1",
        "oke-initial-node-labels": "plinth.dev/pool=gpu,team=a",
        "oke-native-pod-networking": "true",
        "oke-max-pods": "31",
        "pod-subnets": "ocid1.subnet.s",
    }
    assert launch["agentConfig"]["pluginsConfigs"] == [{"name": "One", "desiredState": "ENABLED"}]
    network = monitor.one(":ClusterNetwork")
    assert network.inputs["instancePools"][0]["size"] == 4
    assert network.inputs["instancePools"][0]["instanceConfigurationId"] == "gpu-configuration-id"
    assert network.dependencies == ["gpu-configuration"]


def test_a_pool_on_rdma_is_in_a_compute_cluster():
    """One that is made for it in the placement's domain, or the one that was given."""
    monitor = build(METAL | {"rdma": True})
    assert monitor.one(":ComputeCluster").inputs["availabilityDomain"] == "Uocm:PHX-AD-1"
    assert monitor.one(":NodePool").inputs["nodeConfigDetails"]["computeClusterId"] == "gpu-rdma-id"
    given = build(METAL | {"rdma": True, "compute_cluster_id": "ocid1.mine"})
    assert given.one(":NodePool").inputs["nodeConfigDetails"]["computeClusterId"] == "ocid1.mine"


def test_no_image_that_fits_is_said_with_what_was_sought():
    """The fault names the pool, system, version and driver, and how to pin one."""
    wish = ImageWish("Oracle-Linux", "8", "v1.32.1")
    with pytest.raises(pulumi.RunError, match=r"gpu\.image: has none of the 1 images .*Oracle-Linux 8, v1\.32\.1"):
        component._chosen("gpu.image", [("id", "Oracle-Linux-8.10-2025.05.19-0-OKE-1.32.1-905")], wish)


def test_a_preview_says_what_comes_and_what_is_doubtful(monkeypatch):
    """A line for each pool, and one for each doubt; nothing when it is made."""
    said = []
    monkeypatch.setattr(pulumi.log, "info", lambda text, **_: said.append(text))
    monkeypatch.setattr(pulumi.log, "warn", lambda text, **_: said.append(text))
    args = changed(METAL, shape="BM.GPU.H100.8", size=0)
    build(args)
    assert said == []
    build(args, preview=True)
    assert said[0] == "pool gpu: 0 x BM.GPU.H100.8 (8 x H100), $0.00 an hour"


def test_whole_numbers_of_other_languages_are_whole():
    """Floats without a fraction are taken as the integers they stand for."""
    monitor = build(ARGS | {"size": 2.0, "max_pods": 40.0, "autoscale": {"min": 0.0, "max": 3.0}})
    assert monitor.one(":NodePool").inputs["nodeConfigDetails"]["size"] == 2


def test_the_autoscalers_entry_names_bounds_and_pool():
    """As the add-on wants it; empty where the autoscaler owns nothing."""
    args = ARGS | {"autoscale": {"max": 3}}
    assert build(args).outputs_of("gpu")["autoscaler_nodes"] == "0:3:gpu-nodes-id"
    assert build(args, preview=True).outputs_of("gpu")["autoscaler_nodes"] is UNKNOWN
    assert build(ARGS).outputs_of("gpu")["autoscaler_nodes"] == ""


def test_faults_name_the_argument_and_register_nothing():
    """All at once, as people write them in stack files."""
    seen = []

    def program():
        with pytest.raises(SpecError) as caught:
            GpuNodePool("gpu", {"shape": "VM.GPU.A10.1", "kubernetes_version": "1.32", "sise": 3})
        seen.append(str(caught.value))

    assert run(program).all() == []
    assert "gpu.kubernetes_version" in seen[0]
    assert "gpu.sise" in seen[0]
    assert "known keys" in seen[0] or "did you mean" in seen[0]


@pytest.mark.parametrize(("name", "fields"), [("gpu", {"pool": "not a label"}), ("gpu/a", {}), ("x" * 64, {})])
def test_a_pools_name_is_a_label_of_its_nodes(name, fields):
    """What cannot be the value of a label is refused, with where it stands and what may be written."""
    with pytest.raises(SpecError, match=r"\.pool: .* is no value of a label"):
        planned(name, ARGS | fields)


def test_ids_may_be_outputs_secrets_or_unknown():
    """Any id may come from another resource; what is a secret stays marked, what is unknown stays unknown."""

    def program():
        args = changed(
            ARGS,
            cluster_id=pulumi.Output.secret("c"),
            compartment_id=unknown(),
            subnet_id=pulumi.Output.from_input("s"),
        )
        GpuNodePool("gpu", args | {"image": {"id": unknown()}})

    monitor: Monitor = run(program, cloud(preview=True))
    inputs = monitor.one(":NodePool").inputs
    assert inputs["clusterId"].value == "c"
    assert inputs["compartmentId"] is UNKNOWN
    assert inputs["nodeSourceDetails"]["imageId"] is UNKNOWN
    assert inputs["nodeConfigDetails"]["placementConfigs"][0]["subnetId"] == "s"
