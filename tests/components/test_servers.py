"""Status rows, choosing a deployment, following logs."""

import threading

import pytest

from plinth_runtime.contract.rundir import RunDir
from plinth_runtime.contract.status import Cause, Termination
from pulumi_plinth import naming
from pulumi_plinth.errors import PlinthError
from pulumi_plinth.project import Workspace
from pulumi_plinth.servers import log_lines, pick, statuses


def test_a_log_is_followed_across_its_rotation(tmp_path):
    """Lines appended, then lines of the file that took its place; none twice, none missing."""
    path = tmp_path / "server.log"
    path.write_text("one\ntwo\nthree\n")
    lines = log_lines(path, 2, follow=True)
    assert [next(lines), next(lines)] == ["two\n", "three\n"]

    def write():
        with path.open("a") as stream:
            stream.write("four\n")
        path.rename(tmp_path / "server.log.1")
        path.write_text("five\n")

    thread = threading.Thread(target=write)
    thread.start()
    assert [next(lines), next(lines)] == ["four\n", "five\n"]
    thread.join()
    lines.close()


def test_a_missing_log_is_a_sentence(tmp_path):
    """No log yet: where it would be and what to look at."""
    with pytest.raises(PlinthError, match="there is no log at"):
        next(log_lines(tmp_path / "none", 10, follow=False))


@pytest.mark.parametrize(
    ("names", "wanted", "expected"),
    [
        (["a"], None, "a"),
        (["a", "b"], "b", "b"),
        (["a", "b"], None, "name one of the deployments: a, b"),
        (["a"], "x", "name one of the deployments: a"),
        ([], None, "nothing is deployed"),
    ],
)
def test_the_only_deployment_needs_no_name(names, wanted, expected):
    """One is taken, of several one must be named."""
    try:
        found = pick(names, wanted)
    except PlinthError as error:
        found = str(error)
    assert expected in found


def test_a_failed_server_tells_its_cause(tmp_path):
    """Nobody holds the lock, a termination lies there: failed, with message and advice."""
    workspace = Workspace(tmp_path, "local")
    run_dir = RunDir(naming.run_dir(tmp_path, "local", "chat"))
    run_dir.path.mkdir(parents=True)
    end = Termination(cause=Cause.OUT_OF_MEMORY, message="no memory", advice="buy some", exit_code=20)
    run_dir.termination.write_text(end.canonical_json())
    (row,) = statuses(workspace, {"endpoints": {"chat": "http://127.0.0.1:1/v1"}, "management": {}})
    assert (row["phase"], row["pid"], row["message"]) == ("failed", None, "no memory; buy some")


def test_a_server_that_was_never_started_is_stopped(tmp_path):
    """The message names the command that starts it."""
    outputs = {"endpoints": {"chat": "http://127.0.0.1:1/v1"}, "management": {"chat": "http://127.0.0.1:2"}}
    (row,) = statuses(Workspace(tmp_path, "local"), outputs)
    assert row["phase"] == "stopped"
    assert "plinth up" in row["message"]


def test_pods_that_no_stack_file_names_are_the_cluster_s_to_tell(tmp_path):
    """A deployment without a management port of its own is not called stopped; the row says how to ask."""
    (row,) = statuses(Workspace(tmp_path, "dev"), {"endpoints": {"chat": "http://chat.plinth.svc:8000/v1"}})
    assert (row["phase"], row["pid"], row["target"]) == ("in the cluster", None, "kubernetes")
    assert "kubectl get pods -A -l app.kubernetes.io/instance=chat" in row["message"]
