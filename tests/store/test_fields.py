"""Every field of a store, of a cluster and of what OCI resources share changes something, or it is a bug."""

import pytest
from fakes.pulumi_monitor import Cloud, run
from support.components import CLUSTER, FUNCTIONS

from pulumi_plinth.cluster.component import GpuCluster
from pulumi_plinth.cluster.network_spec import NetworkSpec
from pulumi_plinth.cluster.plan import plan_cluster
from pulumi_plinth.cluster.spec import ClusterSpec, SystemPoolSpec
from pulumi_plinth.oci_spec import OciSpec
from pulumi_plinth.store.args import args_of
from pulumi_plinth.store.bucket_spec import BucketStoreSpec
from pulumi_plinth.store.component import ModelStore
from pulumi_plinth.store.plan import StoreCase, plan_store
from pulumi_plinth.store.volume_spec import FssStoreSpec, LustreStoreSpec, PvcStoreSpec, S3StoreSpec

from .conftest import OUTPUTS

pytestmark = pytest.mark.slow

SHARED = {"compartment_id": "ocid1.compartment.oc1..team", "region": "us-phoenix-1", "home_region": "us-ashburn-1"}
MADE = {"availability_domain": "AD-1", "subnet_id": "ocid1.subnet.oc1..a"}
POD = {"namespace": "serving", "service_account": "chat"}

STORES = [
    (BucketStoreSpec, {"kind": "bucket", "readers": [POD]}, {
        "bucket": "other", "existing": None, "prefix": "a/b", "versioning": "suspended", "keep_old_versions_days": 3,
        "abort_uploads_days": 3, "key": {"id": "ocid1.key.oc1..k"},
        "retention": ({"versioning": "disabled"}, [{"name": "year", "days": 365}]),
        "replication": {"region": "us-ashburn-1", "bucket": "copy"},
        "private_endpoint": {"subnet_id": "ocid1.subnet.oc1..a", "prefix": "w"}, "readers": [], "writers": [POD],
        "policies": "show", "protect": False, "retain": True,
    }),
    (PvcStoreSpec, {"kind": "pvc", "size": "1Ti"}, {
        "claim": "other", "namespace": "other", "prefix": "a", "protect": False, "size": "2Ti", "storage_class": "fast",
        "access": "ReadOnlyMany",
    }),
    (FssStoreSpec, {"kind": "fss", **MADE, "clients": "10.0.0.0/16"}, {
        "claim": "other", "namespace": "other", "prefix": "a", "protect": False, "file_system_id": None,
        "mount_target": None, "export_path": "/other", "availability_domain": "AD-2", "subnet_id": "ocid1.subnet.b",
        "clients": "10.0.0.0/17", "key_id": "ocid1.key.oc1..k",
    }),
    (FssStoreSpec, {"kind": "fss", "file_system_id": "ocid1.filesystem.oc1..a", "mount_target": "10.0.0.4"}, {
        "file_system_id": "ocid1.filesystem.oc1..b", "mount_target": "10.0.0.5",
    }),
    (LustreStoreSpec, {"kind": "lustre", **MADE, "capacity_tb": 35}, {
        "claim": "other", "namespace": "other", "prefix": "a", "protect": False, "address": None, "file_system": "new",
        "capacity_tb": 40, "throughput": 250, "availability_domain": "AD-2", "subnet_id": "ocid1.subnet.b",
        "key_id": "ocid1.key.oc1..k",
    }),
    (LustreStoreSpec, {"kind": "lustre", "address": "10.0.0.4@tcp"}, {"address": "10.0.0.5@tcp"}),
    (S3StoreSpec, {"kind": "s3", "bucket": "weights"}, {
        "bucket": "other", "endpoint": "https://minio.example", "region": "eu-west-1", "prefix": "a", "secret": "keys",
    }),
]  # fmt: skip
ROWS = [
    (spec, base, field, value) for spec, base, others in STORES for field, value in others.items() if value is not None
]


def registered(spec, written, oci=SHARED):
    """What a store plans and registers."""
    case = StoreCase("weights", models={"tiny": "tiny"}, oci=OciSpec.model_validate(oci), cluster_id=CLUSTER)
    plan = plan_store(case, spec.model_validate(written))
    monitor = run(
        lambda: ModelStore("weights", args_of(plan, CLUSTER)) and None, Cloud(outputs=OUTPUTS, functions=FUNCTIONS)
    )
    return plan.to_json(), plan.client, plan.secret, _known(monitor)


def _known(monitor):
    """Registrations of children: the component's own inputs repeat what was written."""
    return [
        (urn, sent) for urn, sent in monitor.normal() if not urn.split("::")[-2].endswith(("ModelStore", "GpuCluster"))
    ]


@pytest.mark.parametrize(
    ("spec", "base", "field", "value"), ROWS, ids=lambda value: value if isinstance(value, str) else ""
)
def test_every_field_of_a_store_matters(spec, base, field, value):
    """Another value is another plan, or other resources."""
    if isinstance(value, tuple):
        more, value = value
        base = base | more
    assert registered(spec, base) != registered(spec, base | {field: value})


def test_an_existing_bucket_registers_less():
    """The field that leaves a bucket alone."""
    base = {"kind": "bucket", "bucket": "weights", "readers": [POD]}
    assert registered(BucketStoreSpec, base) != registered(BucketStoreSpec, base | {"existing": True})


def test_no_field_of_a_store_is_forgotten():
    """The table above has every field but the kind."""
    for spec in (BucketStoreSpec, PvcStoreSpec, FssStoreSpec, LustreStoreSpec, S3StoreSpec):
        listed = {field for kind, _, others in STORES if kind is spec for field in others}
        assert listed == set(spec.model_fields) - {"kind"}


OCI_OTHERS = {
    "compartment_id": "ocid1.compartment.oc1..other", "region": "us-chicago-1", "home_region": "us-phoenix-1",
    "tenancy_id": "ocid1.tenancy.oc1..t", "namespace": "other", "auth": "InstancePrincipal", "profile": "TEAM",
    "tags": {"team": "a"}, "defined_tags": {"Cost.Center": "42"}, "ignore_tags": ["Oracle-Tags.CreatedBy"],
}  # fmt: skip


@pytest.mark.parametrize("field", OciSpec.model_fields)
def test_every_field_of_oci_matters(field):
    """What all resources share reaches them, their provider or their statements."""
    base = {"kind": "bucket", "readers": [POD]}
    assert registered(BucketStoreSpec, base) != registered(BucketStoreSpec, base, SHARED | {field: OCI_OTHERS[field]})


PINNED = {"system_pool": {"image_id": "ocid1.image.oc1..i"}}
CLUSTER_BASE = {"kubernetes_version": "v1.34.1"}
CLUSTER_OTHERS = {
    "id": ({"kubernetes_version": None}, CLUSTER), "kubernetes_version": (PINNED, "v1.33.1"), "name": "other",
    "public": ({"allowed": ["192.0.2.0/24"]}, True), "allowed": ["192.0.2.0/24"], "key_id": "ocid1.key.oc1..k",
    "addons": {"CoreDNS": {"version": "auto"}}, "repository": {}, "protect": False,
    "identities": {"a": {**POD, "read_buckets": ["b"]}},
    "secrets": {"a": {"secret_id": "ocid1.vaultsecret.oc1..s", "namespace": "n"}},
}  # fmt: skip
NETWORK_OTHERS = {
    "cidr": "10.1.0.0/16", "services": "10.97.0.0/16", "nodes": 32, "pods_per_node": 60, "load_balancers": "public",
    "clients": ["192.0.2.0/24"],
    "existing": {name: f"ocid1.subnet.oc1..{name}" for name in
                 ("vcn_id", "api_subnet_id", "node_subnet_id", "pod_subnet_id", "load_balancer_subnet_id")},
}  # fmt: skip
POOL_OTHERS = {
    "shape": "VM.Standard.E4.Flex", "ocpus": 4, "memory_gib": 32, "size": 1, "image_id": "ocid1.image.oc1..i",
}  # fmt: skip


def cluster(written):
    """What a cluster plans and registers; what stands around it is in the plan's spec."""
    written = {key: value for key, value in written.items() if value is not None}
    spec = ClusterSpec.model_validate(written)
    plan = plan_cluster(spec, "main")
    own = {key: value for key, value in written.items() if key not in ("addons", "identities", "secrets", "repository")}
    monitor = run(
        lambda: GpuCluster("main", {**own, "oci": SHARED}) and None, Cloud(outputs=OUTPUTS, functions=FUNCTIONS)
    )
    return plan.to_json(), plan.spec.repository, plan.spec.secrets, _known(monitor)


PARTS = {"network": NETWORK_OTHERS, "system_pool": POOL_OTHERS}


@pytest.mark.parametrize(("part", "field"), [(part, field) for part, others in PARTS.items() for field in others])
def test_every_field_of_a_clusters_parts_matters(part, field):
    """Network and system pool, field by field."""
    assert cluster(CLUSTER_BASE) != cluster(CLUSTER_BASE | {part: {field: PARTS[part][field]}})


def test_no_field_of_a_cluster_is_forgotten():
    """The tables above have every field."""
    assert set(CLUSTER_OTHERS) | set(PARTS) == set(ClusterSpec.model_fields)
    assert set(NETWORK_OTHERS) == set(NetworkSpec.model_fields)
    assert set(POOL_OTHERS) == set(SystemPoolSpec.model_fields)


@pytest.mark.parametrize("field", CLUSTER_OTHERS)
def test_every_field_of_a_cluster_matters(field):
    """Another value is another plan, or other resources."""
    value, base = CLUSTER_OTHERS[field], CLUSTER_BASE
    if isinstance(value, tuple):
        more, value = value
        base = base | more
    before = CLUSTER_BASE if field == "id" else base
    assert cluster(before) != cluster(base | {field: value})
