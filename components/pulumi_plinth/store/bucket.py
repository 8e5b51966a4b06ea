"""Effects of a bucket store: policy, key, bucket, its rules, its copy, its address inside a network."""

from typing import Any

import pulumi
import pulumi_oci as oci

from pulumi_plinth.oci_args import ignored_tags, in_home_region, settled, tags_of
from pulumi_plinth.oci_policy import BUCKET, CLUSTER, COMPARTMENT, KEY, NAMESPACE, fill
from pulumi_plinth.options import main_child
from pulumi_plinth.store.bucket_plan import BucketPlan
from pulumi_plinth.store.build import Build


def make_bucket(build: Build) -> dict[str, pulumi.Input[str]]:
    """Make what the plan says. Returns the values that addresses and statements leave open."""
    plan = build.plan.bucket
    assert plan is not None, "the plan of a bucket store has a bucket"  # noqa: S101 a wall between plan and effects
    namespace = _namespace(build)
    values: dict[str, pulumi.Input[str]] = {
        COMPARTMENT: build.args["oci"]["compartment_id"],
        BUCKET: plan.name,
        NAMESPACE: namespace,
    }
    if (cluster := build.args.get("cluster_id")) is not None:
        values[CLUSTER] = cluster
    if (key := _key(build, plan)) is not None:
        values[KEY] = key
    policy = _policy(build, plan, values)
    if not plan.spec.existing:
        _bucket(build, plan, values, [policy] if policy else [])
    if plan.spec.private_endpoint:
        _private_endpoint(build, plan, namespace)
    return values


def _namespace(build: Build) -> pulumi.Input[str]:
    given = build.args["oci"].get("namespace")
    if given is not None:
        return given
    found = oci.objectstorage.get_namespace_output(
        compartment_id=build.args["oci"]["compartment_id"],
        opts=pulumi.InvokeOutputOptions(parent=build.component),
    )
    return found.namespace


def _key(build: Build, plan: BucketPlan) -> pulumi.Input[str] | None:
    given = build.args.get("key", {})
    if plan.spec.key is None or "id" in given:
        return given.get("id")
    assert build.oci is not None  # noqa: S101 store_faults was asked
    common: dict[str, Any] = {"compartment_id": build.args["oci"]["compartment_id"], **tags_of(build.oci)}
    guarded = build.inside(protect=plan.spec.protect)
    vault = given.get("vault_id")
    endpoint: pulumi.Input[str]
    if vault is not None:
        found = oci.kms.get_vault_output(vault_id=vault, opts=pulumi.InvokeOutputOptions(parent=build.component))
        endpoint = found.management_endpoint
    else:
        made = oci.kms.Vault(
            build.child("vault"), display_name=build.child("vault"), vault_type="DEFAULT", **common, opts=guarded
        )
        endpoint = made.management_endpoint
    key = oci.kms.Key(
        build.child("key"),
        display_name=build.child("key"),
        key_shape={"algorithm": "AES", "length": 32},
        management_endpoint=endpoint,
        protection_mode="HSM",
        **common,
        opts=guarded,
    )
    return key.id


def _policy(build: Build, plan: BucketPlan, values: dict[str, pulumi.Input[str]]) -> pulumi.Resource | None:
    assert build.oci is not None  # noqa: S101 store_faults was asked
    if not plan.statements or plan.spec.policies == "show":
        return None
    statements = settled(values).apply(lambda found: [fill(text, found) for text in plan.statements])
    return oci.identity.Policy(
        build.child("policy"),
        compartment_id=build.args["oci"]["compartment_id"],
        name=build.child("policy"),
        description=f"Who may use the bucket {plan.name}",
        statements=statements,
        **tags_of(build.oci),
        opts=in_home_region(build.component, build.name, build.oci, build.args["oci"]),
    )


def _bucket(build: Build, plan: BucketPlan, values: dict[str, pulumi.Input[str]], needs: list[pulumi.Resource]) -> None:
    assert build.oci is not None  # noqa: S101 store_faults was asked
    spec = plan.spec
    guard = pulumi.ResourceOptions(
        protect=spec.protect or None,
        retain_on_delete=spec.retain or None,
        ignore_changes=ignored_tags(build.oci),
        depends_on=needs,
    )
    bucket = oci.objectstorage.Bucket(
        build.child("bucket"),
        compartment_id=values[COMPARTMENT],
        namespace=values[NAMESPACE],
        name=plan.name,
        access_type="NoPublicAccess",
        storage_tier="Standard",
        versioning=plan.versioning,
        kms_key_id=values.get(KEY),
        is_bucket_key_enabled=True if spec.key else None,
        retention_rules=[_retention(rule.model_dump()) for rule in spec.retention] or None,
        **tags_of(build.oci),
        opts=main_child(build.component, build.opts, guard),
    )
    oci.objectstorage.ObjectLifecyclePolicy(
        build.child("lifecycle"),
        bucket=bucket.name,
        namespace=values[NAMESPACE],
        rules=[
            {
                "name": rule.name,
                "action": rule.action,
                "target": rule.target,
                "time_amount": str(rule.days),
                "time_unit": "DAYS",
                "is_enabled": True,
            }
            for rule in plan.rules
        ],
        opts=build.inside(*needs),
    )
    if (copy := spec.replication) is not None:
        oci.objectstorage.ReplicationPolicy(
            build.child("replication"),
            bucket=bucket.name,
            namespace=values[NAMESPACE],
            name=build.child("replication"),
            destination_bucket_name=copy.bucket,
            destination_region_name=copy.region,
            delete_object_in_destination_bucket=str(not copy.keep_deleted).lower(),
            opts=build.inside(*needs),
        )


def _retention(rule: dict[str, Any]) -> Any:
    duration = {"time_amount": str(rule["days"]), "time_unit": "DAYS"} if rule["days"] else None
    return {"display_name": rule["name"], "duration": duration, "time_rule_locked": rule["locked_from"]}


def _private_endpoint(build: Build, plan: BucketPlan, namespace: pulumi.Input[str]) -> None:
    assert build.oci is not None  # noqa: S101 store_faults was asked
    compartment, given = build.args["oci"]["compartment_id"], build.args["private_endpoint"]
    oci.objectstorage.PrivateEndpoint(
        build.child("private-endpoint"),
        compartment_id=compartment,
        namespace=namespace,
        name=build.child("private-endpoint"),
        subnet_id=given["subnet_id"],
        prefix=given["prefix"],
        nsg_ids=given.get("nsg_ids"),
        access_targets=[{"bucket": plan.name, "compartment_id": compartment, "namespace": namespace}],
        **tags_of(build.oci),
        opts=build.inside(),
    )
