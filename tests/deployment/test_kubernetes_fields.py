"""Every field that speaks of pods changes an object or the plan: a field that does nothing is a bug."""

import pytest
from support.pods import IMAGE, PROCESSORS, planned, pods, server

from pulumi_plinth.deployment.kubernetes.manifests import common_manifests, manifests
from pulumi_plinth.deployment.kubernetes.spec import KubernetesSpec, MonitoringSpec
from pulumi_plinth.deployment.pod_spec import AutoscalingSpec, PodSpec, PodWeightsSpec, RolloutSpec, TolerationSpec
from pulumi_plinth.deployment.spec import DeploymentSpec
from pulumi_plinth.deployment.targets import POD_ONLY, PROCESSORS_ONLY, SERVING

OTHER = {
    "autoscaling": {},
    "rollout": {"strategy": "surge"},
    "workload": "stateful-set",
    "weights": {"claim": "models"},
    "pod": {"cpu": 8},
    "port": 8100,
    "managementPort": 9100,
    "open": True,
    "generate": True,
    "maxQueuedRequests": 3,
    "maxBodySize": "1Mi",
    "shutdownTimeout": "9s",
    "maxRestarts": 1,
    "stallTimeout": "5s",
    "hangTimeout": "50s",
    "probeInterval": "50s",
    "stepTimeout": "99s",
    "warmUp": True,
    "kvCacheMemory": "2Gi",
    "enforceEager": False,
}
PARTS = {
    "pod": {
        "namespace": "team",
        "image": "other:1",
        "imagePullSecrets": ["registry"],
        "serviceAccount": "robot",
        "priorityClass": "high",
        "runtimeClass": "nvidia",
        "nodeSelector": {"pool": "gpus"},
        "tolerations": [{"key": "gpu"}],
        "spread": "topology.kubernetes.io/zone",
        "cpu": 8,
        "memory": "20Gi",
        "disk": "99Gi",
        "allowedNamespaces": ["team"],
        "keysSecret": "other",
        "servicePort": 8080,
        "publicUrl": "https://models.example",
        "drainDelay": 9,
        "grace": "5m",
        "labels": {"team": "a"},
        "annotations": {"note": "b"},
    },
    "rollout": {"strategy": "surge", "spareGpus": 4},
    "autoscaling": {"by": "keda", "waiting": 9, "running": 7, "upWindow": 30, "downWindow": 60, "step": 2},
    "weights": {"claim": "c", "image": "weights:1", "path": "deep"},
}
CLUSTER = {
    "kubeconfig": "config",
    "context": "prod",
    "namespace": "models",
    "namespaces": "existing",
    "image": "other:1",
    "imagePullSecrets": ["registry"],
    "enginePython": "/opt/python",
    "user": 3000,
    "leaderWorkerSet": True,
    "apiNamespaces": ["gateway"],
    "nodeNetworks": ["10.0.0.0/16"],
    "monitoring": {},
    "nodeAgent": {"image": IMAGE},
    "crds": "existing",
}
MONITORING = {"namespaces": ["other"], "labels": {"a": "b"}, "interval": "30s", "prometheus": "http://other:9090"}
MONITORED = {"kubernetes": {"image": IMAGE, "monitoring": {"prometheus": "http://prometheus:9090"}}}
SCALED = {"replicas": {"min": 1, "max": 3}, "autoscaling": {}}
GROUP = {"llama": {"storage": {"uri": "s3://models/llama"}, "preset": {"name": "llama-3.1-405b-instruct"}}}


def outcome(document):
    """Everything that follows from a stack: objects, how the cluster is reached, what is said."""
    plan = planned(document)
    (pod,) = plan.servers
    access = (plan.cluster.kubeconfig, plan.cluster.context)
    shared = (*common_manifests(plan.cluster), *plan.declared.objects)
    return (*shared, *manifests(pod), access, plan.to_json())


def test_the_tables_have_a_row_for_each_field():
    """Whoever adds a field adds the proof that it matters."""
    names = {field.alias for name, field in DeploymentSpec.model_fields.items()}
    wanted = {DeploymentSpec.model_fields[name].alias for name in POD_ONLY | SERVING | set(PROCESSORS_ONLY)}
    assert wanted <= names
    assert set(OTHER) == wanted
    specs = {"pod": PodSpec, "rollout": RolloutSpec, "autoscaling": AutoscalingSpec, "weights": PodWeightsSpec}
    for part, spec in specs.items():
        assert set(PARTS[part]) == {field.alias for field in spec.model_fields.values()}
    assert set(CLUSTER) == {field.alias for field in KubernetesSpec.model_fields.values()}
    assert set(MONITORING) == {field.alias for field in MonitoringSpec.model_fields.values()}


@pytest.mark.parametrize("field", OTHER)
def test_every_field_of_a_deployment_matters(field):
    """Also of the running server, which has its say in the launch file."""
    start = {"replicas": {"min": 1, "max": 3}} if field == "autoscaling" else {}
    start |= PROCESSORS if field in ("kvCacheMemory", "enforceEager") else {}
    before, after = pods(start, **MONITORED), pods(start | {field: OTHER[field]}, **MONITORED)
    assert outcome(after) != outcome(before)


def test_the_engine_matters():
    """Processors or GPUs."""
    assert server(pods(PROCESSORS)).demand.gpus == 0
    assert server(pods()).demand.gpus == 1


@pytest.mark.parametrize(("part", "field"), [(part, field) for part, fields in PARTS.items() for field in fields])
def test_every_field_of_a_part_matters(part, field):
    """One level down."""
    start = dict(SCALED) if part == "autoscaling" else {}
    start |= {"weights": {"claim": "models"}} if part == "weights" else {}
    value = dict(start.get(part, {})) | {field: PARTS[part][field]}
    if (part, field) == ("weights", "image"):
        del value["claim"]
    assert outcome(pods(start | {part: value}, **MONITORED)) != outcome(pods(start, **MONITORED))


@pytest.mark.parametrize("field", CLUSTER)
def test_every_field_of_the_cluster_matters(field):
    """What all deployments share."""
    deployment, models = {}, {}
    if field == "leaderWorkerSet":
        deployment, models = {"model": "llama", "shape": "BM.GPU.H100.8"}, GROUP
    start = {"nodeAgent": CLUSTER["nodeAgent"]} if field == "crds" else {}
    before = outcome(pods(deployment, models=models, kubernetes=start))
    assert outcome(pods(deployment, models=models, kubernetes=start | {field: CLUSTER[field]})) != before


@pytest.mark.parametrize("field", MONITORING)
def test_every_field_of_monitoring_matters(field):
    """Where Prometheus is, and what it may read."""
    deployment = SCALED | {"autoscaling": {"by": "keda"}}
    start = {"prometheus": "http://prometheus:9090"}
    before = outcome(pods(deployment, kubernetes={"monitoring": start}))
    assert outcome(pods(deployment, kubernetes={"monitoring": start | {field: MONITORING[field]}})) != before


@pytest.mark.parametrize("field", ["key", "operator", "value", "effect"])
def test_every_field_of_a_toleration_matters(field):
    """As Kubernetes reads it."""
    others = {"key": "b", "operator": "Exists", "value": "y", "effect": "NoExecute"}
    start = {"key": "a", "operator": "Equal", "value": "x", "effect": "NoSchedule"}
    changed = start | {field: others[field]}
    if field == "operator":
        del changed["value"]
    assert {field.alias for field in TolerationSpec.model_fields.values()} == set(others)
    before, after = ({"pod": {"tolerations": [item]}} for item in (start, changed))
    assert outcome(pods(after)) != outcome(pods(before))
