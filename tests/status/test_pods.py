"""A pod's one phase and why, over objects that a real API server gave."""

import json

import pytest

from plinth_runtime.contract.status import Cause, Phase, StartupStatus, Termination
from pulumi_plinth.status.objects import LONGEST_MESSAGE, PodPort
from pulumi_plinth.status.pods import Around, last_words, pod_status, starting_port

END = "the engine died: signal 9; Give it memory."
RECORDED = [
    ("serving", "ready", "", ""),
    ("loading", "starting", "", ""),
    ("crashing", "restarting", "", f"exit code 20: {END}"),
    ("unknown-image", "creating", "Image", "registry.example/none:1"),
    ("no-secret", "creating", "CreateContainerConfigError", 'secret "absent" not found'),
    ("no-volume", "creating", "FailedMount", 'secret "absent-keys" not found'),
    ("fetching", "fetching", "", ""),
    ("fetch-failing", "restarting", "", f"exit code 20: {END}"),
    ("too-big", "pending", "Unschedulable", "2 Insufficient nvidia.com/gpu"),
]
"""Deployment, phase, words of the reason (a back-off may just be over) and of the message."""


@pytest.mark.parametrize("row", RECORDED, ids=lambda row: row[0])
def test_every_recorded_trouble_is_told(recorded, seen, row):
    """Phase, reason and the words that help; nothing is said of a pod that is as it should be."""
    name, phase, reason, message = row
    found = pod_status(recorded(name), Around(tuple(seen["events"])))
    assert found.verdict.phase == phase
    assert reason in found.verdict.reason
    assert message in found.verdict.message
    assert bool(found.verdict.message) == bool(message)
    assert found.deployment == name
    assert found.verdict.since.startswith("20")


def test_the_scheduler_is_cut_short(recorded):
    """Why no node will do is told, and not why nobody was evicted."""
    message = pod_status(recorded("too-big"), Around()).verdict.message
    assert message == "0/2 nodes are available: 2 Insufficient nvidia.com/gpu."


def test_gpus_restarts_node_and_launch_are_read(recorded):
    """What a pod asks for and where it is; without a node there is none."""
    found = pod_status(recorded("too-big"), Around())
    assert (found.gpus, found.restarts, found.node, found.launch) == (2, 0, "", "d" * 64)
    assert pod_status(recorded("crashing"), Around()).restarts > 1


def changed(pod, status, **metadata):
    """A pod whose status and metadata are other ones."""
    return {**pod, "metadata": {**pod["metadata"], **metadata}, "status": status}


def container(name="server", **row):
    """A container's status."""
    return {"name": name, "ready": False, "restartCount": 0, "state": {}, **row}


RUNNING = {"running": {"startedAt": "2026-01-01T00:00:00Z"}}
OOM = {"terminated": {"exitCode": 137, "reason": "OOMKilled", "message": ""}}
NOT_READY = [{"type": "Ready", "status": "False", "reason": "ContainersNotReady", "message": "not yet"}]
BACK_OFF = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 5m0s restarting failed container"}}
CHANGED = [
    (
        {"containerStatuses": [container(state=BACK_OFF, lastState=OOM)]},
        "restarting",
        "CrashLoopBackOff: exit code 137",
    ),
    ({"phase": "Failed", "reason": "Evicted", "message": "low on memory"}, "failed", "Evicted: low on memory"),
    (
        {"phase": "Failed", "containerStatuses": [container(state=OOM)]},
        "failed",
        "OOMKilled: exit code 137 (OOMKilled)",
    ),
    ({"phase": "Succeeded"}, "stopped", "its programs ended"),
    ({}, "creating", "its node has not taken it up yet"),
    ({"containerStatuses": [container(state=RUNNING, started=True)]}, "unready", ""),
    ({"containerStatuses": [container(state=RUNNING, lastState=OOM)]}, "starting", "before this: exit code 137"),
    ({"containerStatuses": [container(state=OOM)]}, "restarting", "OOMKilled: exit code 137"),
    (
        {"conditions": NOT_READY, "containerStatuses": [container(ready=True), container("mesh", state=RUNNING)]},
        "unready",
        "",
    ),
    ({"conditions": NOT_READY, "containerStatuses": [container(ready=True)]}, "unready", "ContainersNotReady: not yet"),
    (
        {"initContainerStatuses": [container("mesh", state=RUNNING, started=True, ready=True)]},
        "creating",
        "its node has not",
    ),
]
"""A status, the phase it stands for, and words of why."""


@pytest.mark.parametrize(("status", "phase", "said"), CHANGED)
def test_other_states_of_a_pod(recorded, status, phase, said):
    """Evicted, killed for memory, ended, beside a sidecar: what the record has not."""
    verdict = pod_status(changed(recorded("serving"), status), Around()).verdict
    assert verdict.phase == phase
    assert said in f"{verdict.reason}: {verdict.message}".lstrip(": ")


def test_a_pod_that_ends_is_draining(recorded):
    """Whatever else is said of it: also one that was ready."""
    pod = recorded("serving")
    assert pod_status(
        changed(pod, pod["status"], deletionTimestamp="2026-01-01T00:00:00Z"), Around()
    ).verdict.phase == ("draining")


def test_a_pod_of_a_silent_node_is_lost(recorded):
    """Its own status is that of before."""
    pod = recorded("serving")
    assert pod_status(pod, Around(silent=frozenset({pod["spec"]["nodeName"]}))).verdict.phase == "lost"


def test_what_a_server_says_of_itself_is_the_best_answer(recorded):
    """Its phase, how far it is and how long it takes; only of a server that runs and is not ready it is asked."""
    pod = recorded("loading")
    port = starting_port(pod)
    assert port == PodPort("recorded", pod["metadata"]["name"], 9000)
    status = StartupStatus(
        deployment="loading",
        launch_digest="d",
        phase=Phase.LOADING,
        agent_pid=1,
        seconds=30,
        phase_seconds=12,
        percent=43.2,
        eta_seconds=80.4,
    )
    verdict = pod_status(pod, Around(heard={port: status})).verdict
    assert (verdict.phase, verdict.message) == ("loading", "43 %; about 80 s left")
    assert [starting_port(recorded(name)) for name in ("serving", "too-big", "crashing")] == [None] * 3


TERMINATION = Termination(cause=Cause.HUNG, message="no step for 60 s", advice="look at the log", exit_code=22)


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ("", ""),
        ("one\ntwo\n", "two"),
        ("INFO x\nplinth-runtime: no space; 3 GB lack\nFree some.\nlate line\n", "no space; 3 GB lack; Free some."),
        ("plinth-runtime: first\na\nplinth-runtime: last\nb", "last; b"),
        (json.dumps(TERMINATION.model_dump(mode="json")), "no step for 60 s; look at the log"),
    ],
)
def test_last_words(message, words):
    """The contract's document, our programs' last two lines, else the last line."""
    assert last_words(message) == words


def test_nothing_secret_and_nothing_endless_is_shown(recorded):
    """A log's end may hold a key, an address with a password, or letters that steer terminals."""
    text = "\x1b[2Jtold hf_abcdefghijkl and https://me:word@host/ " + "x" * 3000
    ended = {"terminated": {"exitCode": 1, "reason": "Error", "message": text}}
    pod = changed(recorded("serving"), {"containerStatuses": [container(state=ended)]})
    said = pod_status(pod, Around()).verdict.message
    assert "hf_abc" not in said
    assert "word" not in said
    assert "\x1b" not in said
    assert len(said) == LONGEST_MESSAGE
