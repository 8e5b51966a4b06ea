"""What stands around a cluster: add-ons, identities, a place for images, secrets."""

import subprocess
import sys

import pytest
from fakes.pulumi_monitor import UNKNOWN, Secret, unknown
from support.provider_types import argument_faults

from pulumi_plinth.cluster.addons import ClusterAddons
from pulumi_plinth.cluster.identity import WorkloadIdentity
from pulumi_plinth.cluster.repository import ImageRepository
from pulumi_plinth.cluster.vault_secret import VaultSecret
from pulumi_plinth.errors import SpecError

from .conftest import CLUSTER, OCI, TOKEN

PLUGIN = {"NvidiaGpuPlugin": {"version": "v0.17.1", "configuration": {"isDcgmExporterDeployed": "true"}}}
OPERATOR = {"NvidiaGpuOperator": {"version": "v25.3.0"}, "NodeFeatureDiscovery": {"version": "auto"}}
IDENTITY = {
    "oci": OCI,
    "cluster_id": CLUSTER,
    "namespace": "serving",
    "service_account": "chat",
    "read_buckets": ["weights"],
    "write_buckets": ["results"],
    "read_secrets": ["ocid1.vaultsecret.oc1..hub"],
}
SECRET = {"secret_id": "ocid1.vaultsecret.oc1..hub", "namespace": "serving", "name": "hf-token"}


@pytest.mark.processes
def test_no_public_name_loads_a_provider():
    """`pulumi_oci` and `pulumi_kubernetes` take seconds; they are loaded when something is made with them."""
    code = (
        "import sys, pulumi_plinth as p; [getattr(p, name) for name in p.__all__]; "
        "sys.exit(bool({'pulumi_oci', 'pulumi_kubernetes'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_addons_are_installed_at_their_versions(build):
    """`auto` leaves the version to OKE, everything else is pinned; the operator waits for what it needs."""
    monitor = build(lambda: ClusterAddons("extra", {"cluster_id": CLUSTER, "addons": PLUGIN | {"CoreDNS": {"version": "auto"}}}) and None)  # fmt: skip # noqa: E501
    plugin = next(item for item in monitor.all(":Addon") if item.inputs["addonName"] == "NvidiaGpuPlugin")
    assert plugin.inputs["version"] == "v0.17.1"
    assert plugin.inputs["configurations"] == [{"key": "isDcgmExporterDeployed", "value": "true"}]
    dns = next(item for item in monitor.all(":Addon") if item.inputs["addonName"] == "CoreDNS")
    assert "version" not in dns.inputs
    monitor = build(lambda: ClusterAddons("extra", {"cluster_id": CLUSTER, "addons": OPERATOR}) and None)
    operator = next(item for item in monitor.all(":Addon") if item.inputs["addonName"] == "NvidiaGpuOperator")
    assert "extra-nodefeaturediscovery" in operator.dependencies


def test_the_autoscaler_has_its_rights_before_it_starts(build):
    """It logs in as its own pods; its policy names cluster, namespace and account."""
    args = {"cluster_id": CLUSTER, "addons": {"ClusterAutoscaler": {"version": "1.34.0"}}}
    monitor = build(lambda: ClusterAddons("extra", args | {"oci": OCI}) and None)
    addon, policy = monitor.one(":Addon"), monitor.one(":Policy")
    assert addon.inputs["configurations"] == [{"key": "authType", "value": "workload"}]
    assert "extra-autoscaler-policy" in addon.dependencies
    assert len(policy.inputs["statements"]) == 6
    who = f"service_account='cluster-autoscaler', request.principal.cluster_id='{CLUSTER}'"
    assert all(who in text for text in policy.inputs["statements"])
    assert not build(lambda: ClusterAddons("extra", args) and None).all(":Policy")
    written = args | {"addons": {"ClusterAutoscaler": {"version": "auto", "configuration": {"authType": "instance"}}}}
    (row,) = build(lambda: ClusterAddons("extra", written) and None).one(":Addon").inputs["configurations"]
    assert row["value"] == "instance"


@pytest.mark.parametrize(
    ("addons", "expected"),
    [
        (PLUGIN | OPERATOR, "has NvidiaGpuPlugin and NvidiaGpuOperator, which both hand out the GPUs"),
        ({"NvidiaGpuOperator": {"version": "v1"}}, "has NvidiaGpuOperator without NodeFeatureDiscovery"),
        ({"NvidiaGpuPlugin": {}}, "extra.addons.NvidiaGpuPlugin.version: is missing"),
        ({"NvidiaPlugin": {"version": "v1"}}, "extra.addons.NvidiaPlugin"),
    ],
)
def test_addons_that_cannot_be_are_refused(build, addons, expected):
    """Two drivers, a missing one, no version, a name that OKE does not know."""
    with pytest.raises(SpecError) as caught:
        build(lambda: ClusterAddons("extra", {"cluster_id": CLUSTER, "addons": addons}) and None)
    assert any(expected in str(fault) for fault in caught.value.faults), caught.value


def test_an_identity_may_do_what_is_named_and_nothing_else(build):
    """A statement for each bucket and secret, with verb, identity and the one thing."""
    monitor = build(lambda: WorkloadIdentity("chat", IDENTITY) and None)
    read, write, secret = monitor.one(":Policy").inputs["statements"]
    assert "read objects" in read
    assert "target.bucket.name='weights'" in read
    assert "OBJECT_CREATE" in write
    assert "DELETE" not in write
    assert "target.bucket.name='results'" in write
    assert "read secret-bundles" in secret
    assert "target.secret.id='ocid1.vaultsecret.oc1..hub'" in secret
    for statement in (read, write, secret):
        assert "request.principal.namespace='serving'" in statement
        assert "request.principal.service_account='chat'" in statement
        assert f"request.principal.cluster_id='{CLUSTER}'" in statement
    account = monitor.one(":ServiceAccount")
    assert account.inputs["metadata"] == {"name": "chat", "namespace": "serving"}


def test_an_identity_without_rights_writes_no_policy(build):
    """Only the account is made, or nothing at all."""
    bare = {key: value for key, value in IDENTITY.items() if not key.startswith(("read", "write"))}
    monitor = build(lambda: WorkloadIdentity("chat", bare) and None)
    assert [item.type.rsplit(":", 1)[1] for item in monitor.all()] == ["WorkloadIdentity", "ServiceAccount"]
    monitor = build(lambda: WorkloadIdentity("chat", bare | {"create": False}) and None)
    assert [item.name for item in monitor.all()] == ["chat"]
    assert monitor.outputs_of("chat")["service_account"] == "chat"


def test_images_have_a_private_place_whose_tags_stay(build):
    """The address has region, namespace and name."""
    monitor = build(lambda: ImageRepository("images", {"oci": OCI}) and None)
    made = monitor.one(":ContainerRepository")
    assert made.inputs["isPublic"] is False
    assert made.inputs["isImmutable"] is True
    expected = "ocir.us-phoenix-1.oci.oraclecloud.com/axnamespace/plinth/runtime"
    assert monitor.outputs_of("images")["address"] == expected


def test_a_secret_of_the_vault_is_never_plain(build):
    """Its value is secret in what is registered and in what is kept."""
    monitor = build(lambda: VaultSecret("hub", SECRET) and None)
    made = monitor.one("v1:Secret")
    assert made.inputs["data"] == Secret({"token": TOKEN})
    assert "data" in made.secret_outputs
    assert TOKEN not in str(monitor.one("VaultSecret").inputs)
    assert TOKEN not in str(monitor.outputs_of("hub"))


@pytest.mark.parametrize(
    ("component", "args"),
    [
        (ClusterAddons, {"cluster_id": CLUSTER, "addons": PLUGIN}),
        (WorkloadIdentity, IDENTITY),
        (ImageRepository, {"oci": OCI}),
        (VaultSecret, SECRET),
    ],
)
def test_every_property_is_one_the_provider_knows(build, component, args):
    """Types and names are those of the providers' own argument classes."""
    monitor = build(lambda: component("x", args) and None)
    assert len(monitor.all()) > 1
    assert [fault for item in monitor.all() for fault in argument_faults(item.type, item.inputs)] == []


@pytest.mark.parametrize(
    ("component", "args", "output"),
    [
        (ClusterAddons, lambda: {"cluster_id": unknown(), "addons": PLUGIN}, None),
        (WorkloadIdentity, lambda: IDENTITY | {"cluster_id": unknown()}, "statements"),
        (ImageRepository, lambda: {"oci": OCI | {"compartment_id": unknown()}}, "address"),
        (VaultSecret, lambda: SECRET | {"secret_id": unknown()}, None),
    ],
)
def test_nothing_is_known_at_preview(build, component, args, output):
    """Every id may be unknown."""
    monitor = build(lambda: component("x", args()) and None, preview=True)
    if output:
        assert monitor.outputs_of("x")[output] is UNKNOWN
