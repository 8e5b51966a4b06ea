"""The objects that a plan becomes, part by part."""

import json

import pytest
from support.pod_security import broken_rules
from support.pods import GROUP, IMAGE, LARGE, PROCESSORS, objects, pod_of, pods, server, workload_of

from plinth_runtime.contract.launch import LaunchConfig
from pulumi_plinth.check.core import judge
from pulumi_plinth.check.manifest import subjects_of_manifest
from pulumi_plinth.check.place_rules import PLACE_RULES
from pulumi_plinth.check.serving_rules import SERVING_RULES
from pulumi_plinth.deployment.kubernetes.manifests import common_manifests, manifests
from pulumi_plinth.deployment.kubernetes.spec import KubernetesSpec

CLUSTER = {"image": IMAGE, "apiNamespaces": ["gateway"], "monitoring": {"prometheus": "http://prometheus:9090"}}
SCALED = {"replicas": {"min": 1, "max": 3}, "autoscaling": {}}
SETS = {"kubernetes": {"image": IMAGE, "leaderWorkerSet": True}}


def test_objects_come_in_a_fixed_order():
    """What pods need, the pods, what looks after them; the same plan gives the same objects."""
    document = pods(SCALED, kubernetes=CLUSTER)
    kinds = [item["kind"] for item in manifests(server(document))]
    assert kinds == [
        "ServiceAccount", "ConfigMap", "NetworkPolicy", "Service", "Deployment", "PodDisruptionBudget",
        "HorizontalPodAutoscaler", "PodMonitor",
    ]  # fmt: skip
    assert manifests(server(document)) == manifests(server(document))


def test_the_launch_file_is_immutable_and_named_by_its_digest():
    """A change is another ConfigMap, hence another pod template; what does not concern the launch is neither."""
    first, second = objects(pods()), objects(pods({"maxBodySize": "1Mi"}))
    third = objects(pods({"pod": {"allowedNamespaces": ["x"]}}))
    launch = first["ConfigMap"]
    assert launch["immutable"] is True
    written = LaunchConfig.model_validate_json(launch["data"]["launch.json"])
    digest = written.digest()
    assert launch["metadata"]["name"] == f"chat-launch-{digest[:10]}"
    template = first["Deployment"]["spec"]["template"]
    assert template["metadata"]["annotations"]["plinth.dev/launch"] == digest
    assert second["ConfigMap"]["metadata"]["name"] != launch["metadata"]["name"]
    assert second["Deployment"]["spec"]["template"] != template
    assert third["Deployment"]["spec"]["template"] == template


def test_probes_ask_the_management_port_within_the_plan_s_budgets():
    """Start, readiness and liveness; the hook before the end and the engine's own end fit into the grace."""
    plan = server(pods({"shutdownTimeout": "2m", "pod": {"drainDelay": 7}}))
    pod = pod_of(pods({"shutdownTimeout": "2m", "pod": {"drainDelay": 7}}))
    (container,) = pod["containers"]
    for name, path in (("startupProbe", "/startupz"), ("readinessProbe", "/readyz"), ("livenessProbe", "/livez")):
        assert container[name]["httpGet"] == {"path": path, "port": "management", "scheme": "HTTP"}
    start = container["startupProbe"]
    assert start["periodSeconds"] * start["failureThreshold"] >= plan.launch.lifecycle.startup_timeout_seconds
    assert container["lifecycle"]["preStop"]["sleep"]["seconds"] == 7
    assert pod["terminationGracePeriodSeconds"] == 7 + 120 + 10 + 10
    assert "lifecycle" not in pod_of(pods({"pod": {"drainDelay": 0}}))["containers"][0]


def test_gpus_are_limits_and_tainted_nodes_are_borne():
    """Requests equal limits, shared memory is sized and counted, nodes of the planned shape are selected."""
    pod = pod_of(pods())
    resources = pod["containers"][0]["resources"]
    assert resources["limits"]["nvidia.com/gpu"] == resources["requests"]["nvidia.com/gpu"] == "1"
    assert resources["limits"]["memory"] == resources["requests"]["memory"]
    assert {"effect": "NoSchedule", "key": "nvidia.com/gpu", "operator": "Exists"} in pod["tolerations"]
    assert pod["nodeSelector"] == {"node.kubernetes.io/instance-type": "VM.GPU.A10.1"}
    shared = next(volume for volume in pod["volumes"] if volume["name"] == "shared-memory")
    assert shared["emptyDir"] == {"medium": "Memory", "sizeLimit": "1024Mi"}
    amd = pod_of(pods({"shape": "BM.GPU.MI300X.8"}))
    assert amd["containers"][0]["resources"]["limits"]["amd.com/gpu"] == "8"
    assert "nvidia.com/gpu" not in str(pod_of(pods(PROCESSORS)))


def test_a_group_of_statefulsets_has_a_set_for_each_replica():
    """All pods of a set at once, found through one headless Service; clients reach members of rank 0 only."""
    made = manifests(server(pods(GROUP | {"replicas": {"min": 2}}, models=LARGE)))
    sets = [item for item in made if item["kind"] == "StatefulSet"]
    services = {item["metadata"]["name"]: item["spec"] for item in made if item["kind"] == "Service"}
    assert [item["metadata"]["name"] for item in sets] == ["chat", "chat-1"]
    for number, item in enumerate(sets):
        spec = item["spec"]
        assert (spec["replicas"], spec["podManagementPolicy"], spec["serviceName"]) == (2, "Parallel", "chat-group")
        assert spec["selector"]["matchLabels"]["plinth.dev/group"] == str(number)
    assert services["chat-group"]["clusterIP"] == "None"
    assert services["chat-group"]["publishNotReadyAddresses"] is True
    assert services["chat"]["selector"]["apps.kubernetes.io/pod-index"] == "0"
    (container,) = sets[0]["spec"]["template"]["spec"]["containers"]
    paths = [container[f"{name}Probe"]["httpGet"]["path"] for name in ("startup", "readiness", "liveness")]
    assert paths == ["/memberz", "/memberz", "/livez"]


def test_a_leader_worker_set_restarts_as_a_group():
    """Replicas of the planned size; an autoscaler may own their number."""
    monitored = {"kubernetes": SETS["kubernetes"] | {"monitoring": {}}}
    found = objects(pods(GROUP | SCALED, models=LARGE, **monitored))
    spec = found["LeaderWorkerSet"]["spec"]
    assert "replicas" not in spec
    groups = spec["leaderWorkerTemplate"]
    assert (groups["size"], groups["restartPolicy"]) == (2, "RecreateGroupOnPodRestart")
    assert found["Service"]["spec"]["selector"]["leaderworkerset.sigs.k8s.io/worker-index"] == "0"
    assert found["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]["kind"] == "LeaderWorkerSet"


@pytest.mark.parametrize(
    ("fields", "strategy"),
    [
        ({"rollout": {"strategy": "surge"}}, {"maxSurge": 1, "maxUnavailable": 0}),
        ({"rollout": {"strategy": "in-place"}}, {"maxSurge": 0, "maxUnavailable": 1}),
        ({"rollout": {"strategy": "recreate"}}, None),
    ],
)
def test_rollouts_are_written_as_planned(fields, strategy):
    """Surge, in place, or all at once."""
    found = objects(pods(fields))["Deployment"]["spec"]["strategy"]
    assert found.get("rollingUpdate") == strategy
    assert found["type"] == ("RollingUpdate" if strategy else "Recreate")


def ports_of(policy, source):
    """Ports that a NetworkPolicy opens to a kind of source."""
    return [
        [port["port"] for port in rule.get("ports", ())]
        for rule in policy["spec"]["ingress"]
        if any(source in str(peer) for peer in rule["from"])
    ]


def test_the_network_policy_denies_what_is_not_listed():
    """The API from chosen namespaces, metrics for Prometheus, everything inside a group and nowhere else."""
    policy = objects(pods({"pod": {"allowedNamespaces": ["team"]}}, kubernetes=CLUSTER))["NetworkPolicy"]
    assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]
    assert [ports_of(policy, name) for name in ("gateway", "team", "'monitoring'")] == [
        [["api"]], [["api"]], [["management"]],
    ]  # fmt: skip
    plain = objects(pods(kubernetes={"nodeNetworks": ["10.0.0.0/16"]}))["NetworkPolicy"]
    assert ports_of(plain, "10.0.0.0/16") == [["management"]]
    group = objects(pods(GROUP, models=LARGE))["NetworkPolicy"]
    assert ports_of(group, "app.kubernetes.io/instance") == [[]]
    assert ports_of(plain, "app.kubernetes.io/instance") == []


@pytest.mark.parametrize(
    ("uri", "ports"),
    [
        ("hf://Qwen/Qwen3-8B", [53, 53, 443]),
        ("s3://models@us-east-1/q", [53, 53, 443, 9000, 80]),
        ("oci://n/ns/b/models/o/q", [53, 53, 443, 12250, 80]),
        ("https://models.example:8443/q", [53, 53, 443, 8443]),
        ("pvc://claim/q", []),
    ],
)
def test_pods_reach_their_store_and_nothing_else(uri, ports):
    """Names, the store's port, where identities are given out; a pod with its weights in a claim reaches nobody."""
    storage = {"uri": uri} | ({"parameters": {"endpoint": "http://minio:9000"}} if uri.startswith("s3") else {})
    document = pods({"model": "m"}, models={"m": {"storage": storage, "preset": {"name": "qwen3-8b"}}})
    rules = objects(document)["NetworkPolicy"]["spec"]["egress"]
    assert [port["port"] for rule in rules for port in rule["ports"]] == ports


@pytest.mark.parametrize(
    ("uri", "key", "variables", "file"),
    [
        ("hf://Qwen/Qwen3-8B", "hub", {"HF_TOKEN": ("hub", "token")}, None),
        ("s3://models/q", "s3", {"AWS_ACCESS_KEY_ID": ("s3", "AWS_ACCESS_KEY_ID")}, None),
        ("gs://models/q", "gs", {}, "key.json"),
        ("oci://n/ns/b/models/o/q", "oci", {}, "config"),
        ("oci://n/ns/b/models/o/q", None, {}, None),
    ],
)
def test_credentials_reach_the_fetch_and_nobody_else(uri, key, variables, file):
    """By reference, as variables or files; without a Secret a token of the pod's identity. The server sees neither."""
    model = {"storage": {"uri": uri, "key": key}, "preset": {"name": "qwen3-8b"}}
    pod = pod_of(pods({"model": "m"}, models={"m": model}))
    (fetch,), (container,) = pod["initContainers"], pod["containers"]
    assert fetch["args"][:4] == ["fetch", uri, "--to", "/models/weights"]
    given = {item["name"]: item["valueFrom"]["secretKeyRef"] for item in fetch["env"] if "valueFrom" in item}
    for name, (secret, entry) in variables.items():
        assert given[name] == {"name": secret, "key": entry}
    mounted = {mount["name"] for mount in fetch["volumeMounts"]} - {
        mount["name"] for mount in container["volumeMounts"]
    }
    assert mounted == ({"store-0"} if file else {"token"} if key is None else set())
    assert file is None or file in str(pod["volumes"])
    assert not any("valueFrom" in item for item in container["env"])
    weights = next(mount for mount in container["volumeMounts"] if mount["name"] == "weights")
    assert weights["readOnly"] is True


def test_the_autoscaler_asks_for_metrics_that_the_engine_has():
    """What waits and what is computed, per replica; the workload leaves its number of replicas to it."""
    found = objects(pods(SCALED, kubernetes=CLUSTER))
    assert "replicas" not in found["Deployment"]["spec"]
    spec = found["HorizontalPodAutoscaler"]["spec"]
    names = [metric["pods"]["metric"]["name"] for metric in spec["metrics"]]
    assert names == ["vllm_num_requests_waiting", "vllm_num_requests_running"]
    assert (spec["minReplicas"], spec["maxReplicas"]) == (1, 3)
    keda = objects(pods(SCALED | {"autoscaling": {"by": "keda"}}, kubernetes=CLUSTER))["ScaledObject"]["spec"]
    queries = [trigger["metadata"]["query"] for trigger in keda["triggers"]]
    assert queries[0] == 'sum(vllm:num_requests_waiting{namespace="plinth",app_kubernetes_io_instance="chat"})'
    assert keda["fallback"] == {"failureThreshold": 3, "replicas": 1}


def test_adapters_are_fetched_or_mounted_and_launched():
    """One from a store, one from an image; the launch file has both with their folders."""
    adapters = [{"name": "one", "uri": "hf://a/one"}, {"name": "two", "image": "registry.example/two:1", "rank": 32}]
    model = {"preset": {"name": "qwen3-8b"}, "adapters": adapters}
    document = pods({"model": "m"}, models={"m": model})
    launch, pod = server(document).launch, pod_of(document)
    assert [(item.name, item.folder, item.rank) for item in launch.model.adapters] == [
        ("one", "/adapters/one", 16), ("two", "/adapters/two", 32),
    ]  # fmt: skip
    assert (launch.engine.max_adapter_rank, launch.engine.max_active_adapters) == (32, 2)
    assert not any("lora" in word for word in launch.engine.extra_args)
    assert [item["args"][3] for item in pod["initContainers"]] == ["/models/weights", "/adapters/one"]
    mounts = {mount["mountPath"]: mount["name"] for mount in pod["containers"][0]["volumeMounts"]}
    assert (mounts["/adapters"], mounts["/adapters/two"]) == ("adapters", "adapter-two")


def test_a_model_s_credentials_are_for_its_own_kind_of_store():
    """An adapter from another kind is fetched without them; one from the same kind with them."""
    adapters = [{"name": "same", "uri": "s3://adapters/a"}, {"name": "other", "uri": "hf://x/a"}]
    storage = {"uri": "s3://models/q", "key": "store"}
    model = {"preset": {"name": "qwen3-8b"}, "storage": storage, "adapters": adapters}
    fetches = pod_of(pods({"model": "m"}, models={"m": model}))["initContainers"]
    assert ["secretKeyRef" in str(item["env"]) for item in fetches] == [True, True, False]


def test_the_namespace_enforces_restricted_unless_it_is_others():
    """Ours is made with the level that the pods keep."""
    (namespace,) = common_manifests(KubernetesSpec())
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert common_manifests(KubernetesSpec(namespaces="existing")) == ()


@pytest.mark.parametrize(
    "document",
    [
        pods(),
        pods(PROCESSORS),
        pods(GROUP, models=LARGE),
        pods(SCALED, kubernetes=CLUSTER),
        pods(GROUP, models=LARGE, **SETS),
    ],
)
def test_what_is_rendered_passes_our_own_checks(document):
    """`plinth check` refuses nothing of it, and Pod Security `restricted` forbids nothing."""
    made = [*common_manifests(KubernetesSpec()), *manifests(server(document))]
    subjects = subjects_of_manifest(json.loads(json.dumps(made)))
    assert len(subjects) == 1
    for _, subject in subjects:
        verdicts = judge(subject, (*PLACE_RULES, *SERVING_RULES))
        assert [str(verdict) for verdict in verdicts if verdict.severity == "refuse"] == []
    templates = workload_of(document)["spec"]
    templates = templates.get("leaderWorkerTemplate", {}).get("workerTemplate") or templates["template"]
    assert list(broken_rules(templates["spec"])) == []


def test_the_oracle_of_restricted_sees_what_is_forbidden():
    """Each control, broken on purpose."""
    good = pod_of(pods())
    container = good["containers"][0]
    for change, said in (
        ({"hostNetwork": True}, "hostNetwork"),
        ({"volumes": [{"name": "x", "hostPath": {"path": "/"}}]}, "hostPath"),
        ({"securityContext": {"runAsUser": 0, "runAsNonRoot": True}}, "may be root"),
        ({"containers": [container | {"securityContext": {}}]}, "may gain privileges"),
        (
            {"containers": [container | {"securityContext": container["securityContext"] | {"privileged": True}}]},
            "priv",
        ),
    ):
        assert any(said in rule for rule in broken_rules(good | change)), said
