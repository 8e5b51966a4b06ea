"""What an excellent component package shows: the behaviours of stores, identities and secrets, by their number."""

import re

import pulumi
import pytest
from fakes.pulumi_monitor import Secret, run
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.components import BUCKET, CLUSTER, OCI, TOKEN, cloud

from pulumi_plinth.cluster.identity import WorkloadIdentity
from pulumi_plinth.cluster.vault_secret import VaultSecret
from pulumi_plinth.errors import SpecError
from pulumi_plinth.store.component import ModelStore

STATEMENT = re.compile(
    r"Allow any-user to (?P<verb>read objects|\{OBJECT_[A-Z, _]+\}|read secret-bundles) in compartment id "
    r"(?P<compartment>ocid1\.[^ ]+) where all \{request\.principal\.type='workload', "
    r"request\.principal\.namespace='(?P<namespace>[a-z0-9-]+)', "
    r"request\.principal\.service_account='(?P<account>[a-z0-9.-]+)', "
    r"request\.principal\.cluster_id='(?P<cluster>ocid1\.[^']+)', "
    r"target\.(?P<kind>bucket\.name|secret\.id)='(?P<target>[^']+)'\}"
)
SERVICE = re.compile(
    r"Allow service objectstorage-us-phoenix-1 to (?:manage object-family|use keys) in compartment id ocid1\.[^ ]+ "
    r"where all \{target\.(?:bucket\.name|key\.id)='(?P<target>[^']+)'\}"
)
GENTLE = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def store(args, opts=None):
    """Register a store named `weights`."""
    return run(lambda: ModelStore("weights", args, opts) and None, cloud())


def test_behaviour_11_buckets_are_private_versioned_and_protected():
    """By default; and one flag, and nothing else, turns protection off."""
    bucket = store(BUCKET).one(":Bucket")
    assert bucket.inputs["accessType"] == "NoPublicAccess"
    assert bucket.inputs["versioning"] == "Enabled"
    assert bucket.protect
    open_ = store(BUCKET | {"protect": False}).one(":Bucket")
    assert not open_.protect
    assert open_.inputs == bucket.inputs
    assert not open_.retain_on_delete
    assert store(BUCKET | {"retain": True}).one(":Bucket").retain_on_delete


NAMES = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?", fullmatch=True)
IDENTITIES = st.lists(st.fixed_dictionaries({"namespace": NAMES, "service_account": NAMES}), max_size=4)
WRITTEN = st.fixed_dictionaries(
    {},
    optional={
        "bucket": st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,20}", fullmatch=True),
        "prefix": st.lists(NAMES, min_size=1, max_size=3).map("/".join),
        "versioning": st.sampled_from(["enabled", "suspended", "disabled"]),
        "keep_old_versions_days": st.integers(1, 3650),
        "abort_uploads_days": st.floats(1, 100).map(lambda value: float(int(value))),
        "key": st.sampled_from([{"create": True}, {"id": "ocid1.key.oc1..k"}]),
        "replication": st.just({"region": "us-ashburn-1", "bucket": "copy"}),
        "private_endpoint": st.just({"subnet_id": "ocid1.subnet.oc1..a", "prefix": "weights"}),
        "retention": st.just([{"name": "year", "days": 365}]),
        "readers": IDENTITIES,
        "writers": IDENTITIES,
        "protect": st.booleans(),
        "retain": st.booleans(),
        "policies": st.sampled_from(["create", "show"]),
    },
)


@pytest.mark.slow
@GENTLE
@given(WRITTEN)
def test_behaviour_11_no_arguments_make_a_bucket_public(written):
    """Whatever is written, a bucket is private, its key is only made on request, and its rules fit its versions."""
    args = {"kind": "bucket", "oci": OCI, "cluster_id": CLUSTER} | written
    try:
        monitor = store(args)
    except SpecError as error:
        assert "retention" in str(error)  # noqa: PT017 the only thing here that can be refused
        assert written.get("versioning", "enabled") == "enabled"
        return
    bucket = monitor.one(":Bucket")
    assert bucket.inputs["accessType"] == "NoPublicAccess"
    assert bucket.protect == written.get("protect", True)
    assert bool(monitor.all(":Key")) == (written.get("key") == {"create": True})
    targets = {rule["target"] for rule in monitor.one(":ObjectLifecyclePolicy").inputs["rules"]}
    assert ("previous-object-versions" in targets) == (bucket.inputs["versioning"] != "Disabled")
    assert all(item.name.startswith("weights-") for item in monitor.all()[1:])
    wanted = {(item["namespace"], item["service_account"]) for item in written.get("readers", [])}
    for text in [text for item in monitor.all(":Policy") for text in item.inputs["statements"]]:
        found = STATEMENT.fullmatch(text) or SERVICE.fullmatch(text)
        assert found, text
        if found.re is STATEMENT and found["verb"] == "read objects":
            assert (found["namespace"], found["account"]) in wanted
            assert found["target"] == bucket.inputs["name"]


@pytest.mark.parametrize("where", ["secret", "bucket id"])
def test_behaviour_12_a_secret_is_never_plain(where):
    """Neither a vault's value nor an id that was given as secret shows in any input, output or log."""
    if where == "secret":
        args = {"secret_id": "ocid1.vaultsecret.oc1..s", "namespace": "serving", "name": "hf-token"}
        monitor = run(lambda: VaultSecret("hub", args) and None, cloud())
        assert monitor.one("v1:Secret").inputs["data"] == Secret({"token": TOKEN})
        hidden = TOKEN
    else:
        hidden = "ocid1.compartment.oc1..hidden"
        oci = OCI | {"compartment_id": hidden}

        def program():
            ModelStore("weights", BUCKET | {"oci": oci | {"compartment_id": pulumi.Output.secret(hidden)}})

        monitor = run(program, cloud())
    sent = [(item.inputs, monitor.outputs.get(item.urn)) for item in monitor.all()]
    assert hidden not in str(_plain(sent))


def _plain(value):
    if isinstance(value, Secret):
        return None
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def test_behaviour_20_statements_name_who_where_and_what():
    """Each statement has namespace, service account and cluster, and grants one verb on one bucket alone."""
    writers = [{"namespace": "training", "service_account": "publish"}]
    statements = store(BUCKET | {"writers": writers}).one(":Policy").inputs["statements"]
    found = [match for text in statements if (match := STATEMENT.fullmatch(text))]
    others = [text for text in statements if not STATEMENT.fullmatch(text)]
    assert all(SERVICE.fullmatch(text) for text in others)
    assert {(item["verb"].split()[0], item["namespace"], item["account"]) for item in found} == {
        ("read", "serving", "chat"),
        ("{OBJECT_INSPECT,", "training", "publish"),
    }
    assert {(item["cluster"], item["target"], item["compartment"]) for item in found} == {
        (CLUSTER, "team-weights", OCI["compartment_id"])
    }
    assert not any(word in item["verb"] for item in found for word in ("manage", "DELETE", "use ", "inspect"))


@GENTLE
@given(st.lists(NAMES, max_size=3, unique=True), st.lists(NAMES, max_size=3, unique=True), NAMES, NAMES)
def test_behaviour_20_an_identity_has_exactly_what_is_named(read, write, namespace, account):
    """As many statements as things named, each for one of them."""
    args = {
        "oci": OCI, "cluster_id": CLUSTER, "namespace": namespace, "service_account": account, "create": False,
        "read_buckets": read, "write_buckets": write,
    }  # fmt: skip
    monitor = run(lambda: WorkloadIdentity("it", args) and None, cloud())
    texts = [text for item in monitor.all(":Policy") for text in item.inputs["statements"]]
    found = [STATEMENT.fullmatch(text) for text in texts]
    assert all(found)
    assert {(item["verb"] == "read objects", item["target"]) for item in found} == {
        *((True, name) for name in read),
        *((False, name) for name in write),
    }
    assert all((item["namespace"], item["account"], item["cluster"]) == (namespace, account, CLUSTER) for item in found)
