"""Nodes that exist only in the API server: kwok plays kubelet for them, so the real scheduler can be asked anything."""

import json
from pathlib import Path

from cluster.build import KWOK, built

MARK = "plinth.test/fake"
STAGES = Path(__file__).parent / "manifests" / "kwok-stages.yaml"
READY_SECONDS = 120
GPU = "nvidia.com/gpu"
TAINT = {"key": GPU, "value": "present", "effect": "NoSchedule"}


def start(cluster):
    """Start kwok unless it runs; it manages the nodes that carry our mark and their pods."""
    if cluster.processes.find("kwok"):
        return
    command = [
        str(built(KWOK)),
        f"--kubeconfig={cluster.folder / 'kwok.conf'}",
        f"--config={STAGES}",
        f"--manage-nodes-with-annotation-selector={MARK}=yes",
        "--node-lease-duration-seconds=40",
    ]
    cluster.processes.start("kwok", command)


def gpu_node(name, *, gpus=8, cpus=96, memory="1Ti", labels=None):
    """A node with GPUs as clouds have them: labelled by the vendor's discovery, tainted against pods without GPUs."""
    capacity = {"cpu": str(cpus), "memory": memory, "pods": "110", "ephemeral-storage": "1Ti", GPU: str(gpus)}
    known = {
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": "amd64",
        "nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3",
        "nvidia.com/gpu.count": str(gpus),
        "nvidia.com/gpu.present": "true",
    }
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "annotations": {MARK: "yes"}, "labels": known | (labels or {})},
        "spec": {"taints": [TAINT]},
        "status": {"capacity": capacity, "allocatable": capacity},
    }


def add(cluster, made):
    """Create nodes and wait until they are ready."""
    start(cluster)
    cluster.kubectl("create", "-f", "-", text="\n---\n".join(map(json.dumps, made)))
    names = {node["metadata"]["name"] for node in made}
    path = '{range .items[*]}{.metadata.name} {.status.conditions[?(@.type=="Ready")].status}{"\\n"}{end}'

    def ready():
        rows = cluster.kubectl("get", "nodes", f"-ojsonpath={path}").stdout.splitlines()
        return names <= {row.split()[0] for row in rows if row.endswith(" True")}

    cluster.processes.wait_for(ready, READY_SECONDS, "fake nodes ready", (cluster.processes.find("kwok"),))


def remove(cluster, names):
    """Delete nodes, then the pods that were on them: nobody is left who could end those."""
    cluster.kubectl("delete", "node", "--ignore-not-found", "--wait=false", *names)
    found = json.loads(cluster.kubectl("get", "pods", "--all-namespaces", "-ojson").stdout)["items"]
    there = [pod["metadata"] for pod in found if pod["spec"].get("nodeName") in names]
    at_once = ("--grace-period=0", "--force", "--ignore-not-found", "--wait=false")
    for namespace in {metadata["namespace"] for metadata in there}:
        pods = [metadata["name"] for metadata in there if metadata["namespace"] == namespace]
        cluster.kubectl("delete", "pods", "--namespace", namespace, *at_once, *pods)
