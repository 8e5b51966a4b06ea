"""What a bucket store registers."""

import pulumi
import pytest
from fakes.pulumi_monitor import UNKNOWN, unknown
from support.provider_types import argument_faults

from pulumi_plinth.errors import SpecError

from .conftest import CLUSTER, COMPARTMENT, OCI, PUBLISHER, SERVER

EVERYTHING = {
    "key": {"create": True},
    "versioning": "suspended",
    "retention": [{"name": "year", "days": 365}, {"name": "for-good", "locked_from": "2027-01-01T00:00:00Z"}],
    "replication": {"region": "us-ashburn-1", "bucket": "weights-copy"},
    "private_endpoint": {"subnet_id": "ocid1.subnet.oc1..a", "prefix": "weights", "nsg_ids": ["ocid1.nsg.oc1..a"]},
}


def test_a_bucket_is_private_versioned_and_has_its_rules(make, bucket_args):
    """Nothing but the store's arguments is needed for a safe bucket."""
    monitor = make(bucket_args)
    bucket = monitor.one(":Bucket")
    assert bucket.inputs["accessType"] == "NoPublicAccess"
    assert bucket.inputs["versioning"] == "Enabled"
    assert bucket.inputs["namespace"] == "axnamespace"
    assert "kmsKeyId" not in bucket.inputs
    rules = {rule["name"]: rule for rule in monitor.one("ObjectLifecyclePolicy").inputs["rules"]}
    assert rules["old-versions"]["target"] == "previous-object-versions"
    assert (rules["old-versions"]["timeAmount"], rules["old-versions"]["timeUnit"]) == ("30", "DAYS")
    assert (rules["abort-uploads"]["action"], rules["abort-uploads"]["timeAmount"]) == ("ABORT", "7")


def test_addresses_and_statements_are_outputs(make, bucket_args):
    """Each model has an address that the runtime reads; statements name what was only known at deployment."""
    seen = {}
    make(bucket_args | {"prefix": "teams/search"}, seen=seen)
    assert seen["location"] == "oci://n/axnamespace/b/team-weights/o/teams/search/"
    assert seen["uris"] == {
        "llama": "oci://n/axnamespace/b/team-weights/o/teams/search/meta/llama-3",
        "qwen": "oci://n/axnamespace/b/team-weights/o/teams/search/qwen",
    }
    assert all(COMPARTMENT in statement and "team-weights" in statement for statement in seen["statements"])


def test_no_key_is_made_unless_asked(make, bucket_args):
    """A customer key is made for `create` only, in a vault that is there or one that is made with it."""
    assert not make(bucket_args).all("Key")
    given = make(bucket_args | {"key": {"id": "ocid1.key.oc1..k"}})
    assert not given.all("Key")
    assert given.one(":Bucket").inputs["kmsKeyId"] == "ocid1.key.oc1..k"
    inside = make(bucket_args | {"key": {"create": True, "vault_id": "ocid1.vault.oc1..v"}})
    assert not inside.all(":Vault")
    assert inside.one(":Key").inputs["managementEndpoint"] == "https://existing.kms.example"
    made = make(bucket_args | {"key": {"create": True}})
    assert made.one(":Key").inputs["managementEndpoint"] == "https://made.kms.example"
    assert made.one(":Key").protect
    assert made.one(":Vault").protect
    assert made.one(":Bucket").inputs["kmsKeyId"] == "weights-key-id"


def test_the_policy_is_there_before_what_needs_it(make, bucket_args):
    """Bucket and rules wait for the statements that let the service use key and objects."""
    monitor = make(bucket_args | {"key": {"create": True}})
    for kind in ("Bucket", "ObjectLifecyclePolicy"):
        assert "weights-policy" in monitor.one(kind).dependencies
    statements = monitor.one(":Policy").inputs["statements"]
    assert any("use keys" in text and "target.key.id='weights-key-id'" in text for text in statements)


def test_a_policy_is_written_in_the_home_region(make, bucket_args):
    """IAM lives in one region: where that is another one, the policy alone has a provider of its own."""
    monitor = make(bucket_args | {"oci": OCI | {"home_region": "us-ashburn-1", "profile": "TEAM"}})
    home = monitor.one("pulumi:providers:oci")
    assert home.inputs["region"] == "us-ashburn-1"
    assert home.inputs["configFileProfile"] == "TEAM"
    assert home.urn in monitor.one(":Policy").provider
    assert not monitor.one(":Bucket").provider
    assert not make(bucket_args | {"oci": OCI | {"home_region": OCI["region"]}}).all("pulumi:providers:oci")


def test_policies_can_be_only_shown(make, bucket_args):
    """Where others own IAM, nothing is written and the statements are an output."""
    seen = {}
    monitor = make(bucket_args | {"policies": "show"}, seen=seen)
    assert not monitor.all(":Policy")
    assert len(seen["statements"]) == 3


def test_an_existing_bucket_is_left_alone(make, bucket_args):
    """Only who may use it is written."""
    monitor = make(bucket_args | {"existing": True})
    assert [item.name for item in monitor.all()] == ["weights", "weights-policy"]
    assert all("service objectstorage" not in text for text in monitor.one(":Policy").inputs["statements"])


def test_tags_of_others_are_no_difference(make, bucket_args):
    """What tag defaults add is ignored; our own tags are set on everything that can have them."""
    tags = {"tags": {"team": "search"}, "defined_tags": {"Cost.Center": "42"}, "ignore_tags": ["Oracle-Tags.CreatedBy"]}
    monitor = make(bucket_args | EVERYTHING | {"oci": OCI | tags})
    assert monitor.one(":Bucket").ignore_changes == ['definedTags["Oracle-Tags.CreatedBy"]']
    for item in monitor.all():
        if "freeformTags" in str(item.inputs):
            assert item.inputs["freeformTags"] == {"team": "search"}
            assert item.inputs["definedTags"] == {"Cost.Center": "42"}
    assert monitor.one(":Policy").inputs["freeformTags"] == {"team": "search"}


@pytest.mark.parametrize("more", [{}, EVERYTHING, {"existing": True}, {"retain": True, "protect": False}])
def test_every_property_is_one_the_provider_knows(make, bucket_args, more):
    """Types and names are those of the provider's own argument classes."""
    monitor = make(bucket_args | more)
    assert [fault for item in monitor.all() for fault in argument_faults(item.type, item.inputs)] == []


@pytest.mark.parametrize("more", [{}, EVERYTHING])
def test_nothing_is_known_at_a_preview_of_a_new_cluster(make, bucket_args, more):
    """With unknown ids everything registers, and what depends on them is unknown."""
    seen = {}

    def args():
        oci = OCI | {"compartment_id": unknown(), "namespace": unknown()}
        return bucket_args | more | {"oci": oci, "cluster_id": unknown()}

    monitor = make(args, preview=True, seen=seen)
    assert seen == {}
    assert monitor.one(":Policy").inputs["statements"] is UNKNOWN
    assert monitor.one(":Bucket").inputs["compartmentId"] is UNKNOWN
    assert monitor.one(":Bucket").inputs["name"] == "team-weights"


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"kind": "buckets"}, 'weights.kind: "buckets" is not known here; write folder, bucket'),
        ({"buckt": "x"}, "weights.buckt: is an unknown key; did you mean 'bucket'?"),
        ({"versioning": "on"}, "weights.versioning"),
        ({"keep_old_versions_days": 0}, "weights.keep_old_versions_days: 0 is too small; write at least 1"),
        ({"key": {}}, "weights.key: {} needs exactly one of id and create"),
        ({"key": {"id": "my-key"}}, 'weights.key.id: "my-key" is not written as it must be'),
        ({"key": {"id": "ocid1.key.oc1..k", "create": True}}, "needs exactly one of id and create"),
        ({"key": {"id": "ocid1.key.oc1..k", "vault_id": "ocid1.vault.oc1..v"}}, "has a vaultId without create"),
        ({"retention": [{"name": "year", "days": 365}]}, "has retention rules and versioning, which OCI refuses"),
        (
            {"versioning": "disabled", "retention": [{"name": "year"}, {"name": "year"}]},
            "has the retention rule year more than once",
        ),
        ({"existing": True, "versioning": "enabled"}, "is existing, which is never changed, and says versioning"),
        ({"existing": True, "bucket": None}, "is existing without a name"),
        ({"oci": None}, 'weights.kind: "bucket" is on OCI'),
        ({"oci": {**OCI, "region": "Phoenix"}}, 'weights.oci.region: "Phoenix" is not written as it must be'),
        ({"cluster_id": None}, 'weights.readers.0: "chat" names no cluster, and the stack has none'),
        ({"readers": [{"namespace": "a'b", "service_account": "x"}]}, "weights.readers.0.namespace"),
        ({"readers": [{"namespace": "ab", "service_account": "x' , any {"}]}, "weights.readers.0.service_account"),
        ({"bucket": "x'}"}, "weights.bucket"),
        ({"prefix": "../up"}, "weights.prefix"),
        ({"models": {"llama": "a//b"}}, "weights.models.llama"),
    ],
)
def test_what_is_wrong_is_told_before_anything_is_registered(make, bucket_args, more, expected):
    """The path, the value and what to write."""
    args = {key: value for key, value in (bucket_args | more).items() if value is not None}
    found = []

    def refused():
        return args

    with pytest.raises(SpecError) as caught:
        found.append(make(refused))
    assert any(expected in str(fault) for fault in caught.value.faults), caught.value
    assert found == []


def test_an_id_that_would_widen_a_statement_is_refused(make, bucket_args):
    """A cluster id that ends its quotes never becomes part of a statement."""
    bad = f"{CLUSTER}' , any {{request.principal.type='user"
    with pytest.raises(Exception, match="nothing is granted to it"):
        make(lambda: bucket_args | {"cluster_id": pulumi.Output.from_input(bad)})


def test_order_and_repetition_of_pods_change_nothing(make, bucket_args):
    """Readers are a set for OCI, so they are one here."""
    other = {"namespace": "serving", "service_account": "embed"}
    one = make(bucket_args | {"readers": [SERVER, other]}).one(":Policy").inputs
    two = make(bucket_args | {"readers": [other, SERVER, other]}).one(":Policy").inputs
    assert one == two
    assert PUBLISHER["service_account"] in str(one)


def test_a_cluster_of_one_reader_is_a_plain_id(make, bucket_args):
    """What is known only later would be written into a statement as a stand-in: it is refused."""
    with pytest.raises(SpecError, match="have a cluster that is known only later"):
        make(lambda: bucket_args | {"readers": [SERVER | {"cluster_id": unknown()}]})
