"""What an excellent component package shows of whole stacks: Platform and ModelDeployment, and the pods they make."""

import inspect

import pytest
import yaml
from fakes.pulumi_monitor import UNKNOWN, Secret, name_of, run
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.components import backwards, cloud
from support.pods import GROUP, LARGE, pods, server

from pulumi_plinth import Platform
from pulumi_plinth.deployment.component import ModelDeployment
from pulumi_plinth.deployment.kubernetes.manifests import manifests
from pulumi_plinth.observe import observe
from pulumi_plinth.planner import plan_stack
from pulumi_plinth.stack import CONFIG_KEY, StackSpec

STACK = "oci-h100"
GENTLE = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.fixture(scope="module")
def document(project_root):
    """A shipped stack that makes cluster, pool, store and a server over two nodes."""
    return yaml.safe_load((project_root / f"stacks/Pulumi.{STACK}.yaml").read_text())["config"][CONFIG_KEY]


@pytest.fixture(scope="module")
def planned(project_root):
    """A function that plans a document."""

    def do(document):
        spec = StackSpec.parse(document)
        return plan_stack(spec, observe(spec, project_root, STACK))

    return do


@pytest.fixture(scope="module")
def plan(planned, document):
    """The stack, planned."""
    return planned(document)


def build(plan, name="it", *, preview=False):
    """Register a platform."""
    return run(lambda: Platform(name, plan) and None, cloud(preview=preview))


@pytest.mark.processes
def test_behaviour_01_everything_stands_under_its_platform(plan):
    """Platform and ModelDeployment have tokens of the package, and whatever is made has the platform as ancestor."""
    monitor = build(plan)
    first, *others = monitor.all()
    assert first.type == "plinth:index:Platform"
    for item in others:
        while item.urn != first.urn:
            item = monitor.registered[item.request.parent]  # noqa: PLW2901 up to the platform, or a KeyError
    (server,) = [item for item in others if item.type.endswith(":ModelDeployment")]
    assert server.type == "plinth:index:ModelDeployment"
    inside = [item for item in others if item.parent == server.name]
    assert {"StatefulSet", "LeaderWorkerSet", "Deployment"} & {item.type.rpartition(":")[2] for item in inside}


@pytest.mark.processes
def test_behaviour_02_names_of_children_of_platforms(plan):
    """Every name begins with that of the component above it, and is another."""
    for item in build(plan).all()[1:]:
        assert item.name.startswith(f"{name_of(item.request.parent)}-")


@pytest.mark.processes
def test_behaviour_03_outputs_of_platforms_are_the_annotated_ones(plan):
    """Exactly those, once, of the platform and its servers."""
    monitor = build(plan)
    for kind in (Platform, ModelDeployment):
        (item,) = monitor.all(f":{kind.__name__}")
        assert set(monitor.outputs_of(item.name)) == set(inspect.get_annotations(kind))


@pytest.mark.processes
def test_behaviour_04_two_platforms(plan):
    """Two in one program have no URN in common (the monitor refuses one that comes twice)."""
    monitor = run(lambda: Platform("one", plan) and Platform("two", plan) and None, cloud())
    assert {item.name.split("-")[0] for item in monitor.all()} == {"one", "two"}


@pytest.mark.processes
def test_behaviour_05_a_stack_file_in_another_order(plan, planned, document):
    """The same stack, its mappings and sets in the opposite order, is the same bytes."""
    assert build(plan).normal() == build(planned(backwards(document))).normal()


@pytest.mark.processes
def test_behaviour_06_a_platform_before_anything_is_there(plan):
    """In a preview what a cloud makes is unknown and nothing is None."""
    monitor = build(plan, preview=True)
    assert all(value is not None for outputs in monitor.outputs.values() for value in outputs.values())
    pool = next(item for item in monitor.all(":GpuNodePool"))
    assert monitor.outputs_of(pool.name)["pool_id"] is UNKNOWN
    assert isinstance(monitor.outputs_of("it")["keys"], Secret)


@pytest.mark.parametrize("scaled", [False, True])
def test_behaviour_14_who_owns_the_replicas(scaled):
    """With autoscaling on a workload does not say how many, with it off it does: there is nothing left to ignore."""
    fields = {"replicas": {"min": 1, "max": 3}, "autoscaling": {"by": "hpa"}} if scaled else {}
    made = manifests(server(pods(fields, kubernetes={"monitoring": {}})))
    (workload,) = [item for item in made if item["kind"] == "Deployment"]
    assert ("replicas" in workload["spec"]) is not scaled
    assert any(item["kind"] == "HorizontalPodAutoscaler" for item in made) is scaled


POOL = {"shape": "VM.GPU.L40S.1", "size": 2, "compartmentId": "ocid1.compartment.x", "kubernetesVersion": "v1.34.1",
        "clusterId": "ocid1.cluster.c", "subnetId": "ocid1.subnet.s", "placements": [{"availabilityDomain": "AD-1"}]}  # fmt: skip # noqa: E501
DEPLOYMENTS = st.fixed_dictionaries(
    {"shape": st.sampled_from(["VM.GPU.A10.1", "VM.GPU.A10.2", "BM.GPU.H100.8", "BM.GPU.MI300X.8", "pool"])},
    optional={
        "replicas": st.sampled_from([{"min": 0}, {"min": 2}, {"max": 2}]),
        "open": st.booleans(),
        "workload": st.sampled_from(["deployment", "stateful-set"]),
        "rollout": st.just({"strategy": "in-place"}),
        "pod": st.sampled_from([{"labels": {"a": "b"}}, {"nodeSelector": {"zone": "x"}}, {"memory": "64Gi"}]),
    },
)


@pytest.mark.slow
@GENTLE
@given(DEPLOYMENTS | st.just(GROUP))
def test_behaviour_21_pods_with_gpus_carry_what_they_need(deployment):
    """Limits, tolerations of the node's taint, selector, sized shared memory, three probes, and a budget, always."""
    pooled = {"pool": "gpu", "shape": None} if deployment["shape"] == "pool" else {}
    parts = {"pools": {"gpu": POOL}} if pooled else {}
    made = manifests(server(pods(deployment | pooled, models=LARGE, **parts)))
    templates = list(_templates(made))
    assert templates
    for template in templates:
        _judge(template["spec"])
        labels = template["metadata"]["labels"].items()
        budgets = [item["spec"] for item in made if item["kind"] == "PodDisruptionBudget"]
        assert any(spec["selector"]["matchLabels"].items() <= labels for spec in budgets)


def _templates(made):
    for item in made:
        spec = item.get("spec", {})
        if "template" in spec:
            yield spec["template"]
        groups = spec.get("leaderWorkerTemplate", {})
        yield from (groups[part] for part in ("leaderTemplate", "workerTemplate") if part in groups)


def _judge(pod):
    engine = pod["containers"][0]
    ((resource, count),) = [item for item in engine["resources"]["limits"].items() if item[0].endswith("/gpu")]
    assert int(count) >= 1
    assert resource in {item["key"] for item in pod["tolerations"] if item["effect"] == "NoSchedule"}
    assert pod["nodeSelector"]
    (mount,) = [item for item in engine["volumeMounts"] if item["mountPath"] == "/dev/shm"]
    (volume,) = [item for item in pod["volumes"] if item["name"] == mount["name"]]
    assert volume["emptyDir"]["medium"] == "Memory"
    assert volume["emptyDir"]["sizeLimit"]
    assert {"startupProbe", "readinessProbe", "livenessProbe"} <= engine.keys()
