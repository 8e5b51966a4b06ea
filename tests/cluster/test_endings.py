"""Nothing is left of a cluster: no process, no mount, no namespace, no group, no file, whatever was killed before."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import psutil
import pytest
from cluster.build import CONTROL, NODE, built
from cluster.cluster import Cluster
from support.project import missing, wait_until, words

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

TESTS = Path(__file__).parents[1]
END_SECONDS = 30


def traces(folder):
    """What there is of a cluster in a folder, but for its control group."""
    processes = [words(process) for process in psutil.process_iter() if str(folder) in words(process)]
    mounts = [line for line in Path("/proc/self/mounts").read_text().splitlines() if str(folder) in line]
    return [*processes, *mounts, *([str(folder)] if folder.exists() else [])]


@pytest.fixture
def other(tmp_path_factory, cluster):
    """A second cluster, not yet up, which ends with the test; what the shared one has is not counted."""
    if os.getuid() or not all(built(part).exists() for part in (*CONTROL, *NODE)):
        missing("needs root and `make cluster-tools`")
    made = Cluster(tmp_path_factory.mktemp("other") / "cluster")
    yield made
    made.down()


OTHERS = pytest.param(("etcd", "coredns", "kube-proxy"), marks=pytest.mark.exhaustive)
NOTHING = pytest.param((), marks=pytest.mark.exhaustive)


@pytest.mark.parametrize("victims", [("kube-apiserver", "network", "node-0"), OTHERS, NOTHING])
def test_down_leaves_nothing(other, victims):
    """A cluster with a real node is gone after `down`, also when some of its processes were killed before."""
    before = set(traces(other.folder))
    other.up()
    other.nodes(1)
    group = other.cgroup
    assert list(Path("/sys/fs/cgroup").glob(f"*/{group}"))
    assert any("kubelet" in trace for trace in traces(other.folder))
    for name in victims:
        os.kill(other.processes.find(name).pid, signal.SIGKILL)
    other.down()
    assert set(traces(other.folder)) <= before
    assert not list(Path("/sys/fs/cgroup").glob(f"*/{group}"))
    other.down()


@pytest.mark.exhaustive
def test_two_clusters_at_once(cluster, other):
    """A second cluster on the same machine disturbs nothing: its ports, its network and its groups are its own."""
    other.up()
    other.nodes(1)
    assert other.kubectl("get", "node", "node-0", "-oname").stdout == "node/node-0\n"
    assert cluster.kubectl("get", "--raw", "/readyz").stdout == "ok"
    assert cluster.cgroup != other.cgroup


def test_the_control_plane_survives_the_end_of_its_parts(other):
    """Each part is killed and started again: what was written is there, and the controllers go on."""
    other.up()
    other.kubectl("create", "deployment", "web", "--image=plinth.local/none:1")
    for name in ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"):
        other.restart(name)
    other.kubectl("scale", "deployment", "web", "--replicas=3")
    other.kubectl("wait", "--for=jsonpath={.status.replicas}=3", "--timeout=60s", "deployment/web")


@pytest.mark.parametrize("number", [signal.SIGKILL, pytest.param(signal.SIGINT, marks=pytest.mark.exhaustive)])
def test_a_killed_test_run_leaves_nothing(tmp_path, cluster, number):
    """When the process that runs the tests is killed or interrupted, its cluster ends all the same."""
    folder = tmp_path / "cluster"
    code = f"""
        import signal
        import time
        from cluster.cluster import Cluster
        from cluster.guard import guarded
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
        with guarded({str(folder)!r}):
            Cluster({str(folder)!r}).up()
            print("up", flush=True)
            time.sleep(600)
    """
    environment = os.environ | {"PYTHONPATH": str(TESTS)}
    command = [sys.executable, "-c", textwrap.dedent(code)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    with subprocess.Popen(command, env=environment, **pipes) as run:
        assert run.stdout.readline() == "up\n"
        run.send_signal(number)
    wait_until(lambda: not any(str(folder) in trace for trace in traces(folder)), END_SECONDS, "the end of the cluster")
