"""What a deployment on Kubernetes is planned to be, why, and what is refused before anything is made."""

import pytest
from support.pods import GROUP, IMAGE, LARGE, PROCESSORS, faults, planned, pods, reasons, server

from pulumi_plinth.errors import SpecError
from pulumi_plinth.stack import StackSpec

MONITORED = {"kubernetes": {"image": IMAGE, "monitoring": {"prometheus": "http://prometheus.monitoring:9090"}}}
SETS = {"kubernetes": {"image": IMAGE, "leaderWorkerSet": True}}
PRIVATE = {"accessMode": "private", "image": "registry.example/llama:0.0.1"}


def preset(size, **fields):
    """A stack with one of KAITO's llama-2 presets."""
    models = {"qwen": {"preset": {"name": f"llama2-{size}", **PRIVATE}}}
    return pods({"shape": None, "maxModelLen": 2048, "shapes": ["BM.GPU.A10.4", "BM.GPU4.8"], **fields}, models=models)


@pytest.mark.parametrize(
    ("size", "kind", "gpus"), [("7b", "deployment", 1), ("13b", "stateful-set", 2), ("70b", "stateful-set", 8)]
)
def test_presets_become_the_workloads_of_the_seed(size, kind, gpus):
    """A Deployment for 7b; StatefulSets, distributed, for 13b and 70b; `/generate` on 80 -> 5000, the private image."""
    plan = server(preset(size))
    assert (plan.workload.kind, plan.demand.all_gpus) == (kind, gpus)
    assert (plan.launch.api.generate, plan.launch.api.port, plan.service_port) == (True, 5000, 80)
    assert plan.placement.image == PRIVATE["image"]
    assert (plan.weights.way, plan.launch.model.folder) == ("image", "/models/weights")
    distributed = [word for word in plan.launch.engine.extra_args if "parallel" in word]
    assert distributed == ([f"--tensor-parallel-size={gpus}"] if gpus > 1 else [])
    assert "what KAITO makes" in reasons(preset(size), "workload")[0]


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (preset("7b", workload="stateful-set"), 'chat.workload: "stateful-set" is not what KAITO makes for llama2-7b'),
        (preset("13b", workload="deployment"), "is not what KAITO makes for llama2-13b; write stateful-set"),
        (preset("13b", parallel={"tensor": 1}), "puts llama2-13b on 1 GPUs; it is served distributed over 2"),
        (pods(kubernetes={"image": None}), "chat.pod.image: has no image: neither deployment nor preset nor"),
        (pods({"pod": {"grace": 20}}), "grace: 20.0 is too short: 5 s delay + 30 s shutdown + 10 s engine + 10 s ma"),
        (pods({"autoscaling": {}}), "chat.autoscaling: stands beside replicas that do not vary (1)"),
        (pods({"autoscaling": {}, "replicas": {"min": 1, "max": 2}}), "needs metrics that nobody collects; add"),
        (pods({"autoscaling": {}, "replicas": {"min": 0, "max": 2}}, **MONITORED), "replicas.min: 0 cannot wake what"),
        (
            pods(
                {"autoscaling": {"by": "keda"}, "replicas": {"max": 2}}, kubernetes={"image": IMAGE, "monitoring": {}}
            ),
            'autoscaling.by: "keda" is keda, which asks Prometheus',
        ),
        (pods({"workload": "leader-worker-set"}), "needs a CRD that the cluster is not said to have; install"),
        (pods({"workload": "leader-worker-set"}, **SETS), "is for replicas of several nodes, and this is one"),
        (pods({**GROUP, "workload": "deployment"}, models=LARGE), "cannot run a replica of 2 nodes: its pods do not"),
        (
            pods({**GROUP, "autoscaling": {}, "replicas": {"max": 2}}, models=LARGE, **MONITORED),
            "autoscaling: cannot be scaled: each StatefulSet is one replica",
        ),
        (pods({"rollout": {"strategy": "surge", "spareGpus": 0}}), "needs 1 GPUs for one more replica, 0 are free"),
        (pods({"workload": "stateful-set", "rollout": {"strategy": "surge"}}), "is not what a StatefulSet can do"),
        (pods({"workload": "stateful-set", "rollout": {"strategy": "recreate"}}), "is not what a StatefulSet can do"),
        (pods({"model": "m"}, models={"m": {"preset": {"name": "llama-3.1-8b-instruct"}}}), "is gated at hf://meta-"),
        (
            pods({"model": "m"}, models={"m": {"storage": {"uri": "local:///data/q"}, "technicalName": "qwen3-8b"}}),
            "lies at local:///data/q, on the nodes themselves, which pods under `restricted` cannot mount",
        ),
        (
            pods(
                {"model": "m"}, models={"m": {"storage": {"uri": "pvc://other:claim/q"}, "technicalName": "qwen3-8b"}}
            ),
            "names a claim in namespace other, and the pods run in plinth, which cannot mount it",
        ),
        (
            pods(
                {"model": "m"},
                models={"m": {"store": "disk", "path": "q", "technicalName": "qwen3-8b"}},
                stores={"disk": {"path": "models"}},
            ),
            "lies in store disk, a folder of this host, which no pod can read; publish it",
        ),
        (pods(PROCESSORS | {"maxModelLen": 99_999}), "is longer than the 40960 tokens the model was made for"),
        (pods(PROCESSORS | {"parallel": {"tensor": 2}}), "parallel: speaks of GPUs, and the engine vllm-cpu uses none"),
        (pods({"host": "::"}), "host: has no meaning for the target kubernetes: a pod has an address of its own"),
        (
            pods({"shape": "BM.GPU.H100.8", "parallel": {"tensor": 4, "pipeline": 3}}),
            "is 12 GPUs, which 2 nodes do not share in whole tensor groups; write parallel: {pipeline: 2}",
        ),
        (pods({"weights": {}}), "needs one place; write exactly one of claim and image"),
        (pods({"weights": {"claim": "c", "path": "../x"}}), "steps out of the volume"),
        (pods({"pod": {"keysSecret": "sk-live-0123456789abcdef"}}), "is a secret in plain text; write the name"),
    ],
)
def test_what_cannot_work_is_refused_at_preview(document, expected):
    """Path, value, what is wrong with the arithmetic, what to write."""
    try:
        found = faults(document)
    except SpecError as error:  # found while the document is read
        found = [str(fault) for fault in error.faults]
    assert any(expected in fault for fault in found), found
    assert "sk-live" not in str(found)


def test_names_leave_room_for_those_of_pods():
    """A Service's name begins with a letter, and a revision's label has 63 characters."""
    document = pods()
    for name, expected in (("1chat", "begins with a digit"), ("c" * 46, "has 46 characters; names of its pods leave")):
        other = {**document, "deployments": {name: document["deployments"]["chat"]}}
        assert any(expected in fault for fault in faults(other))


def test_without_a_cluster_nothing_but_sizes_is_planned():
    """The same deployment, and no server; fields of pods are refused with what to add."""
    document = pods()
    del document["kubernetes"]
    assert planned(document).servers == ()
    document["deployments"]["chat"]["pod"] = {"cpu": 4}
    with pytest.raises(SpecError, match=r"chat\.pod: says how pods run, and the stack describes no cluster"):
        StackSpec.parse(document)


def test_two_deployments_do_not_share_a_name():
    """Names that follow from a deployment's are not those of another."""
    document = pods()
    document["deployments"]["chat-group"] = document["deployments"]["chat"]
    document["deployments"]["chat"] = document["deployments"]["chat"] | {"workload": "stateful-set"}
    assert any("has an object called chat-group in namespace plinth, as chat has" in text for text in faults(document))


def test_a_pool_says_which_nodes_and_how_many():
    """Its labels are selected, its taints borne; what it has beyond the replicas is free for rollouts."""
    pool = {
        "kind": "existing",
        "shape": "VM.GPU.A10.1",
        "labels": {"team": "a"},
        "taints": [{"key": "a", "value": "b"}],
    }
    fields = {"shape": None, "pool": "own"}
    for size, others, strategy in ((2, 0, "surge"), (1, 0, "recreate"), (2, 1, "recreate")):
        document = pods(fields, pools={"own": pool | {"size": size}})
        for number in range(others):
            document["deployments"][f"other-{number}"] = document["deployments"]["chat"]
        plan = next(plan for plan in planned(document).servers if plan.name == "chat")
        assert dict(plan.placement.node_selector) == {"team": "a"}
        assert [item.key for item in plan.placement.tolerations] == ["nvidia.com/gpu", "a"]
        assert plan.placement.tolerations[1].value == "b"
        assert plan.workload.strategy == strategy


@pytest.mark.parametrize(
    ("fields", "strategy", "why"),
    [
        ({}, "recreate", "how many GPUs are free is not known"),
        ({"replicas": {"min": 2}}, "in-place", "one old replica ends first; 1 go on answering"),
        ({"rollout": {"spareGpus": 1}}, "surge", "1 GPUs are free, one more replica takes 1"),
        ({"rollout": {"spareGpus": 0}}, "recreate", "0 GPUs are free, 1 would be needed"),
        ({"rollout": {"strategy": "in-place"}}, "in-place", "as asked"),
        ({"shape": None, "node": {"gpuMemory": "80Gi", "count": 1}}, "recreate", "0 GPUs are free"),
        (PROCESSORS, "surge", "no GPUs are needed for one more"),
    ],
)
def test_the_rollout_follows_the_gpus_that_are_free(fields, strategy, why):
    """One more first where there is room, an old one first where others answer, all first where nothing else works."""
    plan = server(pods(fields))
    assert plan.workload.strategy == strategy
    assert why in reasons(pods(fields), "rollout")[0]


@pytest.mark.parametrize(
    ("model", "fields", "way", "folder"),
    [
        ({"preset": {"name": "qwen3-8b"}}, {}, "fetch", "/models/weights"),
        ({"storage": {"uri": "hf://Qwen/Qwen3-8B"}}, {}, "fetch", "/models/weights"),
        ({"storage": {"uri": "pvc://claim/a/b"}, "technicalName": "qwen3-8b"}, {}, "claim", "/models/a/b"),
        (
            {"storage": {"uri": "oci://registry.example/qwen:3"}, "technicalName": "qwen3-8b"},
            {},
            "image-volume",
            "/models",
        ),
        ({"preset": {"name": "qwen3-8b", "image": "registry.example/q:1"}}, {}, "image", "/models/weights"),
        ({"preset": {"name": "qwen3-8b"}}, {"weights": {"claim": "c", "path": "q"}}, "claim", "/models/q"),
        ({"preset": {"name": "qwen3-8b"}}, {"weights": {"image": "i:1", "path": "q"}}, "image-volume", "/models/q"),
    ],
)
def test_weights_come_as_their_address_says(model, fields, way, folder):
    """In the image, in a claim, as an image volume, or fetched; the launch file names the folder."""
    plan = server(pods({"model": "m", **fields}, models={"m": model}))
    assert (plan.weights.way, plan.weights.folder, plan.launch.model.folder) == (way, folder, folder)
    assert bool(plan.weights.fetches) == (way == "fetch")


def test_a_group_is_a_set_of_each_kind():
    """Two nodes a replica: StatefulSets, or a LeaderWorkerSet where the cluster has them; the launch says so."""
    for parts, kind, seat in (({}, "stateful-set", "stateful-set"), (SETS, "leader-worker-set", "leader-worker-set")):
        plan = server(pods(GROUP, models=LARGE, **parts))
        assert (plan.workload.kind, plan.workload.size, plan.demand.gpus) == (kind, 2, 8)
        assert (plan.launch.group.nodes, plan.launch.group.seat) == (2, seat)
        assert plan.timing.startup > 1800
        assert plan.workload.strategy == "in-place"


@pytest.mark.parametrize(
    ("image", "said"),
    [
        ("runtime", "names what changes under running pods"),
        ("runtime:latest", "names what changes under running pods"),
        ("registry.example:5000/runtime", "names what changes under running pods"),
        ("runtime:0.1.0", "is a tag, which its registry may move"),
        (IMAGE, ""),
    ],
)
def test_an_image_that_may_change_is_warned_of(image, said):
    """Only a digest names one image for ever."""
    found = reasons(pods({"pod": {"image": image}}), "image")
    assert [said in text for text in found] == ([True] if said else [])


def test_what_is_not_read_is_said():
    """A preset's ConfigMap has no say here."""
    model = {"preset": {"name": "qwen3-8b", "config": "tuned"}}
    assert "ConfigMap tuned is not read" in reasons(pods({"model": "m"}, models={"m": model}), "preset")[0]


def test_secrets_are_named_with_the_command_that_makes_them():
    """Keys, registry, store: names and commands; no command has a secret among its words."""
    model = {"storage": {"uri": "hf://Qwen/Qwen3-8B", "key": "hub"}}
    document = pods({"model": "m", "pod": {"imagePullSecrets": ["registry"]}}, models={"m": model})
    needs = {need.name: need for need in server(document).secrets()}
    assert list(needs) == ["chat-keys", "registry", "hub"]
    assert all("--namespace plinth" in need.command for need in needs.values())
    assert "--from-file=keys=/dev/stdin" in needs["chat-keys"].command
    assert "--from-file=token=./token" in needs["hub"].command
    assert "--from-literal" not in str(needs)
    assert [need.name for need in server(pods({"open": True})).secrets()] == []


def test_the_endpoint_is_the_service_or_the_gateway():
    """Inside the cluster, unless somebody publishes it."""
    assert server(pods()).endpoint == "http://chat.plinth.svc:8000/v1"
    public = pods({"pod": {"publicUrl": "https://models.example", "namespace": "team"}})
    assert server(public).endpoint == "https://models.example/v1"
    assert server(pods({"generate": True})).endpoint == "http://chat.plinth.svc:80/v1"


def test_what_pods_add_is_in_the_plan_s_json():
    """The launch with its digest, the workload and the secrets, beside what is planned for GPUs."""
    (said,) = planned(pods()).to_json()["deployments"]
    assert said["launchDigest"] == server(pods()).launch.digest()
    assert (said["workload"], said["secrets"], said["gpus"]) == ("deployment", ["chat-keys"], 1)
