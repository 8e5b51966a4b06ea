"""What holds for the objects of every stack, whatever is written in it."""

import json

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.pod_security import broken_rules
from support.pods import IMAGE, LARGE, planned, pods

from pulumi_plinth import naming
from pulumi_plinth.deployment.kubernetes.manifests import manifests
from pulumi_plinth.errors import SpecError

pytestmark = pytest.mark.slow

WORKLOADS = ("Deployment", "StatefulSet", "LeaderWorkerSet")
SECRET = "hf-secret-name"
MODELS = {
    **LARGE,
    "hub": {"storage": {"uri": "hf://Qwen/Qwen3-8B", "key": SECRET}},
    "bucket": {"storage": {"uri": "oci://n/ns/b/models/o/q"}, "preset": {"name": "qwen3-8b"}},
    "claim": {"storage": {"uri": "pvc://claim/q"}, "preset": {"name": "qwen3-8b"}},
    "own": {"preset": {"name": "llama2-13b", "image": "registry.example/llama:1", "imagePullSecrets": ["registry"]}},
    "adapted": {"preset": {"name": "qwen3-8b"}, "adapters": [{"name": "a", "uri": "hf://x/a"}]},
}
DEPLOYMENTS = st.fixed_dictionaries(
    {"model": st.sampled_from(["qwen", *MODELS])},
    optional={
        "shape": st.sampled_from(["VM.GPU.A10.2", "BM.GPU.H100.8", "BM.GPU.MI300X.8"]),
        "replicas": st.sampled_from([{"min": 0}, {"min": 2}, {"min": 1, "max": 3}]),
        "autoscaling": st.sampled_from([{}, {"by": "keda", "waiting": 2}]),
        "rollout": st.fixed_dictionaries(
            {}, optional={"strategy": st.sampled_from(["surge", "in-place", "recreate"]), "spareGpus": st.just(16)}
        ),
        "open": st.booleans(),
        "generate": st.booleans(),
        "port": st.sampled_from([80, 8000, 5000]),
        "shutdownTimeout": st.sampled_from([0, 30, 600]),
        "workload": st.sampled_from(["auto", "deployment", "stateful-set", "leader-worker-set"]),
        "pod": st.fixed_dictionaries(
            {},
            optional={
                "namespace": st.just("team"),
                "serviceAccount": st.just("robot"),
                "drainDelay": st.sampled_from([0, 15]),
                "labels": st.just({naming.INSTANCE_LABEL: "stolen", "team": "x"}),
                "annotations": st.just({naming.LAUNCH_ANNOTATION: "forged"}),
                "allowedNamespaces": st.just(["a", "b"]),
            },
        ),
    },
)
GROUPS = st.fixed_dictionaries(
    {"model": st.just("llama"), "shape": st.just("BM.GPU.H100.8"), "maxModelLen": st.just(8192)},
    optional={
        "replicas": st.sampled_from([{"min": 2}, {"min": 1, "max": 3}]),
        "autoscaling": st.just({}),
        "open": st.booleans(),
        "rollout": st.sampled_from([{"strategy": "in-place"}, {"spareGpus": 16}]),
    },
)
"""Replicas of two nodes."""

CLUSTERS = st.fixed_dictionaries(
    {"image": st.just(IMAGE)},
    optional={
        "leaderWorkerSet": st.booleans(),
        "monitoring": st.just({"prometheus": "http://prometheus:9090"}),
        "nodeNetworks": st.just(["10.0.0.0/8"]),
        "user": st.sampled_from([1, 65_534]),
    },
)


def subset(selector, labels):
    """Whether a selector matches labels."""
    return selector.items() <= labels.items()


def outcome(document):
    """The plan of the only server, or the reasons against it."""
    try:
        return planned(document).servers[0], ()
    except SpecError as error:
        return None, error.faults


def templates_of(made):
    """Pod templates, each with the selector of its workload (None for LeaderWorkerSets, which make their own)."""
    for item in made:
        spec = item.get("spec", {})
        if "template" in spec:
            yield spec["selector"]["matchLabels"], spec["template"]
        elif "leaderWorkerTemplate" in spec:
            yield {}, spec["leaderWorkerTemplate"]["workerTemplate"]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(deployment=DEPLOYMENTS | GROUPS, cluster=CLUSTERS)
def test_every_set_of_objects_holds_together(deployment, cluster):
    """Selectors match, mounts have volumes, ports are named once, launches are immutable, `restricted` is kept, no
    object is made twice, and what is refused is refused in words.
    """
    document = pods({"shape": None, "maxModelLen": None} | deployment, models=MODELS, kubernetes=cluster)
    plan, refused = outcome(document)
    assert all(fault.problem and fault.remedy for fault in refused)
    if plan is None:
        return
    made = manifests(plan)
    names = [(item["kind"], item["metadata"]["name"]) for item in made]
    assert len(set(names)) == len(names)
    assert all(item["metadata"]["namespace"] == plan.namespace for item in made)
    assert all(len(name) <= 63 for _, name in names)
    assert json.loads(json.dumps(made)) == list(made)
    for selector, template in templates_of(made):
        labels, spec = template["metadata"]["labels"], template["spec"]
        assert subset(selector, labels)
        assert template["metadata"]["annotations"][naming.LAUNCH_ANNOTATION] == plan.launch.digest()
        check_pod(spec)
        assert list(broken_rules(spec)) == []
        for item in made:
            check_guard(item, labels)
    launches = [item for item in made if item["kind"] == "ConfigMap"]
    assert [item["immutable"] for item in launches] == [True]
    budget = plan.timing.drain_delay + plan.launch.lifecycle.shutdown_timeout_seconds
    assert plan.timing.grace >= budget + plan.launch.lifecycle.kill_after_seconds
    if plan.scaling:
        assert not any("replicas" in item["spec"] for item in made if item["kind"] in WORKLOADS)


def check_pod(spec):
    """Mounts have volumes and every volume is used; ports and containers are named once; no token by itself."""
    volumes = [volume["name"] for volume in spec["volumes"]]
    containers = [*spec.get("initContainers", ()), *spec["containers"]]
    mounted = {mount["name"] for container in containers for mount in container["volumeMounts"]}
    assert sorted(volumes) == sorted(mounted)
    for container in containers:
        paths = [mount["mountPath"] for mount in container["volumeMounts"]]
        assert len(set(paths)) == len(paths)
        variables = [item["name"] for item in container["env"]]
        assert len(set(variables)) == len(variables)
    ports = [port for container in containers for port in container.get("ports", ())]
    for key in ("name", "containerPort"):
        assert len({port[key] for port in ports}) == len(ports) == 2
    assert spec["automountServiceAccountToken"] is False


def check_guard(item, labels):
    """What looks after pods selects them; the Service may select leaders, which have one label more."""
    spec = item.get("spec", {})
    if item["kind"] == "NetworkPolicy":
        assert subset(spec["podSelector"]["matchLabels"], labels)
    elif item["kind"] in ("PodDisruptionBudget", "PodMonitor"):
        assert subset(spec["selector"]["matchLabels"], labels)
    elif item["kind"] == "Service":
        set_by_kubernetes = {"apps.kubernetes.io/pod-index", "leaderworkerset.sigs.k8s.io/worker-index"}
        assert set(spec["selector"].items() - labels.items()) <= {(name, "0") for name in set_by_kubernetes}


def test_no_secret_is_in_any_object():
    """A Secret's name may be there, its entries are referred to; text that looks like one is refused before."""
    (plan,) = planned(pods({"model": "hub"}, models=MODELS)).servers
    text = yaml.safe_dump(list(manifests(plan)))
    assert SECRET in text
    assert "kind: Secret" not in text
    with pytest.raises(SpecError) as caught:
        planned(pods({"model": "m"}, models={"m": {"storage": {"uri": "hf://a/b", "key": "hf_0123456789abcdef"}}}))
    assert "hf_0123456789abcdef" not in str(caught.value)
