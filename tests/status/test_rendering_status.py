"""What people see: tables and sentences on a terminal, the picture of one, the command's exit code."""

import io
import json
import re
from dataclasses import replace

import pytest
from click.testing import CliRunner
from fakes.status_cluster import FakeCluster
from rich.console import Console

from pulumi_plinth.cli import main
from pulumi_plinth.rendering_status import picture, show_report, show_servers
from pulumi_plinth.stack import StackSpec
from pulumi_plinth.status.reading import read
from pulumi_plinth.status.report import report
from pulumi_plinth.status.wanted import wanted

IMAGE = "registry.example/runtime@sha256:" + "ab" * 32


@pytest.fixture
def found(seen):
    """The report of two recorded deployments, a model of which five nodes say the same, and a node with a taint."""
    spec = StackSpec.parse(
        {
            "kubernetes": {"namespace": "recorded", "image": IMAGE, "nodeAgent": {"image": IMAGE}},
            "models": {"qwen": {"storage": {"uri": "hf://Qwen/Qwen3-0.6B"}}},
            "deployments": {name: {"model": "qwen", "target": "kubernetes"} for name in ("serving", "too-big")},
        }
    )
    failed = {"phase": "Failed", "reason": "NoSpace", "message": "12 GB [lack]"}
    rows = [{"name": f"node-{number}", **failed} for number in range(5)]
    model = {"metadata": {"name": "qwen"}, "status": {"state": "Failed", "nodes": rows}}
    gpus = {"nvidia.com/gpu": "1"}
    status = {"capacity": gpus, "allocatable": gpus, "conditions": [{"type": "Ready", "status": "True"}]}
    taints = [{"key": "team", "value": "other", "effect": "NoSchedule"}]
    node = {"metadata": {"name": "gpu-0"}, "spec": {"taints": taints}, "status": status}
    workloads = [item for item in seen["workloads"] if item["kind"] == "Deployment"]
    objects = {
        "pods": seen["pods"],
        "deployments": workloads,
        "nodes": [node],
        "clusterbasemodels": [model],
    }
    sought = wanted(spec, {})
    return report(sought, read(FakeCluster(objects), sought))


def test_what_a_terminal_shows(found):
    """A line each for deployments, pods, models, nodes; sentences once, for what is not as it should be; no markup."""
    console = Console(width=200, file=io.StringIO())
    show_report(console, found, lambda _: 61.0)
    text = console.file.getvalue()
    assert re.search(r"serving +1/1 +ready +1 min", text)
    assert re.search(r"too-big +0/1 +pending", text)
    assert text.count("Insufficient nvidia.com/gpu") == 1
    assert "qwen: Failed on node-0, node-1, node-2 and 2 more: NoSpace: 12 GB [lack]" in text
    assert re.search(r"gpu-0 +yes +1 +0 +1", text)
    assert "too-big: kept out of gpu-0: taint team=other:NoSchedule" in text
    assert "serving: " not in text


def test_what_a_terminal_shows_of_servers_on_this_host():
    """A line each, and a sentence for the one that failed."""
    common = {"pid": None, "phaseSeconds": None, "weights": None, "endpoint": "http://127.0.0.1:8000/v1"}
    ready = {**common, "name": "chat", "phase": "ready", "pid": 7, "phaseSeconds": 7300.0, "message": ""}
    failed = {**common, "name": "other", "phase": "failed", "message": "no memory; buy [some]"}
    console = Console(width=120, file=io.StringIO())
    show_servers(console, [ready, failed])
    text = console.file.getvalue()
    assert re.search(r"chat +ready +7 +2 h +- +http://127.0.0.1:8000/v1", text)
    assert "other: no memory; buy [some]" in text
    assert "chat: " not in text


def test_a_picture_needs_nobody(found):
    """The SVG of a terminal refers to no server, and the same twice gives the same bytes."""

    def draw():
        return picture(lambda console: show_report(console, found, lambda _: 61.0), "plinth status")

    drawn = draw()
    assert drawn.startswith("<svg")
    assert set(re.findall(r"https?://[^\s\"')<]+", drawn)) <= {
        "http://www.w3.org/2000/svg",
        "https://www.textualize.io",
    }
    assert drawn == draw()


def test_hundreds_of_pods_are_counted(found):
    """A deployment that no node admits leaves a failed pod with each attempt."""
    (first, second) = found.servers
    crowd = replace(first, pods=first.pods * 50)
    console = Console(width=200, file=io.StringIO())
    show_report(console, replace(found, servers=(crowd, second)), lambda _: 61.0)
    assert "and 30 more of serving" in console.file.getvalue()


def test_a_stack_file_that_cannot_be_read_leaves_the_command_with_1(tmp_path):
    """Servers on this host are told of still."""
    (tmp_path / "Pulumi.yaml").write_text("name: box\nruntime: python\nbackend:\n  url: file://.\n")
    (tmp_path / "Pulumi.dev.yaml").write_text("config: {plinth:stack: {modles: {}}}")
    run = CliRunner().invoke(main, ["status", "--stack", "dev", "--cwd", str(tmp_path)])
    assert run.exit_code == 1
    assert "is not deployed" in run.stdout
    assert "modles" in run.stderr


def test_a_cluster_that_cannot_be_asked_leaves_the_command_with_1(tmp_path):
    """The rest is told on standard output, as JSON; what is wrong is one line on standard error."""
    stack = {
        "kubernetes": {"kubeconfig": "none", "image": IMAGE},
        "models": {"qwen": {"storage": {"uri": "hf://Qwen/Qwen3-0.6B"}}},
        "deployments": {"chat": {"model": "qwen", "target": "kubernetes"}},
    }
    (tmp_path / "Pulumi.yaml").write_text("name: box\nruntime: python\nbackend:\n  url: file://.\n")
    (tmp_path / "Pulumi.dev.yaml").write_text(json.dumps({"config": {"plinth:stack": stack}}))
    run = CliRunner().invoke(main, ["status", "--stack", "dev", "--cwd", str(tmp_path), "--json"])
    said = json.loads(run.stdout)
    assert run.exit_code == 1
    assert [(row["name"], row["phase"], row["target"]) for row in said["deployments"]] == [
        ("chat", "unknown", "kubernetes")
    ]
    assert run.stderr.startswith("note: the kubeconfig")
    assert run.stderr.count("\n") == len(said["notes"]) == 1
