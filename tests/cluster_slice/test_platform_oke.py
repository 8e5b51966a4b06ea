"""A whole stack on OKE: what the file says becomes cluster, stores and policies."""

import copy

import pytest
from fakes.pulumi_monitor import Cloud, run
from support.provider_types import argument_faults

from pulumi_plinth.deployment.facts import HostFacts
from pulumi_plinth.errors import SpecError
from pulumi_plinth.fit.market import Market
from pulumi_plinth.fit.shapes import load_shapes
from pulumi_plinth.fit.storage import load_unit_prices
from pulumi_plinth.planner import Facts, plan_stack
from pulumi_plinth.platform import Platform
from pulumi_plinth.stack import StackSpec

from .conftest import COMPARTMENT, FUNCTIONS, OUTPUTS

DOCUMENT = {
    "oci": {"compartmentId": COMPARTMENT, "region": "us-phoenix-1", "homeRegion": "us-ashburn-1"},
    "cluster": {
        "kubernetesVersion": "v1.34.1",
        "addons": {"NvidiaGpuPlugin": {"version": "v0.17.1"}},
        "identities": {
            "publisher": {"namespace": "training", "serviceAccount": "publish", "writeBuckets": ["results"]}
        },
        "repository": {},
        "secrets": {"hf-token": {"secretId": "ocid1.vaultsecret.oc1..hub", "namespace": "serving"}},
    },
    "stores": {
        "weights": {"kind": "bucket", "writers": [{"namespace": "training", "serviceAccount": "publish"}]},
        "shared": {"kind": "pvc", "claim": "models", "size": "1Ti"},
    },
    "models": {"llama": {"store": "weights", "path": "meta/llama"}},
}
IMAGE = "ocid1.image.oc1..mine"
ALL_FUNCTIONS = {
    **FUNCTIONS,
    "oci:ObjectStorage/getNamespace:getNamespace": lambda _: {"namespace": "axnamespace"},
}


@pytest.fixture
def document():
    """The value under `plinth:stack`, free to be changed."""
    return copy.deepcopy(DOCUMENT)


@pytest.fixture(scope="module")
def market():
    """Shapes and prices as shipped."""
    return Market(load_shapes(), load_unit_prices())


@pytest.fixture
def plan(tmp_path, market):
    """Plan a document that needs nothing of this host."""
    facts = Facts(tmp_path, "prod", HostFacts(0), {}, market=market)
    return lambda document: plan_stack(StackSpec.parse(document), facts)


@pytest.mark.parametrize("preview", [False, True])
def test_a_stack_becomes_its_components(document, plan, preview):
    """Cluster, add-ons, identity, repository, secret and stores are made, with the provider of that cluster."""
    found = plan(document)
    monitor = run(
        lambda: Platform("p", found) and None, Cloud(preview=preview, outputs=OUTPUTS, functions=ALL_FUNCTIONS)
    )
    ours = {item.name for item in monitor.all() if item.type.startswith("plinth:")}
    assert ours == {
        "p", "p-cluster", "p-addons", "p-identity-publisher", "p-images", "p-secret-hf-token", "p-store-weights",
        "p-store-shared",
    }  # fmt: skip
    assert [fault for item in monitor.all() for fault in argument_faults(item.type, item.inputs)] == []
    for kind in (":PersistentVolumeClaim", "v1:Secret", ":ServiceAccount"):
        assert "p-kubernetes" in monitor.one(kind).provider
    assert monitor.one("pulumi:providers:kubernetes").inputs["clusterIdentifier"] == "plinth-prod"


def test_names_of_buckets_are_made_of_stack_and_store(document, plan):
    """Two stacks in one tenancy never meet."""
    found = plan(document)
    monitor = run(lambda: Platform("p", found) and None, Cloud(outputs=OUTPUTS, functions=ALL_FUNCTIONS))
    assert monitor.one(":Bucket").inputs["name"] == "plinth-prod-weights"
    (policy,) = [item for item in monitor.all(":Policy") if item.name == "p-store-weights-policy"]
    assert all("plinth-prod-weights" in text for text in policy.inputs["statements"])
    assert any("cluster_id='p-cluster-cluster-id'" in text for text in policy.inputs["statements"])


def test_pools_stand_in_the_cluster_that_is_made(document, plan, market):
    """Cluster, subnets and version of a pool are those of the stack's cluster unless it names others."""
    document["pools"] = {
        "a10": {
            "shape": "VM.GPU.A10.1",
            "placements": [{"availabilityDomain": "Uocm:PHX-AD-1"}],
            "image": {"id": IMAGE},
        }
    }
    found = plan(document)
    monitor = run(lambda: Platform("p", found) and None, Cloud(outputs=OUTPUTS, functions=ALL_FUNCTIONS))
    (pool,) = [item for item in monitor.all(":NodePool") if item.name.startswith("p-pool-a10")]
    assert pool.inputs["clusterId"] == "p-cluster-cluster-id"
    assert pool.inputs["kubernetesVersion"] == "v1.34.1"
    (placement,) = pool.inputs["nodeConfigDetails"]["placementConfigs"]
    assert placement["subnetId"] == "p-cluster-nodes-subnet-id"
    pods = pool.inputs["nodeConfigDetails"]["nodePoolPodNetworkOptionDetails"]
    assert pods["podSubnetIds"] == ["p-cluster-pods-subnet-id"]


def test_the_plan_shows_statements_and_subnets(document, plan):
    """What would be granted and made is in `plinth plan --json`, with what only the cloud knows left open."""
    said = plan(document).to_json()
    (store,) = [item for item in said["stores"] if item["name"] == "weights"]
    assert store["uris"] == {"llama": "oci://n/<namespace>/b/plinth-prod-weights/o/meta/llama"}
    assert any("request.principal.cluster_id='<cluster>'" in text for text in store["statements"])
    assert all(f"compartment id {COMPARTMENT} where" in text for text in store["statements"])
    assert all("target.bucket.name='plinth-prod-weights'" in text for text in store["statements"])
    assert {"subject": "access", "text": "training/publish publishes; written in us-ashburn-1"} in store["reasons"]
    assert said["cluster"]["subnets"]["pods"] == "10.0.128.0/17"
    assert any("target.bucket.name='results'" in text for text in said["cluster"]["statements"])


def test_a_claim_lives_where_the_pods_are(document, plan):
    """Pods mount claims of their own namespace only, so that it is the default."""
    document["kubernetes"] = {"namespace": "serving"}
    (found,) = [store for store in plan(document).stores if store.name == "shared"]
    assert found.location == "pvc://serving:models/"
    assert found.args["namespace"] == "serving"


def test_servers_of_the_stack_may_read_their_store(document, plan):
    """A deployment on the cluster is a reader of the store of its model, by its own service account."""
    document["kubernetes"] = {"namespace": "serving", "image": "registry.example/plinth@sha256:" + "a" * 64}
    document["deployments"] = {"chat": {"model": "llama", "target": "kubernetes", "shape": "VM.GPU.A10.1"}}
    spec = StackSpec.parse(document)
    from pulumi_plinth.located import located, readers
    from pulumi_plinth.store.plan import StoreCase, plan_store

    (reader,) = readers(spec, "weights")
    assert (reader.namespace, reader.service_account) == ("serving", "chat")
    case = StoreCase(
        "weights", models=spec.models_in("weights"), oci=spec.oci, readers=(reader,), cluster_id="ocid1.pending"
    )
    store = plan_store(case, spec.stores["weights"])
    assert any("service_account='chat'" in text and "read objects" in text for text in store.statements)
    storage = located(spec, [store])["llama"].storage
    assert storage.uri == "oci://plinth-weights/meta/llama"
    assert storage.parameters == {"region": "us-phoenix-1"}


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("oci", None, 'plinth:stack.stores.weights.kind: "bucket" is on OCI, and the stack does not say'),
        ("oci.region", "Phoenix", 'plinth:stack.oci.region: "Phoenix" is not written as it must be'),
        ("oci.compartmentId", None, "plinth:stack.oci.compartmentId: is missing"),
        ("cluster", None, 'writers.0: "publish" names no cluster, and the stack has none'),
        ("cluster.kubernetesVersion", None, "plinth:stack.cluster: "),
        ("cluster.network", {"nodes": 5000}, "plinth:stack.cluster.network.cidr"),
        ("cluster.addons.NvidiaGpuPlugin.version", "latest", "plinth:stack.cluster.addons.NvidiaGpuPlugin.version"),
        ("cluster.secrets.hf-token.secretId", "hf_abcdefghijkl", "plinth:stack.cluster.secrets.hf-token.secretId"),
        ("stores.weights.versionning", "enabled", "is an unknown key; did you mean 'versioning'?"),
    ],
)
def test_faults_of_a_stack_have_their_path(document, plan, path, value, expected):
    """Each fault names where it is and what to write, also where a whole part is wrong."""
    *parents, last = path.split(".")
    part = document
    for key in parents:
        part = part[key]
    part[last] = value
    if value is None:
        del part[last]
    with pytest.raises(SpecError) as caught:
        plan(document)
    assert any(expected in str(fault) for fault in caught.value.faults), caught.value
