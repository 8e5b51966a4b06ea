"""Rows of deployments: replicas, the phase of the worst pod, rollouts, groups, what stops a workload."""

import json

import pytest

from pulumi_plinth.status.pods import Around, pod_status
from pulumi_plinth.status.servers import server_status, service_addresses
from pulumi_plinth.status.wanted import WantedServer
from pulumi_plinth.status.workloads import Replicas, workload_of

GROUP = {"plinth.dev/group": "0"}


def row(seen, name):
    """The row of a recorded deployment."""
    events = tuple(seen["events"])
    workload = workload_of(name, "recorded", seen["workloads"], events)
    pods = tuple(pod_status(pod, Around(events)) for pod in seen["pods"])
    return server_status(WantedServer(name, "qwen", "recorded", ""), workload, pods)


@pytest.mark.parametrize(
    ("name", "ready", "phase", "message"),
    [
        ("serving", "1/1", "ready", ""),
        ("crashing", "0/1", "restarting", "the engine died: signal 9"),
        ("too-big", "0/1", "pending", "2 Insufficient nvidia.com/gpu"),
        ("no-account", "0/1", "pending", 'FailedCreate: pods "no-account-'),
        ("no-account-set", "0/1", "pending", 'serviceaccount "absent" not found'),
        ("never-made", "0/0", "missing", "`plinth up`"),
    ],
)
def test_rows_of_what_was_recorded(seen, name, ready, phase, message):
    """Replicas ready and wanted, the phase of the pod that is furthest from serving, and why; also without any pod."""
    found = row(seen, name)
    replicas = found.workload.replicas
    assert (f"{replicas.ready}/{replicas.wanted}", found.phase) == (ready, phase)
    assert message in found.message
    assert bool(message) == bool(found.message)


def test_a_row_has_the_keys_of_a_server_on_this_host(seen):
    """Who reads rows of both kinds finds the same keys, and more."""
    said = row(seen, "serving").to_json(lambda _: 7.0)
    local = [
        "name",
        "endpoint",
        "management",
        "phase",
        "pid",
        "enginePid",
        "percent",
        "phaseSeconds",
        "weights",
        "restarts",
        "message",
        "target",
    ]
    assert set(local) < set(said)
    assert (said["phaseSeconds"], said["percent"], said["pid"]) == (7.0, 100, None)
    assert said["replicas"] == {"wanted": 1, "ready": 1, "updated": 1}
    (pod,) = said["pods"]
    assert (pod["phase"], pod["node"][:5], pod["current"]) == ("ready", "node-", True)
    json.dumps(said)


def workload(kind="Deployment", *, replicas, labels=None, **status):
    """A workload of the deployment `chat`."""
    labelled = {"metadata": {"labels": labels or {}, "annotations": {"plinth.dev/launch": "new"}}, "spec": {}}
    metadata = {"name": "chat", "namespace": "n", "generation": 2, "labels": {"app.kubernetes.io/instance": "chat"}}
    spec = {"replicas": replicas, "template": labelled}
    if kind == "LeaderWorkerSet":
        spec = {"replicas": replicas, "leaderWorkerTemplate": {"workerTemplate": labelled}}
    return {"kind": kind, "metadata": metadata, "spec": spec, "status": {"observedGeneration": 2, **status}}


def pod(name, phase, launch="new"):
    """A pod of it."""
    ready = {"Ready": "True"}.get(phase, "False")
    metadata = {
        "name": name,
        "namespace": "n",
        "labels": {"app.kubernetes.io/instance": "chat"},
        "annotations": {"plinth.dev/launch": launch},
    }
    status = {"conditions": [{"type": "Ready", "status": ready}]}
    return {"metadata": metadata, "spec": {"nodeName": "a"} if phase != "pending" else {}, "status": status}


def judged(workloads, pods=()):
    """The row of `chat`."""
    made = workload_of("chat", "n", workloads, ())
    return server_status(WantedServer("chat", "m", "n", ""), made, tuple(pod_status(item, Around()) for item in pods))


COUNTED = [
    ([workload(replicas=3, readyReplicas=2, updatedReplicas=3)], Replicas(3, 2, 3)),
    ([workload(replicas=3)], Replicas(3, 0, 0)),
    ([workload(replicas=2, readyReplicas=2, updatedReplicas=2, observedGeneration=1)], Replicas(2, 2, 0)),
    ([workload("StatefulSet", replicas=4, labels=GROUP, readyReplicas=3, updatedReplicas=4)], Replicas(1, 0, 1)),
    ([workload("StatefulSet", replicas=4, labels=GROUP, readyReplicas=4, updatedReplicas=4)] * 2, Replicas(2, 2, 2)),
    ([workload("StatefulSet", replicas=0, labels=GROUP)], Replicas()),
    ([workload("LeaderWorkerSet", replicas=2, readyReplicas=1, updatedReplicas=2)], Replicas(2, 1, 2)),
]
"""Workloads of one deployment, and its replicas."""


@pytest.mark.parametrize(("workloads", "expected"), COUNTED)
def test_replicas(workloads, expected):
    """A group is one replica, ready when all its members are; what a controller has not seen is not updated."""
    assert workload_of("chat", "n", workloads, ()).replicas == expected


def test_a_rollout_is_told_while_all_answer():
    """All are ready and one is of the newest revision: updating, with what it waits for; old pods are marked."""
    made = [workload(replicas=2, readyReplicas=2, updatedReplicas=1)]
    pods = [pod("a", "Ready", "old"), pod("b", "Ready", "old"), pod("c", "pending")]
    found = judged(made, pods)
    assert found.phase == "updating"
    assert found.message.startswith("1 of 2 replicas are of the newest revision; c: ")
    current = {item["name"]: item["current"] for item in found.to_json(lambda _: None)["pods"]}
    assert current == {"a": False, "b": False, "c": True}


def test_a_rollout_that_was_given_up_says_so():
    """The reason of the workload, then that of a pod."""
    gone = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "timed out"}
    found = judged([workload(replicas=1, conditions=[gone])], [pod("a", "pending")])
    assert found.message.startswith("ProgressDeadlineExceeded: timed out; a: the scheduler")


def test_a_pod_that_failed_matters_less_than_its_successor():
    """An evicted pod stays as an object; the row speaks of the one that is to replace it."""
    evicted = {**pod("a", "x"), "status": {"phase": "Failed", "reason": "Evicted", "message": "low on memory"}}
    found = judged([workload(replicas=1)], [evicted, pod("b", "pending")])
    assert (found.phase, found.message[:3]) == ("pending", "b: ")
    assert [item["phase"] for item in found.to_json(lambda _: None)["pods"]] == ["pending", "failed"]


def test_no_replicas_are_no_fault():
    """Scaled to zero is stopped; before its pods are made a deployment is pending."""
    assert judged([workload(replicas=0)]).phase == "stopped"
    assert judged([workload(replicas=1)]).message == "no pod was made yet"


def test_another_namespace_is_another_deployment():
    """A workload of the same name elsewhere is not counted."""
    assert workload_of("chat", "other", [workload(replicas=1)], ()).names == ()


def test_the_address_is_that_of_the_service():
    """Where no output says it: the Service's port of that name; a headless one for groups has none."""
    service = {
        "metadata": {"name": "chat", "namespace": "n"},
        "spec": {"ports": [{"name": "generate", "port": 80}, {"name": "api", "port": 8000}]},
    }
    headless = {"metadata": {"name": "chat-group", "namespace": "n"}, "spec": {}}
    assert service_addresses((service, headless)) == {("n", "chat"): "http://chat.n.svc:8000/v1"}
