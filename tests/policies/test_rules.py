"""Every rule of the policy pack on plain properties: each bad example is named with its fix, each good one passes."""

import csv
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plinth_rules import RULES
from plinth_rules.resource import LATER, Resource

BY_NAME = {rule.name: rule for rule in RULES}
BUCKET = "oci:ObjectStorage/bucket:Bucket"
POLICY = "oci:Identity/policy:Policy"
DEPLOYMENT = "kubernetes:apps/v1:Deployment"
MODEL = "kubernetes:ome.io/v1beta1:ClusterBaseModel"
POOL = "oci:ContainerEngine/nodePool:NodePool"
WORKLOAD = (
    "Allow any-user to read objects in compartment id c where all {request.principal.type='workload', "
    "request.principal.namespace='n', request.principal.service_account='s', request.principal.cluster_id='c', "
    "target.bucket.name='b'}"
)
AUTOSCALING = (
    "Allow any-user to manage cluster-node-pools in compartment id c where all {request.principal.type='workload', "
    "request.principal.namespace='kube-system', request.principal.service_account='cluster-autoscaler', "
    "request.principal.cluster_id='c'}"
)
SAFE = {"accessType": "NoPublicAccess", "versioning": "Enabled"}
GPU = {"nvidia.com/gpu": "1"}
FULL = {"requests": GPU, "limits": GPU | {"memory": "32Gi"}}
TOLERATES = [{"key": "nvidia.com/gpu", "operator": "Exists"}]


def workload(container, **pod):
    """A Deployment of one container."""
    return {"spec": {"template": {"spec": {"containers": [{"name": "engine", **container}], **pod}}}}


def model(uri="hf://org/model@" + "a" * 40, **spec):
    """A declared model."""
    return {"spec": {"storage": {"storageUri": uri}, **spec}}


BAD = [
    ("buckets-are-safe", BUCKET, SAFE | {"accessType": "ObjectRead"}, {}, "anybody reads it; write NoPublicAccess"),
    (
        "buckets-are-safe",
        BUCKET,
        {"accessType": "NoPublicAccess"},
        {},
        "versioning None, an overwritten object is gone",
    ),
    ("buckets-are-safe", BUCKET, SAFE | {"versioning": "Suspended"}, {}, "write Enabled, or retention rules"),
    ("images-are-pinned", DEPLOYMENT, workload({"image": "vllm/vllm-openai:latest"}), {}, "whose tag latest moves"),
    ("images-are-pinned", DEPLOYMENT, workload({"image": "vllm/vllm-openai"}), {}, "which means latest"),
    ("images-are-pinned", DEPLOYMENT, workload({"image": "reg:5000/a/b"}), {}, "which means latest"),
    ("images-are-pinned", DEPLOYMENT, workload({"image": "a:v1"}), {"requireDigest": True}, "write image@sha256:…"),
    ("models-are-pinned", MODEL, model("hf://org/model"), {}, "write hf://org/model@ and a commit"),
    ("models-are-pinned", MODEL, model("hf://org/model@main"), {}, "changes when its owner pushes"),
    (
        "models-are-pinned",
        MODEL,
        model("hf://org/model@v2"),
        {"requireCommit": True},
        "write the commit, 40 hex digits",
    ),
    (
        "models-are-pinned",
        DEPLOYMENT,
        workload({"args": ["fetch", "hf://org/model", "/weights"]}),
        {},
        "write hf://org/model@ and a commit",
    ),
    (
        "gpu-pods-are-complete",
        DEPLOYMENT,
        workload({"resources": {"requests": GPU, "limits": {"memory": "32Gi"}}}, tolerations=TOLERATES),
        {},
        "requests nvidia.com/gpu without a limit; write resources.limits with nvidia.com/gpu: 1",
    ),
    (
        "gpu-pods-are-complete",
        DEPLOYMENT,
        workload({"resources": {"limits": GPU}}, tolerations=TOLERATES),
        {},
        "write resources.limits.memory",
    ),
    ("gpu-pods-are-complete", DEPLOYMENT, workload({"resources": FULL}), {}, "add a toleration of key nvidia.com/gpu"),
    (
        "gpu-pods-are-complete",
        DEPLOYMENT,
        workload({"resources": FULL | {"requests": {"nvidia.com/gpu": "2"}}}, tolerations=TOLERATES),
        {},
        "write the same number twice",
    ),
    (
        "gpu-pods-are-complete",
        "kubernetes:leaderworkerset.x-k8s.io/v1:LeaderWorkerSet",
        {"spec": {"leaderWorkerTemplate": {"workerTemplate": workload({"resources": FULL})["spec"]["template"]}}},
        {},
        "add a toleration",
    ),
    ("workload-identity-only", "oci:Identity/dynamicGroup:DynamicGroup", {}, {}, "use workload identity"),
    (
        "workload-identity-only",
        POLICY,
        {"statements": ["Allow dynamic-group gpus to read objects in compartment id c"]},
        {},
        "grant to a service account",
    ),
    (
        "workload-identity-only",
        POLICY,
        {"statements": [WORKLOAD.replace("request.principal.cluster_id='c', ", "")]},
        {},
        "without request.principal.cluster_id",
    ),
    (
        "workload-identity-only",
        POLICY,
        {"statements": [WORKLOAD.replace(", target.bucket.name='b'", "")]},
        {},
        "name one thing, such as target.bucket.name",
    ),
    (
        "workload-identity-only",
        POLICY,
        {"statements": [AUTOSCALING]},
        {"wide": []},
        "name one thing, such as target.bucket.name",
    ),
    (
        "workload-identity-only",
        POLICY,
        {"statements": ["Allow group Admins to manage all-resources in tenancy"]},
        {},
        "grants everything",
    ),
    (
        "workload-identity-only",
        DEPLOYMENT,
        workload({"env": [{"name": "OCI_CLI_AUTH", "value": "instance_principal"}]}),
        {},
        "logs in as its node; write OCI_CLI_AUTH: oke_workload_identity",
    ),
    ("shapes-are-approved", POOL, {"nodeShape": "BM.GPU.H100.8"}, {"shapes": ["VM.*"]}, "write one of VM.*"),
    ("regions-are-approved", "pulumi:providers:oci", {"region": "us-phoenix-1"}, {"regions": ["eu-*"]}, "one of eu-*"),
    ("models-are-approved", MODEL, model(), {"models": ["oci://n/acme/*"]}, "write one of oci://n/acme/*"),
    ("licences-are-approved", MODEL, model(license="llama3"), {"licences": ["apache-2.0"]}, "use one of apache-2.0"),
    ("licences-are-approved", MODEL, model(), {"licences": ["apache-2.0"]}, "write spec.license: apache-2.0"),
]

GOOD = [
    ("buckets-are-safe", BUCKET, SAFE, {}),
    ("buckets-are-safe", BUCKET, {"versioning": "Disabled", "retentionRules": [{"displayName": "year"}]}, {}),
    ("buckets-are-safe", BUCKET, {"accessType": LATER, "versioning": LATER}, {}),
    ("buckets-are-safe", "oci:Core/vcn:Vcn", {}, {}),
    ("images-are-pinned", DEPLOYMENT, workload({"image": "vllm/vllm-openai:v0.32.0"}), {}),
    ("images-are-pinned", DEPLOYMENT, workload({"image": "a@sha256:" + "0" * 64}), {"requireDigest": True}),
    ("images-are-pinned", DEPLOYMENT, workload({"image": LATER}), {}),
    ("images-are-pinned", "kubernetes:core/v1:ConfigMap", {"data": {"image": "a:latest"}}, {}),
    ("models-are-pinned", MODEL, model(), {"requireCommit": True}),
    ("models-are-pinned", MODEL, model("hf://org/model@v2"), {}),
    ("models-are-pinned", MODEL, model("oci://n/acme/b/weights/o/llama"), {}),
    ("gpu-pods-are-complete", DEPLOYMENT, workload({"resources": FULL}, tolerations=TOLERATES), {}),
    ("gpu-pods-are-complete", DEPLOYMENT, workload({"resources": FULL}, tolerations=[{"operator": "Exists"}]), {}),
    ("gpu-pods-are-complete", DEPLOYMENT, workload({"resources": {"limits": {"memory": "1Gi"}}}), {}),
    ("workload-identity-only", POLICY, {"statements": [WORKLOAD]}, {}),
    ("workload-identity-only", POLICY, {"statements": LATER}, {}),
    ("workload-identity-only", POLICY, {"statements": [AUTOSCALING]}, {}),
    (
        "workload-identity-only",
        POLICY,
        {"statements": ["Allow dynamic-group nodes to {CLUSTER_JOIN} in compartment id c"]},
        {"dynamicGroups": ["nodes"]},
    ),
    (
        "workload-identity-only",
        POLICY,
        {"statements": ["Allow service objectstorage-us-phoenix-1 to manage object-family in compartment id c"]},
        {},
    ),
    ("shapes-are-approved", POOL, {"nodeShape": "VM.GPU.A10.1"}, {"shapes": ["VM.*"]}),
    ("shapes-are-approved", POOL, {"nodeShape": "BM.GPU.H100.8"}, {}),
    ("shapes-are-approved", POOL, {"nodeShape": LATER}, {"shapes": ["VM.*"]}),
    ("regions-are-approved", "pulumi:providers:oci", {"region": "eu-frankfurt-1"}, {"regions": ["eu-*"]}),
    ("models-are-approved", MODEL, model(), {"models": ["hf://org/*"]}),
    ("models-are-approved", MODEL, model(), {}),
    ("licences-are-approved", MODEL, model(license="apache-2.0"), {"licences": ["apache-2.0", "mit"]}),
    ("licences-are-approved", DEPLOYMENT, workload({}), {"licences": ["mit"]}),
]


def judged(name, resource, config):
    """What a rule says."""
    return list(BY_NAME[name].judge([resource], config))


@pytest.mark.parametrize(("name", "token", "props", "config", "expected"), BAD)
def test_behaviour_25_a_bad_example_is_named_with_its_fix(name, token, props, config, expected):
    """The message says which resource, what is wrong, and what to write instead."""
    (said,) = judged(name, Resource(token, "it", props, protect=True), config)
    assert expected in said
    assert said.startswith("it")
    assert ";" in said


@pytest.mark.parametrize(("name", "token", "props", "config"), GOOD)
def test_behaviour_25_a_good_example_passes(name, token, props, config):
    """What is right, and what is known only later, is no violation."""
    assert judged(name, Resource(token, "it", props, protect=True), config) == []


def test_behaviour_25_every_rule_has_a_bad_and_a_good_example():
    """No rule is without proof that it can fail and that it can pass."""
    assert {row[0] for row in BAD} | {"stack-within-budget"} == set(BY_NAME)
    assert {row[0] for row in GOOD} | {"stack-within-budget"} == set(BY_NAME)


def test_a_bucket_without_protection_is_named_unless_it_is_to_be_removed():
    """The one way around is the policy's own setting, by name."""
    (said,) = judged("buckets-are-safe", Resource(BUCKET, "it", SAFE), {})
    assert "write protect: true" in said
    assert judged("buckets-are-safe", Resource(BUCKET, "it", SAFE), {"unprotected": ["it"]}) == []


def pools(*rows):
    """Node pools by name, shape, size."""
    return [
        Resource(POOL, name, {"nodeShape": shape, "nodeConfigDetails": {"size": size}}) for name, shape, size in rows
    ]


@pytest.mark.parametrize(
    ("found", "config", "expected"),
    [
        (pools(("a", "BM.GPU.H100.8", 2)), {"maxGpus": 16}, None),
        (pools(("a", "BM.GPU.H100.8", 2)), {"maxGpus": 15}, "the stack has 16 GPUs (a 2 x BM.GPU.H100.8 = 16), 15 are"),
        (pools(("a", "BM.GPU.H100.8", 1), ("b", "VM.GPU.A10.1", 3)), {"maxUsdPerHour": 86}, None),
        (
            pools(("a", "BM.GPU.H100.8", 1), ("b", "VM.GPU.A10.1", 3)),
            {"maxUsdPerHour": 85},
            "the stack costs $86.00 an hour (a $80.00 + b $6.00), $85.00 are allowed",
        ),
        (pools(("a", "BM.GPU.NEW.8", 1)), {}, "write them under `shapes` of this policy"),
        (pools(("a", "BM.GPU.NEW.8", 1)), {"shapes": {"BM.GPU.NEW.8": {"gpus": 8}}, "maxGpus": 8}, None),
        (pools(("a", "VM.Standard.E5.Flex", 99)), {"maxGpus": 0}, None),
        (pools(("a", "BM.GPU.H100.8", LATER)), {"maxGpus": 0}, None),
        (
            [
                Resource("oci:Core/instanceConfiguration:InstanceConfiguration", "p-configuration",
                         {"instanceDetails": {"launchDetails": {"shape": "BM.GPU.H100.8"}}}),
                Resource("oci:Core/clusterNetwork:ClusterNetwork", "p-nodes", {"instancePools": [{"size": 4}]}),
            ],
            {"maxGpus": 31},
            "p-nodes 4 x BM.GPU.H100.8 = 32",
        ),
        (
            [
                Resource("plinth:index:GpuNodePool", "p", {"shape": "VM.GPU.A10.1", "autoscale": {"max": 9}}, urn="u"),
                Resource(POOL, "p-nodes", {"nodeShape": "VM.GPU.A10.1", "nodeConfigDetails": {"size": 0}}, parent="u"),
            ],
            {"maxGpus": 8},
            "p-nodes 9 x VM.GPU.A10.1 = 9",
        ),
    ],
)  # fmt: skip
def test_behaviour_25_a_stack_stays_within_its_budget(found, config, expected):
    """GPUs and dollars an hour are summed over all pools, autoscaled ones at their most, with the arithmetic shown."""
    said = list(BY_NAME["stack-within-budget"].judge(found, config))
    assert said == [] if expected is None else any(expected in text for text in said), said


def test_shapes_are_those_of_the_planner(project_root):
    """GPUs and prices that the pack is shipped with are rows of the planner's table."""
    with (project_root / "components/pulumi_plinth/fit/shapes.csv").open() as stream:
        rows = [row for row in csv.DictReader(stream) if row["provider"] == "oci"]
    expected = {
        row["name"]: {
            "gpus": int(row["gpus"]),
            "usd": float(row["usd_per_gpu_hour"]) if row["usd_per_gpu_hour"] else None,
        }
        for row in rows
    }
    assert json.loads((project_root / "policies/plinth_rules/shapes.json").read_text()) == expected


JUNK = st.sampled_from([None, True, 0, -1.5, "", "x", [], {}, [None], [[]], {"a": 1}, LATER])
EXAMPLES = [(row[0], row[1], row[2]) for row in (*BAD, *GOOD)]


def broken(value, draw, junk):
    """The same properties with one of their parts, at any depth, replaced."""
    keys = list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []
    if not keys or draw(st.integers(0, 4)) == 0:
        return junk
    key = draw(st.sampled_from(keys))
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[key] = broken(value[key], draw, junk)
    return copy


@pytest.mark.slow
@settings(max_examples=400, deadline=None)
@given(st.data(), st.sampled_from(EXAMPLES), JUNK)
def test_no_properties_break_a_rule(data, example, junk):
    """Whatever a provider sends, a rule answers; a policy that crashes stops a deployment for no reason."""
    _, token, props = example
    found = broken(props, data.draw, junk)
    resource = Resource(token, "it", found if isinstance(found, dict) else {"spec": found})
    for rule in RULES:
        config = {"models": ["x"], "licences": ["x"], "shapes": ["x"], "maxGpus": 0} if not rule.whole_stack else {}
        assert all(isinstance(text, str) for text in rule.judge([resource], config))
