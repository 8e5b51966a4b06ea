"""Kubernetes objects as people write them: what is read out of them, and which rules speak."""

import copy
from pathlib import Path

import pytest
import yaml

from pulumi_plinth.check.core import Severity, judge
from pulumi_plinth.check.manifest import subjects_of_manifest
from pulumi_plinth.check.place_rules import PLACE_RULES

FOLDER = Path(__file__).parent / "manifests"


def subjects(name):
    """Subjects of a file by name."""
    return dict(subjects_of_manifest(list(yaml.safe_load_all((FOLDER / name).read_text()))))


def rules(subject, severity=None):
    """Names of the rules that speak."""
    verdicts = judge(subject, PLACE_RULES)
    return {verdict.rule for verdict in verdicts if severity in (None, verdict.severity)}


CASES = [
    (
        "deployment.yaml",
        "Deployment/chat",
        {
            "gpu-request-equals-limit", "shared-memory", "label-value", "port-differs", "service-named-vllm",
            "volume-single-writer", "cache-outside-mount", "killed-while-loading", "probe-needs-key", "grace-too-short",
            "metric-retired",
        },
        {"host-memory-limit", "rollout-needs-spare", "budget-blocks-drain", "replicas-owned-twice"},
    ),
    ("deployment-right.yaml", "Deployment/chat", set(), set()),
    (
        "statefulset.yaml",
        "StatefulSet/llama-3-1-405b-instruct-fp8-tensor-parallel-16-production",
        {
            "shared-memory", "group-starts-in-order", "group-hides-unready", "label-too-long", "rdma-modes",
            "rdma-locked-memory",
            "pod-security",
        },
        set(),
    ),
    ("others.yaml", "LeaderWorkerSet/deepseek", {"shared-memory"}, {"nodes-without-distribution"}),
    (
        "others.yaml",
        "InferenceService/qwen-2-5-coder-32b-instruct-long-context",
        {"gpu-whole-number", "label-too-long"},
        {"scale-on-utilization"},
    ),
    ("others.yaml", "Workspace/phi-4", set(), set()),
    ("others.yaml", "Workspace/own", set(), {"nodes-without-distribution"}),
    ("others.yaml", "Job/offline", set(), set()),
    ("others.yaml", "Pod/scaled", {"scale-from-zero-metric"}, {"gpu-not-asked"}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "owner", "refused", "warned"), CASES, ids=[f"{case[0]}-{case[1]}" for case in CASES])
def test_whole_files(name, owner, refused, warned):
    """Exactly the rules that must speak do, with the severity they should have."""
    subject = subjects(name)[owner]
    assert rules(subject, Severity.REFUSE) == refused
    assert rules(subject, Severity.WARN) == warned


def test_objects_without_a_server_are_left_out():
    """A proxy, a claim or a service is no subject."""
    assert "Pod/proxy" not in subjects("others.yaml")
    assert list(subjects("deployment.yaml")) == ["Deployment/chat"]


def test_what_is_read():
    """Command through a shell, ports by name, claims, and what surrounds them arrive in the subject."""
    subject = subjects("deployment.yaml")["Deployment/chat"]
    assert subject.serving.model == "meta-llama/Llama-3.1-70B-Instruct"
    assert subject.serving.version == (0, 11, 0)
    assert subject.serving.environment == {"KEY": ""}
    place = subject.place
    assert place.traffic.engine_port == 8080
    assert ("service vllm", 8080) in place.traffic.other_ports
    assert place.pod.container.limits == {"nvidia.com/gpu": 4, "memory": 8 * 2**30, "ephemeral-storage": None}
    assert place.pod.container.probes.liveness.path == "/v1/models"
    assert place.pod.container.probes.startup.present is False
    assert place.claim.users == 2
    assert (place.scaling.metrics, place.scaling.maximum) == (("vllm:gpu_cache_usage_perc",), 4)


def test_slices_are_seen():
    """A MIG resource is read as such, with its name."""
    subject = subjects("others.yaml")["Job/offline"]
    assert subject.place.gpus.resource == "nvidia.com/mig-3g.40gb"
    assert subject.serving.gpu.mig


def deployment(**fields):
    """The smallest Deployment; `strategy` and `replicas` go to its spec, the rest to the container."""
    spec = {key: fields.pop(key) for key in ("strategy", "replicas") if key in fields}
    node = fields.pop("node", None)
    container = {"image": "vllm/vllm-openai:v0.32.0", "args": ["--model", "Qwen/Qwen3-8B"], **fields}
    owner = {
        "kind": "Deployment",
        "metadata": {"name": "chat"},
        "spec": {**spec, "template": {"spec": {"containers": [container]}}},
    }
    return subjects_of_manifest([owner, node] if node else owner)[0][1]


GPU = {"resources": {"limits": {"nvidia.com/gpu": 1}}}
NODE = {"kind": "Node", "status": {"capacity": {"nvidia.com/gpu": "1"}, "allocatable": {"nvidia.com/gpu": "1"}}}
TAINTED = {**NODE, "spec": {"taints": [{"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}]}}
RECREATE = {"type": "Recreate"}

PAIRS = [
    ("rollout-needs-spare", GPU, True),
    ("rollout-needs-spare", {**GPU, "strategy": RECREATE}, False),
    ("rollout-needs-spare", {**GPU, "strategy": {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}}}, False),
    ("rollout-needs-spare", {**GPU, "replicas": 4}, False),
    ("untolerated-taint", {**GPU, "node": TAINTED}, True),
    ("untolerated-taint", {**GPU, "node": NODE}, False),
    ("gpus-above-node", {"resources": {"limits": {"nvidia.com/gpu": 2}}, "node": NODE}, True),
    ("gpus-above-node", {**GPU, "node": NODE}, False),
    ("gpu-not-asked", {}, True),
    ("gpu-not-asked", {"args": ["--model", "Qwen/Qwen3-8B", "--device", "cpu"]}, False),
    ("gpu-request-equals-limit", {"resources": {"requests": {"nvidia.com/gpu": 1}}}, True),
    ("gpus-below-ranks", {**GPU, "args": ["--model", "m", "--tensor-parallel-size", "2"]}, True),
    ("port-differs", {"readinessProbe": {"httpGet": {"port": 8001}}}, True),
    ("port-differs", {"readinessProbe": {"httpGet": {"port": 8001}}, "args": ["--port=8001", "--model", "m"]}, False),
    ("service-named-vllm", {"env": [{"name": "VLLM_PORT", "value": "tcp://10.0.0.1:8000"}]}, True),
    ("service-named-vllm", {"env": [{"name": "VLLM_PORT", "value": "8001"}]}, False),
]


@pytest.mark.parametrize(("rule", "fields", "speaks"), PAIRS)
def test_borders(rule, fields, speaks):
    """Each rule speaks on one side of its border and not on the other."""
    assert (rule in rules(deployment(**fields))) is speaks


@pytest.mark.parametrize(
    "text",
    [
        "bash start-ray.sh leader --size=2; python3 -m vllm.entrypoints.openai.api_server --port 8080 --model m",
        "set -e && exec vllm serve m --port 8080",
        "echo ready\nvllm serve m \\\n  --port 8080",
    ],
)
def test_shells(text):
    """Of a shell's text the command that starts the engine is read."""
    subject = deployment(command=["/bin/sh", "-c"], args=[text])
    assert subject.serving.model == "m"
    assert subject.place.traffic.engine_port == 8080


@pytest.mark.parametrize(("probe", "speaks"), [({"httpGet": {"path": "/health", "port": 8000}}, True), ({}, False)])
def test_workers_are_not_asked_for_http(probe, speaks):
    """In a group with a leader of its own, workers serve no HTTP."""
    leader = {"spec": {"containers": [{"image": "vllm/vllm-openai", "args": ["--nnodes=2"]}]}}
    worker = {"spec": {"containers": [{"image": "vllm/vllm-openai", "readinessProbe": probe}]}}
    owner = {
        "kind": "LeaderWorkerSet",
        "metadata": {"name": "chat"},
        "spec": {"leaderWorkerTemplate": {"size": 2, "leaderTemplate": leader, "workerTemplate": worker}},
    }
    assert ("workers-probed" in rules(subjects_of_manifest(owner)[0][1])) is speaks


def test_headless_services_set_no_variables():
    """Only services with an address put variables into pods."""
    owner = {
        "kind": "StatefulSet",
        "metadata": {"name": "chat"},
        "spec": {
            "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"image": "vllm/vllm-openai"}]}}
        },
    }
    service = {"kind": "Service", "metadata": {"name": "vllm"}, "spec": {"selector": {"a": "b"}, "ports": []}}
    headless = {**service, "spec": {**service["spec"], "clusterIP": "None"}}
    assert "service-named-vllm" in rules(subjects_of_manifest([owner, service])[0][1])
    assert "service-named-vllm" not in rules(subjects_of_manifest([owner, headless])[0][1])


@pytest.mark.parametrize(
    "document",
    [
        None,
        "text",
        [],
        [[[]]],
        {"kind": "Deployment"},
        {"kind": "Deployment", "spec": {"template": {"spec": {"containers": "vllm"}}}},
        {"kind": "Pod", "spec": {"containers": [{"image": 5, "args": {"a": 1}, "resources": {"limits": []}}]}},
        {"kind": ["Pod"], "metadata": "x"},
        {"kind": "LeaderWorkerSet", "spec": {"leaderWorkerTemplate": []}},
    ],
)
def test_any_shape_is_survived(document):
    """What is no manifest gives no subject, and never an exception."""
    assert subjects_of_manifest(document) == []


@pytest.mark.parametrize(
    "container",
    [
        {"args": "vllm serve 'unclosed"},
        {"env": [{"name": None}, "text"], "resources": {"limits": {"nvidia.com/gpu": "many", "memory": {}}}},
        {"volumeMounts": [{"mountPath": None}], "ports": [{"containerPort": "x"}], "livenessProbe": {"httpGet": []}},
    ],
)
def test_odd_values_are_survived(container):
    """A server whose fields hold nonsense is still judged by the rest."""
    rules(deployment(**container))


def test_a_list_is_its_items():
    """What `kubectl get -o yaml` prints is read like a file of documents."""
    document = yaml.safe_load((FOLDER / "others.yaml").read_text().split("---")[0])
    assert [name for name, _ in subjects_of_manifest({"kind": "List", "items": [document]})] == [
        "LeaderWorkerSet/deepseek"
    ]


SERVER = {"image": "vllm/vllm-openai:v0.32.0", "args": ["--model", "Qwen/Qwen3-8B"]}
CLAIM = {"kind": "PersistentVolumeClaim", "metadata": {"name": "w"}, "spec": {"accessModes": ["ReadWriteOnce"]}}
MOUNTED = {**SERVER, "volumeMounts": [{"name": "w", "mountPath": "/root/.cache/huggingface"}]}
VOLUME = {"name": "w", "persistentVolumeClaim": {"claimName": "w"}}
SAME_NODE = {
    "podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": "kubernetes.io/hostname"}]}
}


def mounting(kind, **spec):
    """A workload of two pods that mounts `w`; `spec` are fields of its pods."""
    template = {"spec": {"containers": [MOUNTED], "volumes": [VOLUME], **spec}}
    return {"kind": kind, "metadata": {"name": "chat"}, "spec": {"replicas": 2, "template": template}}


def of_template():
    """A StatefulSet whose pods have a claim each."""
    owner = mounting("StatefulSet", volumes=[])
    owner["spec"]["volumeClaimTemplates"] = [CLAIM]
    return owner


LOADER = {
    "kind": "Job",
    "metadata": {"name": "load"},
    "spec": {"template": {"spec": {"containers": [{"image": "loader"}], "volumes": [VOLUME]}}},
}
ONE = {**mounting("Deployment"), "spec": {**mounting("Deployment")["spec"], "replicas": 1}}


@pytest.mark.parametrize(
    ("documents", "users", "speaks"),
    [
        ([CLAIM, mounting("Deployment")], 2, True),
        ([CLAIM, mounting("Deployment", affinity=SAME_NODE)], 2, False),
        ([CLAIM, ONE], 1, False),
        ([CLAIM, ONE, LOADER], 2, True),
        ([CLAIM, of_template()], None, False),
        ([mounting("Deployment")], None, False),
    ],
)
def test_claims_and_who_mounts_them(documents, users, speaks):
    """Pods of all workloads of a file count, claims from templates belong to one pod, unknown claims to nobody."""
    subject = next(subject for name, subject in subjects_of_manifest(documents) if name.endswith("/chat"))
    assert subject.place.claim.users == users
    assert ("volume-single-writer" in rules(subject)) is speaks


def test_config_maps_fill_the_environment():
    """Variables from config maps of the file decide where weights are written."""
    config = {"kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"HF_HOME": "/data"}}
    container = {**MOUNTED, "volumeMounts": [{"name": "w", "mountPath": "/data"}]}
    owner = mounting("Deployment", containers=[{**container, "envFrom": [{"configMapRef": {"name": "c"}}]}])
    by_key = {"name": "HF_HOME", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "HF_HOME"}}}
    single = mounting("Deployment", containers=[{**container, "env": [by_key]}])
    for document in (owner, single):
        subject = subjects_of_manifest([CLAIM, config, document])[0][1]
        assert subject.place.pod.container.cache_folder == "/data"
        assert "cache-outside-mount" not in rules(subject)
    assert "cache-outside-mount" in rules(subjects_of_manifest([CLAIM, owner])[0][1])


TRIGGER = {"type": "prometheus", "metadata": {"query": "sum(vllm:num_requests_waiting)"}}


@pytest.mark.parametrize(
    ("scaler", "found"),
    [
        ({"kind": "ScaledObject", "spec": {"triggers": [TRIGGER]}}, {"scale-from-zero-metric", "replicas-owned-twice"}),
        (
            {"kind": "ScaledObject", "spec": {"triggers": [TRIGGER], "minReplicaCount": 1, "maxReplicaCount": 3}},
            {"replicas-owned-twice"},
        ),
        (
            {
                "kind": "HorizontalPodAutoscaler",
                "spec": {"maxReplicas": 3, "metrics": [{"type": "Resource", "resource": {"name": "cpu"}}]},
            },
            {"scale-on-utilization", "replicas-owned-twice"},
        ),
    ],
)
def test_scalers(scaler, found):
    """What scales a workload is read with its bounds; KEDA's own minimum is 0."""
    scaler = {**scaler, "spec": {"maxReplicaCount": 3, **scaler["spec"], "scaleTargetRef": {"name": "chat"}}}
    subject = subjects_of_manifest([mounting("Deployment"), scaler])[0][1]
    assert {rule for rule in rules(subject) if rule.startswith(("scale", "replicas"))} == found


ODD = [None, "", 0, -1, 1.5, True, [], {}, "x", "1Gi", [None], {"a": 1}, "9" * 30, float("nan"), "10%", 10**400]


def paths(value, path=()):
    """Every path into a document but the empty one."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield (*path, key)
        yield from paths(item, (*path, key))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["deployment.yaml", "deployment-right.yaml", "statefulset.yaml", "others.yaml"])
def test_any_field_may_hold_anything(name):
    """With any one field of a file replaced by nonsense, the rest is still read and judged."""
    source = list(yaml.safe_load_all((FOLDER / name).read_text()))
    for number, path in enumerate(paths(source)):
        documents = copy.deepcopy(source)
        holder = documents
        for key in path[:-1]:
            holder = holder[key]
        holder[path[-1]] = copy.deepcopy(ODD[number % len(ODD)])
        for _, subject in subjects_of_manifest(documents):
            judge(subject, PLACE_RULES)
