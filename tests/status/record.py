"""Pods in every kind of trouble on a real node, and what the API server says of them: `seen.json` beside this.

Run with NODES=1 make cluster-up: PYTHONPATH=tests python tests/status/record.py
"""

import json
import sys
import time
from pathlib import Path

from cluster.__main__ import FOLDER
from cluster.cluster import Cluster
from cluster.nodes import BUSYBOX_IMAGE

SEEN = Path(__file__).with_name("seen.json")
NAMESPACE = "recorded"
WAIT_SECONDS = 100
"""Until back-offs and events have come."""

ADVICE = 'echo "plinth-runtime: the engine died: signal 9" >&2; echo "Give it memory." >&2'
LAST_WORDS = f"echo loading; sleep 1; {ADVICE}; exit 20"
UNREAD = frozenset({
    "addresses", "command", "containerID", "daemonEndpoints", "dnsPolicy", "enableServiceLinks", "env", "generateName",
    "hostIP", "hostIPs", "imageID", "images", "managedFields", "nodeInfo", "podIP", "podIPs", "preemptionPolicy",
    "priority", "qosClass", "readinessProbe", "reportingComponent", "reportingInstance", "resourceVersion",
    "restartPolicy", "schedulerName", "securityContext", "source", "startupProbe", "strategy",
    "terminationMessagePath", "updateStrategy", "volumeMounts", "volumes",
})  # fmt: skip
"""Keys that say nothing here."""

STARTUP = {
    "deployment": "loading",
    "launch_digest": "d" * 64,
    "phase": "loading",
    "agent_pid": 1,
    "seconds": 30.0,
    "phase_seconds": 12.5,
    "percent": 43.0,
    "eta_seconds": 80.0,
}
SERVE = f"mkdir -p /tmp/www && echo '{json.dumps(STARTUP)}' > /tmp/www/startupz && exec httpd -f -p 9000 -h /tmp/www"
MANAGEMENT = {"name": "management", "containerPort": 9000}


def probe(path):
    """A probe of the management port."""
    return {"httpGet": {"path": path, "port": 9000}, "periodSeconds": 2, "failureThreshold": 300}


def scenarios():
    """Name of the deployment -> what its pods have instead of a server that is ready."""
    fetch = {"name": "fetch-0", "image": BUSYBOX_IMAGE, "terminationMessagePolicy": "FallbackToLogsOnError"}
    return {
        "serving": {},
        "loading": {"server": {"startupProbe": probe("/no-such-thing")}},
        "crashing": {"server": {"command": ["sh", "-c", LAST_WORDS]}},
        "unknown-image": {"server": {"image": "registry.example/none:1"}},
        "no-secret": {
            "server": {"env": [{"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "absent", "key": "key"}}}]}
        },
        "no-volume": {"pod": {"volumes": [{"name": "keys", "secret": {"secretName": "absent-keys"}}]}},
        "fetching": {"pod": {"initContainers": [fetch | {"command": ["sleep", "3600"]}]}},
        "fetch-failing": {"pod": {"initContainers": [fetch | {"command": ["sh", "-c", LAST_WORDS]}]}},
        "too-big": {"server": {"resources": {"limits": {"nvidia.com/gpu": "2"}}}},
        "no-account": {"pod": {"serviceAccountName": "absent"}},
        "no-account-set": {"kind": "StatefulSet", "pod": {"serviceAccountName": "absent"}},
    }


def workload(name, case, namespace=NAMESPACE):
    """A Deployment or StatefulSet as ours are labelled."""
    labels = {"app.kubernetes.io/instance": name, "app.kubernetes.io/name": "plinth-server"}
    server = {
        "name": "server",
        "image": BUSYBOX_IMAGE,
        "command": ["sh", "-c", SERVE],
        "ports": [MANAGEMENT],
        "readinessProbe": probe("/startupz"),
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }
    pod = {"terminationGracePeriodSeconds": 1, "containers": [server | case.get("server", {})], **case.get("pod", {})}
    if "volumes" in pod:
        pod["containers"][0]["volumeMounts"] = [{"name": pod["volumes"][0]["name"], "mountPath": "/keys"}]
    metadata = {"labels": labels, "annotations": {"plinth.dev/launch": "d" * 64}}
    spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": {"metadata": metadata, "spec": pod}}
    return {
        "apiVersion": "apps/v1",
        "kind": case.get("kind", "Deployment"),
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": spec,
    }


def main():
    """Make, wait, record, remove."""
    cluster = Cluster(FOLDER)
    cluster.kubectl("create", "namespace", NAMESPACE)
    try:
        made = [workload(name, case) for name, case in scenarios().items()]
        cluster.kubectl("apply", "--server-side", "-f", "-", text="\n---\n".join(map(json.dumps, made)))
        time.sleep(WAIT_SECONDS)
        SEEN.write_text(json.dumps(record(cluster), indent=1, sort_keys=True) + "\n")
    finally:
        cluster.kubectl("delete", "namespace", NAMESPACE, "--timeout=60s")
    return 0


def record(cluster):
    """Everything that `plinth status` reads of a namespace, and the nodes."""
    lists = {
        "pods": ("pods", "-n", NAMESPACE),
        "workloads": ("deployments,statefulsets", "-n", NAMESPACE),
        "events": ("events", "-n", NAMESPACE, "--field-selector=type=Warning"),
        "nodes": ("nodes",),
    }
    return {name: [trimmed(item) for item in items(cluster, asked)] for name, asked in lists.items()}


def items(cluster, asked):
    """One list."""
    return json.loads(cluster.kubectl("get", *asked, "-ojson").stdout)["items"]


def trimmed(part):
    """A part of an object without what nobody reads here."""
    if isinstance(part, list):
        return [trimmed(item) for item in part]
    if isinstance(part, dict):
        return {key: trimmed(value) for key, value in part.items() if key not in UNREAD}
    return part


if __name__ == "__main__":
    sys.exit(main())
