"""Declared models and node agents on the test cluster: definitions, rights, agents as processes."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import psutil
import yaml

from pulumi_plinth.model.crds import crd_objects
from pulumi_plinth.node_agent import NodeAgentSpec, node_agent_objects

BASE_MODEL = {"apiVersion": "ome.io/v1beta1", "kind": "BaseModel"}
IMAGE = "registry.example/plinth-runtime@sha256:" + "0" * 64
HOME = "plinth-system"
ACCOUNT = f"system:serviceaccount:{HOME}:plinth-node-agent"
PATIENCE = 90
_KINDS = {"basemodels": "models", "clusterbasemodels": "models", "nodes": "nodes"}


def wait_until(condition, seconds=PATIENCE):
    """Wait for what processes do; gives what the condition gave."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if result := condition():
            return result
        time.sleep(0.1)
    raise AssertionError(f"not within {seconds} s")


def install_crds(kubectl):
    """Apply both definitions and wait for them, unless they are there as they must be."""
    there = json.loads(kubectl("get", "crds", "-ojson").stdout)["items"]
    if {item["metadata"]["name"] for item in crd_objects()} <= {item["metadata"]["name"] for item in there}:
        return
    kubectl("apply", "--server-side", "--validate=strict", "-f", "-", text=_text(crd_objects()))
    for item in crd_objects():
        kubectl("wait", "--for=condition=Established", "--timeout=30s", f"crd/{item['metadata']['name']}")


def install_rights(kubectl, secrets=()):
    """Apply everything of the agents but the DaemonSet."""
    objects = node_agent_objects(NodeAgentSpec.model_validate({"image": IMAGE}), secrets)
    text = _text(item for item in objects if item["kind"] != "DaemonSet")
    kubectl("apply", "--server-side", "--force-conflicts", "--validate=strict", "-f", "-", text=text)


def _text(objects):
    return "\n---\n".join(json.dumps(item) for item in objects)


def add_node(kubectl, name, labels=None):
    """Register a node, or change its labels."""
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels or {}}}
    kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", text=json.dumps(node))


def writes(kubectl):
    """Applies that the API server counted, by kind, and those that met another's."""
    found = {"models": 0, "nodes": 0, "conflicts": 0}
    for line in kubectl("get", "--raw", "/metrics").stdout.splitlines():
        match = re.match(r'apiserver_request_total\{.*code="(\d+)".*,resource="(\w+)".*verb="APPLY".*\} (\S+)', line)
        if match and match[2] in _KINDS:
            found["conflicts" if match[1] == "409" else _KINDS[match[2]]] += int(float(match[3]))
    return found


def account_config(cluster, kubectl, node, path):
    """Write a kubeconfig of the agents' account with a token that is bound to a node, as a pod's is."""
    token = kubectl(
        *("create", "token", "plinth-node-agent", "-n", HOME, "--bound-object-kind=Node", f"--bound-object-name={node}")
    ).stdout.strip()
    config = yaml.safe_load(cluster.kubeconfig.read_text())
    config["users"] = [{"name": user["name"], "user": {"token": token}} for user in config["users"]]
    path.write_text(yaml.safe_dump(config))
    return path


class Agent:
    """One agent's process, with the rights that its DaemonSet's pods have."""

    def __init__(self, cluster, kubectl, name, folder, environment):
        self.name, self.root, self.log = name, folder / name, folder / f"{name}.log"
        config = account_config(cluster, kubectl, name, folder / f"{name}.kubeconfig")
        self._command = [
            sys.executable, "-m", "plinth_runtime", "node", "--node", name, "--root", str(self.root),
            "--kubeconfig", str(config), "--sweep-seconds", "2", "--retry-seconds", "0.5", "--keep-seconds", "0.5",
        ]  # fmt: skip
        # Whoever crashes says where; the interpreter's own way, nothing of the agent's.
        self._environment = os.environ | {"PYTHONFAULTHANDLER": "1"} | environment
        self.process = None

    def start(self):
        """Start it, or start it again."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self._command, env=self._environment, stdout=log, stderr=log)
        return self

    def end(self, number=signal.SIGTERM):
        """End it and wait for it."""
        self.process.send_signal(number)
        return self.process.wait(15)

    @property
    def memory(self):
        """Bytes of it that are in memory."""
        return psutil.Process(self.process.pid).memory_info().rss
