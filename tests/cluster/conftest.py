"""A real Kubernetes for tests: one control plane for the whole run, nodes on demand, a namespace for each test."""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import lightkube
import pytest
from cluster import fakes
from cluster.build import CONTROL, FAKE, NODE, built
from cluster.cluster import Cluster
from cluster.errors import ClusterError
from cluster.guard import guarded
from support.project import ROOT, missing

TESTS = ROOT / "tests"
KEPT = ROOT / ".plinth" / "cluster-logs"
_UP = pytest.StashKey()


def _require(parts):
    """Refuse to run without what must be built first."""
    absent = [part.name for part in parts if not built(part).exists()]
    if absent:
        missing(f"{', '.join(absent)} of the test cluster missing; run `make cluster-tools`")


@pytest.fixture(scope="session")
def cluster(request):
    """A control plane: etcd, API server, controllers, scheduler. It ends with the run, also with a killed one."""
    _require(CONTROL)
    folder = Path(tempfile.mkdtemp(prefix="plinth-cluster-"))
    made = Cluster(folder)
    with guarded(folder):
        try:
            made.up()
        except ClusterError as error:
            kept = shutil.copytree(folder / "logs", KEPT / f"start-{time.strftime('%H%M%S')}")
            raise ClusterError(f"{error}\nlogs are kept in {kept}") from error
        request.config.stash[_UP] = made
        yield made
        made.down()


@pytest.fixture
def kubectl(cluster):
    """Run kubectl as the administrator: `kubectl("get", "pods", check=False, text=manifest)`."""
    return cluster.kubectl


@pytest.fixture
def namespace(cluster, request):
    """A namespace of the test's own; it goes when the test ends, its pods at once."""
    name = f"test-{time.time_ns():x}"
    cluster.kubectl("create", "namespace", name)
    request.node.user_properties.append(("namespace", name))
    yield name
    cluster.kubectl("delete", "namespace", name, "--wait=false")  # from now on no pod is made anew
    cluster.kubectl("delete", "pods", "--all", "--namespace", name, "--grace-period=1", "--timeout=60s")


@pytest.fixture
def client(cluster, namespace):
    """A typed client in the test's namespace."""
    config = lightkube.KubeConfig.from_file(cluster.kubeconfig)
    made = lightkube.Client(config=config, namespace=namespace, field_manager="plinth-test", trust_env=False)
    yield made
    made.close()


@pytest.fixture
def kubernetes_plugin(tmp_path, monkeypatch):
    """The stand-in of `pulumi-resource-kubernetes`, on PATH: programs that use pulumi_kubernetes find it."""
    plugin = tmp_path / "bin" / "pulumi-resource-kubernetes"
    plugin.parent.mkdir()
    program = TESTS / "fakes" / "kubernetes_provider.py"
    plugin.write_text(f'#!/bin/sh\nPYTHONPATH="{TESTS}" exec "{sys.executable}" -u "{program}" "$@"\n')
    plugin.chmod(0o755)
    monkeypatch.setenv("PATH", f"{plugin.parent}{os.pathsep}{os.environ['PATH']}")
    return plugin


@pytest.fixture
def fake_nodes(cluster):
    """A function that adds n nodes with GPUs which exist in the API server only; they go when the test ends."""
    _require(FAKE)
    added = []

    def add(count, prefix="gpu", **options):
        made = [fakes.gpu_node(f"{prefix}-{index}", **options) for index in range(count)]
        added.extend(node["metadata"]["name"] for node in made)
        fakes.add(cluster, made)
        return [node["metadata"]["name"] for node in made]

    yield add
    if added:
        fakes.remove(cluster, added)


@pytest.fixture
def real_nodes(cluster):
    """A function that gives the first n real nodes, started where they do not run; they stay for later tests."""
    if os.getuid():
        missing("real nodes need root: they are made of namespaces")
    _require(NODE)
    return cluster.nodes


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Keep the logs of a failure where the next run does not remove them, and say where."""
    report = yield
    made = item.config.stash.get(_UP, None)
    if report.failed and made is not None and made.folder.exists():
        report.sections.append(("test cluster", f"logs are kept in {_keep(made, item)}"))
    return report


def _keep(made, item):
    folder = KEPT / f"{item.name[:60].replace('/', '-')}-{time.strftime('%H%M%S')}"
    shutil.copytree(made.folder / "logs", folder, dirs_exist_ok=True, symlinks=True)
    for kind in ("events", "pods", "nodes"):
        with contextlib.suppress(subprocess.TimeoutExpired):
            said = made.kubectl("get", kind, "--all-namespaces", "-oyaml", check=False, seconds=20)
            (folder / f"{kind}.yaml").write_text(said.stdout or said.stderr)
    return folder
