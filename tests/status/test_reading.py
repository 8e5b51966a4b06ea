"""What is asked of a cluster, what is said when it refuses, and the whole answer."""

import json

import pytest
from fakes.status_cluster import FakeCluster

from plinth_runtime.contract.status import Phase, StartupStatus
from pulumi_plinth.stack import StackSpec
from pulumi_plinth.status.objects import AbsentError, DownError, RefusedError
from pulumi_plinth.status.reading import read
from pulumi_plinth.status.report import report
from pulumi_plinth.status.survey import Access, age, survey
from pulumi_plinth.status.wanted import wanted

IMAGE = "registry.example/runtime@sha256:" + "ab" * 32
NAMES = ("serving", "crashing", "no-account-set", "loading")
MODEL = {"storage": {"uri": "hf://Qwen/Qwen3-0.6B"}}


def stack(**parts):
    """A stack with some of the recorded deployments."""
    kubernetes = {"namespace": "recorded", "image": IMAGE, **parts.pop("kubernetes", {})}
    deployments = {name: {"model": "qwen", "target": "kubernetes"} for name in NAMES}
    return StackSpec.parse({"kubernetes": kubernetes, "models": {"qwen": MODEL}, "deployments": deployments, **parts})


@pytest.fixture
def objects(seen):
    """The recorded objects as a cluster has them: by plural, without their kinds."""
    kinds = {"Deployment": "deployments", "StatefulSet": "statefulsets"}
    found = {"pods": seen["pods"], "events": seen["events"], "nodes": seen["nodes"]}
    for item in seen["workloads"]:
        bare = {key: value for key, value in item.items() if key not in ("kind", "apiVersion")}
        found.setdefault(kinds[item["kind"]], []).append(bare)
    return found


def answer(cluster, spec=None, endpoints=None):
    """The report over a cluster."""
    sought = wanted(spec or stack(), endpoints or {})
    return report(sought, read(cluster, sought))


def phases(found):
    """Name and phase of every deployment."""
    return {server.wanted.name: server.phase for server in found.servers}


ALL = {"serving": "ready", "crashing": "restarting", "no-account-set": "pending", "loading": "starting"}


def test_the_whole_answer(objects):
    """Every deployment of the stack with its pods and reasons; nothing of others in the same namespace; no note."""
    found = answer(FakeCluster(objects), endpoints={"serving": "https://models.example/v1"})
    assert phases(found) == ALL
    assert found.told
    assert found.notes == ()
    said = found.to_json(age)
    assert {len(row["pods"]) for row in said["deployments"]} == {0, 1}
    assert "absent" in json.dumps(said)
    assert (
        next(row["endpoint"] for row in said["deployments"] if row["name"] == "serving") == "https://models.example/v1"
    )
    assert said["nodes"] == []


def test_a_server_that_starts_is_asked_itself(objects):
    """Where its management port can be reached, the row says what the server says."""
    name = next(pod["metadata"]["name"] for pod in objects["pods"] if pod["metadata"]["name"].startswith("loading"))
    status = StartupStatus(
        deployment="loading",
        launch_digest="d",
        phase=Phase.WARMING,
        agent_pid=1,
        seconds=9,
        phase_seconds=3,
        percent=80,
    )
    (row,) = [
        row
        for row in answer(FakeCluster(objects, startups={name: status})).to_json(age)["deployments"]
        if row["name"] == "loading"
    ]
    assert (row["phase"], row["percent"], row["phaseSeconds"], row["weights"]) == ("warming", 80, 3.0, "unknown")


REFUSED = [
    ({"nodes": RefusedError("no right to read nodes")}, ALL, "nodes and their GPUs are not shown"),
    ({"events": RefusedError("no right to read events")}, ALL | {}, "some reasons are not shown"),
    ({"services": RefusedError("no right to read services")}, ALL, "addresses are not shown"),
    ({"pods": RefusedError("no right to read pods")}, dict.fromkeys(ALL, "unknown"), "recorded are not shown"),
    (
        {"statefulsets": RefusedError("no right")},
        ALL | {"no-account-set": "missing"},
        "replicas are wanted is not shown",
    ),
    ({"pods": DownError("the cluster does not answer")}, dict.fromkeys(ALL, "unknown"), "does not answer"),
    ({"nodes": DownError("the cluster does not answer")}, ALL, "does not answer"),
]
"""What a cluster refuses, the phases that are told all the same, and words of the only note."""


@pytest.mark.parametrize(("refusals", "expected", "words"), REFUSED)
def test_what_is_refused_is_one_line_and_the_rest_is_told(objects, refusals, expected, words):
    """A missing right costs what it is for; silence costs what was not read yet."""
    found = answer(FakeCluster(objects, refusals))
    assert phases(found) == expected
    (note,) = found.notes
    assert words in note
    assert found.told is ("unknown" not in expected.values())


def test_nobody_is_asked_again_after_silence(objects):
    """Each further question would take its time and say the same."""
    cluster = FakeCluster(objects, {"pods": DownError("x")})
    answer(cluster, stack(kubernetes={"nodeAgent": {"image": IMAGE}}))
    assert cluster.asked == [("pods", "recorded")]


def test_namespaces_are_read_each(objects):
    """Deployments in several; one that may not be read leaves the others told."""
    elsewhere = {"model": "qwen", "target": "kubernetes", "pod": {"namespace": "other"}}
    spec = stack(deployments={"serving": {"model": "qwen", "target": "kubernetes"}, "far": elsewhere})
    found = answer(FakeCluster(objects, {("pods", "other"): RefusedError("no right to read pods")}), spec)
    assert phases(found) == {"far": "unknown", "serving": "ready"}
    assert not found.told


def test_declared_models_are_read_where_agents_bring_them(objects):
    """Both kinds; one that is not there is missing; one in a store counts only if it is there."""
    models = {
        "qwen": MODEL,
        "own": {**MODEL, "namespace": "team"},
        "stored": {"store": "weights", "path": "x"},
    }
    spec = stack(
        kubernetes={"nodeAgent": {"image": IMAGE}},
        models=models,
        stores={"weights": {"kind": "folder", "path": "models"}},
    )
    there = [{"metadata": {"name": "qwen"}, "status": {"state": "Ready", "nodesReady": ["a"]}}]
    found = answer(FakeCluster({**objects, "clusterbasemodels": there}), spec)
    assert {str(model.key): model.state for model in found.models} == {
        "team/BaseModel/own": "missing",
        "ClusterBaseModel/qwen": "Ready",
    }


def test_definitions_that_are_not_installed_are_one_line(objects):
    """The deployments are told."""
    spec = stack(kubernetes={"nodeAgent": {"image": IMAGE}})
    found = answer(FakeCluster(objects, {"clusterbasemodels": AbsentError("the definition is not installed")}), spec)
    assert found.told
    assert found.models == ()
    assert found.notes == ("the definition is not installed; these models are not shown",)


def test_pods_of_all_are_read_only_where_there_are_gpus(objects):
    """Lists of a whole cluster are large."""
    cluster = FakeCluster(objects)
    answer(cluster)
    assert ("pods", None) not in cluster.asked
    nodes = [{**node, "status": {**node["status"], "capacity": {"nvidia.com/gpu": "8"}}} for node in objects["nodes"]]
    cluster = FakeCluster({**objects, "nodes": nodes})
    found = answer(cluster)
    assert ("pods", None) in cluster.asked
    assert [node.name for node in found.nodes] == ["node-0", "node-1"]


def test_a_stack_without_a_cluster_asks_nobody(tmp_path):
    """Nothing is opened, nothing is told."""
    found = survey(StackSpec(), tmp_path, {}, Access())
    assert found.told
    assert found.to_json(age) == {"deployments": [], "models": [], "nodes": [], "notes": []}


def test_the_stack_s_own_cluster_is_not_confused_with_another(tmp_path, monkeypatch):
    """Its kubeconfig is in no file: whichever the user happens to have is not asked."""
    oci = {"compartmentId": "ocid1.compartment.oc1..a", "region": "eu-frankfurt-1"}
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "of-another-cluster"))
    spec = stack(oci=oci, cluster={"kubernetesVersion": "v1.34.1"})
    found = survey(spec, tmp_path, {}, Access())
    (note,) = found.notes
    assert "oci ce cluster create-kubeconfig --cluster-id ID" in note
    assert set(phases(found).values()) == {"unknown"}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "not found"),
        ("token: [sha256~very-secret", "is not written as a kubeconfig is"),
        ("", "is not written as a kubeconfig is"),
        ("clusters: []\ncontexts: []\n", "No current context"),
        ("{clusters: [], contexts: [], current-context: gone}", "Context 'gone' not found"),
    ],
)
def test_a_kubeconfig_that_cannot_be_used(tmp_path, content, words):
    """One line that names the file and never quotes it; deployments are unknown."""
    if content is not None:
        (tmp_path / "config").write_text(content)
    found = survey(stack(kubernetes={"kubeconfig": "config"}), tmp_path, {}, Access())
    (note,) = found.notes
    assert f"{tmp_path / 'config'}" in note
    assert words in note
    assert "very-secret" not in note
    assert not found.told


def kubeconfig(path, server, user="{}"):
    """Write a kubeconfig of one cluster."""
    path.write_text(
        "{current-context: a, contexts: [{name: a, context: {cluster: a, user: a}}], "
        f"clusters: [{{name: a, cluster: {{server: '{server}'}}}}], users: [{{name: a, user: {user}}}]}}"
    )


@pytest.mark.parametrize(
    ("user", "words"),
    [
        ("{}", "https://127.0.0.1:1 does not answer"),
        ("{exec: {apiVersion: client.authentication.k8s.io/v1beta1, command: no-such-program}}", "no-such-program"),
        ("{exec: {apiVersion: client.authentication.k8s.io/v1, command: 'true'}}", "credentials cannot be had"),
    ],
)
def test_a_cluster_that_does_not_answer(tmp_path, user, words):
    """One line: nobody listens, or the program that gives credentials is not there."""
    kubeconfig(tmp_path / "config", "https://127.0.0.1:1", user)
    (note,) = survey(stack(kubernetes={"kubeconfig": "config"}), tmp_path, {}, Access()).notes
    assert words in note


def test_of_several_kubeconfigs_the_one_with_the_context_is_taken(tmp_path, monkeypatch):
    """KUBECONFIG may list files, also such that are not there."""
    kubeconfig(tmp_path / "one", "https://127.0.0.1:1")
    kubeconfig(tmp_path / "two", "https://127.0.0.1:2")
    text = (
        (tmp_path / "two")
        .read_text()
        .replace("name: a, context", "name: prod, context")
        .replace("current-context: a,", "")
    )
    (tmp_path / "two").write_text(text)
    monkeypatch.setenv("KUBECONFIG", f"{tmp_path / 'none'}:{tmp_path / 'one'}:{tmp_path / 'two'}")
    notes = [survey(stack(), tmp_path, {}, Access(context=name)).notes[0] for name in (None, "prod")]
    assert ["127.0.0.1:1" in notes[0], "127.0.0.1:2" in notes[1]] == [True, True]
