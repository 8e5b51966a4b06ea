"""What a stack on Kubernetes registers with Pulumi: types, parents, provider, limits of waiting, unknowns."""

from pathlib import Path

import pytest
from fakes.pulumi_monitor import UNKNOWN, Cloud, Secret, run
from support.pods import GROUP, IMAGE, LARGE, planned, pods

from pulumi_plinth.deployment.component import ModelDeployment
from pulumi_plinth.deployment.facts import HostFacts, ModelFacts
from pulumi_plinth.deployment.kubernetes.manifests import manifests
from pulumi_plinth.platform import Platform
from pulumi_plinth.quantities import GIB

SCALED = {"replicas": {"min": 1, "max": 3}, "autoscaling": {"by": "keda"}}
CLUSTER = {
    "image": IMAGE,
    "context": "prod",
    "kubeconfig": "clusters/prod",
    "monitoring": {"prometheus": "http://prometheus:9090"},
}
STACK = pods(SCALED, kubernetes=CLUSTER)


def built(document, *, preview=False):
    """Register a platform; what the monitor saw."""
    plan = planned(document)
    return run(lambda: Platform("p", plan), Cloud(preview=preview))


@pytest.mark.parametrize("preview", [False, True])
def test_every_object_is_a_resource_of_its_deployment(preview):
    """Real types, children named after their parents, one explicit provider of the cluster that the file names."""
    monitor = built(STACK, preview=preview)
    kinds = {item.name: item.type for item in monitor.all() if item.type.startswith("kubernetes:")}
    assert kinds == {
        "p-namespace": "kubernetes:core/v1:Namespace",
        "p-chat-serviceaccount": "kubernetes:core/v1:ServiceAccount",
        "p-chat-configmap": "kubernetes:core/v1:ConfigMap",
        "p-chat-networkpolicy": "kubernetes:networking.k8s.io/v1:NetworkPolicy",
        "p-chat-service": "kubernetes:core/v1:Service",
        "p-chat-deployment": "kubernetes:apps/v1:Deployment",
        "p-chat-poddisruptionbudget": "kubernetes:policy/v1:PodDisruptionBudget",
        "p-chat-scaledobject": "kubernetes:keda.sh/v1alpha1:ScaledObject",
        "p-chat-podmonitor": "kubernetes:monitoring.coreos.com/v1:PodMonitor",
    }
    for item in monitor.all():
        assert item.name == "p" or item.name.startswith(f"{item.parent}-")
        if item.type.startswith("kubernetes:"):
            assert "::p-kubernetes::" in item.provider
    provider = monitor.one("providers:kubernetes")
    assert provider.inputs["context"] == "prod"
    assert provider.inputs["clusterIdentifier"] == "clusters/prod#prod"


def test_resources_are_the_objects_that_are_rendered():
    """Letter by letter; some have a note on top that says that nobody waits for them, the workload is waited for."""
    monitor, (plan,) = built(STACK), planned(STACK).servers
    for item in manifests(plan):
        sent = monitor.one(f":{item['kind']}").inputs
        sent = {key: value for key, value in sent.items() if key not in ("apiVersion", "kind")}
        notes = sent["metadata"].get("annotations", {})
        if item["kind"] in ("PodMonitor", "ScaledObject", "Service"):
            assert notes == {"pulumi.com/skipAwait": "true"}
            del sent["metadata"]["annotations"]
        assert sent == {key: value for key, value in item.items() if key not in ("apiVersion", "kind")}


def test_a_rollout_is_awaited_as_long_as_the_plan_says():
    """Longer than the API server's own deadline, which names the reason; what pods need is there before them."""
    monitor, (plan,) = built(STACK), planned(STACK).servers
    deployment = monitor.one(":Deployment")
    limit = f"{plan.timing.progress + 60}s"
    assert deployment.timeouts == {"create": limit, "update": limit}
    assert {"p-chat-configmap", "p-chat-networkpolicy", "p-chat-serviceaccount"} <= set(deployment.dependencies)
    assert deployment.ignore_changes == []
    assert "replicas" not in deployment.inputs["spec"]
    assert monitor.one("ModelDeployment").dependencies == ["p-namespace"]


def test_a_changed_launch_is_the_same_resource_with_another_name():
    """So Pulumi makes the new ConfigMap, rolls the pods, then deletes the old one."""
    first, second = (built(pods({"maxBodySize": size})).one(":ConfigMap") for size in ("1Mi", "2Mi"))
    assert first.name == second.name == "p-chat-configmap"
    assert first.inputs["metadata"]["name"] != second.inputs["metadata"]["name"]


def test_groups_are_awaited_too():
    """A set for each group, or one LeaderWorkerSet that says when it is available."""
    monitor = built(pods(GROUP | {"replicas": {"min": 2}}, models=LARGE))
    assert {item.name for item in monitor.all(":StatefulSet")} == {"p-chat-statefulset", "p-chat-statefulset-1"}
    assert {item.name for item in monitor.all(":Service")} == {"p-chat-service", "p-chat-service-group"}
    sets = built(pods(GROUP, models=LARGE, kubernetes={"leaderWorkerSet": True})).one(":LeaderWorkerSet")
    assert sets.inputs["metadata"]["annotations"] == {"pulumi.com/waitFor": "condition=Available"}
    assert sets.timeouts


@pytest.mark.parametrize("preview", [False, True])
def test_outputs_are_known_at_preview(preview):
    """The endpoint follows from the plan; the key is the cluster's business and a secret in any case."""
    monitor = built(STACK, preview=preview)
    assert monitor.outputs_of("p-chat") == {
        "endpoint": "http://chat.plinth.svc:8000/v1", "management": "", "pid": 0, "key": Secret(""),
    }  # fmt: skip
    outputs = monitor.outputs_of("p")
    assert outputs["endpoints"] == {"chat": "http://chat.plinth.svc:8000/v1"}
    assert (outputs["management"], outputs["keys"]) == ({}, Secret({}))
    assert UNKNOWN not in outputs.values()


def test_the_same_stack_registers_the_same():
    """Nothing random, nothing of the order."""
    first, second = (sorted((item.name, str(item.inputs)) for item in built(STACK).all()) for _ in range(2))
    assert first == second


def test_two_deployments_live_in_one_program():
    """The component alone, with the caller's own options."""
    (plan,) = planned(pods()).servers

    def program():
        ModelDeployment("one", plan)
        ModelDeployment("two", plan)

    names = [item.name for item in run(program).all("ModelDeployment")]
    assert sorted(names) == ["one", "two"]


def test_pods_and_processes_of_this_host_stand_in_one_platform(card):
    """One stack with both: each by its own resource, endpoints and keys in one map each."""
    document = pods(stores={"disk": {"path": "models"}}, models={"tiny": {"store": "disk", "path": "tiny"}})
    document["deployments"]["here"] = {"model": "tiny"}
    model = ModelFacts(Path("/srv/models/tiny"), card, total_bytes=273_000_000)
    host = HostFacts(24 * GIB, engines={"vllm-cpu": Path("/srv/python")})
    plan = planned(document, models={"tiny": model}, host=host)
    monitor = run(lambda: Platform("p", plan))
    assert {item.name for item in monitor.all("ModelDeployment")} == {"p-chat", "p-here"}
    assert monitor.one(":LocalServer").parent == "p-here"
    outputs = monitor.outputs_of("p")
    assert set(outputs["endpoints"]) == {"chat", "here"}
    assert set(outputs["management"]) == {"here"}


def test_a_stack_without_a_cluster_makes_no_provider():
    """Nor does one whose cluster has nothing to run."""
    document = pods(deployments={})
    document["deployments"] = {}
    assert [item.type for item in built(document).all()] == ["plinth:index:Platform"]
